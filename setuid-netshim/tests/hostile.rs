//! What a hostile user, a broken host or bad luck puts in a request's way.

mod world;

use std::process::{Command, Stdio};
use std::time::Duration;
use world::{ALICE, BOB, World, answer, refusal, stdout};

fn traced(world: &World, options: &[&str], request: &[&str]) -> Command {
    let helper = world.helper();
    let tracer = [&["strace", "-u", "alice", "-q"], options].concat();
    world.command(&[&tracer[..], &[helper.as_str()], request].concat())
}

#[test]
fn a_full_or_read_only_run_directory() {
    let world = World::new("alice veth br0 9\nbob veth br0 9\n");
    let (hers, his) = (world.container(ALICE), world.container(BOB));
    world.must(&[
        "sh",
        "-c",
        "mount -o remount,size=64k /run; cat /dev/zero >/run/full || true",
    ]);
    answer(&world.create(ALICE, &hers.pid, "br0", "eth0"));
    answer(&world.create(BOB, &his.pid, "br0", "eth0"));
    world.must(&["mount", "-o", "remount,ro", "/run"]);
    let text = refusal(&world.create(ALICE, &hers.pid, "br0", "eth1"));
    assert!(
        text.contains("cannot lock /run/berth/usernic/1000: Read-only"),
        "{text}"
    );
    assert_eq!(world.ports("br0").len(), 2);
    world.must(&["mount", "-o", "remount,rw", "/run"]);
    answer(&world.create(ALICE, &hers.pid, "br0", "eth1"));
}

#[test]
fn binary_garbage_in_every_file_it_reads() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    let garbage: Vec<u8> = (0..20_000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    for file in [
        "/etc/lxc/lxc-usernet",
        "/etc/passwd",
        "/etc/group",
        "/etc/nsswitch.conf",
        "/run/lxc/nics",
    ] {
        let path = world.inner(file);
        let _ = std::fs::create_dir_all(path.parent().unwrap());
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, &garbage).unwrap();
        let uid = ALICE.to_string();
        let helper = world.helper();
        let words = [
            "setpriv",
            "--reuid",
            &uid,
            "--regid",
            &uid,
            "--clear-groups",
            &helper,
            "create",
            "/p",
            "web",
            &web.pid,
            "veth",
            "br0",
            "eth0",
        ];
        let output = world.root(&words);
        // It decides, whatever it decides; it is ended by nothing.
        assert!(
            output.status.code().is_some_and(|code| code <= 12),
            "{file}: {output:?}"
        );
        assert!(world.ports("br0").len() <= 1, "{file}");
        std::fs::write(&path, before.unwrap_or_default()).unwrap();
    }
    for port in world.ports("br0") {
        world.must(&["ip", "link", "del", &port]);
    }
    answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
}

#[test]
fn a_process_file_system_that_hides_lies_or_is_missing() {
    let world = World::new("alice veth br0 9\n");
    let web = world.container(ALICE);
    world.must(&["mount", "-o", "remount,hidepid=2", "/proc"]);
    answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
    // FIFOs and files where namespaces should be: none is opened, none is believed.
    let script = "mount -t tmpfs tmpfs /proc; mkdir -p /proc/thread-self/ns /proc/self/task/1 \
        /proc/1/ns /proc/$1/ns; for d in thread-self 1 $1; do mkfifo -m 666 /proc/$d/ns/net; \
        touch /proc/$d/ns/user; done";
    world.must(&["sh", "-c", script, "sh", &web.pid]);
    let helper = world.helper();
    let request = ["create", "/p", "web", &web.pid, "veth", "br0", "eth1"];
    let run = || {
        let limited = ["timeout", "10", &helper];
        let output = world.run_as(ALICE, &[&limited, &request[..]].concat());
        // 124 is timeout(1)'s.
        assert!(
            output.status.code().is_some_and(|code| code <= 12),
            "{output:?}"
        );
        refusal(&output)
    };
    // thread-self/ns/net is a FIFO now; only root could make it so, who would harm himself.
    world.must(&[
        "sh",
        "-c",
        "rm /proc/thread-self/ns/net; touch /proc/thread-self/ns/net",
    ]);
    run();
    world.must(&["sh", "-c", "umount /proc; mount -t tmpfs tmpfs /proc"]);
    run();
    world.must(&["umount", "/proc"]);
    assert_eq!(world.ports("br0").len(), 1);
}

#[test]
fn a_process_number_that_is_used_again_meanwhile() {
    let world = World::new("alice veth br0 9\n");
    let hers = world.container(ALICE);
    let pid = hers.pid.clone();
    // The request is held between opening the process and looking at its namespace.
    let request = ["create", "/p", "web", &pid, "veth", "br0", "eth0"];
    let delay = [
        "-o",
        "/dev/null",
        "-e",
        "trace=readlinkat",
        "-e",
        "inject=readlinkat:delay_enter=1500000:when=2",
    ];
    let held = traced(&world, &delay, &request)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    hers.end();
    let last = (pid.parse::<u32>().unwrap() - 1).to_string();
    let script = "echo $1 >/proc/sys/kernel/ns_last_pid; exec setpriv --reuid 1001 --regid 1001 \
        --clear-groups unshare -U -r -n sh -c 'echo $$; exec sleep 600'";
    let his = world.spawn(world.command(&["sh", "-c", script, "sh", &last]));
    let output = held.wait_with_output().unwrap();
    let text = refusal(&output);
    assert!(text.contains("has no network namespace of yours"), "{text}");
    assert!(world.ports("br0").is_empty());
    assert!(!world.inside(&his, &["ip", "-o", "link"]).contains("eth0"));
}

#[test]
fn a_namespace_handed_over_twice_and_one_that_somebody_else_entered() {
    let world = World::new("alice veth br0 9\nbob veth br0 9\n");
    let hers = world.container(ALICE);
    let both: Vec<_> = (0..2)
        .map(|_| {
            let mut command = world.create_command(ALICE, &hers.pid, "br0", "eth0");
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let outputs: Vec<_> = both
        .into_iter()
        .map(|one| one.wait_with_output().unwrap())
        .collect();
    let granted = outputs
        .iter()
        .filter(|output| output.status.success())
        .count();
    assert_eq!(granted, 1, "{outputs:?}");
    let refused = outputs
        .iter()
        .find(|output| !output.status.success())
        .unwrap();
    assert!(
        refusal(refused).contains("already has an interface eth0"),
        "{refused:?}"
    );
    // Bob's process in her namespace: the namespace is hers, whoever is in it.
    let enter = [
        "nsenter",
        "-t",
        &hers.pid,
        "-n",
        "setpriv",
        "--reuid",
        "1001",
        "--regid",
        "1001",
        "--clear-groups",
        "sh",
        "-c",
        "echo $$; exec sleep 600",
    ];
    let guest = world.spawn(world.command(&enter));
    refusal(&world.create(BOB, &guest.pid, "br0", "eth1"));
    answer(&world.create(ALICE, &guest.pid, "br0", "eth1"));
    assert_eq!(world.ports("br0").len(), 2);
}

#[test]
fn a_host_name_that_is_taken_is_not_the_last_try() {
    let world = World::new("alice veth br0 9\n");
    let web = world.container(ALICE);
    world.must(&[
        "ip",
        "link",
        "add",
        "veth1000_0000",
        "type",
        "veth",
        "peer",
        "name",
        "x",
    ]);
    let request = ["create", "/p", "web", &web.pid, "veth", "br0", "eth0"];
    let trace = world.path("trace");
    let run = |inject: &[&str]| {
        let options = [&["-o", &trace, "-e", "trace=getrandom"], inject].concat();
        let output = traced(&world, &options, &request).output().unwrap();
        (answer(&output), std::fs::read_to_string(&trace).unwrap())
    };
    // Which of its requests for random bytes makes the name.
    let ([_, _, host, _], calls) = run(&[]);
    let number = calls
        .lines()
        .position(|call| call.contains(", 9, 0)"))
        .unwrap()
        + 1;
    world.must(&["ip", "link", "del", &host]);
    let zeroes = format!("inject=getrandom:poke_exit=@arg1=000000000000000000:when={number}");
    let ([_, _, host, _], calls) = run(&["-e", &zeroes]);
    assert!(
        host != "veth1000_0000" && host.starts_with("veth1000_"),
        "{host}"
    );
    assert_eq!(calls.matches(", 9, 0)").count(), 2, "{calls}");
    assert_eq!(world.ports("br0"), [host]);
}

#[test]
fn names_and_uids_at_their_limits() {
    let world = World::new("big veth br0 1\nhuge veth br0 1\nalice veth br0 1\n");
    let append = |file: &str, text: &str| {
        let path = world.inner(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, before + text).unwrap();
    };
    append(
        "/etc/passwd",
        "big:x:65537:65537::/:/bin/sh\nhuge:x:4294967294:65537::/:/bin/sh\n",
    );
    append("/etc/group", "big:x:65537:\n");
    for (uid, prefix) in [("65537", "vethH33-"), ("4294967294", "veth")] {
        let identity = [
            "setpriv",
            "--reuid",
            uid,
            "--regid",
            "65537",
            "--clear-groups",
        ];
        let stand_in = [
            "unshare",
            "-U",
            "-r",
            "-n",
            "sh",
            "-c",
            "echo $$; exec sleep 600",
        ];
        let container = world.spawn(world.command(&[&identity, &stand_in[..]].concat()));
        let helper = world.helper();
        let request = |name| {
            let request = [
                &helper,
                "create",
                "/p",
                "web",
                &container.pid,
                "veth",
                "br0",
                name,
            ];
            world.root(&[&identity, &request[..]].concat())
        };
        let [_, _, host, _] = answer(&request("fifteen_bytes_x"));
        assert!(host.starts_with(prefix) && host.len() <= 15, "{host}");
        assert!(refusal(&request("eth1")).contains("1 of 1"));
    }
    let web = world.container(ALICE);
    let text = refusal(&world.create(ALICE, &web.pid, "br0", "sixteen_bytes_xx"));
    assert!(
        text.contains("is no name for a network interface"),
        "{text}"
    );
    let text = refusal(&world.create(ALICE, &web.pid, "sixteen_bytes_br", "eth0"));
    assert!(
        text.contains("is no name for a network interface"),
        "{text}"
    );
}

#[test]
fn file_capabilities_serve_without_the_setuid_bit() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    // Made by tmpfiles.d on a host; without root's uid nobody makes it.
    world.must(&[
        "sh",
        "-c",
        "mkdir -p /run/berth && mkdir -m 700 /run/berth/usernic",
    ]);
    let helper = world.helper_with_mode(0o755);
    for set in [
        "cap_net_admin,cap_sys_ptrace,cap_setuid+ep",
        "cap_net_admin,cap_sys_ptrace,cap_dac_override+ep",
    ] {
        world.must(&["setcap", set, &helper]);
        let request = |name| {
            [
                helper.as_str(),
                "create",
                "/p",
                "web",
                &web.pid,
                "veth",
                "br0",
                name,
            ]
            .map(str::to_owned)
        };
        let run = |name| {
            let words = request(name);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            // A niceness that the helper may not undo.
            world.run_as(ALICE, &[&["nice", "-n", "5"], &words[..]].concat())
        };
        let [_, _, host, _] = answer(&run("eth0"));
        assert!(refusal(&run("eth1")).contains("1 of 1"), "{set}");
        world.must(&["ip", "link", "del", &host]);
    }
    world.must(&["setcap", "cap_net_admin+ep", &helper]);
    let output = world.run_as(
        ALICE,
        &[
            &helper, "create", "/p", "web", &web.pid, "veth", "br0", "eth0",
        ],
    );
    assert_eq!(output.status.code(), Some(3));
    assert!(
        refusal(&output).contains("has no file capabilities"),
        "{output:?}"
    );
}

#[test]
fn it_confines_itself_before_it_looks_and_again_before_it_acts() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    let trace = world.path("trace");
    let request = ["create", "/p", "web", &web.pid, "veth", "br0", "eth0"];
    let output = traced(&world, &["-o", &trace], &request).output().unwrap();
    answer(&output);
    let calls = std::fs::read_to_string(&trace).unwrap();
    let at = |needle: &str| {
        calls
            .find(needle)
            .unwrap_or_else(|| panic!("no {needle}: {calls}"))
    };
    let filters: Vec<usize> = calls
        .match_indices("SECCOMP_SET_MODE_FILTER")
        .map(|(at, _)| at)
        .collect();
    assert_eq!(filters.len(), 2, "{calls}");
    let dropped = at("capset(");
    assert!(at("setresuid(0, 0, 0)") < dropped && dropped < at("PR_SET_NO_NEW_PRIVS"));
    assert!(filters[0] > dropped && filters[0] < at("ns/net"), "{calls}");
    assert!(
        filters[1] > at("/etc/passwd") && filters[1] < at("flock("),
        "{calls}"
    );
    // Nothing that it needs is refused on the way.
    let behind = &calls[filters[1]..];
    assert!(!behind.contains("ENOSYS"), "{behind}");
    assert!(!stdout(&output).is_empty());
}
