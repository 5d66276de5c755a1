//! Filters of system calls.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use berth_test_private_host::{Host, ID};

use crate::world::{Container, Owner, in_container, on_host, refused};

const OWNERS: [Owner; 2] = [Owner::User, Owner::Root];

/// Perl of the host, which makes any system call, in the container.
const PERL: &str = "lxc.mount.entry = /usr usr none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib lib none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib64 lib64 none rbind,ro,create=dir,optional\n";

/// What a system call in a command inside comes to: the number of its error, 0 for none.
fn call(c: &Container<'_>, number: i64, arguments: &str) -> String {
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
fn under<'h>(host: &'h Host, owner: Owner, policy: &str, lines: &str) -> Container<'h> {
    let c = Container::create(host, owner, "web");
    write_policy(&c, policy);
    let profile = policy_file(&c);
    c.append(&format!(
        "{PERL}lxc.seccomp.profile = {}\n{lines}",
        profile.display()
    ));
    c
}

fn policy_file(c: &Container<'_>) -> PathBuf {
    c.dir().join("policy")
}

fn write_policy(c: &Container<'_>, policy: &str) {
    fs::write(policy_file(c), policy).unwrap();
}

fn cache(host: &Host, owner: Owner) -> PathBuf {
    match owner {
        Owner::User => host.home().join(".cache/berth/seccomp"),
        Owner::Root => "/var/cache/berth/seccomp".into(),
    }
}

/// The files of a cache and when each was written.
fn entries(dir: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        (path, written)
    };
    entries.map(entry).collect()
}

/// Root's cache is a directory of the machine's; nothing of a test may stay there.
fn private_cache() {
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

/// A 32-bit program which does nothing but setpriority(7, 0, 0) and give its error number back.
#[cfg(target_arch = "x86_64")]
const SETPRIORITY_32: [u8; 116] = {
    let mut file = [0; 116];
    let header: [u8; 84] = [
        0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // 32 bits
        2, 0, 3, 0, 1, 0, 0, 0, 0x54, 0x80, 0x04, 0x08, 52, 0, 0, 0, // i386, entry 0x8048054
        0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0, // one segment
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08, // at 0x8048000
        116, 0, 0, 0, 116, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
    ];
    let code: [u8; 28] = [
        0xb8, 97, 0, 0, 0, // mov eax, 97 (setpriority)
        0xbb, 7, 0, 0, 0, // mov ebx, 7
        0x31, 0xc9, // xor ecx, ecx
        0x31, 0xd2, // xor edx, edx
        0xcd, 0x80, // int 0x80
        0xf7, 0xd8, // neg eax
        0x89, 0xc3, // mov ebx, eax
        0xb8, 1, 0, 0, 0, // mov eax, 1 (exit)
        0xcd, 0x80, 0x90, // int 0x80; nop
    ];
    let mut at = 0;
    while at < header.len() {
        file[at] = header[at];
        at += 1;
    }
    let mut at = 0;
    while at < code.len() {
        file[header.len() + at] = code[at];
        at += 1;
    }
    file
};

#[cfg(target_arch = "x86_64")]
#[test]
fn sections_and_programs_of_32_bits() {
    let exit_code = |c: &Container<'_>| {
        let program = c.dir().join("rootfs/setpriority");
        fs::write(&program, SETPRIORITY_32).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        c.start();
        let code = c
            .berth(&["exec", c.name, "--", "/setpriority"])
            .status
            .code();
        let native = call(c, nix::libc::SYS_setpriority, "7, 0, 0");
        c.stop();
        (code.unwrap().to_string(), native)
    };
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\n", "");
        assert_eq!(exit_code(&c), ("22".into(), "22".into()));
        for (policy, both) in [
            ("setpriority errno 77", "77"),
            ("[all]\nsetpriority errno 77", "77"),
            // On a machine that runs such programs a section's rules count for all of them.
            ("[x86]\nsetpriority errno 77", "77"),
            ("[X86_64]\nsetpriority errno 77", "77"),
            ("[x32]\nsetpriority errno 77", "77"),
            ("[arm64]\nsetpriority errno 77", "22"),
            ("[s390x]\nsetpriority kill\n[all]\nacct kill", "22"),
        ] {
            write_policy(&c, &format!("2\ndenylist\n{policy}\n"));
            assert_eq!(exit_code(&c), (both.into(), both.into()), "{policy}");
        }
        // Version 1 has numbers of this machine's own, so other programs have no calls at all.
        let all: String = (0..1024).map(|number| format!("{number}\n")).collect();
        write_policy(&c, &format!("1\nallowlist\n{all}"));
        let (code, native) = exit_code(&c);
        assert_eq!((code.as_str(), native.as_str()), ("159", "22"));
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
fn supervisors_are_refused() {
    for (line, key) in [
        (
            "notify.proxy = unix:/run/proxy",
            "lxc.seccomp.notify.proxy: ",
        ),
        ("notify.cookie = crumbs", "lxc.seccomp.notify.cookie: "),
    ] {
        refused(Owner::User, &format!("lxc.seccomp.{line}"), key);
    }
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\n\nioctl notify\n", "");
        c.start_is_refused("policy:4: notify: the call would wait for a supervisor");
        c.destroy();
    });
}

#[test]
fn programs_are_kept_and_made_anew_where_they_are_damaged() {
    for owner in OWNERS {
        on_host(|host| {
            private_cache();
            let c = under(host, owner, "2\ndenylist\nacct errno 5\n", "");
            let dir = cache(host, owner);
            let run = || {
                c.start();
                assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "5");
                c.stop();
                entries(&dir)
            };
            let first = run();
            assert_eq!(first.len(), 1);
            let (file, _) = &first[0];
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&dir), mode(file)), (0o700, 0o600));
            assert_eq!(run(), first, "read, not written");
            let whole = fs::read(file).unwrap();
            let mut flipped = whole.clone();
            *flipped.last_mut().unwrap() ^= 1;
            for damaged in [&flipped[..], &whole[..whole.len() / 2], b""] {
                fs::write(file, damaged).unwrap();
                run();
                assert_eq!(fs::read(file).unwrap(), whole);
            }
            // One that somebody else owns is not believed.
            chown(file, Some(ID + 1), None).unwrap();
            let again = run();
            assert_eq!(again.len(), 1);
            write_policy(&c, "2\ndenylist\nacct errno 5\n# other\n");
            assert_eq!(run().len(), 2);
            c.destroy();
        });
    }
}

#[test]
fn without_room_for_the_program_a_start_only_takes_longer() {
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\nacct errno 5\n", "");
        let dir = host.home().join(".cache");
        fs::create_dir_all(&dir).unwrap();
        let small = nix::mount::MsFlags::empty();
        let options = format!("size=4k,nr_inodes=4,mode=0755,uid={ID}");
        nix::mount::mount(Some("c"), &dir, Some("tmpfs"), small, Some(&*options)).unwrap();
        fs::write(dir.join("full"), [0; 4096]).unwrap();
        for _ in 0..2 {
            c.start();
            assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "5");
            c.stop();
        }
        let left = cache(host, Owner::User);
        assert!(entries(&left).is_empty(), "{:?}", entries(&left));
        nix::mount::umount(&dir).unwrap();
        c.destroy();
    });
}

#[test]
fn without_its_compiler_a_policy_is_refused() {
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\nacct errno 5\n", "");
        let mut start = c.command("berth");
        start.env("BERTH_SECCOMP", "/nothing/berth-seccomp");
        let output = start.args(["start", "--here", c.name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains("cannot be compiled: /nothing/berth-seccomp: No such"),
            "{said}"
        );
        c.destroy();
    });
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
