//! Whose namespaces a container is in.

use std::fs;
use std::os::unix::fs::symlink;

use crate::world::{Container, Owner, eventually, in_container, on_host, refused_each};

const KINDS: [&str; 7] = ["mnt", "pid", "user", "uts", "ipc", "net", "cgroup"];
/// Without a cgroup to be seen, which takes a namespace of its own.
const BARE: &str = "lxc.mount.auto =\nlxc.mount.auto = proc sys";

fn of(container: &Container<'_>, kind: &str) -> String {
    container.sh(&format!("readlink /proc/1/ns/{kind}"))
}

fn of_host(container: &Container<'_>, kind: &str) -> String {
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
fn what_is_shared_is_another_containers() {
    on_host(|host| {
        let db = Container::create(host, Owner::Root, "db");
        let web = Container::create(host, Owner::Root, "web");
        web.append("lxc.namespace.share.net = db\nlxc.namespace.share.ipc = db");
        web.start_is_refused("lxc.namespace.share.net: container “db” does not run");
        db.start();
        web.start();
        for kind in ["net", "ipc"] {
            assert_eq!(of(&web, kind), of(&db, kind));
            let command = web.sh(&format!("readlink /proc/self/ns/{kind}"));
            assert_eq!(command, of(&db, kind));
        }
        for kind in ["mnt", "pid", "uts", "cgroup"] {
            assert_ne!(of(&web, kind), of(&db, kind));
        }
        db.sh("ip link add shared0 type dummy || ip link add shared0 type veth");
        web.sh("ip link show shared0");
        web.sh("test -e /sys/class/net/shared0");
        // A reboot is into the same, though the other has ended meanwhile.
        let net = of(&web, "net");
        db.stop();
        web.reboot();
        assert_eq!(of(&web, "net"), net);
        web.stop();
        // The number of the former init means nothing.
        web.start_is_refused("container “db” does not run");

        // By process and by file.
        db.start();
        let init = db.info("PID");
        web.append(&format!(
            "lxc.namespace.share.ipc =\nlxc.namespace.share.net = /proc/{init}/ns/net\n\
             lxc.namespace.share.uts = {init}"
        ));
        web.start();
        assert_eq!(of(&web, "net"), of(&db, "net"));
        assert_eq!(of(&web, "uts"), of(&db, "uts"));
        assert_ne!(of(&web, "ipc"), of(&db, "ipc"));
        assert_eq!(db.sh("hostname"), "db");
        // The monitor itself stays on the host.
        let monitor = web.info("Monitor");
        for kind in ["net", "uts"] {
            let own = web.on_host(&format!("readlink /proc/{monitor}/ns/{kind}"));
            assert_eq!(own, of_host(&web, kind));
        }
        db.destroy();
        web.destroy();
    });
}

/// A monitor that was killed leaves a record that names an init.
#[test]
fn a_number_that_means_another_process_by_now_is_not_joined() {
    on_host(|host| {
        let db = Container::create(host, Owner::Root, "db");
        let web = Container::create(host, Owner::Root, "web");
        web.append("lxc.namespace.share.net = db");
        db.start();
        let state = "/run/berth/root/db/state.json";
        let state = match fs::exists(state).unwrap() {
            true => state.to_owned(),
            false => db.on_host("find /run /root -name state.json -path '*db*' | head -n 1"),
        };
        // The number is that of a process which is no child of the monitor.
        let init = db.info("PID");
        let record = fs::read_to_string(&state).unwrap();
        let forged = record.replace(&format!("\"init\":{init}"), "\"init\":1");
        assert_ne!(forged, record);
        fs::write(&state, forged).unwrap();
        web.start_is_refused("container “db” does not run");
        fs::write(&state, record).unwrap();
        db.kill_monitor();
        eventually("the end of its init", || {
            !fs::exists(format!("/proc/{init}/root/etc")).unwrap()
        });
        web.start_is_refused("container “db” does not run");
        db.destroy();
        web.destroy();
    });
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let by_users = [
        (
            "lxc.namespace.share.net = other",
            "lxc.namespace.share.net: only root's containers can share a namespace",
        ),
        (
            "lxc.namespace.share.user = other",
            "a container has a user namespace of its own",
        ),
        ("lxc.namespace.share.nets = a", "is no kind of namespace"),
        (
            "lxc.namespace.share.net = a/b",
            "lxc.namespace.share.net: expected the name of a running container",
        ),
    ];
    refused_each(Owner::User, &by_users);
    let by_root = [
        ("lxc.namespace.share.net = other", "“other”"),
        (
            "lxc.namespace.share.net = 4000000",
            "the namespace of process 4000000 cannot be had: there is none",
        ),
        (
            "lxc.namespace.share.net = /proc/1/ns/uts",
            "it is no namespace of the kind net",
        ),
        (
            "lxc.namespace.share.net = /etc/passwd",
            "it is no namespace of the kind net",
        ),
        (
            "lxc.namespace.share.net = /run/none",
            "the namespace of /run/none cannot be had: there is none",
        ),
        (
            "lxc.namespace.share.pid = 1",
            "lxc.namespace.share.pid: a container has a pid namespace of its own",
        ),
        (
            "lxc.namespace.share.cgroup = 1",
            "lxc.namespace.share.cgroup: a container is born in a cgroup of its own",
        ),
    ];
    refused_each(Owner::Root, &by_root);
    on_host(|host| {
        let web = Container::create(host, Owner::Root, "web");
        let pipe = web.dir().join("pipe");
        web.on_host(&format!("mkfifo {}", pipe.display()));
        symlink(&pipe, web.dir().join("link")).unwrap();
        let link = web.dir().join("link");
        web.append(&format!("lxc.namespace.share.net = {}", link.display()));
        web.start_is_refused("it is no namespace of the kind net");
        web.destroy();
    });
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

/// With ids of its own it has no rights in what it shares, and is in it all the same.
#[test]
fn containers_of_roots_with_ids_of_their_own_share_too() {
    on_host(|host| {
        let db = Container::create(host, Owner::Root, "db");
        let web = Container::create(host, Owner::Root, "web");
        web.append(
            "lxc.idmap = u 0 0 1\nlxc.idmap = g 0 0 1\nlxc.idmap = u 1 300001 65535\n\
             lxc.idmap = g 1 300001 65535\nlxc.namespace.share.net = db\n\
             lxc.namespace.share.ipc = db",
        );
        db.start();
        web.append("lxc.mount.auto = sys");
        web.start_is_refused("lxc.mount.auto: the container has no net namespace of its own");
        web.append("lxc.mount.auto =\nlxc.mount.auto = proc");
        web.start();
        for kind in ["net", "ipc"] {
            assert_eq!(of(&web, kind), of(&db, kind));
            let command = web.sh(&format!("readlink /proc/self/ns/{kind}"));
            assert_eq!(command, of(&db, kind));
        }
        assert_ne!(of(&web, "user"), of(&db, "user"));
        let down = web.berth(&["exec", "web", "--", "ip", "link", "set", "lo", "down"]);
        assert!(!down.status.success());
        web.reboot();
        assert_eq!(of(&web, "net"), of(&db, "net"));
        web.destroy();
        db.destroy();
    });
}
