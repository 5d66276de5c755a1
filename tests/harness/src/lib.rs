//! Boots a real Debian under User Mode Linux and drives it: real sshd, PAM, logind, systemd,
//! kernel; no KVM, nothing of the machine's own network, mounts or cgroups is touched.
//!
//! ```no_run
//! use berth_test_harness::{Host, Image, Result};
//!
//! #[test]
//! fn her_shell_is_in_a_session_scope() -> Result {
//!     let host = Host::boot(Image::Berth)?;
//!     let alice = host.login("alice")?;
//!     let cgroup = alice.run("cat /proc/self/cgroup")?.ok()?;
//!     assert!(cgroup.contains("session-"), "{cgroup}");
//!     Ok(())
//! }
//! ```
//!
//! The images are made by `cargo xtask image`. A guest's console, journal and disk stay in
//! `target/booted/<test>/` until the same test runs again. Whatever happens to the test process
//! (panic, ctrl-C, `kill -9`), its guests end with it: they live in a pid namespace whose init
//! ends when the pipe from the test process closes.
#![forbid(unsafe_code)]

mod command;
mod dirs;
mod guest;
mod host;
mod image;
mod pty;
mod ssh;

pub use command::{Output, run};
pub use dirs::{images_dir, target_dir};
pub use guest::{GUEST_ADDRESS, MACHINE_ADDRESS};
pub use host::{Host, HostOptions, shared};
pub use image::{Cgroups, Image};
pub use pty::Pty;
pub use ssh::Login;

/// What a booted test returns.
pub type Result<T = ()> = anyhow::Result<T>;
