//! Copies of containers, snapshots, other names: what is kept, what is refused, and what LXC's own
//! tools make of it. On private hosts in namespaces, which takes root.

mod copy;
mod lxc;
mod overlay;
mod rename;
mod snapshot;
mod sweep;
mod transfer;
mod tree;
#[path = "../keys/world.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod world;

use std::path::{Path, PathBuf};

use world::{Container, Owner};

/// Where the owner's containers are.
pub fn lxcpath(container: &Container) -> PathBuf {
    container.dir().parent().unwrap().to_owned()
}

/// Another container of the same owner's.
pub fn other<'h>(container: &Container<'h>, name: &'static str) -> Container<'h> {
    Container {
        host: container.host,
        owner: container.owner,
        name,
    }
}

/// A command fails with a message that has this text.
pub fn refused(container: &Container, arguments: &[&str], text: &str) {
    let output = container.berth(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "berth {arguments:?}: {said}");
    assert!(said.contains(text), "no “{text}” in: {said}");
}

/// Everything in a directory, dot files too.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Both kinds of owners.
pub const OWNERS: [Owner; 2] = [Owner::User, Owner::Root];
