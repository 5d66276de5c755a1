//! How a container is looked after, and how it ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::world::{Container, Owner, in_container, on_host, refused_each};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];

/// An init that says which signal it got.
const TELLER: &str = "lxc.init.cmd = /bin/sh -c 'for s in USR1 TERM PWR; do \
    trap \"echo $s >/etc/got; exit 0\" $s; done; echo >/etc/ready; while :; do sleep 0.05; done'";

fn got(container: &Container<'_>) -> String {
    let file = container.dir().join("rootfs/etc/got");
    fs::read_to_string(file)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[test]
fn the_halt_signal_asks_init_to_stop() {
    for (line, signal) in [
        ("lxc.signal.halt =", "PWR"),
        ("lxc.signal.halt = SIGUSR1", "USR1"),
        ("lxc.signal.halt = 15", "TERM"),
    ] {
        let lines = format!("{TELLER}\n{line}");
        in_container(Owner::User, &lines, |container| {
            container.wait_for("test -e /etc/ready");
            container.ok(&["stop", "-t", "30", "web"]);
            assert_eq!(got(container), signal);
        });
    }
    let wrong = [
        (
            "lxc.signal.halt = PWR",
            "lxc.signal.halt: expected a signal (SIGPWR",
        ),
        (
            "lxc.signal.reboot = 65",
            "lxc.signal.reboot: expected a signal",
        ),
        ("lxc.signal.stop = 0", "lxc.signal.stop: expected a signal"),
        (
            "lxc.monitor.signal.pdeath = x",
            "lxc.monitor.signal.pdeath: expected a signal",
        ),
        ("lxc.ephemeral = yes", "lxc.ephemeral: expected 0 or 1"),
        (
            "lxc.log.file = log",
            "lxc.log.file: expected an absolute path",
        ),
        ("lxc.log.level = loud", "lxc.log.level: expected 0 to 8"),
        (
            "lxc.cgroup.relative = 2",
            "lxc.cgroup.relative: expected 0 or 1",
        ),
    ];
    refused_each(Owner::User, &wrong);
}

#[test]
fn what_init_gets_when_its_monitor_dies() {
    let init_lives = |container: &Container<'_>| {
        let procs = container.cgroup().join("payload");
        let populated = fs::read_to_string(procs.join("cgroup.events"));
        populated.is_ok_and(|text| text.contains("populated 1"))
    };
    let wait = |what: &str, until: &dyn Fn() -> bool| {
        let limit = Instant::now() + Duration::from_secs(30);
        while !until() {
            assert!(Instant::now() < limit, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    in_container(Owner::User, "", |container| {
        container.kill_monitor();
        wait("init's end", &|| !init_lives(container));
    });
    let lines = format!("{TELLER}\nlxc.monitor.signal.pdeath = SIGUSR1");
    in_container(Owner::User, &lines, |container| {
        container.wait_for("test -e /etc/ready");
        container.kill_monitor();
        wait("the signal", &|| got(container) == "USR1");
    });
    in_container(Owner::User, "lxc.monitor.signal.pdeath = 0", |container| {
        container.kill_monitor();
        std::thread::sleep(Duration::from_millis(200));
        assert!(init_lives(container));
        // It has nobody any more who looks after it: the next command ends it.
        container.berth(&["stop", "-k", "web"]);
        wait("init's end", &|| !init_lives(container));
    });
}

#[test]
fn an_ephemeral_container_is_gone_after_its_stop() {
    for owner in BOTH {
        on_host(|host| {
            let container = Container::create(host, owner, "web");
            container.append("lxc.ephemeral = 1\nlxc.init.cmd = /sbin/none");
            // Not after a start that failed: its owner mends it.
            container.start_is_refused("there is no /sbin/none");
            assert!(container.dir().exists());
            container.append("lxc.init.cmd =");
            container.start();
            container.reboot();
            assert!(container.dir().exists());
            container.stop();
            let limit = Instant::now() + Duration::from_secs(30);
            while container.dir().exists() {
                assert!(Instant::now() < limit, "{}", container.log());
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(!container.ok(&["ls"]).contains("web"));
        });
    }
}

#[test]
fn a_monitor_with_mounts_of_its_own() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        fs::create_dir_all("/run/mounted").unwrap();
        container.append(
            "lxc.monitor.unshare = 1\n\
             lxc.hook.pre-start = sh -c 'mount -t tmpfs tmpfs /run/mounted'\n\
             lxc.hook.pre-start = sh -c 'touch /run/mounted/there'\n\
             lxc.hook.start-host = sh -c 'test -e /run/mounted/there'",
        );
        container.start();
        assert!(!Path::new("/run/mounted/there").exists());
        container.destroy();
    });
    let wrong = [(
        "lxc.monitor.unshare = 1",
        "only root's monitors can have mounts of their own",
    )];
    refused_each(Owner::User, &wrong);
}

#[test]
fn log_file() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let file = host.home().join("of-web");
        container.append(&format!("lxc.log.file = {}", file.display()));
        container.start();
        assert!(
            fs::read_to_string(&file)
                .unwrap()
                .contains("running, init is process")
        );
        container.stop();
        assert!(fs::read_to_string(&file).unwrap().contains("stopped"));
        assert!(!container.dir().join("web.log").exists());
        container.destroy();
    });
}

#[test]
fn containers_stay_below_their_owners_cgroup() {
    for value in [0, 1] {
        in_container(
            Owner::User,
            &format!("lxc.cgroup.relative = {value}"),
            |container| {
                assert!(container.cgroup().join("payload/cgroup.procs").exists());
            },
        );
    }
}

/// Whether the host's controllers reach there or not, and whatever the limit is.
#[test]
fn a_limit_that_cannot_be_set_or_is_too_tight_leaves_nothing() {
    let tight = [
        ("lxc.cgroup2.pids.max = 0", "cannot"),
        ("lxc.cgroup2.memory.max = 4096", ""),
        (
            "lxc.cgroup2.cgroup.max.depth = deep",
            "cannot set cgroup.max.depth to “deep”",
        ),
    ];
    refused_each(Owner::User, &tight);
}

#[test]
fn files_of_the_cgroup_are_set_and_cleared() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container
            .append("lxc.cgroup2.cgroup.max.depth = 3\nlxc.cgroup2.cgroup.max.descendants = 7");
        let file = |name: &str| {
            let file = container.cgroup().join("payload").join(name);
            fs::read_to_string(file).unwrap().trim().to_owned()
        };
        container.start();
        assert_eq!(file("cgroup.max.depth"), "3");
        assert_eq!(file("cgroup.max.descendants"), "7");
        let deep = "cd /sys/fs/cgroup && mkdir a a/b a/b/c && ! mkdir a/b/c/d; rmdir a/b/c a/b a";
        container.sh(deep);
        container.stop();

        container.append("lxc.cgroup2.cgroup.max.depth =");
        container.start();
        assert_ne!(file("cgroup.max.depth"), "3");
        assert_eq!(file("cgroup.max.descendants"), "7");
        container.stop();

        container.append("lxc.cgroup2 =");
        container.start();
        assert_ne!(file("cgroup.max.descendants"), "7");
        container.destroy();
    });
    let wrong = [
        ("lxc.cgroup2 = 1", "lxc.cgroup2: expected nothing"),
        ("lxc.cgroup2.cgroup.procs = 1", "lxc.cgroup2.cgroup.procs"),
        ("lxc.cgroup2.a/b = 1", "lxc.cgroup2.a/b"),
    ];
    refused_each(Owner::User, &wrong);
}
