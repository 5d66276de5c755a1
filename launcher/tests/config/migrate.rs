//! Configurations of earlier LXC.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use berth_test_private_host::{BRIDGE, SUBID};
use nix::mount::{MsFlags, mount};

use crate::world::{Container, Owner, on_host};

/// A user's container as Ubuntu 14.04 made it with lxc-create -t ubuntu, with limits.
fn trusty(container: &Container<'_>) -> String {
    let dir = container.dir().display().to_string();
    format!(
        "# Template used to create this container: /usr/share/lxc/templates/lxc-ubuntu\n\
         # For additional config options, please look at lxc.container.conf(5)\n\
         \n\
         # Common configuration\n\
         lxc.include = /usr/share/lxc/config/ubuntu.common.conf\n\
         lxc.include = /usr/share/lxc/config/ubuntu.userns.conf\n\
         \n\
         # Container specific configuration\n\
         lxc.id_map = u 0 {SUBID} 65536\n\
         lxc.id_map = g 0 {SUBID} 65536\n\
         lxc.rootfs = {dir}/rootfs\n\
         lxc.mount = {dir}/fstab\n\
         lxc.utsname = trusty\n\
         lxc.arch = amd64\n\
         lxc.tty = 4\n\
         lxc.pts = 1024\n\
         lxc.devttydir =\n\
         lxc.pivotdir = lxc_putold\n\
         lxc.cap.drop = sys_module mac_admin mac_override sys_time\n\
         lxc.aa_profile = unconfined\n\
         lxc.cgroup.devices.deny = a\n\
         lxc.cgroup.devices.allow = c 1:3 rwm\n\
         \n\
         # Network configuration\n\
         lxc.network.type = veth\n\
         lxc.network.flags = up\n\
         lxc.network.link = {BRIDGE}\n\
         lxc.network.hwaddr = 00:16:3e:12:34:56\n\
         lxc.network.ipv4 = 10.233.0.5/24\n"
    )
}

fn make(container: &Container<'_>) {
    fs::write(container.config(), trusty(container)).unwrap();
    fs::write(container.dir().join("fstab"), "# nothing\n").unwrap();
}

/// Removes the owner's rights to what the test made as root.
fn clear(container: &Container<'_>) {
    for name in ["fstab", "config.orig"] {
        let _ = fs::remove_file(container.dir().join(name));
    }
}

fn starts_after_migration(container: &Container<'_>) {
    make(container);
    container.start_is_refused("write lxc.idmap instead (berth config migrate does)");
    let said = container.ok(&["config", "migrate", "--yes", "web"]);
    assert!(said.contains("-lxc.utsname = trusty\n"), "{said}");
    assert!(said.contains("+lxc.net.0.type = veth\n"), "{said}");
    let text = fs::read_to_string(container.config()).unwrap();
    assert!(text.starts_with("# Template used to create"), "{text}");
    container.start();
    assert_eq!(container.sh("hostname"), "trusty");
    let address = container.sh("ip -4 addr show dev eth0 | grep -o 'inet [0-9./]*'");
    assert_eq!(address, "inet 10.233.0.5/24");
    assert_eq!(container.sh("ls -d /dev/tty4"), "/dev/tty4");
}

/// Where LXC was removed.
fn without_lxc() {
    let lxc = Path::new("/usr/share/lxc");
    fs::create_dir_all(lxc).unwrap();
    let nothing = MsFlags::empty();
    mount(Some("tmpfs"), lxc, Some("tmpfs"), nothing, None::<&str>).unwrap();
}

#[test]
fn a_container_of_ubuntu_14_04_starts() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        starts_after_migration(&container);
        container.stop();
        clear(&container);
        container.destroy();
    });
}

#[test]
fn a_container_of_ubuntu_14_04_starts_without_lxc() {
    on_host(|host| {
        without_lxc();
        let container = Container::create(host, Owner::User, "web");
        starts_after_migration(&container);
        container.stop();
        clear(&container);
        container.destroy();
    });
}

#[test]
fn todays_lxc_reads_what_was_migrated() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        make(&container);
        container.append(
            "lxc.cgroup.memory.limit_in_bytes = 256M\n\
             lxc.cgroup.memory.memsw.limit_in_bytes = 1G\n\
             lxc.cgroup.cpu.shares = 512",
        );
        let asked = |key: &str| {
            let mut lxc = container.command("lxc-info");
            let output = lxc.args(["-n", "web", "-c", key]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(asked("lxc.uts.name"), "", "LXC refuses the former file");
        container.ok(&["config", "migrate", "--yes", "web"]);
        assert_eq!(asked("lxc.uts.name"), "lxc.uts.name = trusty");
        assert_eq!(asked("lxc.net.0.type"), "lxc.net.0.type = veth");
        assert_eq!(
            asked("lxc.cgroup2.memory.max"),
            "lxc.cgroup2.memory.max = 256M"
        );
        assert_eq!(
            asked("lxc.cgroup2.memory.swap.max"),
            "lxc.cgroup2.memory.swap.max = 768M"
        );
        assert_eq!(
            asked("lxc.cgroup2.cpu.weight"),
            "lxc.cgroup2.cpu.weight = 50"
        );
        clear(&container);
        container.destroy();
    });
}

#[test]
fn nothing_is_written_without_a_yes() {
    on_host(|host| {
        without_lxc();
        let container = Container::create(host, Owner::User, "web");
        make(&container);
        let before = fs::read_to_string(container.config()).unwrap();
        let dry = container.ok(&["config", "migrate", "--dry-run", "web"]);
        assert!(dry.starts_with("--- ") && dry.contains("\n@@ "), "{dry}");
        let refused = container.berth(&["config", "migrate", "web"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said.contains("needs --yes"), "{said}");
        let answer = |answer: &str| {
            // A terminal, which script makes.
            let words = "berth config migrate web";
            let mut script = container.command("script");
            let mut running = script
                .args(["-qec", words, "/dev/null"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = running.stdin.take().unwrap();
            std::io::Write::write_all(&mut input, answer.as_bytes()).unwrap();
            let output = running.wait_with_output().unwrap();
            drop(input);
            output.status.code()
        };
        assert_eq!(answer("n\n"), Some(1));
        assert_eq!(fs::read_to_string(container.config()).unwrap(), before);
        assert_eq!(answer("y\n"), Some(0));
        let after = fs::read_to_string(container.config()).unwrap();
        assert!(after.contains("lxc.uts.name = trusty"), "{after}");
        let backup = fs::read_to_string(container.dir().join("config.orig")).unwrap();
        assert_eq!(backup, before);
        let again = container.berth(&["config", "migrate", "web"]);
        assert_eq!(
            (again.status.code(), &again.stdout[..]),
            (Some(0), &b""[..])
        );
        clear(&container);
        container.destroy();
    });
}

#[test]
fn what_is_left_to_do_by_hand_is_told() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let text = fs::read_to_string(container.config()).unwrap();
        fs::write("/run/old.conf", "lxc.tty = 4\n").unwrap();
        container.append(
            "lxc.include = /run/old.conf\n\
             lxc.utsname = web\n\
             lxc.start.order = 5\n\
             lxc.cgroup.cpu.shares = many",
        );
        let output = container.berth(&["config", "migrate", "--yes", "--from", "1.0", "web"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for told in [
            "lxc.cgroup.cpu.shares: expected a number",
            "still wrong: /run/old.conf:1: lxc.tty: ",
        ] {
            assert!(said.contains(told), "{told}: {said}");
        }
        let after = fs::read_to_string(container.config()).unwrap();
        assert!(after.starts_with(&text) && after.contains("lxc.start.order = -5\n"));
        container.ok(&["config", "set", "web", "lxc.cgroup.cpu.shares", ""]);
        container.destroy();
    });
}
