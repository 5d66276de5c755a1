//! What is wrong and what is suspicious.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use berth_test_private_host::SUBID;

use crate::world::{Container, Owner, on_host};

#[test]
fn a_new_container_is_without_fault() {
    on_host(|host| {
        for owner in [Owner::User, Owner::Root] {
            let container = Container::create(host, owner, "web");
            let said = container.ok(&["config", "lint", "web"]);
            assert_eq!(said, "", "{owner:?}");
            container.destroy();
        }
    });
}

#[test]
fn everything_wrong_and_suspicious_is_named_with_file_line_and_key() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let config = container.config().display().to_string();
        let good = fs::read_to_string(&config).unwrap();
        let start = good.lines().count();
        let open = Path::new("/run/open.conf");
        fs::write(open, "lxc.tty.max = 1\n").unwrap();
        fs::set_permissions(open, fs::Permissions::from_mode(0o646)).unwrap();
        let foreign = SUBID - 5;
        container.append(&format!(
            "lxc.start.order = 1\n\
             lxc.start.order = 2\n\
             lxc.include = /run/open.conf\n\
             lcx.start.auto = 1\n\
             lxc.cgroup2.memory.mx = 1G\n\
             lxc.idmap =\n\
             lxc.idmap = u 0 {foreign} 10\n\
             lxc.idmap = g 0 {SUBID} 10\n\
             lxc.rootfs.path = dir:/nowhere\n\
             lxc.net.0.type = veth\n\
             lxc.net.0.link = foreignbr0\n\
             lxc.net.0.veth.pair = mine"
        ));
        let said = container.ok(&["config", "lint", "web"]);
        let expected = [
            (1, "lxc.start.order: it has no effect: line"),
            (3, "lxc.include: everybody may change /run/open.conf"),
            (4, "“lcx.start.auto = 1” has no effect"),
            (
                5,
                "lxc.cgroup2.memory.mx: no kernel is known to have this file; did you mean memory.max?",
            ),
            (
                7,
                "lxc.idmap: these ids are not all subordinate ones of carol",
            ),
            (9, "lxc.rootfs.path: /nowhere does not exist"),
            (
                11,
                "lxc.net.0.link: carol may have no interface on foreignbr0",
            ),
            (
                12,
                "lxc.net.0.veth.pair: an ordinary user's interface is named by the helper",
            ),
        ];
        for (line, told) in expected {
            let wanted = format!("{config}:{}: warning: {told}", start + line);
            assert!(said.contains(&wanted), "no {wanted} in:\n{said}");
        }
        // The root of the first half of the file is replaced in the second.
        let root = said.matches("lxc.rootfs.path: it has no effect").count();
        assert_eq!(
            (root, said.lines().count()),
            (1, expected.len() + 1),
            "{said}"
        );

        container.append("lxc.start.auto = yes\nlxc.utsname = x");
        let output = container.berth(&["config", "lint", "web", "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let errors: Vec<_> = json
            .as_array()
            .unwrap()
            .iter()
            .filter(|found| found["severity"] == "error")
            .map(|found| {
                (
                    found["key"].as_str().unwrap(),
                    found["line"].as_u64().unwrap(),
                )
            })
            .collect();
        let line = start as u64 + 13;
        assert_eq!(
            errors,
            [("lxc.start.auto", line), ("lxc.utsname", line + 1)]
        );
        let file = container.berth(&["config", "lint", &config, "nosuch"]);
        assert_eq!(file.status.code(), Some(1));
        fs::write(&config, good).unwrap();
        container.destroy();
    });
}
