//! Network namespaces of the tests' own.

use berth_common::InterfaceName;
use berth_netlink::Socket;
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::process::Command;

/// Moves this test's thread into a fresh network namespace and opens a socket there.
pub fn fresh() -> (Socket, File) {
    unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
    (
        Socket::open().unwrap(),
        File::open("/proc/thread-self/ns/net").unwrap(),
    )
}

pub fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

/// What iproute2 says; a child inherits the thread's namespace.
pub fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
