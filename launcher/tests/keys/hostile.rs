//! What others were hurt by: a container's root, and files that he prepared, against the host.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use berth_kernel::process;
use berth_test_private_host::{ID, SUBID};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::world::{Container, Owner, on_host};

pub const OWNERS: [Owner; 2] = [Owner::User, Owner::Root];

/// Perl of the host, which makes any system call, in the container.
pub const PERL: &str = "lxc.mount.entry = /usr usr none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib lib none rbind,ro,create=dir\n\
                    lxc.mount.entry = /usr/lib64 lib64 none rbind,ro,create=dir,optional\n";

pub fn rootfs(c: &Container<'_>) -> PathBuf {
    c.dir().join("rootfs")
}

/// A directory of the host's that the owner may write to and a container has no business in.
fn precious(c: &Container<'_>) -> PathBuf {
    let dir = match c.owner {
        Owner::User => c.host.home().join("precious"),
        Owner::Root => PathBuf::from("/var/lib/precious"),
    };
    fs::create_dir(&dir).unwrap();
    if c.owner == Owner::User {
        chown(&dir, Some(ID), Some(ID)).unwrap();
        // So that links which lead there find nobody in the way.
        for above in dir
            .ancestors()
            .skip(1)
            .take_while(|dir| dir.starts_with(c.host.home()))
        {
            fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(dir.join("file"), "the host's").unwrap();
    dir
}

/// Gives what a test prepared below the container's root to the container's root user.
fn prepared(c: &Container<'_>) {
    if c.owner == Owner::User {
        let owner = format!("{SUBID}:{SUBID}");
        let mut chown = std::process::Command::new("chown");
        let done = chown.args(["-hR", &owner]).arg(rootfs(c)).status();
        assert!(done.unwrap().success());
    }
}

/// Nothing was made in it, and its file is what it was.
fn assert_untouched(dir: &Path) {
    let names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["file"]);
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "the host's");
}

/// Links as mount targets, of every kind.
#[test]
fn mount_targets_lead_nowhere_but_inside() {
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            let dir = precious(&c);
            let up = "../".repeat(20);
            let inside = rootfs(&c);
            fs::create_dir_all(inside.join("mnt")).unwrap();
            for (name, to) in [
                ("absolute", dir.display().to_string()),
                (
                    "relative",
                    format!("{up}{}", &dir.display().to_string()[1..]),
                ),
                ("proc", format!("/proc/1/root{}", dir.display())),
                ("chain", "absolute".to_owned()),
            ] {
                symlink(to, inside.join("mnt").join(name)).unwrap();
            }
            fs::create_dir_all(inside.join(dir.strip_prefix("/").unwrap())).unwrap();
            prepared(&c);
            // One that is reached through another mount.
            let other = c.dir().join("other");
            fs::create_dir(&other).unwrap();
            symlink(&dir, other.join("link")).unwrap();
            if owner == Owner::User {
                chown(&other, Some(ID), Some(ID)).unwrap();
            }
            let mut lines = format!(
                "lxc.mount.entry = {} mnt/over none bind,create=dir 0 0\n",
                other.display()
            );
            for target in ["absolute", "relative", "chain", "over/link", "proc"] {
                lines.push_str(&format!(
                    "lxc.mount.entry = tmpfs mnt/{target}/new-{} tmpfs create=dir,optional 0 0\n\
                     lxc.mount.entry = /dev/null mnt/{target}/file none bind,create=file,optional 0 0\n",
                    target.replace('/', "-")
                ));
            }
            c.append(&lines);
            c.start();
            assert_untouched(&dir);
            // They came out inside, where the links lead.
            let within = dir.display();
            c.sh(&format!(
                "grep -q ' {within}/new-absolute ' /proc/self/mountinfo"
            ));
            c.sh(&format!("test -c {within}/file"));
            c.sh(&format!(
                "echo overwritten > {within}/file; echo > {within}/new-absolute/made"
            ));
            assert_untouched(&dir);
            c.stop();
            assert_untouched(&dir);
            c.destroy();
        });
    }
}

/// Two names change places again and again until the guard is dropped.
struct Swapping(process::Child);

impl Swapping {
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let child = process::fork(|| {
            process::set_parent_death_signal(9).unwrap();
            loop {
                let _ = renameat2(
                    AT_FDCWD,
                    &one,
                    AT_FDCWD,
                    &other,
                    RenameFlags::RENAME_EXCHANGE,
                );
            }
        });
        Self(child.unwrap())
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        let _ = self.0.pidfd.signal(9);
        let _ = self.0.pidfd.wait();
    }
}

#[test]
fn mount_targets_that_are_swapped_during_the_start_lead_nowhere_else() {
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            let dir = precious(&c);
            let mnt = rootfs(&c).join("mnt");
            fs::create_dir_all(mnt.join("target")).unwrap();
            symlink(&dir, mnt.join("link")).unwrap();
            prepared(&c);
            c.append(
                "lxc.mount.entry = /dev/null mnt/target/file none bind,create=file,optional 0 0\n\
                 lxc.mount.entry = /dev/null mnt/target/made none bind,create=file,optional 0 0\n\
                 lxc.mount.entry = tmpfs mnt/target/deep/er tmpfs create=dir,optional 0 0\n",
            );
            let swapping = Swapping::start(mnt.join("target"), mnt.join("link"));
            for _ in 0..12 {
                c.start();
                c.sh("for file in /mnt/*/file /mnt/*/made; do echo x > $file; done; true");
                c.stop();
                assert_untouched(&dir);
            }
            drop(swapping);
            c.destroy();
        });
    }
}

/// Links where the container's /proc, /sys and /dev belong, and what is masked or made in them.
#[test]
fn kernel_file_systems_are_the_kernels_wherever_links_lead() {
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            let dir = precious(&c);
            let inside = rootfs(&c);
            for (name, decoy) in [
                ("proc", "decoy-proc"),
                ("sys", "decoy-sys"),
                ("dev", "decoy-dev"),
            ] {
                let _ = fs::remove_dir_all(inside.join(name));
                fs::create_dir(inside.join(decoy)).unwrap();
                symlink(decoy, inside.join(name)).unwrap();
            }
            // What a start makes or covers, as links to the host's.
            for name in [
                "decoy-proc/sys",
                "decoy-proc/sysrq-trigger",
                "decoy-dev/console",
                "decoy-dev/pts",
                "decoy-dev/null",
            ] {
                symlink(dir.join("file"), inside.join(name)).unwrap();
            }
            prepared(&c);
            c.start();
            c.sh("grep -q ' /decoy-proc proc\\| /decoy-proc .* - proc ' /proc/self/mountinfo");
            assert_eq!(c.sh("cat /proc/1/comm"), "init");
            // What reaches beyond the container is the kernel's, and read-only.
            let parts = c.sh("cd /proc; ls -d sys sysrq-trigger 2>/dev/null; true");
            for part in parts.split_whitespace() {
                let line = c.sh(&format!("grep ' /decoy-proc/{part} ' /proc/self/mountinfo"));
                assert!(line.contains(" ro,") && line.contains(" - proc "), "{line}");
            }
            c.sh("! echo 1 > /proc/sys/kernel/panic 2>/dev/null");
            // Its devices are devices, its console a terminal of its own.
            c.sh("test -c /dev/null && test -c /dev/console && test -d /dev/pts");
            c.sh("echo x > /dev/console; echo x > /dev/null");
            assert_untouched(&dir);
            c.stop();
            assert_untouched(&dir);
            c.destroy();
        });
    }
}

#[test]
fn a_proc_that_is_swapped_during_the_start_is_protected_or_there_is_no_start() {
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            let dir = precious(&c);
            let inside = rootfs(&c);
            fs::create_dir_all(inside.join("decoy")).unwrap();
            fs::create_dir_all(inside.join("proc")).unwrap();
            symlink(dir.join("file"), inside.join("decoy/sysrq-trigger")).unwrap();
            symlink("decoy", inside.join("other")).unwrap();
            prepared(&c);
            let swapping = Swapping::start(inside.join("proc"), inside.join("other"));
            for _ in 0..12 {
                if c.berth(&["start", "--here", c.name]).status.success() {
                    let seen = "cat /proc/self/mountinfo /other/self/mountinfo /decoy/self/mountinfo \
                                2>/dev/null | grep -- ' - proc ' | sort -u";
                    let mounts = c.sh(seen);
                    let parts: Vec<&str> = mounts
                        .lines()
                        .filter(|line| line.contains("/sys "))
                        .collect();
                    assert!(mounts.is_empty() || !parts.is_empty(), "{mounts}");
                    assert!(parts.iter().all(|line| line.contains(" ro,")), "{mounts}");
                    c.stop();
                }
                assert_untouched(&dir);
            }
            drop(swapping);
            c.destroy();
        });
    }
}

/// Descriptors and directory of init and of commands: the standard streams, and the container's.
#[test]
fn nothing_of_the_hosts_is_left_open_inside() {
    let look = r#"opendir D, "/proc/self/fd"; print join(" ", sort grep /\d/, readdir D), "|", readlink "/proc/self/cwd""#;
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            let init = format!(
                "lxc.init.cmd = /usr/bin/perl -e 'open STDOUT, \">\", \"/init-says\"; {}; close STDOUT; exec \"/sbin/init\"'",
                look.replace('"', "\\\"").replace("\\\\\"", "\\\"")
            );
            // The grammar takes quotes within quotes as they stand.
            c.append(&format!("{PERL}{}", init.replace("\\\"", "\"")));
            let extra = fs::File::open("/").unwrap();
            process::keep_across_exec(extra.as_fd()).unwrap();
            c.start();
            // A start returns when init is executed; what it says comes later. 3 is the directory
            // that lists them.
            let said = c.sh("until [ -s /init-says ]; do sleep 0.02; done; cat /init-says");
            assert_eq!(said, "0 1 2 3|/");
            let inside = c.ok(&["exec", c.name, "--", "/usr/bin/perl", "-e", look]);
            assert_eq!(inside, "0 1 2 3|/");
            drop(extra);
            c.destroy();
        });
    }
}

/// Working directories by links to whatever the host's programs may have open.
#[test]
fn working_directories_are_the_containers() {
    let place =
        "cd ../../../../../../../..; test -e ./sbin/init && test -e ./inside && echo contained";
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            fs::write(rootfs(&c).join("inside"), "").unwrap();
            fs::set_permissions(rootfs(&c).join("inside"), fs::Permissions::from_mode(0o644))
                .unwrap();
            c.start();
            for number in 3..=12 {
                let directory = format!("/proc/self/fd/{number}");
                c.sh(&format!("ln -sfn {directory} /link"));
                for cwd in [&*directory, "/link"] {
                    let output =
                        c.berth(&["exec", "-w", cwd, c.name, "--", "/bin/sh", "-c", place]);
                    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                    assert!(
                        !output.status.success() || said == "contained",
                        "{cwd}: {said}"
                    );
                }
            }
            c.stop();
            let kept = fs::read_to_string(c.config()).unwrap();
            for number in 3..=12 {
                fs::write(c.config(), &kept).unwrap();
                c.append(&format!("lxc.init.cwd = /proc/self/fd/{number}"));
                if c.berth(&["start", "--here", c.name]).status.success() {
                    let up = "cd /proc/1/cwd && test -e /proc/1/cwd/inside -o ! -d /proc/1/cwd/usr/share && echo contained";
                    assert_eq!(c.sh(up), "contained", "{number}");
                    c.stop();
                }
            }
            fs::write(c.config(), &kept).unwrap();
            c.destroy();
        });
    }
}

/// A command that puts characters into the input of its terminals: none reaches the caller's.
#[test]
fn nothing_is_typed_into_the_callers_terminal() {
    let inject = r#"my $x = "X"; for my $fd (0 .. 2) { open my $t, "+<&=", $fd or next; ioctl $t, 0x5412, $x for 1 .. 3 }
                    if (open my $t, "+<", "/dev/tty") { ioctl $t, 0x5412, $x }
                    print -t STDIN ? "terminal" : "none""#;
    for owner in OWNERS {
        for streams in [
            [true, true, true],
            [false, true, true],
            [false, false, true],
        ] {
            on_host(|host| {
                let c = Container::create(host, owner, "web");
                c.append(PERL);
                c.start();
                let devpts = berth_kernel::fs::open_dir(Path::new("/dev/pts")).unwrap();
                let pair = berth_kernel::tty::PseudoTerminal::open(devpts.as_fd()).unwrap();
                let [input, output, errors] = streams.map(|terminal| match terminal {
                    true => Stdio::from(pair.slave.try_clone().unwrap()),
                    false => Stdio::null(),
                });
                let mut command = c.command("setsid");
                command.args(["--ctty", "--wait", "berth", "exec", c.name, "--"]);
                if !streams[0] {
                    // There is no terminal to take as the controlling one.
                    command = c.command("setsid");
                    command.args(["--wait", "berth", "exec", c.name, "--"]);
                }
                command.args(["/usr/bin/perl", "-e", inject]);
                command.stdin(input).stdout(output).stderr(errors);
                let ended = command.status().unwrap();
                if !ended.success() {
                    let mut said = [0; 1024];
                    let mut master = fs::File::from(pair.master.try_clone().unwrap());
                    let length = master.read(&mut said).unwrap_or(0);
                    panic!(
                        "{ended} {streams:?}: {}",
                        String::from_utf8_lossy(&said[..length])
                    );
                }
                // What was typed would be read here, after what was typed by ourselves.
                let mut master = fs::File::from(pair.master.try_clone().unwrap());
                master.write_all(b"own\n").unwrap();
                let mut typed = [0; 64];
                let mut slave = fs::File::from(pair.slave.try_clone().unwrap());
                let length = slave.read(&mut typed).unwrap();
                assert_eq!(&typed[..length], b"own\n", "{owner:?} {streams:?}");
                c.destroy();
            });
        }
    }
}
