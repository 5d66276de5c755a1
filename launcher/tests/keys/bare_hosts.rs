//! Hosts on which nothing is integrated: what is not asked for is done without, what is asked for
//! and cannot be had is refused.

use berth_test_private_host::{BRIDGE, Cgroups};

use crate::world::{Container, Owner, on_host, on_host_with};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];
const BARE: [Cgroups; 3] = [Cgroups::Hybrid, Cgroups::NotDelegated, Cgroups::None];

#[test]
fn a_container_that_asks_for_nothing_starts_everywhere() {
    for cgroups in BARE {
        on_host_with(
            |setup| {
                setup.cgroups = cgroups;
                setup.bridge = false;
            },
            |host| {
                for owner in BOTH {
                    let container = Container::create(host, owner, "web");
                    container.start();
                    assert_eq!(container.sh("hostname"), "web", "{cgroups:?}");
                    container.reboot();
                    assert_eq!(container.sh("echo again"), "again");
                    container.stop();
                    container.start();
                    container.kill_monitor();
                    container.start();
                    container.destroy();
                }
            },
        );
    }
}

#[test]
fn a_limit_that_cannot_be_had_is_refused() {
    for cgroups in BARE {
        on_host_with(
            |setup| setup.cgroups = cgroups,
            |host| {
                for owner in BOTH {
                    let container = Container::create(host, owner, "web");
                    container.append("lxc.cgroup2.memory.max = 64M");
                    let why = match (cgroups, owner) {
                        (Cgroups::None, _) => "this host has no cgroup v2 hierarchy",
                        (Cgroups::NotDelegated, Owner::User) => {
                            "no control group of yours reaches here"
                        }
                        _ => "the controller memory does not reach",
                    };
                    container.start_is_refused(why);
                    container.destroy();
                }
            },
        );
    }
}

#[test]
fn an_interface_on_a_bridge_that_is_missing_is_refused() {
    on_host_with(
        |setup| {
            setup.cgroups = Cgroups::None;
            setup.bridge = false;
        },
        |host| {
            for owner in BOTH {
                let container = Container::create(host, owner, "web");
                container.append(&format!(
                    "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.flags = up"
                ));
                container.start_is_refused("lxc.net.0.link: there is no bridge testbr0");
                container.destroy();
            }
        },
    );
}

/// An overlay in which programs of the host can be removed.
const WITHOUT: &str = "mkdir -p /run/over/upper /run/over/work && mount -t overlay overlay -o \
    lowerdir=/usr/bin,upperdir=/run/over/upper,workdir=/run/over/work /usr/bin && cd /usr/bin && rm";

#[test]
fn without_what_maps_ids_an_ordinary_user_is_told_to_install_it() {
    on_host(|host| {
        let (user, root) = (
            Container::create(host, Owner::User, "web"),
            Container::create(host, Owner::Root, "db"),
        );
        user.on_host(&format!("{WITHOUT} newuidmap newgidmap"));
        user.start_is_refused("/usr/bin/newuidmap is missing");
        user.start_is_refused("apt install uidmap");
        // Root needs it for nothing.
        root.start();
        assert_eq!(root.sh("echo runs"), "runs");
        root.destroy();
    });
}

#[test]
fn without_the_nic_helper_an_ordinary_user_is_told_so() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append(&format!("lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}"));
        container.on_host("rm /run/berth-test/bin/berth-usernic");
        container.start_is_refused("the NIC helper /run/berth-test/bin/berth-usernic is missing");
        container.append("lxc.net.0.type = empty");
        container.start();
        container.destroy();
    });
}
