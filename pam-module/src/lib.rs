//! PAM session module: delegates a login session's cgroup to its user.
//!
//! Where systemd marked the session's scope as delegated, `open_session` moves the processes in
//! it to its leaf `init.scope`, turns the controllers on for the leaf's siblings-to-be, and gives
//! leaf and scope to the user. It runs as root inside sshd, login or su, so: whatever goes wrong,
//! the login goes on; nothing is asked of the network or of a bus; there is an end to every loop
//! and to the time taken; and the host process stays as it was.
//!
//! [`session::open`] reads top to bottom; `ffi` is the only place with `unsafe`.
#![deny(unsafe_code)]

pub mod arguments;
mod elogind;
#[allow(unsafe_code)]
mod ffi;
pub mod legacy;
mod limits;
mod machine;
mod own_tree;
pub mod session;
mod systemd;
