//! rtnetlink, synchronous: messages and socket.
#![forbid(unsafe_code)]
