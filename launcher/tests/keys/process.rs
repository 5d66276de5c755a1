//! What init is given.

use crate::world::{Owner, in_container, refused};

#[test]
fn uts_name() {
    for owner in [Owner::User, Owner::Root] {
        in_container(owner, "lxc.uts.name = mary", |container| {
            assert_eq!(container.sh("hostname"), "mary");
            container.stop();
            container.start();
            assert_eq!(container.sh("hostname"), "mary");
        });
    }
}

#[test]
fn a_host_name_with_a_blank_is_refused() {
    refused(
        Owner::User,
        "lxc.uts.name = two words",
        "lxc.uts.name: expected",
    );
}
