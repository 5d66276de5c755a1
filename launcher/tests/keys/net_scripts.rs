//! `lxc.net.N.script.up` and `script.down`.

use std::fs;

use berth_test_private_host::BRIDGE;

use crate::world::{Container, Owner, on_host, refused};

/// A script that writes down who runs it with what.
fn with_scripts(owner: Owner, body: impl FnOnce(&Container, &dyn Fn() -> String)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        let dir = container.dir();
        let (script, told) = (dir.join("told.sh"), dir.join("told"));
        let text = format!(
            "#!/bin/sh\necho \"$(id -u) $* $LXC_NAME $LXC_HOOK_TYPE\" >> {}\n",
            told.display()
        );
        fs::write(&script, text).unwrap();
        container.on_host(&format!("chmod 755 {}", script.display()));
        container.append(&format!(
            "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\n\
             lxc.net.0.script.up = {script} own\nlxc.net.0.script.down = {script}\n\
             lxc.net.1.type = empty\nlxc.net.1.script.up = {script}\n",
            script = script.display()
        ));
        let read = || {
            let text = fs::read_to_string(&told).unwrap_or_default();
            let _ = fs::remove_file(&told);
            text
        };
        body(&container, &read);
        container.destroy();
    });
}

#[test]
fn the_owner_runs_them_on_the_host() {
    for owner in [Owner::User, Owner::Root] {
        with_scripts(owner, |container, told| {
            let uid = match owner {
                Owner::User => berth_test_private_host::ID,
                Owner::Root => 0,
            };
            let mut hosts = Vec::new();
            for end in ["stop", "reboot", "kill"] {
                if end != "kill" {
                    container.start();
                }
                let said = told();
                let lines: Vec<&str> = said.lines().collect();
                let up: Vec<&str> = lines[0].split(' ').collect();
                let uid = uid.to_string();
                let expected = [uid.as_str(), "own", "web", "net", "up", "veth", BRIDGE];
                assert_eq!(up[..7], expected, "{said}");
                assert!(up[7].starts_with("veth"), "{said}");
                hosts.push(up[7].to_owned());
                assert_eq!(lines[1], format!("{uid} web net up empty web "), "{said}");
                match end {
                    "stop" => container.stop(),
                    "reboot" => {
                        container.reboot();
                        // The next life's lines are looked at in the next turn.
                        let said = told();
                        let (down, up) = said.split_once('\n').unwrap();
                        assert!(
                            down.contains(&format!(
                                "web net down veth {BRIDGE} {}",
                                up_host(&hosts)
                            )),
                            "{said}"
                        );
                        fs::write(container.dir().join("told"), up).unwrap();
                        continue;
                    }
                    _ => {
                        container.kill_monitor();
                        container.stop();
                    }
                }
                let down = told();
                assert!(
                    down.contains(&format!("web net down veth {BRIDGE} {}", up_host(&hosts))),
                    "{down}"
                );
            }
            container.start();
        });
    }
}

fn up_host(hosts: &[String]) -> &str {
    hosts.last().unwrap()
}

#[test]
fn version_1_tells_them_by_variables() {
    for owner in [Owner::User, Owner::Root] {
        on_host(|host| {
            let container = Container::create(host, owner, "web");
            let told = container.dir().join("told");
            container.append(&format!(
                "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.hook.version = 1\n\
                 lxc.net.0.script.up = /bin/sh -c 'echo \"$#\"; env > {}' sh\n",
                told.display()
            ));
            container.start();
            let told = fs::read_to_string(told).unwrap();
            let port = container.on_host(&format!("ls /sys/class/net/{BRIDGE}/brif"));
            for line in [
                "LXC_HOOK_VERSION=1".to_owned(),
                "LXC_HOOK_TYPE=up".to_owned(),
                "LXC_HOOK_SECTION=net".to_owned(),
                "LXC_NAME=web".to_owned(),
                "LXC_NET_TYPE=veth".to_owned(),
                format!("LXC_NET_PARENT={BRIDGE}"),
                format!("LXC_NET_PEER={port}"),
            ] {
                assert!(told.lines().any(|one| one == line), "no {line} in {told}");
            }
            container.destroy();
        });
    }
}

#[test]
fn one_that_fails_ends_the_start_with_its_words() {
    for owner in [Owner::User, Owner::Root] {
        on_host(|host| {
            let container = Container::create(host, owner, "web");
            container.append(&format!(
                "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\n\
                 lxc.net.0.script.up = /bin/sh -c 'echo the firewall is missing >&2; exit 4'\n"
            ));
            container.start_is_refused("lxc.net.0.script.up: ");
            container.start_is_refused("the firewall is missing");
            container.start_is_refused("exit code 4");
            container.wait_for_host(&format!("ip -o link show master {BRIDGE}"), "");
            container.destroy();
        });
    }
}

#[test]
fn one_that_hangs_ends_the_start() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append(
            "lxc.net.0.type = empty\n\
             lxc.net.0.script.up = /bin/sh -c 'echo waiting for the moon; exec sleep 4321'",
        );
        container.start_is_refused("waiting for the moon");
        assert_eq!(container.on_host("pgrep -f 'sleep 432[1]' || :"), "");
        container.destroy();
    });
}

#[test]
fn a_program_that_is_not_there() {
    let lines = "lxc.net.0.type = empty\nlxc.net.0.script.up = /no/such/script";
    refused(
        Owner::User,
        lines,
        "lxc.net.0.script.up: the program /no/such/script cannot be run",
    );
}

#[test]
fn a_program_without_an_absolute_path() {
    for key in ["script.up", "script.down"] {
        let text = format!("lxc.net.0.{key}: expected a program with its absolute path");
        refused(Owner::User, &format!("lxc.net.0.{key} = up.sh"), &text);
    }
}
