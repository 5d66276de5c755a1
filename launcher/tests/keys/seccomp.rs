//! Filters of system calls.

use std::fs;
use std::path::{Path, PathBuf};

use berth_test_private_host::Host;

use crate::seccomp_kept::{cache, entries};
use crate::world::{Container, Owner, in_container, on_host, refused};

pub const OWNERS: [Owner; 2] = [Owner::User, Owner::Root];

/// Perl of the host, which makes any system call, in the container.
const PERL: &str = "lxc.mount.entry = /usr usr none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib lib none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib64 lib64 none rbind,ro,create=dir,optional\n";

/// What a system call in a command inside comes to: the number of its error, 0 for none.
pub fn call(c: &Container<'_>, number: i64, arguments: &str) -> String {
    let comma = if arguments.is_empty() { "" } else { ", " };
    let program = format!("$r = syscall({number}{comma}{arguments}); print $r < 0 ? $! + 0 : 0");
    let output = c.berth(&["exec", c.name, "--", "/usr/bin/perl", "-e", &program]);
    match output.status.code() {
        Some(0) => String::from_utf8(output.stdout).unwrap(),
        Some(signal) if signal > 128 => format!("signal {}", signal - 128),
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// A container under this policy, which its owner can read.
pub fn under<'h>(host: &'h Host, owner: Owner, policy: &str, lines: &str) -> Container<'h> {
    let c = Container::create(host, owner, "web");
    write_policy(&c, policy);
    let profile = policy_file(&c);
    c.append(&format!(
        "{PERL}lxc.seccomp.profile = {}\n{lines}",
        profile.display()
    ));
    c
}

pub fn policy_file(c: &Container<'_>) -> PathBuf {
    c.dir().join("policy")
}

pub fn write_policy(c: &Container<'_>, policy: &str) {
    fs::write(policy_file(c), policy).unwrap();
}

/// Root's cache is a directory of the machine's; nothing of a test may stay there.
pub fn private_cache() {
    let flags = nix::mount::MsFlags::empty();
    fs::create_dir_all("/var/cache").unwrap();
    nix::mount::mount(
        Some("c"),
        "/var/cache",
        Some("tmpfs"),
        flags,
        Some("mode=0755"),
    )
    .unwrap();
}

fn filtered(c: &Container<'_>) -> [String; 2] {
    ["1", "self"].map(|process| c.sh(&format!("grep ^Seccomp: /proc/{process}/status | cut -f2")))
}

#[test]
fn the_policy_that_lxc_ships() {
    for (owner, installed) in [
        (Owner::User, true),
        (Owner::User, false),
        (Owner::Root, false),
    ] {
        on_host(|host| {
            private_cache();
            // LXC's own where it is installed, Berth's otherwise.
            if !installed && Path::new("/usr/share/lxc").exists() {
                fs::remove_dir_all("/usr/share/lxc").unwrap();
            }
            let c = Container::create(host, owner, "web");
            c.append(PERL);
            c.append(match installed {
                true => "lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp",
                false => "lxc.include = /usr/share/lxc/config/common.conf",
            });
            c.start();
            assert_eq!(filtered(&c), ["2", "2"]);
            let libc = nix::libc::SYS_kexec_load;
            assert_eq!(call(&c, libc, "0, 0, 0, 0"), "1");
            assert_eq!(
                call(&c, nix::libc::SYS_umount2, "($p = \"/proc\"), 1"),
                "13"
            );
            // Without MNT_FORCE it is the kernel that says what is wrong.
            assert_eq!(
                call(&c, nix::libc::SYS_umount2, "($p = \"/nothing\"), 0"),
                "2"
            );
            c.stop();
            c.start();
            assert_eq!(call(&c, libc, "0, 0, 0, 0"), "1");
            c.destroy();
        });
    }
}

#[test]
fn actions() {
    let policy = "2\ndenylist\ngetpriority errno 42\nacct errno 0\nswapon kill\nswapoff trap\n\
                  syncfs log\nvhangup\n";
    use nix::libc::{SYS_acct, SYS_getpriority, SYS_swapoff, SYS_swapon, SYS_syncfs, SYS_vhangup};
    for owner in OWNERS {
        on_host(|host| {
            private_cache();
            let c = under(host, owner, policy, "");
            c.start();
            for (number, arguments, comes_to) in [
                (SYS_getpriority, "0, 0", "42"),
                (SYS_acct, "0", "0"),
                (SYS_swapon, "0, 0", "signal 31"),
                (SYS_swapoff, "0", "signal 31"),
                // Made: there is no such descriptor.
                (SYS_syncfs, "99", "9"),
                (SYS_vhangup, "", "signal 31"),
            ] {
                assert_eq!(call(&c, number, arguments), comes_to, "{number}");
            }
            c.destroy();
        });
    }
}

#[test]
fn an_allowlist_lets_nothing_else_through() {
    on_host(|host| {
        let mut policy = "1\nallowlist\n".to_owned();
        // All that the kernel may have but for two.
        for number in
            (0..1024).filter(|n| ![nix::libc::SYS_acct, nix::libc::SYS_swapon].contains(n))
        {
            policy.push_str(&format!("{number}\n"));
        }
        let c = under(host, Owner::User, &policy, "");
        c.start();
        assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "signal 31");
        assert_eq!(call(&c, nix::libc::SYS_swapoff, "0"), "1");
        c.stop();
        // What init needs to begin with is missing.
        write_policy(&c, "2\nallowlist errno 38\nread\nwrite\n");
        let text = "lxc.seccomp.profile: the policy did not let init be executed";
        c.start_is_refused(text);
        write_policy(&c, "2\nallowlist\nread\n");
        c.start_is_refused(text);
        write_policy(&c, "2\ndenylist\nexecve errno 1\n");
        c.start_is_refused("cannot execute /sbin/init: Operation not permitted");
        c.destroy();
    });
}

#[test]
fn arguments_are_compared() {
    let number = nix::libc::SYS_setpriority;
    for (op, refused) in [
        ("!=", [true, false, true]),
        ("SCMP_CMP_LT", [true, false, false]),
        ("<=", [true, true, false]),
        ("==", [false, true, false]),
        (">=", [false, true, true]),
        ("SCMP_CMP_GT", [false, false, true]),
    ] {
        on_host(|host| {
            let policy = format!("2\ndenylist\nsetpriority errno 77 [0,10,{op}]\n");
            let c = under(host, Owner::User, &policy, "");
            c.start();
            // 22: no such kind of priority.
            let found =
                [9, 10, 11].map(|first| call(&c, number, &format!("{first}, 0, 0")) == "77");
            assert_eq!(found, refused, "{op}");
            c.destroy();
        });
    }
    on_host(|host| {
        let policy =
            "2\ndenylist\nsetpriority errno 77 [0,0x10,SCMP_CMP_MASKED_EQ,0xf0] [1,5,==]\n";
        let c = under(host, Owner::User, policy, "");
        c.start();
        for (arguments, comes_to) in [
            ("0x1f, 5, 0", "77"),
            ("0x10, 5, 0", "77"),
            ("0x1f, 4, 0", "22"),
            ("0x2f, 5, 0", "22"),
        ] {
            assert_eq!(call(&c, number, arguments), comes_to, "{arguments}");
        }
        c.destroy();
    });
}

#[test]
fn malformed_policies_are_refused_with_their_line() {
    on_host(|host| {
        let c = under(host, Owner::User, "", "");
        let file = policy_file(&c);
        for (policy, line, text) in [
            ("", 2, "expected the second line of a policy"),
            (
                "7\ndenylist\n",
                1,
                "expected the version of the grammar, 1 or 2, found “7”",
            ),
            ("2\ngreylist\n", 2, "expected allowlist or denylist"),
            (
                "2\ndenylist\nmount errno\n",
                3,
                "expected errno and a number",
            ),
            (
                "2\ndenylist\n[vax]\n",
                3,
                "expected the name of an architecture",
            ),
            ("2\ndenylist\nmount [9,0,==]\n", 3, "0 to 5"),
            (
                "1\nallowlist\nmount\n",
                3,
                "expected the number of a system call",
            ),
            (
                "2\ndenylist\nclone errno 1\nclone allow [0,1,==]\n",
                4,
                "exception from line 3",
            ),
        ] {
            write_policy(&c, policy);
            c.start_is_refused(&format!("{}:{line}: ", file.display()));
            c.start_is_refused(text);
        }
        fs::remove_file(&file).unwrap();
        c.start_is_refused("lxc.seccomp.profile: the policy");
        c.start_is_refused("No such file");
        assert!(entries(&cache(host, Owner::User)).is_empty());
        c.destroy();
    });
    let text = "lxc.seccomp.profile: expected an absolute path";
    refused(Owner::User, "lxc.seccomp.profile = policy", text);
}

#[test]
fn unknown_calls_are_told() {
    on_host(|host| {
        let c = under(
            host,
            Owner::User,
            "2\ndenylist\nfrobnicate\nacct errno 5\n",
            "",
        );
        let output = c.berth(&["start", "--here", c.name]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("no system call of this name: frobnicate"),
            "{said}"
        );
        assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "5");
        c.destroy();
    });
}

#[test]
fn allow_nesting() {
    for (value, filtered_inside) in [("0", false), ("1", true)] {
        on_host(|host| {
            let key = format!("lxc.seccomp.allow_nesting = {value}");
            let c = under(host, Owner::User, "2\ndenylist\nacct errno 5\n", &key);
            // Nobody is under a filter yet, unless the test is.
            let under_one = berth_kernel::seccomp::is_filtered();
            c.start();
            let comes_to = call(&c, nix::libc::SYS_acct, "0");
            assert_eq!(comes_to == "5", filtered_inside || !under_one);
            c.stop();
            let nothing: [nix::libc::c_long; 1] = [1023];
            berth_kernel::seccomp::restrict(berth_kernel::seccomp::Filter::Refuse(&nothing))
                .unwrap();
            c.start();
            assert_eq!(call(&c, nix::libc::SYS_acct, "0") == "5", filtered_inside);
            c.destroy();
        });
    }
    refused(
        Owner::User,
        "lxc.seccomp.allow_nesting = no",
        "lxc.seccomp.allow_nesting: expected 0 or 1",
    );
}

#[test]
fn a_user_of_the_containers_is_filtered_and_has_no_capabilities() {
    on_host(|host| {
        let lines = "lxc.init.uid = 33\nlxc.init.gid = 33\n\
                     lxc.init.cmd = /bin/sleep 1000\n";
        let c = under(host, Owner::User, "2\ndenylist\nacct errno 5\n", lines);
        c.start();
        assert_eq!(filtered(&c), ["2", "2"]);
        for process in ["1", "self"] {
            let status = c.sh(&format!("cat /proc/{process}/status"));
            for line in [
                "Uid:\t33\t33\t33\t33",
                "CapEff:\t0000000000000000",
                "CapPrm:\t0000000000000000",
            ] {
                assert!(status.contains(line), "{line}: {status}");
            }
        }
        assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "5");
        c.destroy();
    });
}

#[test]
fn containers_without_a_policy_have_no_filter() {
    in_container(Owner::User, "", |c| {
        let own = if berth_kernel::seccomp::is_filtered() {
            "2"
        } else {
            "0"
        };
        assert_eq!(filtered(c), [own, own]);
    });
}
