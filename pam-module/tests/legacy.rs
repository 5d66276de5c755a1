//! `-c` beside Debian's pam_cgfs: the same layout, and its defects on the original's side only.
//! Both modules are loaded by libpam in `pamtester`, on hierarchies of the test's own.
#![forbid(unsafe_code)]

mod legacy_world;

use legacy_world::{ALICE, BOTH, Module, World};

/// All that the machine has, with the named hierarchy.
fn everything(world: &World) -> String {
    let mut list = world.controllers().to_vec();
    let named = world.named();
    list.push(&named);
    format!("-c {}", list.join(","))
}

fn only_named(world: &World) -> String {
    format!("-c {}", world.named())
}

#[test]
fn the_layout_is_the_originals() {
    for module in BOTH {
        let world = World::new();
        let arguments = everything(&world);
        let list = "find /sys/fs/cgroup/*/user -type d -printf '%p %U:%G %m\\n' | sort";
        let login = world.login(module, &arguments, "alice", list);
        assert!(login.success, "{module:?}: {}", login.said);
        let mut expected = Vec::new();
        let named = world.named();
        for hierarchy in world.controllers().iter().copied().chain([&*named]) {
            assert_eq!(login.place(hierarchy), "/user/alice/0", "{module:?}");
            let mount = world.mount(hierarchy);
            let (uid, gid) = ALICE;
            expected.push(format!("{mount}/user 0:0 755"));
            expected.push(format!("{mount}/user/alice 0:0 755"));
            expected.push(format!("{mount}/user/alice/0 {uid}:{gid} 755"));
        }
        expected.sort();
        assert_eq!(
            login.output.lines().collect::<Vec<_>>(),
            expected,
            "{module:?}"
        );
        // Not selected, so there is what version 2 has without -c: nothing with the original.
        let place = login.place("unified");
        assert!(!place.starts_with("/user"), "{module:?}: {place}");
    }
}

#[test]
fn in_version_2_the_session_sits_in_the_leaf() {
    let list = "cd /sys/fs/cgroup/unified/user/alice/0 && cat cgroup.procs | wc -l; \
                find . -user 4242 | sort";
    for (module, place, inside) in [
        (Module::Original, "/user/alice/0", false),
        (Module::Ours, "/user/alice/0/init.scope", true),
    ] {
        let world = World::new();
        let login = world.login(module, "-c unified", "alice", list);
        assert!(login.success, "{module:?}: {}", login.said);
        assert_eq!(login.place("unified"), place, "{module:?}");
        assert_eq!(login.place(&world.named()), "/", "{module:?}: not selected");
        let mut lines = login.output.lines();
        // As long as there are processes, no controller can be handed on.
        assert_eq!(lines.next() == Some("0"), inside, "{module:?}");
        let hers: Vec<_> = lines.collect();
        for file in ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            assert!(
                hers.contains(&&*format!("./{file}")),
                "{module:?}: {hers:?}"
            );
        }
    }
}

#[test]
fn without_a_list_nothing_is_made() {
    for module in BOTH {
        let world = World::new();
        let login = world.login(module, "", "alice", "");
        assert!(login.success, "{module:?}: {}", login.said);
        assert_eq!(login.place(&world.named()), "/", "{module:?}");
        assert!(world.tree("$NAMED").is_empty());
    }
}

#[test]
fn sessions_of_a_user_share_a_place_and_others_are_passed_over() {
    for module in BOTH {
        let mut world = World::new();
        let arguments = only_named(&world);
        world.sh("mkdir -p $NAMED/user/alice/0 && chown 4244:4245 $NAMED/user/alice/0");
        let wait = "touch $DIR/first; while [ ! -e $DIR/over ]; do sleep 0.01; done"
            .replace("$DIR", &world.dir().display().to_string());
        let first = world.begin(module, &arguments, "alice", &wait);
        world.wait_for("first");
        let second = world.login(module, &arguments, "alice", "");
        assert_eq!(second.place(&world.named()), "/user/alice/1", "{module:?}");
        let bob = world.login(module, &arguments, "bob", "");
        assert_eq!(bob.place(&world.named()), "/user/bob/0", "{module:?}");
        std::fs::write(world.dir().join("over"), "").unwrap();
        let first = first.end();
        assert!(first.success, "{module:?}: {}", first.said);
        assert_eq!(first.place(&world.named()), "/user/alice/1", "{module:?}");
    }
}

#[test]
fn su_inside_a_session_leads_to_the_other_users_place() {
    for module in BOTH {
        let world = World::new();
        let arguments = only_named(&world);
        world.sh("mkdir -p $NAMED/user/alice/0 && chown 4242:4243 $NAMED/user/alice/0");
        world.before_logins("echo 0 > $NAMED/user/alice/0/cgroup.procs");
        let login = world.login(module, &arguments, "bob", "");
        assert_eq!(login.place(&world.named()), "/user/bob/0", "{module:?}");
    }
}

#[test]
fn after_the_last_logout_nothing_is_left() {
    for (module, left) in [(Module::Original, true), (Module::Ours, false)] {
        let world = World::new();
        let arguments = format!("{},unified", everything(&world));
        // With a container's cgroups that its tools forgot.
        let forgot = "for d in /sys/fs/cgroup/*/user/alice/0; do \
                      mkdir -p $d/lxc.payload.web/init.scope && echo made; done";
        let login = world.login(module, &arguments, "alice", "");
        assert!(login.success, "{module:?}: {}", login.said);
        let login = world.login(module, &arguments, "alice", forgot);
        assert!(login.success, "{module:?}: {}", login.said);
        assert_eq!(login.output.lines().count(), world.controllers().len() + 2);
        let remains = world.sh("find /sys/fs/cgroup/*/user -mindepth 1 -type d");
        assert_eq!(!remains.is_empty(), left, "{module:?}: {remains}");
    }
}

#[test]
fn whoever_logs_out_next_clears_up_after_others() {
    let world = World::new();
    let arguments = format!("{},unified", everything(&world));
    // As sshd's own process of the user, which outlives the session for a moment.
    let stay =
        "sleep 1000 & echo $! >$DIR/late".replace("$DIR", &world.dir().display().to_string());
    let alice = world.login(Module::Ours, &arguments, "alice", &stay);
    assert!(alice.success, "{}", alice.said);
    let places = "find /sys/fs/cgroup/*/user -mindepth 1 -type d -name alice | wc -l";
    let count = (world.controllers().len() + 2).to_string();
    assert_eq!(world.sh(places), count);
    let bob = world.login(Module::Ours, &arguments, "bob", "");
    assert!(bob.success, "{}", bob.said);
    assert_eq!(world.sh(places), count);
    // One that is new may be in the making. What is not of a session's making stays.
    world
        .sh("p=$(cat $DIR/late); kill $p; while ! grep -q '^State:.Z' /proc/$p/status; do :; done");
    let bob = world.login(Module::Ours, &arguments, "bob", "");
    assert!(bob.success, "{}", bob.said);
    assert_eq!(world.sh(places), count);
    world.sh(
        "touch -d '2 minutes ago' /sys/fs/cgroup/*/user/alice/0; mkdir $NAMED/user/alice/mine; \
              touch -d '2 minutes ago' $NAMED/user/alice/mine /sys/fs/cgroup/*/user/alice",
    );
    let bob = world.login(Module::Ours, &arguments, "bob", "");
    assert!(bob.success, "{}", bob.said);
    assert_eq!(world.tree("$NAMED/user").len(), 2);
    assert_eq!(world.sh(places), "1");
}

#[test]
fn a_live_session_keeps_what_it_made_when_another_opens_and_closes() {
    for (module, kept) in [(Module::Original, false), (Module::Ours, true)] {
        let mut world = World::new();
        let arguments = only_named(&world);
        // A container's cgroup a moment before its first process enters.
        let make = "mkdir $NAMED/user/alice/0/lxc.payload.web; touch $DIR/made; \
                    while [ ! -e $DIR/over ]; do sleep 0.01; done; \
                    sleep 100 & echo $! > $NAMED/user/alice/0/lxc.payload.web/cgroup.procs \
                    && kill $! && echo entered"
            .replace("$NAMED", &world.mount(&world.named()))
            .replace("$DIR", &world.dir().display().to_string());
        let live = world.begin(module, &arguments, "alice", &make);
        world.wait_for("made");
        let other = world.login(module, &arguments, "alice", "");
        assert!(other.success, "{module:?}: {}", other.said);
        std::fs::write(world.dir().join("over"), "").unwrap();
        let live = live.end();
        assert_eq!(
            live.output.ends_with("entered"),
            kept,
            "{module:?}: {}",
            live.output
        );
    }
}

#[test]
fn a_narrow_umask_keeps_nobody_out() {
    for module in BOTH {
        let world = World::new();
        world.before_logins("umask 077");
        let make = "umask; umask 022; setpriv --reuid 4242 --regid 4243 --clear-groups \
                    mkdir $NAMED/user/alice/0/web && echo made"
            .replace("$NAMED", &world.mount(&world.named()));
        let login = world.login(module, &only_named(&world), "alice", &make);
        assert!(login.success, "{module:?}: {}", login.said);
        let lines: Vec<_> = login.output.lines().collect();
        assert_eq!(lines, ["0077", "made"], "{module:?}");
    }
}

/// What an earlier program made under a narrow umask is opened again.
#[test]
fn a_place_that_was_closed_is_opened() {
    let world = World::new();
    world.sh("mkdir -p $NAMED/user/alice && chmod 700 $NAMED/user $NAMED/user/alice");
    let make = "setpriv --reuid 4242 --regid 4243 --clear-groups \
                mkdir $NAMED/user/alice/0/web && echo made"
        .replace("$NAMED", &world.mount(&world.named()));
    let login = world.login(Module::Ours, &only_named(&world), "alice", &make);
    assert_eq!(login.output, "made");
}

#[test]
fn her_processes_come_back_from_below() {
    for (module, back) in [(Module::Original, false), (Module::Ours, true)] {
        let world = World::new();
        let script = "as() { setpriv --reuid 4242 --regid 4243 --clear-groups sh -c \"$1\"; }; \
                      as 'mkdir $NAMED/user/alice/0/web && echo 0 > $NAMED/user/alice/0/web/tasks \
                      && echo WENT && echo 0 > $NAMED/user/alice/0/cgroup.procs && echo BACK'"
            .replace("$NAMED", &world.mount(&world.named()));
        let login = world.login(module, &only_named(&world), "alice", &script);
        assert!(
            login.output.contains("WENT"),
            "{module:?}: {}",
            login.output
        );
        assert_eq!(
            login.output.contains("BACK"),
            back,
            "{module:?}: {}",
            login.output
        );
    }
}

#[test]
fn no_file_beyond_two_changes_hands() {
    let world = World::new();
    let arguments = format!("{},devices", everything(&world));
    let list = "find /sys/fs/cgroup/*/user /sys/fs/cgroup/*/ -maxdepth 3 -type f \
                '(' -user 4242 -o -perm /022 ')' -printf '%p %m\\n' | sort -u";
    let login = world.login(Module::Ours, &arguments, "alice", list);
    assert!(login.success, "{}", login.said);
    let named = world.named();
    let mut expected = Vec::new();
    for hierarchy in world.controllers().iter().copied().chain([&*named]) {
        let place = format!("{}/user/alice/0", world.mount(hierarchy));
        expected.push(format!("{place}/cgroup.procs 644"));
        expected.push(format!("{place}/tasks 644"));
    }
    expected.sort();
    let given: Vec<_> = login
        .output
        .lines()
        .filter(|line| !line.starts_with("/sys/fs/cgroup/unified/"))
        // Root's own control files that the kernel makes writable for all.
        .filter(|line| line.contains("/user/alice/0/") || line.contains(" 64"))
        .collect();
    assert_eq!(given, expected);
}

#[test]
fn a_cpuset_that_was_left_empty_is_filled() {
    for (module, entered) in [(Module::Original, false), (Module::Ours, true)] {
        let world = World::new();
        if !world.has("cpuset") {
            return;
        }
        // As any program leaves it that makes a cgroup and does not know of cpuset.
        world.sh("mkdir -p /sys/fs/cgroup/cpuset/user/alice");
        let cpus = "cat /sys/fs/cgroup/cpuset/user/alice/0/cpuset.cpus; \
                    mkdir /sys/fs/cgroup/cpuset/user/alice/0/web; \
                    cat /sys/fs/cgroup/cpuset/user/alice/0/web/cpuset.mems";
        let login = world.login(module, "-c cpuset", "alice", cpus);
        let inside = login.place("cpuset") == "/user/alice/0";
        assert_eq!(inside, entered, "{module:?}: {}", login.said);
        let lists =
            world.sh("cat /sys/fs/cgroup/cpuset/cpuset.cpus /sys/fs/cgroup/cpuset/cpuset.mems");
        assert_eq!(
            login.output == lists,
            entered,
            "{module:?}: {}",
            login.output
        );
    }
}

#[test]
fn the_init_systems_own_cgroup_keeps_its_settings() {
    for (module, changed) in [(Module::Original, true), (Module::Ours, false)] {
        let world = World::new();
        if !world.has("cpuset") {
            return;
        }
        let settings = "cat /sys/fs/cgroup/cpuset/cgroup.clone_children";
        assert_eq!(world.sh(settings), "0");
        let login = world.login(module, "-c cpuset", "alice", "");
        assert!(login.success, "{module:?}: {}", login.said);
        assert_eq!(world.sh(settings) == "1", changed, "{module:?}");
    }
}

#[test]
fn a_login_name_leads_nowhere_else() {
    for (module, led) in [(Module::Original, true), (Module::Ours, false)] {
        let world = World::new();
        world.sh("mkdir $NAMED/user");
        let login = world.login(module, &only_named(&world), "..", "");
        let place = login.place(&world.named());
        assert_eq!(place != "/", led, "{module:?}: {place}");
        assert!(login.success || module == Module::Original);
    }
}

#[test]
fn a_list_that_contradicts_itself_costs_no_login() {
    for (module, success) in [(Module::Original, false), (Module::Ours, true)] {
        let world = World::new();
        let login = world.login(module, &format!("-c all,{}", world.named()), "alice", "");
        assert_eq!(login.success, success, "{module:?}: {}", login.said);
    }
}

#[test]
fn a_scope_that_systemd_did_not_delegate_stays_its_own() {
    let scope = "$NAMED/user.slice/user-4242.slice/session-3.scope";
    for (module, taken) in [(Module::Original, true), (Module::Ours, false)] {
        let world = World::new();
        world.sh(&format!("mkdir -p {scope}"));
        world.before_logins(&format!("echo 0 > {scope}/cgroup.procs"));
        let login = world.login(module, &only_named(&world), "alice", "");
        assert!(login.success, "{module:?}: {}", login.said);
        let place = login.place(&world.named());
        assert_eq!(
            place, "/user.slice/user-4242.slice/session-3.scope",
            "{module:?}"
        );
        let owner = world.sh(&format!("stat -c %u {scope}"));
        assert_eq!(owner == "4242", taken, "{module:?}");
    }
}

#[test]
fn many_logins_at_once_all_find_their_place_and_leave_nothing() {
    let world = World::new();
    let arguments = format!("{},unified", everything(&world));
    for _ in 0..5 {
        let logins: Vec<_> = (0..12)
            .map(|number| {
                let user = if number % 3 == 0 { "bob" } else { "alice" };
                (user, world.begin(Module::Ours, &arguments, user, ""))
            })
            .collect();
        for (user, login) in logins {
            let login = login.end();
            assert!(login.success, "{}", login.said);
            assert_eq!(login.place(&world.named()), format!("/user/{user}/0"));
            assert_eq!(login.place("unified"), format!("/user/{user}/0/init.scope"));
        }
        let remains = world.sh("find /sys/fs/cgroup/*/user -mindepth 1 -type d");
        assert_eq!(remains, "");
    }
}
