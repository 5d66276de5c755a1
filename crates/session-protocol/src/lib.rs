//! Frames of the launch socket and of a monitor's command socket.
#![forbid(unsafe_code)]
