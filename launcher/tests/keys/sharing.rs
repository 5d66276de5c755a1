//! Namespaces that a container shares with others.

use std::fs;
use std::os::unix::fs::symlink;

use berth_test_private_host::Cgroups;

use crate::namespaces::{of, of_host};
use crate::world::{Container, Owner, eventually, on_host, on_host_with, refused_each};

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
        ("lxc.namespace.share.user = other", "“other”"),
        (
            "lxc.namespace.share.net = 1",
            "lxc.namespace.share.net: a namespace belongs to a user namespace, and only who has \
             rights in that may enter it (setns(2)); share it too: lxc.namespace.share.user = 1",
        ),
        (
            "lxc.namespace.share.user = 1",
            "the namespace of process 1 cannot be had: Permission denied",
        ),
        (
            "lxc.namespace.share.user = /proc/self/ns/user",
            "the container would have the ids of the host",
        ),
        (
            "lxc.namespace.share.mnt = 1",
            "lxc.namespace.share.mnt: the container's root file system becomes the root",
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
            "lxc.namespace.share.user = 1",
            "lxc.namespace.share.user: its ids are those of the other container; expected the same \
             lines of lxc.idmap",
        ),
        (
            "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n\
             lxc.namespace.share.pid = 1",
            "with ids of its own the container cannot mount the /proc of another's processes",
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

/// Of init, as the host sees it: process 1 may be another's.
fn of_init(container: &Container<'_>, kind: &str) -> String {
    container.on_host(&format!(
        "readlink /proc/{}/ns/{kind}",
        container.info("PID")
    ))
}

#[test]
fn a_users_containers_share_with_the_user_namespace() {
    on_host(|host| {
        let db = Container::create(host, Owner::User, "db");
        let web = Container::create(host, Owner::User, "web");
        web.append("lxc.namespace.share.net = db\nlxc.namespace.share.ipc = db");
        web.start_is_refused("share it too: lxc.namespace.share.user = db");
        web.append("lxc.namespace.share.user = db\nlxc.namespace.share.uts = db");
        web.start_is_refused("container “db” does not run");
        db.start();
        web.start();
        for _ in 0..2 {
            for kind in ["user", "net", "ipc", "uts"] {
                assert_eq!(of(&web, kind), of(&db, kind));
                let command = web.sh(&format!("readlink /proc/self/ns/{kind}"));
                assert_eq!(command, of(&db, kind));
            }
            for kind in ["mnt", "pid", "cgroup"] {
                assert_ne!(of(&web, kind), of(&db, kind));
                assert_ne!(of(&web, kind), of_host(&web, kind));
            }
            web.reboot();
        }
        // With the ids come the rights in what is shared.
        web.sh("hostname shared && ip link set lo down");
        assert_eq!(db.sh("hostname"), "shared");
        web.sh("test -e /sys/class/net/lo && mkdir /sys/fs/cgroup/a");
        web.kill_monitor();
        web.start();
        web.sh("! test -e /sys/fs/cgroup/a");
        // Its own network is made in the other's user namespace.
        web.stop();
        web.append("lxc.namespace.share.net =\nlxc.namespace.share.uts =\nlxc.uts.name = web");
        web.append(
            "lxc.net.0.type = veth\nlxc.net.0.link = testbr0\nlxc.net.0.flags = up\n\
             lxc.hook.stop = /bin/true\nlxc.proc.oom_score_adj = 500",
        );
        web.start();
        assert_eq!(of(&web, "user"), of(&db, "user"));
        assert_ne!(of(&web, "net"), of(&db, "net"));
        web.sh("ip link show eth0 && grep -q 500 /proc/1/oom_score_adj");
        db.destroy();
        web.destroy();
    });
}

#[test]
fn processes_of_others_are_seen_and_what_is_on_its_way_in_is_not_looked_into() {
    on_host(|host| {
        let db = Container::create(host, Owner::User, "db");
        let web = Container::create(host, Owner::User, "web");
        db.start();
        // Few inits run as another process than the first.
        web.append("lxc.init.cmd = /bin/sleep 1000\nlxc.namespace.share.user = db");
        web.append("lxc.namespace.share.pid = db");
        let config = fs::read_to_string(web.config()).unwrap();
        for (lines, key) in [
            ("lxc.hook.stop = /bin/true", "lxc.hook.stop"),
            ("lxc.proc.oom_score_adj = 500", "lxc.proc"),
            ("lxc.time.offset.boot = 1h", "lxc.time.offset"),
            ("lxc.net.0.type = empty", "lxc.net"),
        ] {
            web.append(lines);
            web.start_is_refused(&format!("there can be no {key}"));
            fs::write(web.config(), &config).unwrap();
        }
        // Whoever is root in the other reads the descriptors and the memory of all that he sees.
        let spy = "while :; do for p in /proc/[0-9]*; do \
                   case $(cat $p/comm 2>/dev/null) in berth*) echo $p >>/run/there;; esac; \
                   case $(readlink $p/exe 2>/dev/null) in */berth) echo $p >>/run/seen;; esac; \
                   done; done >/dev/null 2>&1 &";
        db.sh(spy);
        db.wait_for("test -e /proc/self");
        for round in 0.. {
            if round > 2 && !db.sh("cat /run/there 2>/dev/null || :").is_empty() {
                break;
            }
            assert!(round < 100, "it never looked in time");
            web.start();
            assert_eq!(of_init(&web, "pid"), of_init(&db, "pid"));
            web.sh("test $(readlink /proc/self/ns/pid) = $(readlink /proc/1/ns/pid)");
            assert_ne!(of_init(&web, "mnt"), of_init(&db, "mnt"));
            // What it leaves is ended, though its init is not the namespace's.
            web.sh("(sleep 4321 </dev/null >/dev/null 2>&1 &)");
            db.sh("ps | grep -q '[s]leep 4321'");
            web.stop();
            eventually("the end of its processes", || {
                db.sh("ps | grep -c '[s]leep 4321' || :") == "0"
            });
        }
        assert_eq!(db.sh("sort -u /run/seen 2>/dev/null | head -n 1"), "");
        // The other's end is its end.
        web.start();
        db.stop();
        eventually("the end of both", || web.info("State") == "stopped");
        db.destroy();
        web.destroy();
    });
}

#[test]
fn of_a_container_elsewhere_of_a_process_and_of_a_cgroup() {
    on_host(|host| {
        let db = Container::create(host, Owner::User, "db");
        let web = Container::create(host, Owner::User, "web");
        db.start();
        let dir = db.dir().display().to_string();
        let init = db.info("PID");
        web.append(&format!(
            "lxc.mount.auto =\nlxc.mount.auto = proc sys\nlxc.namespace.share.user = {dir}\n\
             lxc.namespace.share.net = {init}\nlxc.namespace.share.cgroup = /proc/{init}/ns/cgroup"
        ));
        web.start();
        for kind in ["user", "net", "cgroup"] {
            assert_eq!(of(&web, kind), of(&db, kind));
            let command = web.sh(&format!("readlink /proc/self/ns/{kind}"));
            assert_eq!(command, of(&db, kind));
        }
        assert_eq!(
            web.sh("sed -n s/^0:://p /proc/1/cgroup"),
            "/../../web/payload"
        );
        web.stop();
        // Other ids than those that are there.
        web.append(
            "lxc.namespace.share.cgroup =\nlxc.idmap =\nlxc.idmap = u 0 1073741824 1000\n\
             lxc.idmap = g 0 1073741824 1000",
        );
        web.start_is_refused("lxc.idmap: expected the lines of the container");
        // The host's network does not belong to the container that has it.
        db.stop();
        db.append("lxc.net.0.type = none");
        db.start();
        web.append(&format!("lxc.namespace.share.net = {}", db.info("PID")));
        web.start_is_refused("that namespace belongs to another user namespace");
        db.destroy();
        web.destroy();
    });
}

/// Root may enter what is anybody's; his containers' namespaces are shared as a user's are.
#[test]
fn roots_containers_share_users_and_processes() {
    on_host(|host| {
        let db = Container::create(host, Owner::Root, "db");
        let web = Container::create(host, Owner::Root, "web");
        db.start();
        web.append("lxc.init.cmd = /bin/sleep 1000\nlxc.namespace.share.pid = db");
        web.start();
        assert_eq!(of_init(&web, "pid"), of_init(&db, "pid"));
        web.stop();
        assert_eq!(db.info("State"), "running");
        db.stop();
        let ids = "lxc.idmap = u 0 300000 65536\nlxc.idmap = g 0 300000 65536";
        for container in [&db, &web] {
            container.append(ids);
            container.on_host(&format!(
                "chown 300000:300000 {}/rootfs",
                container.dir().display()
            ));
        }
        web.append("lxc.namespace.share.user = db");
        db.start();
        web.start();
        for kind in ["user", "pid"] {
            assert_eq!(of_init(&web, kind), of_init(&db, kind));
        }
        db.destroy();
        web.destroy();
    });
}

/// The process numbers are another's, so init's end ends nobody else.
#[test]
fn processes_are_shared_only_where_a_cgroup_ends_them() {
    on_host_with(
        |setup| setup.cgroups = Cgroups::None,
        |host| {
            for owner in [Owner::User, Owner::Root] {
                let db = Container::create(host, owner, "db");
                let web = Container::create(host, owner, "web");
                db.start();
                web.append("lxc.init.cmd = /bin/sleep 1000");
                if owner == Owner::User {
                    web.append("lxc.namespace.share.user = db");
                }
                web.append("lxc.namespace.share.pid = db");
                let line = fs::read_to_string(web.config()).unwrap().lines().count();
                web.start_is_refused(&format!(
                    "{}:{line}: lxc.namespace.share.pid cannot be obeyed: nothing would end what",
                    web.config().display()
                ));
                db.destroy();
                web.destroy();
            }
        },
    );
}
