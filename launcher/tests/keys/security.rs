//! What confines init and every command: capabilities, labels, key rings.

use std::path::Path;

use crate::world::{Container, Owner, in_container, on_host, refused};

const OWNERS: [Owner; 2] = [Owner::User, Owner::Root];

/// A line of init's and of a command's /proc/PID/status, which must be the same.
fn status(container: &Container<'_>, field: &str) -> String {
    let of = |process: &str| container.sh(&format!("grep ^{field}: /proc/{process}/status"));
    let init = of("1");
    assert_eq!(init, of("self"), "init and a command");
    init.split_whitespace().nth(1).unwrap().to_owned()
}

fn capabilities(container: &Container<'_>, set: &str) -> u64 {
    u64::from_str_radix(&status(container, set), 16).unwrap()
}

fn bit(name: &str) -> u64 {
    1 << berth_kernel::cred::capability_number(name).unwrap()
}

fn all() -> u64 {
    (1 << berth_kernel::cred::capability_count()) - 1
}

#[test]
fn cap_drop() {
    for owner in OWNERS {
        in_container(
            owner,
            "lxc.cap.drop = chown 5\nlxc.cap.drop = setgid",
            |c| {
                let kept = capabilities(c, "CapBnd");
                for dropped in ["chown", "kill", "setgid"] {
                    assert_eq!(kept & bit(dropped), 0, "{dropped}");
                }
                assert_ne!(kept & bit("setuid"), 0);
                assert_eq!(capabilities(c, "CapEff"), kept);
                assert_eq!(capabilities(c, "CapInh"), 0);
            },
        );
        in_container(owner, "lxc.cap.drop = chown\nlxc.cap.drop =", |c| {
            // A user namespace begins with all there are.
            let whole = match owner {
                Owner::User => all(),
                Owner::Root => all() & bounding_set(),
            };
            assert_eq!(capabilities(c, "CapBnd"), whole);
        });
    }
}

/// The test's own, which nobody in a container can have more than.
fn bounding_set() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

#[test]
fn cap_keep() {
    for owner in OWNERS {
        let clear = "lxc.cap.drop =\n";
        let keep = format!("{clear}lxc.cap.keep = chown setuid\nlxc.cap.keep = 6");
        in_container(owner, &keep, |c| {
            let kept = bit("chown") | bit("setuid") | bit("setgid");
            assert_eq!(capabilities(c, "CapBnd"), kept);
            assert_eq!(capabilities(c, "CapEff"), kept);
        });
        in_container(owner, &format!("{clear}lxc.cap.keep = none"), |c| {
            for set in ["CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(capabilities(c, set), 0, "{set}");
            }
        });
    }
}

#[test]
fn capabilities_that_do_not_exist_are_refused() {
    for (line, text) in [
        ("lxc.cap.drop = CAP_CHOWN", "“CAP_CHOWN” is no capability"),
        ("lxc.cap.keep = 64", "“64” is no capability"),
        (
            "lxc.cap.drop = chown\nlxc.cap.keep = kill",
            "expected either lxc.cap.drop or lxc.cap.keep",
        ),
    ] {
        refused(Owner::User, line, text);
    }
}

#[test]
fn no_new_privs() {
    for owner in OWNERS {
        in_container(owner, "lxc.no_new_privs = 1", |c| {
            assert_eq!(status(c, "NoNewPrivs"), "1");
        });
        in_container(owner, "lxc.no_new_privs = 0", |c| {
            assert_eq!(status(c, "NoNewPrivs"), "0");
        });
    }
    refused(
        Owner::User,
        "lxc.no_new_privs = yes",
        "lxc.no_new_privs: expected 0 or 1, found “yes”",
    );
}

/// Perl of the host, which makes any system call, in the container.
const PERL: &str = "lxc.mount.entry = /usr usr none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib lib none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib64 lib64 none rbind,ro,create=dir,optional\n";

#[test]
fn keyring_session() {
    let ask = format!(
        "print syscall({}, 0, -3, 0)",
        nix::libc::SYS_keyctl // KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING
    );
    let init = format!(
        "lxc.init.cmd = /usr/bin/perl -e 'open F, \">/init-says\"; print F {}; close F; exec \
         \"/sbin/init\"'",
        ask.trim_start_matches("print ")
    );
    let asked = format!("/usr/bin/perl -e '{ask}'");
    for owner in OWNERS {
        for (value, own) in [(None, true), (Some("1"), true), (Some("0"), false)] {
            on_host(|host| {
                berth_kernel::process::leave_session_keyring().unwrap();
                let c = Container::create(host, owner, "web");
                let key = value.map(|value| format!("lxc.keyring.session = {value}\n"));
                c.append(&format!("{PERL}{init}\n{}", key.unwrap_or_default()));
                let outside = c.command("perl").args(["-e", &ask]).output().unwrap();
                let outside = String::from_utf8(outside.stdout).unwrap();
                assert!(outside.parse::<i64>().unwrap() > 0, "{outside}");
                c.start();
                let inside = [c.sh("cat /init-says"), c.sh(&asked)];
                for ring in inside {
                    assert!(ring.parse::<i64>().unwrap() > 0, "{ring}");
                    assert_eq!(ring != outside, own, "{owner:?} {value:?}");
                }
                c.destroy();
            });
        }
    }
    refused(
        Owner::User,
        "lxc.keyring.session = own",
        "lxc.keyring.session: expected 0 or 1",
    );
}

fn kernel_has(module: &str) -> bool {
    match module {
        "apparmor" => std::fs::read("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|text| text.starts_with(b"Y")),
        _ => Path::new("/sys/fs/selinux/enforce").exists(),
    }
}

/// Starts with these lines where the kernel lacks the module, as with LXC; where it has it, what
/// the kernel does not know is refused with the line.
fn without_effect_where_missing(module: &str, owner: Owner, lines: &str) {
    match kernel_has(module) {
        true => refused(owner, lines, "the kernel"),
        false => in_container(owner, lines, |c| {
            c.sh("true");
            c.stop();
            c.start();
        }),
    }
}

#[test]
fn apparmor_profile() {
    for owner in OWNERS {
        let lines = "lxc.apparmor.profile = berth-has-no-such-profile";
        without_effect_where_missing("apparmor", owner, lines);
        for word in ["unconfined", "unchanged"] {
            in_container(owner, &format!("lxc.apparmor.profile = {word}"), |c| {
                c.sh("true");
            });
        }
    }
}

/// Debian's /etc/lxc/default.conf has these lines, so every container made there has them.
#[test]
fn apparmor_settings() {
    let lines = "lxc.apparmor.profile = generated\nlxc.apparmor.allow_nesting = 1\n\
                 lxc.apparmor.allow_incomplete = 1\nlxc.apparmor.raw = mount fstype=nfs,";
    for owner in OWNERS {
        without_effect_where_missing("apparmor", owner, lines);
    }
    for (line, text) in [
        (
            "allow_nesting = 2",
            "lxc.apparmor.allow_nesting: expected 0 or 1",
        ),
        (
            "allow_incomplete = x",
            "lxc.apparmor.allow_incomplete: expected 0 or 1",
        ),
        (
            "raw = mount",
            "lxc.apparmor.raw: expected a rule of an AppArmor profile",
        ),
    ] {
        refused(Owner::User, &format!("lxc.apparmor.{line}"), text);
    }
}

#[test]
fn selinux_contexts() {
    let lines = "lxc.selinux.context = berth_u:berth_r:berth_t:s0\n\
                 lxc.selinux.context.keyring = berth_u:berth_r:berth_t:s0";
    for owner in OWNERS {
        without_effect_where_missing("selinux", owner, lines);
        in_container(owner, "lxc.selinux.context = unconfined_t", |c| {
            c.sh("true");
        });
    }
    for key in ["lxc.selinux.context", "lxc.selinux.context.keyring"] {
        let text = format!("{key}: expected user:role:type");
        refused(Owner::User, &format!("{key} = lxc_t"), &text);
    }
}

/// What an entry of a container's own in the place of the kernel's files would take: nothing,
/// since the files of the host's /proc are asked.
#[test]
fn a_container_without_proc_starts_under_its_profile() {
    on_host(|host| {
        let c = Container::create(host, Owner::User, "web");
        c.append("lxc.mount.auto =\nlxc.apparmor.profile = unconfined\n");
        c.start();
        c.sh("test ! -e /proc/self");
        c.destroy();
    });
}
