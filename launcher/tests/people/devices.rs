//! Devices of the host's in a container that runs.

use berth_test_private_host::Host;

use crate::world::{Container, Owner, on_host};

/// Files for /dev/zero, which its user may use, and others; nobody else passes through the
/// directory.
const NODES: &str = "mount -t tmpfs none ~/nodes && cd ~/nodes && chmod 700 . &&
    mknod -m 666 mine c 1 5 && mknod -m 600 roots c 1 5 && mknod -m 660 shut c 1 5 && ln -s mine link";

fn make_nodes(host: &Host, by: &Container) {
    by.sh_on_host("mkdir ~/nodes");
    let home = host.home().display().to_string();
    by.on_host(&NODES.replace('~', &home));
    by.on_host(&format!("chown --reference={home} {home}/nodes"));
}

/// What a command says that has to fail.
fn fails(container: &Container, arguments: &[&str]) -> String {
    let output = container.berth(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_user_gives_his_container_what_he_may_use_and_takes_it_back() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        make_nodes(host, &container);
        let nodes = host.home().join("nodes");
        let node = |name: &str| nodes.join(name).display().to_string();
        let said = fails(&container, &["device", "add", "web", &node("mine")]);
        assert!(said.contains("it is stopped"), "{said}");
        container.start();
        container.ok(&["device", "add", "web", &node("link"), "/dev/extra/zero"]);
        let mine = "head -c 2 /dev/extra/zero | od -An -tx1; stat -c %F /dev/extra/zero";
        assert_eq!(container.sh(mine), "00 00\ncharacter special file");
        container.ok(&["device", "add", "web", "/dev/full", "/srv/full"]);
        assert_eq!(
            container.ok(&["device", "ls", "web"]),
            "DEVICE           TYPE  NUMBER\n\
             /dev/extra/zero  char  1:5\n\
             /srv/full        char  1:7\n"
        );
        let all = container.ok(&["device", "list", "web", "--all", "--json"]);
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        let null = all.as_array().unwrap().iter();
        let null: Vec<_> = null.filter(|one| one["device"] == "/dev/null").collect();
        assert_eq!((null.len(), null[0]["minor"].as_u64()), (1, Some(3)));
        assert_eq!(null[0]["basic"], true);

        container.ok(&["freeze", "web"]);
        container.ok(&["device", "remove", "web", "/dev/extra/zero"]);
        container.ok(&["unfreeze", "web"]);
        assert_eq!(container.sh("ls /dev/extra"), "");
        container.ok(&["device", "rm", "web", "/srv/full"]);
        assert_eq!(container.sh("ls /srv"), "");

        // What is added ends with the container.
        container.ok(&["device", "add", "web", &node("mine"), "/dev/mine"]);
        container.stop();
        container.start();
        assert_eq!(
            container.sh("ls /dev/mine 2>/dev/null || echo gone"),
            "gone"
        );
        container.on_host(&format!("umount {}", nodes.display()));
        container.destroy();
    });
}

#[test]
fn what_nobody_inside_could_use_is_refused_and_nothing_is_left() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        make_nodes(host, &container);
        container.start();
        let nodes = host.home().join("nodes");
        let node = |name: &str| nodes.join(name).display().to_string();
        for (words, why) in [
            (
                vec![node("roots"), "/dev/x".into()],
                "roots: it belongs to root:root, mode 0600, and neither",
            ),
            (vec![node("shut"), "/dev/x".into()], "mode 0660"),
            (vec!["/etc/passwd".into()], "found a file: /etc/passwd"),
            (vec!["/etc".into()], "found a directory: /etc"),
            (vec!["/dev/missing".into()], "cannot find /dev/missing"),
            (vec!["/dev/null".into()], "is a device already (char 1:3)"),
            (
                vec![node("mine"), "/etc/hostname".into()],
                "there is a file /etc/hostname in “web” already",
            ),
            (
                vec![node("mine"), "../x".into()],
                "expected an absolute path in “web”",
            ),
            (
                vec![node("mine"), "/proc/version/x".into()],
                "cannot make /proc/version/x in the container",
            ),
            (
                vec!["eth1".into()],
                "network interfaces of the host are root's",
            ),
        ] {
            let mut arguments = vec!["device", "add", "web"];
            arguments.extend(words.iter().map(String::as_str));
            let said = fails(&container, &arguments);
            assert!(said.contains(why), "{words:?}: {said}");
        }
        for (path, why) in [
            ("/dev/null", "no system works without it"),
            (
                "/dev/x",
                "/dev/x of “web” is no device that was added; there are: none",
            ),
            ("x/y", "expected an absolute path"),
        ] {
            let said = fails(&container, &["device", "remove", "web", path]);
            assert!(said.contains(why), "{path}: {said}");
        }
        assert_eq!(container.sh("ls /dev/x 2>/dev/null || echo none"), "none");
        container.on_host(&format!("umount {}", nodes.display()));
        container.destroy();
    });
}

/// The container leads the path that a device is to have over a link to the host's root, as it would
/// be seen by whoever followed it on the host.
#[test]
fn links_of_the_containers_lead_nowhere_but_inside() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.start();
        let home = host.home().display().to_string();
        container.sh(&format!("mkdir -p {home} && ln -s {home} /srv/out"));
        container.sh("ln -s /proc/1/root /srv/magic");
        fails(
            &container,
            &["device", "add", "web", "/dev/full", "/srv/magic/full"],
        );
        container.ok(&["device", "add", "web", "/dev/full", "/srv/out/full"]);
        assert_eq!(
            container.sh(&format!("stat -c %F {home}/full")),
            "character special file"
        );
        assert_eq!(
            container.sh_on_host("ls ~/full 2>/dev/null || echo none"),
            "none"
        );
        container.destroy();
    });
}

#[test]
fn roots_rules_allow_what_is_added_and_no_longer() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.append(
            "lxc.cgroup2.devices.deny = a\nlxc.cgroup2.devices.allow = c 1:3 rwm\n\
             lxc.cgroup2.devices.allow = c 1:5 rwm\nlxc.cgroup2.devices.allow = c 1:8 rwm\n\
             lxc.cgroup2.devices.allow = c 1:9 rwm\nlxc.cgroup2.devices.allow = c 5:* rwm\n\
             lxc.cgroup2.devices.allow = c 136:* rwm\n",
        );
        container.start();
        let can = |path: &str| {
            container.sh(&format!(
                "( head -c 1 {path} ) >/dev/null 2>&1 && echo yes || echo no"
            ))
        };
        assert_eq!(can("/dev/full"), "no");
        container.ok(&["device", "add", "web", "/dev/full", "/dev/more"]);
        assert_eq!(
            (can("/dev/more"), can("/dev/full")),
            ("yes".into(), "yes".into())
        );
        container.ok(&["device", "remove", "web", "/dev/more"]);
        assert_eq!(can("/dev/full"), "no");
        assert_eq!(can("/dev/zero"), "yes");
        container.destroy();
    });
}

#[test]
fn root_moves_an_interface_in_and_back() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host("ip link add spare type veth peer name spare-peer");
        container.start();
        container.ok(&["device", "add", "web", "spare", "eth7"]);
        container.sh("ip link set eth7 up && ip addr add 192.0.2.7/24 dev eth7");
        container.on_host("! ip link show spare 2>/dev/null");
        let taken = fails(&container, &["device", "add", "web", "lo"]);
        assert!(taken.contains("own loopback"), "{taken}");
        container.on_host("ip link add other type veth peer name other-peer");
        let taken = fails(&container, &["device", "add", "web", "other", "eth7"]);
        assert!(
            taken.contains("“web” has an interface eth7 already"),
            "{taken}"
        );
        let missing = fails(&container, &["device", "add", "web", "nothing"]);
        assert!(
            missing.contains("the host has no such interface"),
            "{missing}"
        );
        let taken = fails(&container, &["device", "remove", "web", "eth7", "other"]);
        assert!(
            taken.contains("the host has an interface other already"),
            "{taken}"
        );
        container.ok(&["device", "remove", "web", "eth7", "spare"]);
        container.on_host("ip link show spare && ip link del spare && ip link del other");
        container.destroy();
    });
}
