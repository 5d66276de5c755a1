//! The host's `berth`, which a process on its way into a container still runs (CVE-2019-5736).

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::hostile::{OWNERS, PERL, rootfs};
use crate::world::{Container, Owner, on_host};

/// Whoever opens `/proc/PID/exe` of a process that came in, waits for its end and opens that file
/// for writing: what he opened and what came of it.
const OVERWRITE: &str = r##"
    $| = 1; my %seen; my $limit = time + 60;
    while (time < $limit) {
        for my $pid (map { m,/proc/(\d+), } glob "/proc/[0-9]*") {
            my $to = readlink "/proc/$pid/exe";
            next if not defined $to or $to =~ m,perl|busybox,;
            open my $file, "<", "/proc/$pid/exe" or next;
            my $mine = "/proc/self/fd/" . fileno $file;
            for my $try (1 .. 20000) {
                last if open my $again, ">", $mine and print $again "#!/bin/overwritten\n" and close $again
                    and print "written\n";
                unless ($!{ETXTBSY}) { print "refused " . ($! + 0) . "\n"; exit }
            }
            print "busy\n"; exit;
        }
    }
    print "nothing opened\n";
"##;

#[test]
fn the_hosts_program_is_not_overwritten_through_proc_exe() {
    for (owner, refused) in [(Owner::User, "refused 13"), (Owner::Root, "refused 30")] {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            c.append(PERL);
            c.start();
            let program = Path::new("/run/berth-test/bin/berth");
            let before = fs::read(program).unwrap();
            let script = rootfs(&c).join("script");
            fs::write(&script, "#!/proc/self/exe\n").unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            for bait in ["/proc/self/exe", "/script"] {
                let mut attacker = c
                    .command("berth")
                    .args([
                        "exec",
                        c.name,
                        "--",
                        "/usr/bin/perl",
                        "-MErrno",
                        "-e",
                        OVERWRITE,
                    ])
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let limit = Instant::now() + Duration::from_secs(60);
                while attacker.try_wait().unwrap().is_none() && Instant::now() < limit {
                    // berth itself runs inside; it waits for its end of a pipe, then ends.
                    let mut inside = c
                        .command("berth")
                        .args(["exec", c.name, "--", bait, "ls", "--json"])
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .spawn()
                        .unwrap();
                    inside.wait().unwrap();
                }
                let _ = attacker.kill();
                let mut said = String::new();
                attacker
                    .stdout
                    .take()
                    .unwrap()
                    .read_to_string(&mut said)
                    .unwrap();
                attacker.wait().unwrap();
                assert_eq!(said.trim(), refused, "{owner:?} {bait}");
                assert!(
                    fs::read(program).unwrap() == before,
                    "berth was overwritten"
                );
            }
            c.destroy();
        });
    }
}

/// Init that is the host's program itself, by a link of the container's.
#[test]
fn an_init_that_is_proc_self_exe_writes_nothing() {
    for owner in OWNERS {
        on_host(|host| {
            let c = Container::create(host, owner, "web");
            let program = Path::new("/run/berth-test/bin/berth");
            let before = fs::read(program).unwrap();
            c.append(&format!("{PERL}lxc.init.cmd = /proc/self/exe ls"));
            let _ = c.berth(&["start", "--here", c.name]);
            assert!(fs::read(program).unwrap() == before);
            c.destroy();
        });
    }
}
