//! Reading and changing one key.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::world::{Container, Owner, on_host};

#[test]
fn what_is_set_is_got_and_is_so_at_the_next_start() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append("# mine\nlxc.environment = A=1\n# at the end");
        let before = fs::read_to_string(container.config()).unwrap();
        let get = |key| container.ok(&["config", "get", "web", key]);
        assert_eq!(get("lxc.uts.name"), "web\n");
        assert_eq!(get("lxc.pty.max"), "1024\n", "by the include");
        container.ok(&["config", "set", "web", "lxc.uts.name", "mary"]);
        container.ok(&["config", "set", "--append", "web", "lxc.environment", "B=2"]);
        container.ok(&["config", "set", "web", "lxc.start.order", "-3"]);
        assert_eq!(get("lxc.environment"), "A=1\nB=2\n");
        let expected = before
            .replace("lxc.uts.name = web", "lxc.uts.name = mary")
            .replace("= A=1\n", "= A=1\nlxc.environment = B=2\n");
        let after = fs::read_to_string(container.config()).unwrap();
        assert_eq!(after, format!("{expected}lxc.start.order = -3\n"));
        container.start();
        assert_eq!(container.sh("hostname"), "mary");
        let environment = container.sh("tr '\\0' '\\n' </proc/1/environ | grep '^[AB]=' | sort");
        assert_eq!(environment, "A=1\nB=2");
        container.stop();

        container.ok(&["config", "set", "web", "lxc.environment", ""]);
        container.ok(&["config", "set", "web", "lxc.pty.max", ""]);
        for key in ["lxc.environment", "lxc.pty.max"] {
            let nothing = container.berth(&["config", "get", "web", key]);
            assert_eq!(
                (nothing.status.code(), &nothing.stdout[..]),
                (Some(1), &b""[..])
            );
        }
        let origin = container.ok(&["config", "get", "web", "lxc.tty.max", "--origin"]);
        assert!(
            origin.contains("/config/user.conf:") && origin.ends_with(": 0\n"),
            "{origin}"
        );
        let all = container.ok(&["config", "get", "web"]);
        assert!(
            all.contains("lxc.uts.name = mary\n") && !all.contains("lxc.pty.max"),
            "{all}"
        );
        container.destroy();
    });
}

#[test]
fn what_would_not_start_is_refused_and_the_file_stays() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let before = fs::read(container.config()).unwrap();
        for (arguments, told) in [
            (&["lxc.uts.nam", "x"][..], "did you mean lxc.uts.name?"),
            (
                &["lxc.uts.name", "two words"],
                "lxc.uts.name: expected a host name",
            ),
            (
                &["lxc.uts.name", "a\nlxc.hook.start = /x"],
                "must be one line",
            ),
            (&["lxc.utsname", "x"], "write lxc.uts.name instead"),
            (&["lxc.idmap", "u 0 100000 65536"], "no group id"),
            (&["--append", "lxc.uts.name", "x"], "one value"),
            (&["lxc.include", "/gone"], "cannot read /gone"),
        ] {
            let output = container.berth(&[&["config", "set", "web"], arguments].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(said.contains(told), "{arguments:?}: {said}");
        }
        assert_eq!(fs::read(container.config()).unwrap(), before);
        // One mistake does not keep another from being mended.
        container.append("lxc.tty.max = many\nlxc.start.auto = yes");
        container.ok(&["config", "set", "web", "lxc.tty.max", "1"]);
        container.ok(&["config", "set", "web", "lxc.start.auto", "0"]);
        container.start();
        container.destroy();
    });
}

#[test]
fn the_file_keeps_its_owner_and_its_mode_whoever_changes_it() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let config = container.config();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o604)).unwrap();
        let state = || {
            let found = fs::metadata(&config).unwrap();
            (found.uid(), found.gid(), found.mode() & 0o7777)
        };
        let before = state();
        container.ok(&["config", "set", "web", "lxc.uts.name", "a"]);
        assert_eq!(state(), before);
        // Root mends a user's file.
        let by_root = |arguments: &[&str]| {
            let lxcpath = host.lxcpath();
            let mut berth = host.as_root("berth");
            berth.arg("--lxcpath").arg(lxcpath).args(arguments);
            assert!(berth.status().unwrap().success(), "{arguments:?}");
        };
        by_root(&["config", "set", "web", "lxc.uts.name", "b"]);
        assert_eq!(state(), before);
        container.append("lxc.utsname = c");
        by_root(&["config", "migrate", "--yes", "web"]);
        assert_eq!(state(), before);
        let name = container.ok(&["config", "get", "web", "lxc.uts.name"]);
        assert_eq!(name, "c\n");
        chown(&config, Some(0), Some(0)).unwrap();
        let refused = container.berth(&["config", "set", "web", "lxc.uts.name", "d"]);
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(state(), (0, 0, 0o604));
        // A link is read, and not replaced by a file.
        let elsewhere = container.dir().join("elsewhere");
        fs::rename(&config, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &config).unwrap();
        let name = container.ok(&["config", "get", "web", "lxc.uts.name"]);
        assert_eq!(name, "c\n");
        let said = container.ok(&["config", "lint", "web"]);
        assert!(
            said.contains("it has no effect: line") && said.lines().count() == 1,
            "{said}"
        );
        let refused = container.berth(&["config", "set", "web", "lxc.uts.name", "d"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("symbolic link"), "{said}");
        fs::rename(&elsewhere, &config).unwrap();
        container.destroy();
    });
}
