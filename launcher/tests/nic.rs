//! `berth nic` on a host of its own, with NICs as the helper makes them.

#[path = "../../setuid-netshim/tests/world/mod.rs"]
mod world;

use std::process::Output;
use world::{ALICE, Container, World, stderr, stdout};

fn berth(world: &World, uid: Option<u32>, words: &[&str]) -> Output {
    // Root's build directory may not be open to users.
    let program = world.path("berth");
    if !std::path::Path::new(&program).exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_berth"), &program).unwrap();
    }
    let all = [&[program.as_str(), "nic"], words].concat();
    match uid {
        Some(uid) => world.run_as(uid, &all),
        None => world.root(&all),
    }
}

/// A NIC as the helper makes it, of this state.
fn nic(world: &World, host: &str, uid: &str, container: &Container, done: bool) {
    let script = "set -e; ip link add $1 group $2 master br0 type veth peer name ${1##*_}x netns $3
        if [ $4 = true ]; then
            ip link set $1 alias \"berth uid=$2 since=1700000000 container=web\" up; fi";
    let done = if done { "true" } else { "false" };
    world.must(&["sh", "-c", script, "sh", host, uid, &container.pid, done]);
}

#[test]
fn root_sees_all_and_a_user_his_own() {
    let world = World::new("alice veth br0 2\nbob veth br0 1\n");
    let web = world.container(ALICE);
    nic(&world, "v1", "0", &web, true);
    nic(&world, "veth1000_aaaa", "1000", &web, true);
    nic(&world, "veth1001_bbbb", "1001", &web, true);
    let all = stdout(&berth(&world, None, &["list"]));
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(words[..5], ["alice", "web", "br0", "veth1000_aaaa", "up"]);
    assert!(lines[1].contains("2023-11-14"), "{all}");
    let hers = stdout(&berth(&world, Some(ALICE), &["list"]));
    assert!(
        hers.contains("veth1000_aaaa") && !hers.contains("veth1001_bbbb"),
        "{hers}"
    );
    let json = stdout(&berth(&world, None, &["list", "--json"]));
    assert!(
        json.contains("\"since\": 1700000000") && json.contains("\"packets\""),
        "{json}"
    );
    // The view that scripts of LXC's read, whatever they did to it.
    let view = || world.must(&["cat", "/run/lxc/nics"]);
    let expected = "alice veth br0 veth1000_aaaa\nbob veth br0 veth1001_bbbb\n";
    assert_eq!(view(), expected);
    world.must(&["sed", "-i", "/alice/d", "/run/lxc/nics"]);
    assert_eq!(view(), "bob veth br0 veth1001_bbbb\n");
    berth(&world, None, &["verify"]);
    assert_eq!(view(), expected);
    // What a request leaves word of.
    world.must(&[
        "sh",
        "-c",
        "rm /run/lxc/nics; mkdir -p /run/berth/usernic; touch /run/berth/usernic/changed",
    ]);
    assert!(berth(&world, None, &["view"]).status.success());
    assert_eq!(view(), expected);
    assert!(!world.inner("/run/berth/usernic/changed").exists());
    let hers = berth(&world, Some(ALICE), &["view"]);
    assert_eq!(hers.status.code(), Some(1));
    assert!(stderr(&hers).contains("only root writes"), "{hers:?}");
}

#[test]
fn what_no_container_uses_is_found_and_removed() {
    let world = World::new("alice veth br0 9\nbob veth br0 1\n");
    let (web, db) = (world.container(ALICE), world.container(ALICE));
    nic(&world, "veth1000_good", "1000", &web, true);
    nic(&world, "veth1000_left", "1000", &web, false);
    nic(&world, "veth1000_pins", "1000", &db, true);
    nic(&world, "veth1001_0001", "1001", &web, true);
    // A namespace without processes that somebody keeps.
    world.must(&["touch", "/run/pinned"]);
    world.must(&[
        "mount",
        "--bind",
        &format!("/proc/{}/ns/net", db.pid),
        "/run/pinned",
    ]);
    db.end();
    let verified = berth(&world, None, &["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let text = stdout(&verified);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("veth1000_left of alice: its request was killed"),
        "{text}"
    );
    assert!(
        text.contains("veth1000_pins of alice: no process is left"),
        "{text}"
    );

    assert!(stderr(&berth(&world, Some(ALICE), &["gc"])).contains("needs root"));
    let removed = stdout(&berth(&world, None, &["gc"]));
    assert_eq!(removed.lines().count(), 2, "{removed}");
    assert_eq!(world.ports("br0"), ["veth1000_good", "veth1001_0001"]);
    let again = berth(&world, None, &["gc"]);
    assert_eq!(
        (again.status.code(), stdout(&again)),
        (Some(0), String::new())
    );
    assert!(berth(&world, None, &["verify"]).status.success());
    // Less is granted than there is, and something is not as the helper makes it.
    world.write_usernet("alice veth br0 0\n");
    world.must(&["ip", "link", "set", "veth1001_0001", "group", "7"]);
    let text = stdout(&berth(&world, None, &["verify"]));
    assert!(
        text.contains("alice has 1 NICs on br0, /etc/lxc/lxc-usernet grants 0"),
        "{text}"
    );
    assert!(text.contains("bob has 1 NICs on br0"), "{text}");
    assert!(text.contains("its group is 7, not 1001"), "{text}");
}

#[test]
fn the_linter_names_file_and_line() {
    let world = World::new("# quotas\nalice veth br0 2\n veth br0 2\nnosuch veth br7 0 x\n");
    let checked = berth(&world, None, &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    let text = stdout(&checked);
    for finding in [
        "/etc/lxc/lxc-usernet:3: the line begins with a blank",
        "/etc/lxc/lxc-usernet:4: there is no user nosuch",
        "/etc/lxc/lxc-usernet:4: there is no bridge br7",
        "/etc/lxc/lxc-usernet:4: the count 0 grants nothing",
        "/etc/lxc/lxc-usernet:4: “x” behind the count is ignored",
    ] {
        assert!(text.contains(finding), "{finding}: {text}");
    }
    assert_eq!(text.lines().count(), 5, "{text}");
    world.write_usernet("alice veth br0 2\n");
    assert!(berth(&world, Some(ALICE), &["check"]).status.success());
}
