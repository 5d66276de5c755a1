//! The Debian packages: installed, upgraded and removed while people are logged in and containers
//! run.

use berth_test_harness::{Host, HostOptions, Image, Login, Result, target_dir};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const BASE: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";

/// Makes the packages that `cargo xtask deb` has built reachable at `/mnt`.
fn packages(host: &Host) -> Result {
    let dir = target_dir()?.join("deb");
    let mount = format!("mount -t hostfs -o {} none /mnt && ls /mnt", dir.display());
    let listed = host.root(&mount)?.ok()?;
    assert!(listed.contains("berth_"), "{listed}");
    Ok(())
}

fn cgroup(alice: &Login) -> Result<String> {
    alice.run("cut -d: -f3 /proc/self/cgroup")?.ok()
}

/// A busybox container with limits, started; the number of its init.
fn start(alice: &Login, name: &str) -> Result<String> {
    let make = format!(
        "berth create {name} -t busybox && sed -i '/^lxc.net/d' ~/.local/share/lxc/{name}/config &&
         printf '%s\n' 'lxc.cgroup2.memory.max = 48M' 'lxc.cgroup2.pids.max = 40' \
         >>~/.local/share/lxc/{name}/config && berth start {name}"
    );
    alice.run_for(&make, LIMIT)?.ok()?;
    init(alice, name)
}

fn init(alice: &Login, name: &str) -> Result<String> {
    let info = alice.run(&format!("berth info {name}"))?.ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("PID:"));
    Ok(pid.unwrap_or_default().trim().to_owned())
}

fn limits_hold(host: &Host, name: &str) -> Result {
    let look = format!("cat {BASE}/{name}/payload/memory.max {BASE}/{name}/payload/pids.max");
    assert_eq!(host.root(&look)?.ok()?, "50331648\n40\n", "{name}");
    Ok(())
}

#[test]
fn installed_upgraded_and_removed_under_people_and_containers() -> Result {
    let options = HostOptions {
        name: Some("package".into()),
        ..HostOptions::default()
    };
    let host = Host::boot_with(Image::Stock, options)?;
    packages(&host)?;
    let before = host.login("alice")?;
    host.root_for("dpkg -i /mnt/berth_*-1_*.deb", LIMIT)?.ok()?;
    // Who was there goes on; who comes gets what is new.
    assert!(!cgroup(&before)?.contains("init.scope"));
    let stat = host.root("stat -c %a /usr/libexec/berth/berth-usernic")?;
    assert_eq!(stat.ok()?, "4755\n");
    let common = host.root("cat /etc/pam.d/common-session")?.ok()?;
    let place = |module: &str| common.find(module);
    assert!(place("pam_systemd.so") < place("pam_berth.so"), "{common}");
    assert!(place("pam_systemd.so").is_some());
    before.logout()?;
    host.wait_until("! systemctl is-active user@1000.service", LIMIT)?;
    let alice = host.login("alice")?;
    assert!(cgroup(&alice)?.trim().ends_with("/init.scope"));
    host.root("berth grant alice --nics 2")?.ok()?;
    let (web, db) = (start(&alice, "web")?, start(&alice, "db")?);
    let session = cgroup(&alice)?;

    // An upgrade.
    let upgraded = host.root_for("dpkg -i /mnt/berth_*-2_*.deb", LIMIT)?;
    upgraded.ok()?;
    for (name, pid) in [("web", &web), ("db", &db)] {
        assert_eq!(&init(&alice, name)?, pid, "{name} was restarted");
        limits_hold(&host, name)?;
    }
    assert_eq!(cgroup(&alice)?, session);
    let again = start(&alice, "more")?;
    assert!(!again.is_empty());
    alice
        .run_for("berth stop web && berth start web", LIMIT)?
        .ok()?;
    limits_hold(&host, "web")?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");

    // Removed: containers end in order, logins go on.
    let gone = |name: &str| format!("! test -e {BASE}/{name}/payload");
    host.root_for("dpkg -r berth", LIMIT)?.ok()?;
    for name in ["web", "db", "more"] {
        host.root(&gone(name))?.ok()?;
    }
    assert_eq!(cgroup(&alice)?, session);
    let slices =
        host.root("stat -c '%U %a' /sys/fs/cgroup/user.slice/user-1000.slice/cgroup.procs")?;
    assert_eq!(slices.ok()?, "root 644\n");
    let common = host.root("cat /etc/pam.d/common-session")?.ok()?;
    assert!(!common.contains("pam_berth"), "{common}");
    let bob = host.login("bob")?;
    assert!(!cgroup(&bob)?.contains("init.scope"));
    assert!(
        alice
            .run("test -e ~/.local/share/lxc/web/config")?
            .success()
    );
    host.root("test -e /etc/berth/net.toml && test -e /var/lib/berth/grants")?
        .ok()?;
    host.root_for("dpkg -P berth", LIMIT)?.ok()?;
    host.root("! test -e /etc/berth/net.toml && ! test -e /var/lib/berth")?
        .ok()?;
    let failed = host.root("systemctl --failed --no-legend")?.ok()?;
    assert_eq!(failed, "");
    Ok(())
}

#[test]
fn lxcs_helper_is_diverted_and_comes_back() -> Result {
    let options = HostOptions {
        name: Some("package-divert".into()),
        ..HostOptions::default()
    };
    let host = Host::boot_with(Image::Stock, options)?;
    packages(&host)?;
    let place = "/usr/libexec/lxc/lxc-user-nic";
    host.root(&format!(
        "mkdir -p /usr/libexec/lxc && echo original >{place} && chmod 4755 {place}"
    ))?
    .ok()?;
    let install = "dpkg -i /mnt/berth_*-1_*.deb /mnt/berth-lxc-user-nic_*-1_all.deb";
    host.root_for(install, LIMIT)?.ok()?;
    let link = host.root(&format!("readlink {place}; cat {place}.distrib"))?;
    assert_eq!(link.ok()?, "/usr/libexec/berth/berth-usernic\noriginal\n");
    // It serves by that name, and the view follows without anybody's asking.
    host.root("berth grant alice --nics 1")?.ok()?;
    let alice = host.login("alice")?;
    let script = "setsid unshare -Urn sleep 600 </dev/null >/dev/null 2>&1 & sleep 0.5; \
        /usr/libexec/lxc/lxc-user-nic create /p web $! veth berthbr0 eth0";
    let answer = alice.run(script)?.ok()?;
    assert!(answer.starts_with("eth0:2:veth1000_"), "{answer}");
    host.wait_until(
        "grep '^alice veth berthbr0 veth1000_....$' /run/lxc/nics",
        LIMIT,
    )?;
    // Hand edits do no harm, and the next request writes what is.
    host.root("sed -i /alice/d /run/lxc/nics")?.ok()?;
    let again = "setsid unshare -Urn sleep 600 </dev/null >/dev/null 2>&1 & sleep 0.5; \
        /usr/libexec/lxc/lxc-user-nic create /p web $! veth berthbr0 eth0";
    alice.run(again)?.fails(7)?;
    host.root("berth grant alice --nics 2")?.ok()?;
    alice.run(again)?.ok()?;
    host.wait_until("test $(grep -c ^alice /run/lxc/nics) = 2", LIMIT)?;
    let upgrade = "dpkg -i /mnt/berth_*-2_*.deb /mnt/berth-lxc-user-nic_*-2_all.deb";
    host.root_for(upgrade, LIMIT)?.ok()?;
    assert_eq!(
        host.root(&format!("cat {place}.distrib"))?.ok()?,
        "original\n"
    );
    host.root_for("dpkg -r berth-lxc-user-nic", LIMIT)?.ok()?;
    let back = host.root(&format!("cat {place}; test ! -e {place}.distrib"))?;
    assert_eq!(back.ok()?, "original\n");
    let failed = host.root("systemctl --failed --no-legend")?.ok()?;
    assert_eq!(failed, "");
    Ok(())
}
