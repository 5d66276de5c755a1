//! The administrator among users' containers.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use berth_test_private_host::{Host, USER};

use crate::world::{Container, Owner, on_host};

fn root(host: &Host, words: &[&str]) -> Output {
    host.as_root("berth").args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[test]
fn root_looks_as_the_owner() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.start();
        let as_owner = |words: &[&str]| root(host, &[&["--user", USER], words].concat());
        assert!(said(&as_owner(&["ls"])).contains("running"));
        assert!(said(&as_owner(&["info", "web"])).contains(&container.info("PID")));
        let refused = as_owner(&["stop", "-k", "web"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            said(&refused).contains("root looks only"),
            "{}",
            said(&refused)
        );
        assert_eq!(container.sh("echo lives"), "lives");
        assert_eq!(said(&as_owner(&["ls", "--running", "-1"])), "web");
        assert_eq!(said(&as_owner(&["ls", "--stopped", "-1"])), "");
        let unknown = root(host, &["--user", "nobody-of-that-name", "ls"]);
        assert!(said(&unknown).contains("there is no user nobody-of-that-name"));
        for words in [&["--user", "root", "ls"][..], &["ls", "--all-users"]] {
            let refused = container.berth(words);
            assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
            assert!(said(&refused).contains("for root"), "{}", said(&refused));
        }
        container.destroy();
    });
}

#[test]
fn no_user_fools_or_holds_up_the_list_of_all() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let own = Container::create(host, Owner::Root, "own");
        let list = |words: &[&str]| {
            let begun = Instant::now();
            let output = root(host, &[&["ls", "--all-users"], words].concat());
            assert!(begun.elapsed() < Duration::from_secs(15), "{words:?}");
            output
        };
        let table = said(&list(&[]));
        assert!(table.contains(&format!("{USER}  web")), "{table}");
        assert!(table.contains("root   own"), "{table}");
        let json: serde_json::Value = serde_json::from_slice(&list(&["--json"]).stdout).unwrap();
        assert!(
            json.as_array()
                .unwrap()
                .iter()
                .any(|one| one["owner"] == USER)
        );

        // A configuration that never ends, one that steers terminals, a way to somebody else's.
        let config = fs::read_to_string(web.config()).unwrap();
        web.sh_on_host("mkfifo ~/fifo");
        for lines in [
            format!("lxc.include = {}/fifo", host.home().display()),
            "lxc.include = /dev/zero".to_owned(),
            "lxc.\x1b]0;owned\x07 = x".to_owned(),
        ] {
            web.append(&lines);
            let output = list(&[]);
            let shown = said(&output);
            assert!(shown.contains("root   own"), "{shown}");
            assert!(
                !shown.contains('\x1b') && !shown.contains('\x07'),
                "{shown}"
            );
            fs::write(web.config(), &config).unwrap();
        }
        let lxcpath = host.lxcpath();
        let aside = lxcpath.with_file_name("aside");
        fs::rename(&lxcpath, &aside).unwrap();
        symlink("/var/lib/lxc", &lxcpath).unwrap();
        fs::set_permissions(
            "/var/lib/lxc",
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        let shown = said(&list(&[]));
        assert!(!shown.contains(&format!("{USER}  own")), "{shown}");
        assert!(shown.contains("root") && shown.contains("own"), "{shown}");
        fs::remove_file(&lxcpath).unwrap();
        let made = Command::new("mkfifo").arg(&lxcpath).status().unwrap();
        assert!(made.success());
        assert!(said(&list(&[])).contains("own"));
        fs::remove_file(&lxcpath).unwrap();
        fs::rename(&aside, &lxcpath).unwrap();
        web.destroy();
        own.destroy();
    });
}
