//! Sessions and lasting cgroups on hosts without systemd, cgroup v2.

use berth_test_harness::{Host, Image, Login, Result};
use berth_tests_booted::debian;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const ROOT: &str = "/sys/fs/cgroup";
const BASE: &str = "/sys/fs/cgroup/berth/user-1000";
const BASE_PATH: &str = "your lasting cgroup is /berth/user-1000";

/// More time than by default: the machine that runs the tests has other work, too.
fn boot(image: Image) -> Result<Host> {
    let host = Host::boot(image)?;
    let line = "s/pam_berth.so.*/pam_berth.so debug deadline=10000/";
    host.root(&format!("sed -i '{line}' /etc/pam.d/common-session"))?
        .ok()?;
    host.write("/etc/berth/limits.d/alice.conf", "alice pids.max 700\n")?;
    Ok(host)
}

/// The cgroup that a login's shell is in.
fn place(login: &Login) -> Result<String> {
    let line = login.run("cat /proc/self/cgroup")?.ok()?;
    let place = line.lines().find_map(|line| line.strip_prefix("0::"));
    Ok(place.unwrap_or_default().to_owned())
}

/// Makes a container with a limit and starts it; where its init is.
fn start(alice: &Login, name: &str) -> Result<String> {
    let make = format!(
        "berth create {name} -t busybox && \
         echo lxc.cgroup2.memory.max = 64M >> ~/.local/share/lxc/{name}/config"
    );
    alice.run_for(&make, LIMIT)?.ok()?;
    alice.run_for(&format!("berth start {name}"), LIMIT)?.ok()?;
    let inside = format!("berth exec {name} -- cat /proc/1/cgroup");
    alice.run_for(&inside, LIMIT)?.ok()?;
    let find = format!("find {ROOT} -path '*/{name}/payload'");
    Ok(alice.run(&find)?.stdout.trim().to_owned())
}

/// The limit of the container holds, and the administrator's above cannot be lifted.
fn limits_hold(alice: &Login, payload: &str, base: &str) -> Result {
    let limits = format!("cat {payload}/memory.max {base}/pids.max");
    assert_eq!(alice.run(&limits)?.ok()?, "67108864\n700\n");
    let lift = alice.run(&format!("echo max > {base}/pids.max"))?;
    assert_ne!(lift.code, 0);
    Ok(())
}

/// `berth doctor cgroups` finds nothing to mend: layout, session, what reaches it.
fn doctor(alice: &Login, parts: &[&str]) -> Result {
    let said = alice.run_for("berth doctor cgroups", LIMIT)?;
    assert_eq!(said.code, 0, "{said}");
    let always = ["memory pids reach", "there is no launch service"];
    for part in parts.iter().chain(&always) {
        assert!(said.stdout.contains(part), "no “{part}” in {said}");
    }
    Ok(())
}

/// elogind's session is its user's inside; containers run there; the lasting cgroup comes with the
/// first login and goes with the last.
fn with_elogind(host: &Host) -> Result {
    let alice = host.login("alice")?;
    let place_of_alice = place(&alice)?;
    let session = place_of_alice
        .strip_suffix("/init.scope")
        .unwrap_or_default()
        .to_owned();
    let id = session.trim_start_matches('/');
    assert!(!id.is_empty() && !id.contains('/'), "{place_of_alice}");
    let known = host.root("loginctl list-sessions --no-legend")?.ok()?;
    assert!(
        known
            .lines()
            .any(|line| line.contains(id) && line.contains("alice")),
        "{known}"
    );
    assert_eq!(
        host.root(&format!(
            "stat -c %U {BASE} {BASE}/init.scope {ROOT}{session}"
        ))?
        .ok()?,
        "alice\nalice\nalice\n"
    );
    doctor(
        &alice,
        &[
            "cgroup v2, process 1 is init and elogind",
            &session,
            BASE_PATH,
        ],
    )?;
    let payload = start(&alice, "web")?;
    assert_eq!(payload, format!("{ROOT}{session}/web/payload"));
    limits_hold(&alice, &payload, &format!("{ROOT}{session}"))?;
    limits_hold(&alice, &payload, BASE)?;

    let second = host.login("alice")?;
    assert_ne!(place(&second)?, place_of_alice, "a session of its own");
    second.logout()?;
    assert!(
        host.root(&format!("test -d {BASE}"))?.success(),
        "she is still there"
    );
    // elogind takes her runtime directory away with her last session; her container goes on.
    alice.logout()?;
    host.wait_until("! test -e /run/user/1000", LIMIT)?;
    let alice = host.login("alice")?;
    let known = alice.run_for("berth info web", LIMIT)?.ok()?;
    assert!(known.contains("State:           running\n"), "{known}");
    alice.run_for("berth exec web -- true", LIMIT)?.ok()?;
    alice.run_for("berth stop web", LIMIT)?.ok()?;
    alice.logout()?;
    host.wait_until(&format!("! test -e {BASE}"), LIMIT)?;
    Ok(())
}

/// Without a login manager sessions are in the lasting cgroup, which outlives them as long as a
/// container runs.
fn without_manager(host: &Host) -> Result {
    host.root("sed -i /pam_elogind/d /etc/pam.d/common-session")?
        .ok()?;
    let alice = host.login("alice")?;
    let second = host.login("alice")?;
    for login in [&alice, &second] {
        assert_eq!(place(login)?, "/berth/user-1000/init.scope");
    }
    doctor(
        &alice,
        &[
            "cgroup v2, process 1 is init",
            "you are in your lasting cgroup",
        ],
    )?;
    let payload = start(&alice, "own")?;
    assert_eq!(payload, format!("{BASE}/own/payload"));
    limits_hold(&alice, &payload, BASE)?;
    alice.logout()?;
    second.logout()?;
    let bob = host.login("bob")?;
    assert!(place(&bob)?.ends_with("/init.scope"));
    bob.logout()?;

    let again = host.login("alice")?;
    assert_eq!(place(&again)?, "/berth/user-1000/init.scope");
    let list = again.run_for("berth ls", LIMIT)?.ok()?;
    assert!(
        list.contains("own") && list.to_lowercase().contains("running"),
        "{list}"
    );
    again.run_for("berth stop own", LIMIT)?.ok()?;
    again.logout()?;
    // sshd closes a session while its own process of the user is about to end. What is left then is
    // empty, and goes when somebody else comes or leaves, once it is a minute old.
    for _ in 0..40 {
        if host.root(&format!("! test -e {BASE}"))?.success() {
            return Ok(());
        }
        host.login("bob")?.logout()?;
        std::thread::sleep(Duration::from_secs(4));
    }
    anyhow::bail!("{BASE} is left after forty logins of somebody else")
}

/// A session is opened by a process that there was room for, when there is room for no other.
const IN_A_FULL_TABLE: &str = r#"
cd /run && mkfifo go && : >/etc/pam.d/full
for kind in auth account; do echo "$kind required pam_permit.so" >>/etc/pam.d/full; done
echo "session required pam_berth.so" >>/etc/pam.d/full
before=$(cat /proc/sys/kernel/pid_max)
echo 500 >/proc/sys/kernel/pid_max
sh -c 'read word <go; exec pamtester full alice open_session' >out 2>&1 &
tester=$!
setsid sh -c 'trap "echo >go" EXIT; while :; do sleep 600 & done' >said 2>&1 &
filler=$!
wait $tester
code=$?
kill -9 -- -$filler
echo $before >/proc/sys/kernel/pid_max
wait
cat out said
exit $code
"#;

fn with_a_full_process_table(host: &Host) -> Result {
    let said = host.root_for(IN_A_FULL_TABLE, LIMIT)?;
    assert!(said.stdout.contains("Cannot fork"), "{said}");
    let said = said.ok()?;
    assert!(said.contains("successfully opened"), "{said}");
    let made = host.root(&format!("stat -c %U {BASE} {BASE}/init.scope"))?;
    assert_eq!(made.ok()?, "alice\nalice\n");
    let alice = host.login("alice")?;
    assert_eq!(place(&alice)?, "/berth/user-1000/init.scope");
    alice.logout()?;
    Ok(())
}

/// What Debian with sysvinit gets that was the host's: no scripts for disks and devices, an address
/// by DHCP, and what to do when it is asked to stop.
const FINISH: &str = r#"
for script in hwclock.sh mountdevsubfs.sh checkroot.sh checkfs.sh checkroot-bootclean.sh kmod \
    mount-configfs mountall.sh mountall-bootclean.sh apparmor brightness procps urandom \
    mountnfs.sh mountnfs-bootclean.sh umountnfs.sh umountfs umountroot bootlogs sudo elogind; do
    rm -f etc/rc?.d/[SK]??$script
done
sed -i -e '/^t[blr]:/d' -e 's,^pf:.*,pf::powerwait:/sbin/shutdown -h now,' etc/inittab
cat >etc/udhcpc.script <<'SCRIPT'
#!/bin/sh
[ "$1" != bound ] || ip address add "$ip/$mask" dev "$interface"
SCRIPT
cat >etc/rc.local <<'SCRIPT'
#!/bin/sh
busybox udhcpc -q -i eth0 -s /etc/udhcpc.script
touch /run/test-booted
SCRIPT
chmod 755 etc/udhcpc.script etc/rc.local
for name in first second; do
    printf '#!/bin/sh\n[ "$1" != stop ] || echo %s >>/var/log/order\n' $name >etc/init.d/$name
    chmod 755 etc/init.d/$name
done
for level in 0 6; do
    ln -s ../init.d/first etc/rc$level.d/K01first
    ln -s ../init.d/second etc/rc$level.d/K02second
done
"#;

/// Debian with sysvinit in a container of alice's, who is logged in: from its first boot to its end.
fn sysvinit_in_a_container(host: &Host) -> Result {
    host.root("/usr/libexec/berth/berth-net start && berth grant alice --nics 2")?
        .ok()?;
    let alice = host.login("alice")?;
    debian::create(host, &alice, "deb", FINISH, "")?;
    let log = "/home/alice/.local/share/lxc/deb/deb.log";
    let booted = || {
        let inside = "for n in $(seq 300); do berth exec deb -- test -e /run/test-booted && exit; \
                      sleep 0.3; done; berth exec deb -- ps ax; exit 1";
        alice.run_for(inside, LIMIT)?.ok()
    };
    let stopped = || host.wait_until("runuser -u alice -- berth ls | grep '^deb *stopped'", LIMIT);
    let order = "cat ~/.local/share/lxc/deb/rootfs/var/log/order";
    alice.run_for("berth start deb", LIMIT)?.ok()?;
    booted()?;
    let address = alice
        .run("berth exec deb -- ip -4 -o address show eth0")?
        .ok()?;
    assert!(address.contains("inet 10."), "{address}");
    assert_eq!(alice.run("berth exec deb -- runlevel")?.ok()?, "N 2\n");

    alice.run("berth exec deb -- shutdown -r now")?;
    host.wait_until(&format!("grep rebooted {log}"), LIMIT)?;
    booted()?;
    alice.run_for("berth stop deb", LIMIT)?.ok()?;
    assert_eq!(alice.run(order)?.ok()?, "first\nsecond\n".repeat(2));
    let said = alice.run(&format!("cat {log}"))?.ok()?;
    let asked = said.contains("asked init to stop by signal 30") && said.contains("halted");
    assert!(asked && !said.contains("killed"), "{said}");

    alice.run_for("berth start deb", LIMIT)?.ok()?;
    booted()?;
    alice.run("berth exec deb -- shutdown -h -P now")?;
    stopped()?;
    assert_eq!(alice.run(order)?.ok()?, "first\nsecond\n".repeat(3));
    alice.run_for("berth destroy --force deb", LIMIT)?.ok()?;
    host.root("berth revoke alice && /usr/libexec/berth/berth-net stop")?
        .ok()?;
    alice.logout()?;
    Ok(())
}

fn complaints(host: &Host) -> Result {
    let log =
        host.root("grep -h pam_berth /var/log/messages /var/log/auth.log | grep -v 'delegated /'")?;
    let told: Vec<_> = log
        .stdout
        .lines()
        .filter(|line| line.contains("not delegated") || line.contains("without"))
        .collect();
    assert!(told.is_empty(), "{told:?}");
    Ok(())
}

#[test]
fn sysvinit_from_login_to_logout() -> Result {
    let host = boot(Image::Sysvinit)?;
    with_elogind(&host)?;
    sysvinit_in_a_container(&host)?;
    without_manager(&host)?;
    with_a_full_process_table(&host)?;
    complaints(&host)
}

#[test]
fn openrc_from_login_to_logout() -> Result {
    let host = boot(Image::Openrc)?;
    with_elogind(&host)?;
    without_manager(&host)?;
    // OpenRC's own cgroups are as it made them.
    let theirs = host.root(&format!("find {ROOT} -path '*/openrc*' -not -user root"))?;
    assert_eq!(theirs.ok()?, "");
    complaints(&host)
}
