//! What init is given and what it runs in.

use berth_kernel::cred;

use crate::world::{Container, Owner, in_container, on_host, refused, refused_each};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];

#[test]
fn uts_name() {
    for owner in BOTH {
        in_container(owner, "lxc.uts.name = mary", |container| {
            assert_eq!(container.sh("hostname"), "mary");
            container.stop();
            container.start();
            assert_eq!(container.sh("hostname"), "mary");
        });
    }
}

#[test]
fn a_host_name_with_a_blank_is_refused() {
    refused(
        Owner::User,
        "lxc.uts.name = two words",
        "lxc.uts.name: expected",
    );
}

#[test]
fn arch() {
    for (given, seen) in [("i686", "i686"), ("x86_64", "x86_64")] {
        in_container(Owner::User, &format!("lxc.arch = {given}"), |container| {
            assert_eq!(container.sh("uname -m"), seen);
            assert_eq!(
                container.sh("cat /proc/1/personality"),
                if given == "i686" {
                    "00000008"
                } else {
                    "00000000"
                }
            );
        });
    }
    refused(Owner::User, "lxc.arch = pdp11", "lxc.arch: expected");
}

/// An init that leaves what it was given where it can be read.
const WITNESS: &str = "lxc.init.cmd = /bin/sh -c 'echo \"$0 $1\" >/run/given; pwd >>/run/given; \
     exec sleep 1000' one \"two three\"";

#[test]
fn init_command_and_directory() {
    let lines = format!("{WITNESS}\nlxc.init.cwd = /etc");
    in_container(Owner::User, &lines, |container| {
        container.wait_for("test -s /run/given");
        assert_eq!(container.sh("cat /run/given"), "one two three\n/etc");
    });
    let wrong = [
        (
            "lxc.init.cmd = sh",
            "lxc.init.cmd: expected the absolute path",
        ),
        (
            "lxc.init.cwd = etc",
            "lxc.init.cwd: expected an absolute path",
        ),
        (
            "lxc.init.cmd = /sbin/none",
            "there is no /sbin/none in the container",
        ),
        ("lxc.init.cwd = /none", "cannot change to directory /none"),
        ("lxc.init.cmd = /etc", "cannot execute /etc"),
    ];
    refused_each(Owner::User, &wrong);
}

#[test]
fn init_as_another_user() {
    let lines = "lxc.init.cmd = /bin/sleep 1000\nlxc.init.uid = 1000\nlxc.init.gid = 1001\n\
                 lxc.init.groups = 20,44";
    for owner in BOTH {
        in_container(owner, lines, |container| {
            let of = |process: &str| {
                let status = container.sh(&format!("cat /proc/{process}/status"));
                let field = |name: &str| {
                    let line = status.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap()
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                assert_eq!(field("Uid:"), "1000 1000 1000 1000");
                assert_eq!(field("Gid:"), "1001 1001 1001 1001");
                assert_eq!(field("Groups:"), "20 44");
                assert_eq!(field("CapEff:"), "0000000000000000");
            };
            of("1");
            of("self");
            container.sh("test \"$USER\" = 1000");
            container.sh("test -O /dev/console && echo printed >/dev/console");
        });
    }
    for (line, says) in [
        ("lxc.init.uid = alice", "lxc.init.uid: expected an id"),
        (
            "lxc.init.uid = 70000",
            "lxc.init.uid: id 70000 does not exist in the container",
        ),
        (
            "lxc.init.gid = 70000",
            "lxc.init.gid: id 70000 does not exist",
        ),
        (
            "lxc.init.groups = 20,70000",
            "lxc.init.groups: id 70000 does not exist",
        ),
    ] {
        refused(Owner::User, line, says);
    }
}

#[test]
fn the_command_of_lxc_execute_is_not_init() {
    in_container(Owner::User, "lxc.execute.cmd = /bin/false", |container| {
        container.sh("grep -q init /proc/1/cmdline");
    });
    refused(
        Owner::User,
        "lxc.execute.cmd = false",
        "lxc.execute.cmd: expected the absolute path",
    );
}

#[test]
fn environment() {
    let lines = "lxc.environment = A=both\nlxc.environment = HOME\nlxc.environment.runtime = B=own\n\
                 lxc.environment.runtime = C=one\nlxc.environment.runtime = C=two words";
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append(lines);
        container.start();
        let home = host.home().display();
        assert_eq!(
            container
                .sh("tr '\\0' '\\n' </proc/1/environ | grep -E '^([ABC]|HOME|container)=' | sort"),
            format!("A=both\nB=own\nC=two words\nHOME={home}\ncontainer=lxc")
        );
        assert_eq!(container.sh("echo $A $B $C"), "both own two words");
        container.destroy();
    });
    for key in ["lxc.environment", "lxc.environment.runtime"] {
        let says = format!("{key}: NOWHERE_SET is not set in the environment");
        refused(Owner::User, &format!("{key} = NOWHERE_SET"), &says);
        refused(Owner::User, &format!("{key} = =x"), "expected NAME=VALUE");
    }
}

/// Not every root has the capability: in some virtual machines it is taken away.
fn may_lift_limits() -> bool {
    let number = cred::capability_number("sys_resource").unwrap();
    cred::permitted_capabilities().unwrap().contains(number)
}

#[test]
fn resource_limits() {
    let limits =
        "grep -E 'open files|processes|core|locked' /proc/$P/limits | tr -s ' ' | sed 's/ $//'";
    let seen = "Max core file size 0 0 bytes\nMax processes 500 900 processes\n\
                Max open files 99 512 files\nMax locked memory 4096 4096 bytes";
    let lines = "lxc.prlimit.nofile = 7\nlxc.prlimit.nofile = 99:512\nlxc.prlimit.core = 0\n\
                 lxc.prlimit.memlock = 4096\nlxc.prlimit.nproc = 500:900\nlxc.prlimit.cpu = 10\n\
                 lxc.prlimit.cpu =";
    for owner in BOTH {
        in_container(owner, lines, |container| {
            for process in ["1", "self"] {
                assert_eq!(container.sh(&limits.replace("$P", process)), seen);
            }
            assert_eq!(
                container.sh("grep 'cpu time' /proc/1/limits | tr -s ' '"),
                "Max cpu time unlimited unlimited seconds"
            );
        });
    }
    for (line, says) in [
        (
            "lxc.prlimit.files = 1",
            "lxc.prlimit.files: “files” is no resource",
        ),
        (
            "lxc.prlimit.nofile = many",
            "lxc.prlimit.nofile: expected SOFT:HARD",
        ),
        (
            "lxc.prlimit.nofile = 9:8",
            "a soft limit that is not above the hard one",
        ),
        (
            "lxc.prlimit.nofile = unlimited",
            "lxc.prlimit.nofile: the hard limit may be",
        ),
    ] {
        refused(Owner::User, line, says);
    }
    let says = match may_lift_limits() {
        true => "the kernel allows",
        false => "the hard limit may be",
    };
    refused(Owner::Root, "lxc.prlimit.nofile = unlimited", says);
}

/// Only outside of its user namespace can a hard limit be lifted.
#[test]
fn root_lifts_limits_for_a_container_with_ids_of_its_own() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.append(
            "lxc.idmap = u 0 1073741824 65536\nlxc.idmap = g 0 1073741824 65536\n\
             lxc.prlimit.nofile = 100:5000",
        );
        container.sh_on_host("chown -hR 1073741824:1073741824 /var/lib/lxc/web/rootfs");
        let low = "ulimit -n 64; exec berth start --here web";
        if !may_lift_limits() {
            let output = container.command("sh").args(["-c", low]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("the hard limit may be 64 at most"), "{said}");
            return container.destroy();
        }
        container.sh_on_host(low);
        for process in ["1", "self"] {
            assert_eq!(
                container.sh(&format!(
                    "grep 'open files' /proc/{process}/limits | tr -s ' ' | sed 's/ $//'"
                )),
                "Max open files 100 5000 files"
            );
        }
        container.destroy();
    });
}

#[test]
fn files_in_proc() {
    let lines = "lxc.proc.oom_score_adj = 17\nlxc.proc.coredump_filter = 1\n\
                 lxc.proc.timerslack_ns = 1\nlxc.proc.timerslack_ns =";
    for owner in BOTH {
        in_container(owner, lines, |container| {
            assert_eq!(container.sh("cat /proc/1/oom_score_adj"), "17");
            assert_eq!(container.sh("cat /proc/1/coredump_filter"), "00000001");
        });
    }
    let lowered = "lxc.proc.oom_score_adj = -500";
    match may_lift_limits() {
        true => in_container(Owner::Root, lowered, |container| {
            assert_eq!(container.sh("cat /proc/1/oom_score_adj"), "-500");
        }),
        false => refused(Owner::Root, lowered, "takes CAP_SYS_RESOURCE"),
    }
    for (line, says) in [
        (
            "lxc.proc.nothing = 1",
            "lxc.proc.nothing: no file of a process in /proc",
        ),
        (
            "lxc.proc.status = 1",
            "lxc.proc.status: no file of a process in /proc that can be written",
        ),
        ("lxc.proc.exe = 1", "lxc.proc.exe: no file"),
        ("lxc.proc.mem = 1", "lxc.proc.mem: mem is no setting"),
        (
            "lxc.proc.oom_score_adj = much",
            "expected a number from -1000 to 1000",
        ),
        (
            "lxc.proc.oom_score_adj = -500",
            "expected a number from 0 (what your processes have",
        ),
        (
            "lxc.proc.coredump_filter = x",
            "lxc.proc.coredump_filter: the kernel does not take “x”",
        ),
    ] {
        refused(Owner::User, line, says);
    }
}

#[test]
fn kernel_parameters() {
    let lines = "lxc.sysctl.net.ipv4.ip_forward = 1\nlxc.sysctl.net.ipv4.conf.lo.rp_filter = 2\n\
                 lxc.sysctl.net.ipv4.ip_default_ttl = 9\nlxc.sysctl.net.ipv4.ip_default_ttl =";
    for owner in BOTH {
        let host_before = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        in_container(owner, lines, |container| {
            let read = |name: &str| container.sh(&format!("cat /proc/sys/net/ipv4/{name}"));
            assert_eq!(read("ip_forward"), "1");
            assert_eq!(read("conf/lo/rp_filter"), "2");
            assert_eq!(read("ip_default_ttl"), "64");
            assert_eq!(
                container.sh_on_host("cat /proc/sys/net/ipv4/ip_forward"),
                "0"
            );
        });
        let host_after = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        assert_eq!(host_before, host_after);
    }
    in_container(
        Owner::Root,
        "lxc.sysctl.kernel.msgmax = 4321",
        |container| {
            assert_eq!(container.sh("cat /proc/sys/kernel/msgmax"), "4321");
            assert_ne!(container.sh_on_host("cat /proc/sys/kernel/msgmax"), "4321");
        },
    );
    for (line, says) in [
        (
            "lxc.sysctl.vm.swappiness = 1",
            "belongs to the whole host, not to a container; expected",
        ),
        (
            "lxc.sysctl.kernel.hostname = a",
            "lxc.uts.name sets the host name",
        ),
        (
            "lxc.sysctl.net.ipv4.nothing = 1",
            "net.ipv4.nothing: a container of this kernel has no such",
        ),
        (
            "lxc.sysctl.net.ipv4.ip_forward = x",
            "the kernel does not take the value “x”",
        ),
        (
            "lxc.net.0.type = none\nlxc.sysctl.net.ipv4.ip_forward = 1",
            "no network namespace of its own",
        ),
    ] {
        refused(Owner::User, line, says);
    }
    refused(
        Owner::Root,
        "lxc.sysctl.user.max_net_namespaces = 1",
        "no user namespace of its own",
    );
}

/// Kernels without it, and machines whose cores run one thread each, refuse it.
#[test]
fn core_scheduling() {
    let lines = "lxc.sched.core = 1";
    match berth_kernel::core_sched::cookie() {
        Ok(_) => in_container(Owner::User, lines, |container| {
            container.sh("true");
        }),
        Err(error) => {
            let why = match error.raw_os_error() {
                Some(nix::libc::ENODEV) => "no core of this machine runs several threads",
                _ => "this kernel is built without core scheduling",
            };
            refused(Owner::User, lines, why);
        }
    }
    in_container(Owner::User, "lxc.sched.core = 0", |_| {});
    refused(
        Owner::User,
        "lxc.sched.core = 2",
        "lxc.sched.core: expected 0 or 1",
    );
}

#[test]
fn clocks() {
    let lines = "lxc.time.offset.boot = 100h\nlxc.time.offset.monotonic = -1500ms";
    let uptime = "cut -d. -f1 /proc/uptime";
    for owner in BOTH {
        in_container(owner, lines, |container| {
            let ahead = |container: &Container<'_>| {
                let number = |text: String| text.parse::<i64>().unwrap();
                number(container.sh(uptime)) - number(container.sh_on_host(uptime))
            };
            assert!((359_990..=360_010).contains(&ahead(container)));
            assert_eq!(
                container.sh("tr -s ' ' </proc/1/timens_offsets"),
                "monotonic -2 500000000\nboottime 360000 0"
            );
            container.stop();
            container.start();
            assert!((359_990..=360_010).contains(&ahead(container)));
        });
    }
    for (line, says) in [
        (
            "lxc.time.offset.boot = 5",
            "lxc.time.offset.boot: expected a number with one of the units",
        ),
        (
            "lxc.time.offset.boot = -99999h",
            "lxc.time.offset.boot: the clock of the container would stand",
        ),
        (
            "lxc.time.offset.monotonic = -99999h",
            "lxc.time.offset.monotonic: the clock",
        ),
    ] {
        refused(Owner::User, line, says);
    }
}
