//! Whose namespaces a container is in.

use crate::world::{Container, Owner, in_container, on_host, refused_each};

const KINDS: [&str; 7] = ["mnt", "pid", "user", "uts", "ipc", "net", "cgroup"];
/// Without a cgroup to be seen, which takes a namespace of its own.
const BARE: &str = "lxc.mount.auto =\nlxc.mount.auto = proc sys";

pub fn of(container: &Container<'_>, kind: &str) -> String {
    container.sh(&format!("readlink /proc/1/ns/{kind}"))
}

pub fn of_host(container: &Container<'_>, kind: &str) -> String {
    container.sh_on_host(&format!("readlink /proc/self/ns/{kind}"))
}

/// Of init and of commands alike.
fn only_these_are_the_hosts(container: &Container<'_>, hosts: &[&str]) {
    for kind in KINDS.into_iter().chain(["time"]) {
        let host = of_host(container, kind);
        let root_has_it = container.owner == Owner::Root && kind == "user";
        let expected = hosts.contains(&kind) || root_has_it;
        assert_eq!(of(container, kind) == host, expected, "{kind}");
        let command = container.sh(&format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(command == host, expected, "{kind} of commands");
    }
}

#[test]
fn what_is_kept_is_the_hosts() {
    for owner in [Owner::User, Owner::Root] {
        for kept in [
            &["uts"][..],
            &["ipc"],
            &["net"],
            &["cgroup"],
            &["uts", "ipc", "net", "cgroup"],
        ] {
            let lines = format!("{BARE}\nlxc.namespace.keep = {}", kept.join(" "));
            in_container(owner, &lines, |container| {
                let all = [kept, &["time"]].concat();
                only_these_are_the_hosts(container, &all);
                let name = container.sh_on_host("hostname");
                let expected = if kept.contains(&"uts") { &name } else { "web" };
                assert_eq!(container.sh("hostname"), expected);
                container.reboot();
                only_these_are_the_hosts(container, &all);
                assert_eq!(container.sh_on_host("hostname"), name);
            });
        }
    }
    let wrong = [
        (
            "lxc.namespace.keep = net\nlxc.namespace.clone = net",
            "expected either lxc.namespace.clone or lxc.namespace.keep, found both",
        ),
        (
            "lxc.namespace.keep = network",
            "“network” is no kind of namespace",
        ),
        (
            "lxc.namespace.keep = user",
            "lxc.namespace.keep: expected user not to be there: lxc.idmap",
        ),
        (
            "lxc.namespace.keep = mnt",
            "lxc.namespace.keep: expected mnt not to be there: its root",
        ),
        (
            "lxc.namespace.keep = pid",
            "lxc.namespace.keep: expected pid not to be there: its processes end",
        ),
        (
            "lxc.mount.auto = cgroup\nlxc.namespace.keep = cgroup",
            "lxc.mount.auto: the container has no cgroup namespace of its own",
        ),
        (
            "lxc.namespace.keep = time\nlxc.time.offset.boot = 1h",
            "lxc.time.offset: the container has no time namespace of its own",
        ),
        (
            "lxc.namespace.keep = ipc\nlxc.sysctl.kernel.msgmax = 9000",
            "lxc.sysctl.kernel.msgmax: the container has no ipc namespace of its own",
        ),
        (
            "lxc.namespace.keep = net\nlxc.sysctl.net.ipv4.ip_forward = 1",
            "the container has no network namespace of its own",
        ),
    ];
    refused_each(Owner::User, &wrong);
    let wrong = [
        (
            "lxc.namespace.keep = net\nlxc.net.0.type = veth",
            "lxc.net.0: the container has no net namespace of its own",
        ),
        (
            "lxc.namespace.keep = pid",
            "reboot inside is no reboot of the host",
        ),
    ];
    refused_each(Owner::Root, &wrong);
}

#[test]
fn only_what_is_named_is_new() {
    for (owner, user) in [(Owner::User, "user "), (Owner::Root, "")] {
        let lines = format!("{BARE}\nlxc.namespace.clone = {user}mnt pid net time");
        in_container(owner, &lines, |container| {
            only_these_are_the_hosts(container, &["uts", "ipc", "cgroup"]);
            container.reboot();
            only_these_are_the_hosts(container, &["uts", "ipc", "cgroup"]);
        });
        let lines = format!("lxc.namespace.clone = {user}mnt pid ipc uts net cgroup");
        in_container(owner, &lines, |container| {
            only_these_are_the_hosts(container, &["time"]);
        });
    }
    let wrong = [
        (
            "lxc.namespace.clone = mnt pid net",
            "lxc.namespace.clone: expected user to be there",
        ),
        (
            "lxc.namespace.clone = user pid",
            "lxc.namespace.clone: expected mnt to be there",
        ),
        (
            "lxc.namespace.clone = user mnt",
            "lxc.namespace.clone: expected pid to be there",
        ),
        (
            "lxc.namespace.clone = user mnt pid uts cgroup net\nlxc.net.0.type = none",
            "expected no network namespace here, since lxc.net.0.type = none",
        ),
    ];
    refused_each(Owner::User, &wrong);
    let wrong = [(
        "lxc.namespace.clone = user mnt pid cgroup uts net ipc",
        "expected user not to be there: no line of lxc.idmap gives it ids",
    )];
    refused_each(Owner::Root, &wrong);
}

#[test]
fn a_host_name_without_a_namespace_for_it_is_told() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.append("lxc.namespace.keep = uts\nlxc.uts.name = other");
        let output = web.berth(&["start", "--here", "web"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("lxc.uts.name counts for nothing"), "{said}");
        assert_ne!(web.sh("hostname"), "other");
        web.destroy();
    });
}
