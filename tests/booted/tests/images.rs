//! The hosts that tests boot: each is what its name says, and can be logged in to, rebooted and
//! switched off.

use berth_test_harness::{Cgroups, Host, Image, Result};
use berth_tests_booted::units;
use std::time::{Duration, Instant};

/// What there is to see of a host's cgroups: the file systems that are mounted, and where.
fn mounted(host: &Host) -> Result<Vec<String>> {
    let lines = host.root("cat /proc/mounts")?.ok()?;
    let mut mounted = Vec::new();
    for line in lines.lines() {
        if let [_, place, kind @ ("cgroup" | "cgroup2"), ..] =
            line.split(' ').collect::<Vec<_>>()[..]
        {
            mounted.push(format!("{kind} {place}"));
        }
    }
    Ok(mounted)
}

fn check_cgroups(host: &Host, cgroups: Cgroups) -> Result {
    let mounted = mounted(host)?;
    let has = |line: &str| mounted.iter().any(|known| known == line);
    let expected = match cgroups {
        Cgroups::V2 => mounted == ["cgroup2 /sys/fs/cgroup"],
        Cgroups::Hybrid => {
            has("cgroup2 /sys/fs/cgroup/unified") && has("cgroup /sys/fs/cgroup/memory")
        }
        Cgroups::V1 => {
            let elogind = host.root("pidof elogind-daemon elogind")?.success();
            has("cgroup /sys/fs/cgroup/memory")
                && (elogind || !mounted.iter().any(|line| line.starts_with("cgroup2")))
        }
    };
    assert!(expected, "{cgroups:?}: {mounted:?}");
    Ok(())
}

/// Waits until the log has `text`: a line takes its time from one process to the next.
fn logged(host: &Host, text: &str) -> Result {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let journal = host.journal()?;
        if journal.contains(text) {
            return Ok(());
        }
        assert!(Instant::now() < end, "no {text} in: {journal}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Boots `image` with each of `layouts`, one after the other on the same disk, with a login each.
fn boot(image: Image, layouts: &[Cgroups], check: impl Fn(&Host) -> Result) -> Result {
    let begin = Instant::now();
    let host = Host::boot(image)?;
    println!("{image:?}: booted after {:.1?}", begin.elapsed());
    host.root("echo kept > /root/file")?.ok()?;
    for cgroups in layouts {
        if *cgroups != Cgroups::V2 {
            let begin = Instant::now();
            host.reboot_with(*cgroups)?;
            println!("{image:?}: {cgroups:?} after {:.1?}", begin.elapsed());
        }
        check_cgroups(&host, *cgroups)?;
        check(&host)?;
        let alice = host.login("alice")?;
        assert_eq!(alice.run("id -un; stat -c %a ~")?.ok()?, "alice\n700\n");
        if *cgroups == Cgroups::Hybrid {
            let judged = alice.run("berth doctor cgroups")?.exits(1)?;
            let layout = "cgroup v1 has the controllers, v2 is beside it without them";
            assert!(judged.contains(layout), "{judged}");
        }
        let session = alice.run("echo $XDG_SESSION_ID")?.ok()?;
        let known = host.root("loginctl --no-legend list-sessions")?.ok()?;
        assert!(
            known
                .lines()
                .any(|line| line.contains("alice") && line.contains(session.trim())),
            "{session}: {known}"
        );
        alice.logout()?;
        host.wait_until(
            "! loginctl --no-legend list-sessions | grep alice",
            Duration::from_secs(20),
        )?;
        // In the words of whichever log there is.
        host.root("logger -t images.rs said-by-a-test")?.ok()?;
        logged(&host, "said-by-a-test")?;
        assert_eq!(host.root("cat /root/file")?.ok()?, "kept\n");
    }
    let begin = Instant::now();
    host.poweroff()?;
    println!("{image:?}: off after {:.1?}", begin.elapsed());
    Ok(())
}

/// PID 1 is systemd of that version, and no unit has failed.
fn systemd(host: &Host, version: &str) -> Result {
    let said = host.root("systemctl --version")?.ok()?;
    assert!(said.starts_with(&format!("systemd {version} ")), "{said}");
    assert_eq!(host.root("cat /proc/1/comm")?.ok()?, "systemd\n");
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

#[test]
fn debian_13_with_its_systemd() -> Result {
    boot(Image::Trixie, &[Cgroups::V2], |host| {
        systemd(host, "257")?;
        units::are_sound(host)
    })
}

#[test]
fn debian_12_with_the_tools_of_others() -> Result {
    boot(Image::Tools, &[Cgroups::V2], |host| {
        systemd(host, "252")?;
        let tools = "lxc-start lxc-copy crun podman slirp4netns fuse-overlayfs machinectl at tmux \
            pamtester berth";
        for tool in tools.split_whitespace() {
            host.root(&format!("command -v {tool}"))?.ok()?;
        }
        // Theirs is theirs: nothing of LXC's takes the network or the login.
        assert_eq!(host.root("ip -brief link show lxcbr0")?.code, 1);
        assert_eq!(host.root("grep -r pam_cgfs /etc/pam.d")?.code, 1);
        host.root("systemctl is-active atd berth-net")?.ok()?;
        Ok(())
    })
}

/// PID 1 is sysvinit, the services are up, and there is nothing of systemd.
fn sysvinit(host: &Host) -> Result {
    assert_eq!(host.root("cat /proc/1/comm")?.ok()?, "init\n");
    assert_eq!(host.root("command -v systemctl")?.code, 1);
    host.root("pidof cron dbus-daemon")?.ok()?;
    host.root("pgrep -x elogind-daemon || pgrep -x elogind")?
        .ok()?;
    host.root("grep pam_berth /etc/pam.d/common-session && command -v berth")?
        .ok()?;
    Ok(())
}

#[test]
fn without_systemd_sysvinit() -> Result {
    let layouts = [Cgroups::V2, Cgroups::Hybrid];
    boot(Image::Sysvinit, &layouts, |host| {
        host.root("grep '^l2:.*/etc/init.d/rc 2' /etc/inittab")?
            .ok()?;
        assert_eq!(host.root("command -v openrc")?.code, 1);
        sysvinit(host)
    })
}

#[test]
fn without_systemd_openrc() -> Result {
    boot(Image::Openrc, &[Cgroups::V2], |host| {
        let status = host.root("rc-status --nocolor default")?.ok()?;
        assert!(status.contains("elogind"), "{status}");
        sysvinit(host)
    })
}
