//! Programs that know nothing of Berth, as Debian ships them, in a login shell of alice's.

use berth_test_harness::{Host, Image, Login, Result, shared};
use berth_tests_booted::lxc;
use berth_tests_booted::session::{self, PROBE, Session, opened_by};
use std::sync::Mutex;
use std::time::Duration;

/// For one of these programs, on a host that does everything for the first time.
const LIMIT: Duration = Duration::from_secs(180);
/// Takes memory until somebody ends it.
const GREEDY: &str = r#"awk 'BEGIN { s = "0123456789abcdef"; while (1) s = s s }'"#;
/// Sixty children.
const MANY: &str = "i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done";

fn host() -> Result<&'static Host> {
    static PREPARE: Mutex<bool> = Mutex::new(false);
    let host = shared(Image::Tools)?;
    let mut prepared = PREPARE.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    if !*prepared {
        session::install(host)?;
        lxc::prepare(host)?;
        host.root(
            "cd /home/alice && install -d -o alice -g alice tree tree/bin && \
             cp /bin/busybox tree/bin/ && \
             for name in sh cat sleep awk id; do ln -s busybox tree/bin/$name; done",
        )?
        .ok()?;
        *prepared = true;
    }
    Ok(host)
}

fn ok(login: &Login, command: &str) -> Result<String> {
    login.run_for(command, LIMIT)?.ok()
}

fn base(login: &Login) -> Result<String> {
    let session = Session::parse(&login.run(PROBE)?.text())?;
    session.is_delegated("alice", 1000)?;
    Ok(session.base().to_owned())
}

/// The cgroup of the process that `pid` prints, below the mount.
fn cgroup(login: &Login, pid: &str) -> Result<String> {
    let path = ok(login, &format!("cat /proc/$({pid})/cgroup"))?;
    let path = path.trim().trim_start_matches("0::");
    Ok(format!("/sys/fs/cgroup{path}"))
}

/// `memory.max` and `pids.max` of a cgroup.
fn limits(login: &Login, cgroup: &str) -> Result<String> {
    let files = ok(login, &format!("cat {cgroup}/memory.max {cgroup}/pids.max"))?;
    Ok(files.replace('\n', " ").trim().to_owned())
}

/// In a container that `enter` enters, the limits of 48 MiB and 30 processes can be felt.
fn limits_bite(login: &Login, enter: &str) -> Result {
    let greedy = login.run_for(&format!("{enter} {GREEDY}; echo code=$?"), LIMIT)?;
    assert!(greedy.stdout.contains("code=137"), "{greedy}");
    let many = login.run_for(&format!("{enter} sh -c '{MANY}' 2>&1"), LIMIT)?;
    assert!(many.stdout.contains("can't fork"), "{many}");
    Ok(())
}

/// A plain `lxc-attach` in this login puts its command into the container's cgroup, where LXC makes
/// a leaf for it, below its limits.
fn enters(login: &Login, name: &str) -> Result {
    let places = "cat /proc/self/cgroup /sys/fs/cgroup/memory.max";
    let said = ok(login, &format!("lxc-attach -n {name} -- {places}"))?;
    match said.lines().collect::<Vec<_>>()[..] {
        [own, "50331648"] if own.starts_with("0::/") && !own.contains("..") => Ok(()),
        _ => anyhow::bail!("attached to {name}: {said}"),
    }
}

#[test]
fn lxc_works_in_a_plain_login_shell() -> Result {
    let host = host()?;
    let alice = host.login("alice")?;
    let base = base(&alice)?;
    ok(&alice, "lxc-create -n web -t busybox")?;
    ok(&alice, "lxc-start -n web")?;
    let payload = cgroup(&alice, "lxc-info -n web -pH")?;
    assert_eq!(payload, format!("{base}/lxc.payload.web"));
    assert_eq!(limits(&alice, &payload)?, "50331648 30");
    let inside = ok(&alice, "lxc-attach -n web -- cat /sys/fs/cgroup/memory.max")?;
    assert_eq!(inside, "50331648\n");
    limits_bite(&alice, "lxc-attach -n web --")?;

    // From another login of hers, too: in the container's cgroup, under its limits.
    let second = host.login("alice")?;
    enters(&second, "web")?;
    limits_bite(&second, "lxc-attach -n web --")?;
    assert!(ok(&second, "lxc-ls --running")?.contains("web"));
    ok(&second, "lxc-stop -n web")?;
    assert!(ok(&alice, "lxc-info -n web -sH")?.contains("STOPPED"));

    // An ephemeral copy has the same limits, and goes with its end.
    ok(&alice, "lxc-copy -n web -N brief -e -B overlayfs")?;
    let payload = cgroup(&alice, "lxc-info -n brief -pH")?;
    assert_eq!(payload, format!("{base}/lxc.payload.brief"));
    assert_eq!(limits(&alice, &payload)?, "50331648 30");
    ok(
        &alice,
        "lxc-attach -n brief -- touch /made-inside && lxc-stop -k -n brief",
    )?;
    host.wait_until("! test -e /home/alice/.local/share/lxc/brief", LIMIT)?;
    ok(
        &alice,
        "lxc-start -n web && lxc-stop -k -n web && lxc-destroy -n web",
    )?;
    assert_eq!(
        ok(
            &alice,
            &format!("ls -d {base}/lxc.payload* {base}/lxc.monitor* 2>/dev/null; true")
        )?,
        ""
    );
    Ok(())
}

#[test]
fn lxc_started_beside_the_sessions_is_entered_from_any_login() -> Result {
    let host = host()?;
    let (first, second) = (host.login("alice")?, host.login("alice")?);
    ok(&first, "lxc-create -n db -t busybox")?;
    ok(
        &first,
        "systemd-run --user --scope --quiet -p Delegate=yes lxc-start -n db",
    )?;
    let payload = cgroup(&second, "lxc-info -n db -pH")?;
    assert!(payload.contains("/user@1000.service/"), "{payload}");
    assert_eq!(limits(&second, &payload)?, "50331648 30");
    enters(&first, "db")?;
    limits_bite(&second, "lxc-attach -n db --")?;
    ok(&second, "lxc-stop -k -n db && lxc-destroy -n db")?;
    Ok(())
}

#[test]
fn lxc_in_the_lasting_cgroup_is_entered_from_any_login() -> Result {
    let host = host()?;
    let (first, second) = (host.login("alice")?, host.login("alice")?);
    ok(&first, "lxc-create -n mail -t busybox")?;
    ok(&first, "berth cgroup exec -- lxc-start -n mail")?;
    let payload = cgroup(&second, "lxc-info -n mail -pH")?;
    assert!(
        payload.ends_with("/berth-user@1000.service/lxc.payload.mail"),
        "{payload}"
    );
    assert_eq!(limits(&second, &payload)?, "50331648 30");
    enters(&second, "mail")?;
    limits_bite(&second, "lxc-attach -n mail --")?;
    ok(&second, "berth cgroup exec -- lxc-attach -n mail -- true")?;
    ok(&second, "lxc-stop -k -n mail && lxc-destroy -n mail")?;
    Ok(())
}

#[test]
fn crun_takes_limits_in_a_plain_login_shell() -> Result {
    let host = host()?;
    let alice = host.login("alice")?;
    let base = base(&alice)?;
    let place = base.trim_start_matches("/sys/fs/cgroup");
    ok(
        &alice,
        &format!(
            "mkdir bundle && ln -s ../tree bundle/rootfs && cd bundle && crun spec --rootless && \
             sed -i -e 's/\"terminal\": true/\"terminal\": false/' \
             -e 's#\"sh\"$#\"sleep\", \"1000\"#' \
             -e 's#\"resources\": {{#\"cgroupsPath\": \"{place}/box\", \"resources\": {{ \
             \"memory\": {{ \"limit\": 50331648 }}, \"pids\": {{ \"limit\": 30 }},#' config.json"
        ),
    )?;
    ok(
        &alice,
        "cd bundle && crun run --detach box < /dev/null > /dev/null 2>&1",
    )?;
    let pid = r#"crun state box | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'"#;
    let payload = cgroup(&alice, pid)?;
    assert_eq!(payload, format!("{base}/box"));
    assert_eq!(limits(&alice, &payload)?, "50331648 30");
    limits_bite(&alice, "crun exec box")?;
    ok(&alice, "crun delete --force box && rm -r bundle")?;
    assert_eq!(
        ok(&alice, &format!("ls -d {base}/box 2>/dev/null; true"))?,
        ""
    );
    Ok(())
}

#[test]
fn podman_works_in_a_plain_login_shell() -> Result {
    let host = host()?;
    let alice = host.login("alice")?;
    ok(&alice, "tar -C tree -c . | podman import - tree")?;
    let pid = |name: &str| format!("podman inspect -f '{{{{.State.Pid}}}}' {name}");
    let run = |manager: &str, name: &str| {
        format!(
            "podman --cgroup-manager={manager} run --detach --rm --network=none --name {name} \
             --memory=48m --pids-limit=30 tree sleep 1000"
        )
    };

    // Its default: the service manager makes a scope with the limits.
    ok(&alice, &run("systemd", "one"))?;
    let payload = cgroup(&alice, &pid("one"))?;
    assert!(payload.contains("/user@1000.service/"), "{payload}");
    assert_eq!(limits(&alice, &payload)?, "50331648 30");
    let second = host.login("alice")?;
    assert_eq!(ok(&second, "podman exec one id -u")?, "0\n");
    limits_bite(&alice, "podman exec one")?;
    ok(&second, "podman kill one")?;

    // Without it podman asks crun for no cgroup at all, so there is nothing to limit; it says no
    // word of that. The container runs, with the limits of podman's own place.
    ok(&alice, &run("cgroupfs", "two"))?;
    let payload = cgroup(&alice, &pid("two"))?;
    assert_eq!(limits(&alice, &payload)?.split(' ').next(), Some("max"));
    ok(
        &alice,
        "podman --cgroup-manager=cgroupfs exec two id && podman kill two",
    )?;
    Ok(())
}

#[test]
fn the_service_managers_scopes_work_as_before() -> Result {
    let host = host()?;
    let alice = host.login("alice")?;
    let scope = "systemd-run --user --scope --quiet -p MemoryMax=48M -p TasksMax=30";
    let own = ok(&alice, &format!("{scope} sh -c 'cat /proc/$$/cgroup'"))?;
    assert!(own.contains("/user@1000.service/"), "{own}");
    limits_bite(&alice, &format!("{scope} busybox"))?;
    base(&alice)?;
    Ok(())
}

#[test]
fn a_shell_by_machinectl_is_delegated() -> Result {
    let host = host()?;
    let command = format!("machinectl --quiet shell alice@.host {PROBE} < /dev/null");
    opened_by(host, &command)?.is_delegated("alice", 1000)
}
