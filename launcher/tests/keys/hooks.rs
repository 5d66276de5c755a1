//! The owner's programs at certain points of a container's life.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::world::{Container, Owner, in_container, on_host, refused_each};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];
/// Where hooks of everybody write what they saw.
const SEEN: &str = "/run/seen";

fn make_seen() {
    fs::create_dir_all(SEEN).unwrap();
    fs::set_permissions(SEEN, fs::Permissions::from_mode(0o1777)).unwrap();
}

/// A program for everybody.
fn script(name: &str, text: &str) -> String {
    let path = format!("/run/hook-{name}");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn seen(name: &str) -> String {
    let read = fs::read_to_string(Path::new(SEEN).join(name));
    read.unwrap_or_else(|error| panic!("{name}: {error}"))
}

const KINDS: [&str; 7] = [
    "pre-start",
    "pre-mount",
    "mount",
    "autodev",
    "start-host",
    "stop",
    "post-stop",
];

#[test]
fn hooks_run_in_order_where_they_belong() {
    for owner in BOTH {
        on_host(|host| {
            make_seen();
            let container = Container::create(host, owner, "web");
            // Files of one user are not another's to write.
            let hook = script(
                "all",
                "echo $1 $2 $3 $(id -u) $(readlink /proc/self/ns/mnt) $(ls /proc/self/fd | wc -l) \
                 $LXC_PID >>/run/seen/$(date +%s.%N)-$3",
            );
            for kind in KINDS {
                container.append(&format!("lxc.hook.{kind} = {hook}"));
            }
            container.start();
            container.stop();
            let mut names: Vec<String> = fs::read_dir(SEEN)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let lines: Vec<Vec<String>> = names
                .iter()
                .map(|name| seen(name).split_whitespace().map(str::to_owned).collect())
                .collect();
            let kinds: Vec<&str> = lines.iter().map(|line| line[2].as_str()).collect();
            assert_eq!(kinds, KINDS);
            let own = match owner {
                Owner::User => "59731",
                Owner::Root => "0",
            };
            let here = fs::read_link("/proc/self/ns/mnt").unwrap();
            for line in &lines {
                assert_eq!((line[0].as_str(), line[1].as_str()), ("web", "lxc"));
                let inside = ["pre-mount", "mount", "autodev"].contains(&line[2].as_str());
                assert_eq!(line[3], if inside { "0" } else { own }, "{line:?}");
                assert_eq!(line[4] == here.to_str().unwrap(), !inside, "{line:?}");
                // The standard streams and ls's own: nothing of the monitor's.
                assert_eq!(line[5], "4", "{line:?}");
                assert_eq!(line.len() > 6, line[2] == "start-host", "{line:?}");
            }
            container.destroy();
        });
    }
}

#[test]
fn version_1_tells_by_variables() {
    on_host(|host| {
        make_seen();
        let container = Container::create(host, Owner::User, "web");
        let hook = script(
            "env",
            "echo \"$#\" >/run/seen/env-$LXC_HOOK_TYPE; env >>/run/seen/env-$LXC_HOOK_TYPE",
        );
        container.append(&format!(
            "lxc.hook.version = 1\nlxc.log.level = INFO\nlxc.hook.pre-start = {hook}\n\
             lxc.hook.mount = {hook}\nlxc.hook.stop = {hook}\nlxc.hook.post-stop = {hook}"
        ));
        container.start();
        container.stop();
        let dir = container.dir();
        let all = [
            "LXC_NAME=web".to_owned(),
            format!("LXC_CONFIG_FILE={}/config", dir.display()),
            format!("LXC_ROOTFS_PATH={}/rootfs", dir.display()),
            format!("LXC_ROOTFS_MOUNT={}/rootfs", dir.display()),
            "LXC_CGNS_AWARE=1".to_owned(),
            "LXC_LOG_LEVEL=INFO".to_owned(),
            "LXC_HOOK_VERSION=1".to_owned(),
            "LXC_HOOK_SECTION=lxc".to_owned(),
        ];
        for kind in ["pre-start", "mount", "stop", "post-stop"] {
            let text = seen(&format!("env-{kind}"));
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[0], "0", "{kind} has arguments");
            for variable in &all {
                assert!(
                    lines.contains(&variable.as_str()),
                    "{kind}: {variable} not in {text}"
                );
            }
            assert!(lines.contains(&format!("LXC_HOOK_TYPE={kind}").as_str()));
            let ended = ["stop", "post-stop"].contains(&kind);
            assert_eq!(lines.contains(&"LXC_TARGET=stop"), ended, "{kind}");
            for namespace in ["USER", "MNT", "PID", "UTS", "IPC", "NET", "CGROUP"] {
                let name = format!("LXC_{namespace}_NS=/proc/");
                let there = lines.iter().any(|line| line.starts_with(&name));
                assert_eq!(there, kind == "stop", "{kind}: {name}");
            }
        }
        container.destroy();
    });
    refused_each(
        Owner::User,
        &[("lxc.hook.version = 2", "lxc.hook.version: expected 0")],
    );
}

#[test]
fn hooks_have_an_environment_of_their_own() {
    on_host(|host| {
        make_seen();
        let container = Container::create(host, Owner::User, "web");
        let hook = script("own", "echo $A-$B-$C >/run/seen/own-$3");
        container.append(&format!(
            "lxc.environment = A=both\nlxc.environment.hooks = B=hook\n\
             lxc.environment.runtime = C=init\nlxc.hook.pre-start = {hook}\n\
             lxc.hook.start = /bin/sh -c 'echo $A-$B-$C-$HOME >/etc/own'"
        ));
        container.start();
        assert_eq!(seen("own-pre-start").trim(), "both-hook-");
        // Inside, nothing is told of who started the container.
        assert_eq!(container.sh("cat /etc/own"), "both-hook-init-");
        assert_eq!(
            container.sh("tr '\\0' '\\n' </proc/1/environ | grep -c '^B='; true"),
            "0"
        );
        container.destroy();
    });
    let wrong = [(
        "lxc.environment.hooks = NOWHERE_SET\nlxc.hook.post-stop = true",
        "lxc.environment.hooks: NOWHERE_SET is not set",
    )];
    refused_each(Owner::User, &wrong);
}

#[test]
fn what_a_pre_mount_hook_mounts_is_the_root() {
    for owner in BOTH {
        on_host(|host| {
            let container = Container::create(host, owner, "web");
            // Where the container's root can reach it.
            let config = fs::read_to_string(container.config()).unwrap();
            let old = container.dir().join("rootfs");
            let config = config.replace(old.to_str().unwrap(), "/run/roots/front");
            for dir in ["/run/roots/front", "/run/roots/back"] {
                fs::create_dir_all(dir).unwrap();
            }
            container.on_host(&format!("cp -a {}/. /run/roots/back", old.display()));
            fs::write("/run/roots/back/etc/mark", "back\n").unwrap();
            fs::write(container.config(), config).unwrap();
            let hook = script(
                "pre",
                "mount --bind /run/roots/back $LXC_ROOTFS_PATH && echo made >&2",
            );
            container.append(&format!("lxc.hook.pre-mount = {hook}"));
            container.start();
            assert_eq!(container.sh("cat /etc/mark"), "back");
            assert!(!Path::new("/run/roots/front/etc").exists());
            container.stop();
            container.start();
            assert_eq!(container.sh("cat /etc/mark"), "back");
            container.destroy();
        });
    }
}

/// The home is its owner's alone; hooks reach the root file system by its path all the same.
#[test]
fn mount_and_autodev_hooks_add_to_the_container() {
    for owner in BOTH {
        on_host(|host| {
            fs::create_dir_all("/run/host-files").unwrap();
            fs::write("/run/host-files/data", "of the host\n").unwrap();
            let container = Container::create(host, owner, "web");
            let mount = script(
                "mount",
                "mkdir -p $LXC_ROOTFS_MOUNT/mnt && \
                 mount --bind /run/host-files $LXC_ROOTFS_MOUNT/mnt",
            );
            let autodev = script("autodev", "ln -s null $LXC_ROOTFS_MOUNT/dev/nothing");
            container.append(&format!(
                "lxc.hook.mount = {mount}\nlxc.hook.autodev = {autodev}"
            ));
            container.start();
            assert_eq!(container.sh("cat /mnt/data"), "of the host");
            assert_eq!(container.sh("readlink /dev/nothing"), "null");
            container.stop();
            make_seen();
            let late = script("late", "touch /run/seen/$3");
            container.append(&format!(
                "lxc.autodev = 0\nlxc.hook.mount = {late}\nlxc.hook.autodev = {late}"
            ));
            container.start();
            assert!(Path::new("/run/seen/mount").exists());
            assert!(!Path::new("/run/seen/autodev").exists());
            container.destroy();
        });
    }
}

#[test]
fn a_start_hook_is_the_containers_own() {
    // A policy that forbids what this program tries.
    let lines = "lxc.hook.start = /bin/own \"a b\"\nlxc.cap.drop = sys_time\n\
                 lxc.seccomp.profile = /run/policy";
    for owner in BOTH {
        on_host(|host| {
            let container = Container::create(host, owner, "web");
            fs::write(
                "/run/policy",
                "2\ndenylist\nmkdir errno 1\nmkdirat errno 1\n",
            )
            .unwrap();
            container.append(lines);
            container.start_is_refused("/bin/own: not found");
            let rootfs = container.dir().join("rootfs");
            let program = "#!/bin/sh\n\
                           echo \"$*\" $(id -u) $(cat /proc/1/comm) >/etc/own-hook\n\
                           mkdir /made 2>/dev/null\n\
                           grep CapBnd /proc/self/status >>/etc/own-hook\n";
            fs::write(rootfs.join("bin/own"), program).unwrap();
            container.on_host(&format!("chmod 755 {}/bin/own", rootfs.display()));
            container.start();
            let said = container.sh("cat /etc/own-hook");
            let (first, bounding) = said.split_once('\n').unwrap();
            assert_eq!(first, "a b web lxc start 0 berth-monitor");
            let bounding = bounding.trim_start_matches("CapBnd:").trim();
            let set = u64::from_str_radix(bounding, 16).unwrap();
            assert_eq!(set & (1 << 25), 0, "sys_time");
            container.sh("test ! -e /made");
            container.destroy();
        });
    }
}

#[test]
fn stop_hooks_have_the_namespaces() {
    for owner in BOTH {
        on_host(|host| {
            make_seen();
            let container = Container::create(host, owner, "web");
            let hook = script(
                "stop",
                "shift 3; for namespace; do echo ${namespace%%:*} $(readlink ${namespace#*:}); \
                 done >/run/seen/stop-$LXC_TARGET",
            );
            container.append(&format!("lxc.hook.stop = {hook}"));
            container.start();
            let of = |kind: &str| container.sh(&format!("readlink /proc/1/ns/{kind}"));
            let kinds = ["mnt", "pid", "uts", "ipc", "net", "cgroup"];
            let expected: Vec<String> = kinds
                .iter()
                .map(|kind| format!("{kind} {}", of(kind)))
                .collect();
            container.stop();
            let said = seen("stop-stop");
            for line in expected {
                assert!(
                    said.lines().any(|other| other == line),
                    "no {line} in {said}"
                );
            }
            container.destroy();
        });
    }
}

#[test]
fn a_reboot_runs_hooks_as_a_stop_and_a_start() {
    on_host(|host| {
        make_seen();
        let container = Container::create(host, Owner::User, "web");
        let hook = script("life", "echo $3 $LXC_TARGET >>/run/seen/life");
        for kind in ["pre-start", "start-host", "stop", "post-stop"] {
            container.append(&format!("lxc.hook.{kind} = {hook}"));
        }
        container.start();
        let boot = "cut -d' ' -f22 /proc/1/stat";
        let first = container.sh(boot);
        container.sh("kill -TERM 1");
        container.wait_for(&format!("test $({boot}) != {first}"));
        container.stop();
        assert_eq!(
            seen("life"),
            "pre-start\nstart-host\nstop reboot\npost-stop reboot\n\
             pre-start\nstart-host\nstop stop\npost-stop stop\n"
        );
        container.destroy();
    });
}

#[test]
fn hooks_are_cleared() {
    let lines = "lxc.hook.pre-start = false\nlxc.hook.mount = false\nlxc.hook =\n\
                 lxc.hook.start-host = false\nlxc.hook.start-host =";
    in_container(Owner::User, lines, |container| {
        container.sh("true");
    });
    refused_each(
        Owner::User,
        &[("lxc.hook = x", "lxc.hook: expected nothing")],
    );
}

#[test]
fn a_clone_hook_does_not_run_at_a_start() {
    let lines = "lxc.hook.clone = /usr/share/lxc/hooks/clonehostname-is-not-there";
    in_container(Owner::User, lines, |container| {
        container.sh("true");
    });
}

#[test]
fn a_destroy_hook_runs_first_and_may_refuse() {
    on_host(|host| {
        make_seen();
        let container = Container::create(host, Owner::User, "web");
        let hook = script(
            "destroy",
            "ls $LXC_ROOTFS_PATH/sbin/init >/run/seen/destroy && echo kept && test -e /run/seen/go",
        );
        container.append(&format!("lxc.hook.destroy = {hook}"));
        let output = container.berth(&["destroy", "--force", "web"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains("failed (exit code 1); it said: kept"),
            "{said}"
        );
        assert!(container.dir().join("rootfs/sbin/init").exists());
        assert!(seen("destroy").contains("/sbin/init"));
        fs::write("/run/seen/go", "").unwrap();
        container.destroy();
    });
}

#[test]
fn a_hook_that_fails_ends_the_start_with_its_words() {
    for kind in [
        "pre-start",
        "pre-mount",
        "mount",
        "autodev",
        "start-host",
        "start",
    ] {
        on_host(|host| {
            make_seen();
            let container = Container::create(host, Owner::User, "web");
            container.append(&format!(
                "lxc.hook.{kind} = sh -c 'echo out of order; echo for good >&2; exit 3'\n\
                 lxc.hook.{kind} = sh -c 'touch /run/seen/second'\n\
                 lxc.hook.post-stop = sh -c 'touch /run/seen/post-stop'"
            ));
            container.start_is_refused(&format!("lxc.hook.{kind}: the hook “sh -c"));
            container.start_is_refused("failed (exit code 3); it said: out of order\nfor good");
            assert!(!Path::new("/run/seen/second").exists());
            assert!(Path::new("/run/seen/post-stop").exists());
            container.destroy();
        });
    }
    let wrong = [
        (
            "lxc.hook.pre-start = /none/hook",
            "the program /none/hook cannot be run: No such file",
        ),
        (
            "lxc.hook.mount = /etc",
            "the program /etc cannot be run: it is not a file",
        ),
        (
            "lxc.hook.post-stop = /etc/passwd x",
            "it is not executable (chmod +x)",
        ),
        (
            "lxc.hook.pre-start = no-such-program",
            "cannot execute no-such-program: No such file",
        ),
        ("lxc.hook.pre-start = 'unclosed", "it said: "),
    ];
    refused_each(Owner::User, &wrong);
}

/// Whoever ends a start while a hook hangs ends it all, the hook's own children too.
#[test]
fn a_start_that_is_killed_leaves_no_hook() {
    for kind in ["pre-start", "mount", "start-host", "start"] {
        on_host(|host| {
            make_seen();
            let container = Container::create(host, Owner::User, "web");
            container.append(&format!("lxc.hook.{kind} = sh -c 'sleep 7531 & wait'"));
            let mut start = container.command("berth");
            let mut start = start
                .args(["start", "--here", "web"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let sleeping = || {
                let found = container
                    .command("pgrep")
                    .args(["-f", "sleep 7531$"])
                    .output();
                !found.unwrap().stdout.is_empty()
            };
            let limit = Instant::now() + Duration::from_secs(30);
            let wait = |until: &dyn Fn() -> bool| {
                while !until() {
                    assert!(Instant::now() < limit, "{kind}: {}", container.log());
                    std::thread::sleep(Duration::from_millis(5));
                }
            };
            wait(&sleeping);
            start.kill().unwrap();
            start.wait().unwrap();
            wait(&|| !sleeping());
            let listed = || container.ok(&["ls"]);
            wait(&|| listed().contains("stopped"));
            container.destroy();
        });
    }
}
