//! The few D-Bus calls to systemd and logind, and readiness notification.
#![forbid(unsafe_code)]
