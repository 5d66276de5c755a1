//! Every published weakness of lxc-user-nic, and the two ways around its quota, by name.

mod world;

use world::{ALICE, BOB, World, answer, refusal};

/// CVE-2017-5985: an interface was created in network namespaces that the caller did not own.
#[test]
fn cve_2017_5985_nothing_is_created_in_a_namespace_of_others() {
    let world = World::new("alice veth br0 9\n");
    let his = world.container(BOB);
    // Hers by uid, but in the host's network namespace.
    let own = world.spawn(world.command_as(ALICE, &["sh", "-c", "echo $$; exec sleep 600"]));
    let interfaces = || world.must(&["ip", "-o", "link"]);
    let before = interfaces();
    let mut words = Vec::new();
    for pid in [his.pid.as_str(), &own.pid, "1", "4000000"] {
        let text = refusal(&world.create(ALICE, pid, "br0", "eth7"));
        words.push(text.replace(&format!("process {pid} "), "process N "));
    }
    // Nobody learns from the answer which of them exist.
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(interfaces(), before);
    assert!(!world.inside(&his, &["ip", "-o", "link"]).contains("eth7"));
}

fn delete(world: &World, path: &str) -> String {
    let helper = world.helper();
    let words = [
        &helper,
        "delete",
        "/p",
        "web",
        path,
        "veth",
        "br0",
        "veth1000_aaaa",
    ];
    let output = world.run_as(ALICE, &[&["timeout", "10"], &words[..]].concat());
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    refusal(&output)
}

/// CVE-2018-6556: `delete` opened whatever path the caller named, with root's rights.
#[test]
fn cve_2018_6556_no_path_of_the_callers_is_opened() {
    let world = World::new("alice veth br0 9\n");
    let web = world.container(ALICE);
    // Opening a FIFO for reading would wait for a writer, for ever.
    world.must(&["mkfifo", "-m", "666", "/run/fifo"]);
    world.must(&[
        "sh",
        "-c",
        "mkdir -m 700 /run/secret; touch /run/secret/there",
    ]);
    delete(&world, "/run/fifo");
    delete(&world, &format!("/proc/{}/root/run/fifo", web.pid));
    let log = world.path("trace");
    let helper = world.helper();
    let request = [
        &helper,
        "delete",
        "/p",
        "web",
        "/run/secret/there",
        "veth",
        "br0",
        "veth0",
    ];
    let tracer = ["strace", "-u", "alice", "-o", &log, "--"];
    world.root(&[&tracer, &request[..]].concat());
    let calls = std::fs::read_to_string(&log).unwrap();
    let (_, own) = calls.split_once("close_range(").unwrap();
    assert!(!own.contains("/run/secret"), "{own}");
}

/// CVE-2022-47952: different answers told which files exist where the caller may not look.
#[test]
fn cve_2022_47952_the_answer_does_not_tell_what_exists() {
    let world = World::new("alice veth br0 9\n");
    let his = world.container(BOB);
    world.must(&[
        "sh",
        "-c",
        "mkdir -m 700 /run/secret; touch /run/secret/there",
    ]);
    let mut answers: Vec<String> = [
        "/run/secret/there",
        "/run/secret/missing",
        "/etc/shadow",
        "/proc/1/fd/0",
        "/proc/1/ns/net",
        &format!("/proc/{}/ns/net", his.pid),
        &format!("/proc/{}/fd/9", his.pid),
        "/proc/4000000/ns/net",
    ]
    .iter()
    .map(|path| delete(&world, path))
    .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// CVE-2026-39402: any user could delete any user's port of an Open vSwitch bridge. Shown beside
/// the original in `contract::open_vswitch_ports_are_added_and_deleted`; here without a switch.
#[test]
fn cve_2026_39402_only_own_ports_are_deleted() {
    let world = World::new("alice veth br0 9\nbob veth br0 9\n");
    let (hers, his) = (world.container(ALICE), world.container(BOB));
    let [_, _, host, _] = answer(&world.create(BOB, &his.pid, "br0", "eth0"));
    let place = format!("/proc/{}/ns/net", hers.pid);
    let helper = world.helper();
    let words = [&helper, "delete", "/p", "web", &place, "veth", "br0", &host];
    refusal(&world.run_as(ALICE, &words));
    assert_eq!(world.ports("br0"), [host]);
}

/// Limits of every kind, soft and hard, on the way of a request: the quota holds, and what is
/// created is whole. (LXC with a file size limit: `contract::a_file_size_limit_is_no_way_around_the_quota`.)
#[test]
fn rlimit_bypass_no_limit_leads_around_the_quota() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    let helper = world.helper();
    for limit in [
        "--fsize=0",
        "--nofile=3",
        "--nofile=8",
        "--as=4000000",
        "--data=1",
        "--stack=20000",
        "--cpu=0",
        "--cpu=1",
        "--memlock=0",
        "--nproc=0",
        "--locks=0",
        "--sigpending=0",
        "--core=1",
        "--rttime=1",
        "--rss=1",
    ] {
        let words = [
            "prlimit", limit, "--", &helper, "create", "/p", "web", &web.pid, "veth", "br0", "",
        ];
        let output = world.run_as(ALICE, &words);
        let ports = world.ports("br0");
        assert!(ports.len() <= 1, "{limit}: {ports:?}");
        if output.status.success() {
            assert_eq!(ports.len(), 1, "{limit}: {output:?}");
        }
        // One that a killed request left down makes room for the next; two there never are.
        let next = world.create(ALICE, &web.pid, "br0", "");
        let now = world.ports("br0");
        assert!(now.len() <= 1, "{limit}: {ports:?}, then {now:?}");
        assert!(
            !next.status.success() || ports != now,
            "{limit}: {next:?} beside {ports:?}"
        );
        for port in world.ports("br0") {
            world.must(&["ip", "link", "del", &port]);
        }
    }
}

/// LXC forgets live NICs when it drops stale lines from its file; here there is no file to be
/// wrong, and a view that says anything changes nothing.
#[test]
fn cull_bypass_the_view_is_not_believed() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
    let views = [
        "",
        "alice veth br0 veth1000_gone\n",
        "\0\u{fffd}\n\n alice",
        "other veth br0",
    ];
    for view in views {
        world.must(&["mkdir", "-p", "/run/lxc"]);
        std::fs::write(world.inner("/run/lxc/nics"), view).unwrap();
        let text = refusal(&world.create(ALICE, &web.pid, "br0", "eth1"));
        assert!(text.contains("1 of 1"), "{text}");
    }
    assert_eq!(world.ports("br0").len(), 1);
}
