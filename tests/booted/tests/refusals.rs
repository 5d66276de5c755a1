//! What bad input gets: a message that names what is wrong and what to do, the documented exit
//! code, and nothing left behind.

use berth_test_harness::{Host, Image, Login, Output, Result};

/// Runs a command that must fail with this code and say all of these words.
#[track_caller]
fn refused(login: &Login, command: &str, code: i32, words: &[&str]) -> Result {
    let output: Output = login.run(command)?;
    let text = output.text();
    assert_eq!(output.code, code, "{command}\n{text}");
    for word in words {
        assert!(
            output.stderr.contains(word),
            "{command}: “{word}” is missing in\n{text}"
        );
    }
    assert!(!text.contains("panicked"), "{text}");
    Ok(())
}

#[test]
fn bad_input_gets_a_clear_answer() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;

    // Before the administrator did anything.
    host.root("sed -i /^alice/d /etc/subuid /etc/subgid")?
        .ok()?;
    refused(
        &alice,
        "berth create web",
        1,
        &["subordinate", "berth grant alice"],
    )?;
    assert_eq!(alice.run("berth ls --json")?.ok()?, "[]\n");
    refused(&alice, "berth grant alice", 1, &["root"])?;
    refused(&alice, "sudo -n berth grant alice", 1, &[])?;
    host.root("berth grant alice --nics 2")?.ok()?;
    let again = host.root("berth grant alice --nics 2")?.ok()?;
    assert!(again.contains("already"), "{again}");
    let none = host.root("berth grant nobody-of-that-name")?;
    assert_eq!(none.code, 1, "{}", none.text());

    // Names.
    for name in [
        "a/b",
        "..",
        ".",
        "''",
        "-x",
        "$(printf '%065d' 0)",
        "init.scope",
        "'a b'",
    ] {
        refused(&alice, &format!("berth create -- {name}"), 2, &["name"])?;
    }
    refused(&alice, "berth start nosuch", 1, &["nosuch", "no container"])?;
    refused(&alice, "berth stop nosuch", 1, &["nosuch"])?;
    refused(&alice, "berth info nosuch", 1, &["nosuch"])?;
    refused(&alice, "berth destroy --force nosuch", 1, &["nosuch"])?;
    refused(&alice, "berth no-such-verb", 2, &["no-such-verb"])?;
    refused(
        &alice,
        "berth create web -t no-such-template",
        1,
        &["busybox"],
    )?;

    alice.run("berth create web")?.ok()?;
    refused(&alice, "berth create web", 1, &["exists already"])?;
    refused(&alice, "berth start wbe", 1, &["did you mean “web”"])?;
    refused(&alice, "berth stop web", 1, &["does not run"])?;
    refused(&alice, "berth exec web -- true", 125, &["does not run"])?;
    refused(&alice, "berth destroy web < /dev/null", 1, &["--force"])?;
    alice.run("berth start web")?.ok()?;
    refused(&alice, "berth start web", 1, &["runs already"])?;
    alice.run("berth stop -k web")?.ok()?;

    // Configurations: file, line and key are named.
    let config = "~/.local/share/lxc/web/config";
    alice.run(&format!("cp {config} ~/good"))?.ok()?;
    for (line, words) in [
        ("lxc.bogus = 1", &["config:", "lxc.bogus"][..]),
        (
            "lxc.uts.nam = x",
            &["config:", "lxc.uts.nam", "lxc.uts.name"],
        ),
        (
            "lxc.seccomp.profile = /x",
            &["config:", "lxc.seccomp.profile"],
        ),
        (
            "lxc.start.auto = yes",
            &["config:", "lxc.start.auto", "yes"],
        ),
        ("lxc.idmap = u zero 1 2", &["config:", "lxc.idmap"]),
        ("lxc.include = /no/such/file", &["config:", "/no/such/file"]),
        (
            "lxc.mount.entry = /no/such srv none bind,create=dir 0 0",
            &["config:", "/no/such"],
        ),
        (
            "lxc.cgroup2.memory.max = much",
            &["config:", "lxc.cgroup2.memory.max: ", "much"],
        ),
        ("lxc.cgroup2.hugetlb.2MB.max = 1", &["hugetlb"]),
        // No process, and no memory.
        (
            "lxc.cgroup2.pids.max = 0",
            &["config:", "lxc.cgroup2.pids.max: ", "first process"],
        ),
        (
            "lxc.cgroup2.memory.max = 4096",
            &["config:", "lxc.cgroup2.memory.max", "first process"],
        ),
        ("lxc.net.0.link = nosuchbr", &["config:", "nosuchbr"]),
        ("lxc.init.cmd = /no/init", &["/no/init"]),
        (
            "lxc.rootfs.path = dir:/no/such/dir",
            &["config:", "/no/such/dir"],
        ),
    ] {
        alice
            .run(&format!("cp ~/good {config}; echo '{line}' >> {config}"))?
            .ok()?;
        refused(&alice, "berth start web", 1, words)?;
        let list = alice.run("berth ls")?.ok()?;
        assert!(list.contains("stopped"), "{line}: {list}");
    }
    alice.run(&format!("cp ~/good {config}"))?.ok()?;

    // Hosts that lack something.
    host.root("chmod u-s /usr/libexec/berth/berth-usernic")?
        .ok()?;
    refused(&alice, "berth start web", 1, &["setuid"])?;
    host.root("chmod u+s /usr/libexec/berth/berth-usernic")?
        .ok()?;
    host.root("sysctl -q user.max_user_namespaces=0")?.ok()?;
    refused(
        &alice,
        "berth start web",
        1,
        &["user namespace", "user.max_user_namespaces"],
    )?;
    host.root("sysctl -q user.max_user_namespaces=1000")?.ok()?;
    host.root("cp /etc/lxc/lxc-usernet /root/usernet; : > /etc/lxc/lxc-usernet")?
        .ok()?;
    refused(
        &alice,
        "berth start web",
        1,
        &["/etc/lxc/lxc-usernet", "berthbr0"],
    )?;
    host.root("cp /root/usernet /etc/lxc/lxc-usernet; systemctl stop berth-net")?
        .ok()?;
    refused(&alice, "berth start web", 1, &["berthbr0"])?;
    host.root("systemctl start berth-net")?.ok()?;
    alice.run("berth start web && berth stop -k web")?.ok()?;

    // A full disk while a container is made.
    host.root(
        "mkdir -p /mnt/full && mount -t tmpfs -o size=600k,uid=1000,mode=755 full /mnt/full",
    )?
    .ok()?;
    refused(
        &alice,
        "berth -P /mnt/full create big",
        1,
        &["No space left"],
    )?;
    assert_eq!(alice.run("ls -A /mnt/full")?.ok()?, "");

    // Nothing of all that is left.
    assert_eq!(
        host.root("ip -o link show master berthbr0 | grep -c veth; true")?
            .ok()?,
        "0\n"
    );
    let left = host
        .root("ls -d /sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service/*/")?
        .ok()?;
    assert_eq!(left.lines().count(), 1, "{left}");
    assert_eq!(alice.run("ls -A ~/.local/share/lxc")?.ok()?, "web\n");
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}
