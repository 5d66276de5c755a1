//! Requests to the installed helper, against the running kernel.

mod world;

use std::process::{Output, Stdio};
use world::{ALICE, BOB, CAROL, World, answer, refusal, stderr, stdout};

#[test]
fn a_nic_within_the_quota() {
    let world = World::new("alice veth br0 2\n");
    let web = world.container(ALICE);
    let [inside, inside_index, host, host_index] =
        answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
    assert_eq!(inside, "eth0");
    assert!(host.starts_with("veth1000_") && host.len() == 13, "{host}");
    assert_eq!(world.ports("br0"), [host.as_str()]);
    let sysfs = |file: &str| {
        world
            .must(&["cat", &format!("/sys/class/net/{host}/{file}")])
            .trim()
            .to_owned()
    };
    assert_eq!(sysfs("ifindex"), host_index);
    assert_eq!(sysfs("mtu"), "1400", "the bridge's MTU");
    assert!(
        sysfs("address").starts_with("fe:"),
        "a bridge would take this address"
    );
    assert_eq!(sysfs("netdev_group"), "1000");
    let alias = sysfs("ifalias");
    assert!(
        alias.starts_with("berth uid=1000 since=") && alias.ends_with(" container=web"),
        "{alias}"
    );
    assert!(world.must(&["ip", "link", "show", &host]).contains(",UP"));

    let link = world.inside(&web, &["ip", "-o", "link", "show", "eth0"]);
    assert!(
        link.starts_with(&format!("{inside_index}: eth0@")),
        "{link}"
    );
    assert!(link.contains("mtu 1400") && !link.contains(",UP"), "{link}");
    let logged = world.logged();
    assert!(
        logged.contains(&format!(
            "granted uid=1000 user=alice bridge=br0 nic={host} inside=eth0"
        )),
        "{logged}"
    );
    assert!(logged.starts_with("<86>berth-usernic["), "{logged}");
    // For whoever writes the view; the request itself writes none.
    world.must(&["test", "-f", "/run/berth/usernic/changed"]);
    assert!(!world.inner("/run/lxc/nics").exists());
}

#[test]
fn the_next_free_name_and_a_taken_one() {
    let world = World::new("alice veth br0 5\n");
    let web = world.container(ALICE);
    let [first, first_index, ..] = answer(&world.create(ALICE, &web.pid, "br0", ""));
    assert_eq!(first, "eth0");
    let [second, second_index, ..] = answer(&world.create(ALICE, &web.pid, "br0", ""));
    assert_eq!(second, "eth1");
    for (name, index) in [("eth0", first_index), ("eth1", second_index)] {
        let link = world.inside(&web, &["ip", "-o", "link", "show", name]);
        assert!(link.starts_with(&format!("{index}: ")), "{link}");
    }
    let taken = refusal(&world.create(ALICE, &web.pid, "br0", "eth1"));
    assert!(
        taken.contains("the container already has an interface eth1"),
        "{taken}"
    );
    assert_eq!(world.ports("br0").len(), 2);
}

#[test]
fn beyond_the_quota() {
    let world = World::new("# quotas\nalice veth br0 1\nalice veth br1 9\n");
    let (web, db) = (world.container(ALICE), world.container(ALICE));
    let [_, _, host, _] = answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
    let text = refusal(&world.create(ALICE, &db.pid, "br0", "eth0"));
    assert_eq!(
        text,
        format!(
            "berth-usernic: quota reached: alice has 1 of 1 NICs on br0 ({host}); stop a \
             container, or ask an administrator to change line 2 of /etc/lxc/lxc-usernet to: \
             alice veth br0 2\n"
        )
    );
    assert!(world.logged().contains("refused uid=1000: quota reached"));
    // Another bridge has its own quota.
    answer(&world.create(ALICE, &db.pid, "br1", "eth1"));
    // What ends makes room, even while the kernel still takes it down.
    web.end();
    answer(&world.create_when_there_is_room(ALICE, &db.pid, "br0", "eth0"));
    world.wait_for_ports("br0", 1);
    world.write_usernet("alice veth br0 0\n");
    let text = refusal(&world.create(ALICE, &db.pid, "br0", "eth2"));
    assert!(
        text.contains("change line 1 of /etc/lxc/lxc-usernet to: alice veth br0 1"),
        "{text}"
    );
}

#[test]
fn each_refusal_has_its_own_words() {
    let world = World::new("alice veth br0 2\nalice veth br7 1\nalice veth other 1\n");
    world.must(&[
        "ip", "link", "add", "other", "type", "veth", "peer", "name", "other2",
    ]);
    let web = world.container(ALICE);
    for (bridge, name, words) in [
        (
            "br1",
            "eth0",
            "alice may not use bridge br1: no line for it in /etc/lxc/lxc-usernet (ask an \
             administrator to add: alice veth br1 1)",
        ),
        ("br7", "eth0", "there is no bridge br7 on this host"),
        (
            "other",
            "eth0",
            "other is no bridge, but an interface of type veth",
        ),
        (
            "none",
            "eth0",
            "alice may not have NICs without a bridge: no line for it",
        ),
        ("a/b", "eth0", "is no name for a network interface"),
        (
            "br0",
            "sixteen_bytes_xx",
            "is no name for a network interface",
        ),
    ] {
        let text = refusal(&world.create(ALICE, &web.pid, bridge, name));
        assert!(text.contains(words), "{bridge} {name}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    world.write_usernet("");
    let text = refusal(&world.create(ALICE, &web.pid, "br0", "eth0"));
    assert!(text.contains("no line for it"), "{text}");
    world.must(&["chmod", "666", "/etc/lxc/lxc-usernet"]);
    let text = refusal(&world.create(ALICE, &web.pid, "br0", "eth0"));
    assert!(text.contains("others than root may write to it"), "{text}");
    world.must(&["rm", "/etc/lxc/lxc-usernet"]);
    let text = refusal(&world.create(ALICE, &web.pid, "br0", "eth0"));
    assert!(text.contains("no line for it"), "{text}");
    let helper = world.helper();
    let text = refusal(&world.run_as(ALICE, &[&helper, "--help"]));
    assert!(text.starts_with("usage: berth-usernic create"), "{text}");
    let text = refusal(&world.run_as(4242, &[&helper, "create", "p", "n", "1", "veth", "br0"]));
    assert!(!text.is_empty());
    assert!(world.ports("br0").is_empty());
}

#[test]
fn a_helper_without_rights_says_why() {
    let world = World::new("alice veth br0 2\n");
    let web = world.container(ALICE);
    let plain = world.helper_with_mode(0o755);
    let request = ["create", "/p", "web", &web.pid, "veth", "br0", "eth0"];
    let text = refusal(&world.run_as(ALICE, &[&[plain.as_str()], &request[..]].concat()));
    assert!(
        text.contains("is not setuid root") && text.contains("chmod 4755"),
        "{text}"
    );
    let helper = world.helper();
    let sandboxed = ["setpriv", "--no-new-privs", "--", &helper];
    let text = refusal(&world.run_as(ALICE, &[&sandboxed, &request[..]].concat()));
    assert!(text.contains("no_new_privs"), "{text}");
}

#[test]
fn only_into_namespaces_that_the_caller_answers_for() {
    let world = World::new("alice veth br0 9\nbob veth br0 9\n");
    let (hers, his) = (world.container(ALICE), world.container(BOB));
    let words = |pid: &str| {
        let text = refusal(&world.create(ALICE, pid, "br0", "eth0"));
        assert!(text.contains("has no network namespace of yours"), "{text}");
        text.replace(pid, "PID")
    };
    // Somebody else's container, the host itself, nobody: one and the same answer.
    let his_words = words(&his.pid);
    assert_eq!(words("1"), his_words);
    assert_eq!(words("4000000"), his_words);
    // Her own shell is in the host's namespace.
    let own_shell = world.spawn(world.command_as(ALICE, &["sh", "-c", "echo $$; exec sleep 600"]));
    assert_eq!(words(&own_shell.pid), his_words);
    // A namespace of root's that she did not make, though her process is in it.
    let lent = world.spawn(world.command(&[
        "unshare",
        "-n",
        "setpriv",
        "--reuid",
        "1000",
        "--regid",
        "1000",
        "--clear-groups",
        "sh",
        "-c",
        "echo $$; exec sleep 600",
    ]));
    assert_eq!(words(&lent.pid), his_words);
    assert!(
        world.ports("br0").is_empty(),
        "a NIC flashed up in a namespace of somebody else"
    );
    assert!(refusal(&world.create(BOB, &hers.pid, "br0", "eth0")).contains("of yours"));
    answer(&world.create(ALICE, &hers.pid, "br0", "eth0"));
    answer(&world.create(BOB, &his.pid, "br0", "eth0"));
}

#[test]
fn namespaces_inside_her_container_are_hers_whoever_made_them() {
    let world = World::new("alice veth br0 9\nbob veth br0 9\n");
    let outer = world.spawn(world.command_as(
        ALICE,
        &["unshare", "-U", "sh", "-c", "echo $$; exec sleep 600"],
    ));
    // Root of her container, and inside of it an id that is 100004 for the host.
    for map in ["uid_map", "gid_map"] {
        let script = format!(
            "printf '0 1000 1\\n1 100000 10\\n' > /proc/{}/{map}",
            outer.pid
        );
        world.must(&["sh", "-c", &script]);
    }
    let nested = world.spawn(world.command(&[
        "nsenter",
        "-t",
        &outer.pid,
        "-U",
        "-S",
        "5",
        "-G",
        "5",
        "--",
        "unshare",
        "-U",
        "-n",
        "sh",
        "-c",
        "echo $$; exec sleep 600",
    ]));
    assert!(refusal(&world.create(BOB, &nested.pid, "br0", "eth0")).contains("of yours"));
    answer(&world.create(ALICE, &nested.pid, "br0", "eth0"));
}

#[test]
fn called_from_another_network_namespace_it_refuses() {
    let world = World::new("alice veth br0 9\n");
    let web = world.container(ALICE);
    let helper = world.helper();
    let text = refusal(&world.root(&[
        "unshare",
        "-n",
        "setpriv",
        "--reuid",
        "1000",
        "--regid",
        "1000",
        "--init-groups",
        &helper,
        "create",
        "/p",
        "web",
        &web.pid,
        "veth",
        "br0",
        "eth0",
    ]));
    assert!(text.contains("network namespace of process 1"), "{text}");
}

#[test]
fn a_hostile_environment_changes_nothing() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    let helper = world.helper();
    // SIGXFSZ in LXC's helper left a NIC that no quota counted.
    let script = format!(
        "ulimit -f 0; ulimit -c unlimited; umask 0; cd /proc/self; trap '' HUP; \
         exec 3</dev/null 4</dev/null; \
         exec nice -n 19 {helper} create /p web {} veth br0 \"$1\"",
        web.pid
    );
    let request = |name: &str| world.run_as(ALICE, &["sh", "-c", &script, "sh", name]);
    answer(&request("eth0"));
    for _ in 0..3 {
        assert!(refusal(&request("eth1")).contains("quota reached"));
    }
    assert_eq!(world.ports("br0").len(), 1);
    let locks = world.must(&["stat", "-c", "%a %u", "/run/berth", "/run/berth/usernic"]);
    assert_eq!(locks, "755 0\n700 0\n");
}

#[test]
fn an_answer_that_nobody_gets_takes_the_nic_back() {
    let world = World::new("alice veth br0 1\n");
    let web = world.container(ALICE);
    let helper = world.helper();
    let script = format!(
        "exec {helper} create /p web {} veth br0 eth0 >/dev/full",
        web.pid
    );
    let text = refusal(&world.run_as(ALICE, &["sh", "-c", &script]));
    assert!(text.contains("cannot write the answer"), "{text}");
    assert!(world.ports("br0").is_empty());
    answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
}

#[test]
fn what_a_killed_request_left_is_removed_and_what_an_administrator_set_down_stays() {
    let world = World::new("alice veth br0 2\n");
    let web = world.container(ALICE);
    for name in ["veth1000_left", "veth1000_down"] {
        world.must(&[
            "ip",
            "link",
            "add",
            name,
            "type",
            "veth",
            "peer",
            "name",
            &name[4..],
        ]);
        world.must(&["ip", "link", "set", name, "master", "br0"]);
    }
    world.must(&[
        "ip",
        "link",
        "set",
        "veth1000_down",
        "alias",
        "berth uid=1000",
    ]);
    let [_, _, host, _] = answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
    let mut expected = vec!["veth1000_down".to_owned(), host];
    expected.sort();
    assert_eq!(world.ports("br0"), expected);
    let text = refusal(&world.create(ALICE, &web.pid, "br0", "eth1"));
    assert!(text.contains("alice has 2 of 2 NICs on br0"), "{text}");
}

#[test]
fn names_alone_do_not_count_and_other_users_do_not_either() {
    let world = World::new("alice veth br0 1\nbob veth br0 1\ncarol veth br0 1\n");
    // Not a port: whoever made it.
    world.must(&[
        "ip",
        "link",
        "add",
        "veth1000_fake",
        "type",
        "veth",
        "peer",
        "name",
        "x",
    ]);
    world.must(&[
        "ip",
        "link",
        "add",
        "veth10001_a",
        "type",
        "veth",
        "peer",
        "name",
        "y",
    ]);
    world.must(&["ip", "link", "set", "veth10001_a", "master", "br0", "up"]);
    for user in [ALICE, BOB, CAROL] {
        let container = world.container(user);
        answer(&world.create(user, &container.pid, "br0", "eth0"));
        let text = refusal(&world.create(user, &container.pid, "br0", "eth1"));
        assert!(text.contains("1 of 1"), "{text}");
    }
}

#[test]
fn sixty_four_at_once_under_a_quota_of_nine() {
    let world = World::new("alice veth br0 9\n");
    let web = world.container(ALICE);
    let running: Vec<_> = (0..64)
        .map(|number| {
            let mut command = world.create_command(ALICE, &web.pid, "br0", &format!("eth{number}"));
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let outputs: Vec<Output> = running
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let granted = outputs
        .iter()
        .filter(|output| output.status.success())
        .count();
    assert_eq!(granted, 9, "{outputs:?}");
    assert_eq!(world.ports("br0").len(), 9);
    for output in outputs.iter().filter(|output| !output.status.success()) {
        assert!(stderr(output).contains("quota reached"), "{output:?}");
    }
}

#[test]
fn groups_count_per_member_and_lines_add_up() {
    let world = World::new("@staff veth br0 1\nalice veth br0 1\n@nosuch veth br0 9\n");
    let (hers, his) = (world.container(ALICE), world.container(BOB));
    answer(&world.create(ALICE, &hers.pid, "br0", "eth0"));
    answer(&world.create(ALICE, &hers.pid, "br0", "eth1"));
    assert!(refusal(&world.create(ALICE, &hers.pid, "br0", "eth2")).contains("2 of 2"));
    answer(&world.create(BOB, &his.pid, "br0", "eth0"));
    let text = refusal(&world.create(BOB, &his.pid, "br0", "eth1"));
    assert!(
        text.contains("1 of 1") && text.contains("@staff veth br0 2"),
        "{text}"
    );
    let other = world.container(CAROL);
    assert!(refusal(&world.create(CAROL, &other.pid, "br0", "eth0")).contains("no line"));
}

#[test]
fn without_a_bridge() {
    let world = World::new("alice veth none 1\n");
    let web = world.container(ALICE);
    let [_, _, host, _] = answer(&world.create(ALICE, &web.pid, "none", "eth0"));
    let link = world.must(&["ip", "-o", "link", "show", &host]);
    assert!(link.contains(",UP") && !link.contains("master"), "{link}");
    assert!(refusal(&world.create(ALICE, &web.pid, "none", "eth1")).contains("1 of 1"));
}

#[test]
fn older_generations_of_the_command_line() {
    let world = World::new("alice veth br0 5\n");
    let (web, helper) = (world.container(ALICE), world.helper());
    for (arguments, name) in [
        (&[web.pid.as_str(), "veth", "br0", "eth7"][..], "eth7"),
        (&["/p", "web", &web.pid, "veth", "br0", "eth8"], "eth8"),
        (&[&web.pid, "veth", "br0"], "eth0"),
    ] {
        let output = world.run_as(ALICE, &[&[helper.as_str()], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        let text = stdout(&output);
        assert!(text.starts_with(&format!("{name}:veth1000_")), "{text}");
        assert_eq!(text.matches(':').count(), 1);
    }
    let delete = [
        "delete",
        "/p",
        "web",
        "/etc/shadow",
        "veth",
        "br0",
        "veth1000_x",
    ];
    let text = refusal(&world.run_as(ALICE, &[&[helper.as_str()], &delete[..]].concat()));
    assert!(
        text.contains("names no network namespace of a container of yours"),
        "{text}"
    );
}

#[test]
fn a_full_bridge_says_so() {
    let world = World::new("alice veth br0 2000\n");
    let web = world.container(ALICE);
    let script = "i=1; while [ $i -le 1023 ]; do \
        echo link add p$i master br0 type veth peer name q$i; i=$((i+1)); done | ip -batch -";
    world.must(&["sh", "-c", script]);
    let text = refusal(&world.create(ALICE, &web.pid, "br0", "eth0"));
    assert!(text.contains("bridge br0 is full"), "{text}");
    world.must(&["ip", "link", "del", "p500"]);
    answer(&world.create(ALICE, &web.pid, "br0", "eth0"));
}
