//! Many logins and logouts, many of them at once.

use berth_test_harness::{Host, Image, Result};
use std::time::Duration;

/// For all logins together, on a host that shares its machine with others.
const LIMIT: Duration = Duration::from_secs(1500);

/// Twenty users with keys, and a sshd that takes as many connections at once.
const USERS: &str = r#"
set -e
mkdir -p /etc/ssh/sshd_config.d
printf 'MaxStartups 200\nMaxSessions 50\n' > /etc/ssh/sshd_config.d/many.conf
kill -HUP "$(cat /run/sshd.pid)"
[ -e /root/key ] || ssh-keygen -q -t ed25519 -N '' -f /root/key
for n in $(seq 10 29); do
    user=user$n
    useradd -m -s /bin/sh "$user"
    install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
    install -m 600 -o "$user" -g "$user" /root/key.pub "/home/$user/.ssh/authorized_keys"
done
"#;

/// So many logins for each, as many as twenty at once; each says where it is, whether the cgroup
/// above is its user's, and whether it could make a cgroup there and go into it.
const LOGINS: &str = r#"
cat > /root/login <<'END'
#!/bin/sh
exec ssh -i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -o BatchMode=yes "user$1@127.0.0.1" '
    own=$(sed -n s/^0:://p /proc/self/cgroup)
    base=/sys/fs/cgroup${own%/init.scope}
    test -O "$base" && mkdir "$base/t$$" && sh -c "echo \$\$ > $base/t$$/cgroup.procs" &&
        rmdir "$base/t$$" && echo "in $own"
    '
END
chmod +x /root/login
for round in $(seq ROUNDS); do seq 10 29; done | xargs -P 20 -n 1 /root/login 2>&1
"#;

/// Logs twenty users in `rounds` times each; where they were.
fn log_in(host: &Host, rounds: usize) -> Result<Vec<String>> {
    let said = host.root_for(&LOGINS.replace("ROUNDS", &rounds.to_string()), LIMIT)?;
    let places: Vec<String> = said
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("in "))
        .map(str::to_owned)
        .collect();
    assert_eq!(places.len(), 20 * rounds, "{}", said.text());
    Ok(places)
}

/// Gives the module more time than it has by default, since twenty logins at once on one processor
/// that has other work, too, wait for their turn; and has it tell how long it took.
fn patiently(host: &Host) -> Result {
    let line = "s/pam_berth.so.*/pam_berth.so debug deadline=10000/";
    host.root(&format!("sed -i '{line}' /etc/pam.d/common-session"))?
        .ok()?;
    Ok(())
}

/// How long the module took, as it says with `debug`: for whoever runs the test by hand.
fn tell_times(host: &Host, log: &str) -> Result {
    let text = host.root(log)?.stdout;
    let mut times: Vec<u64> = text
        .lines()
        .filter_map(|line| {
            line.split_once(" µs, name")?
                .0
                .rsplit('(')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).or(times.last());
    println!(
        "{} logins took the module (µs): half {:?}, nine of ten {:?}, 99 of 100 {:?}, all {:?}",
        times.len(),
        at(50),
        at(90),
        at(99),
        times.last()
    );
    Ok(())
}

#[test]
fn two_hundred_on_systemd_and_none_fails_or_leaks() -> Result {
    let host = Host::boot(Image::Berth)?;
    patiently(&host)?;
    host.root_for(USERS, LIMIT)?.ok()?;
    // Service managers that come and go with each login are most of the work: they do for the first
    // and the last ones.
    let mut places = log_in(&host, 1)?;
    let linger = |word: &str| {
        host.root_for(
            &format!("for n in $(seq 10 29); do loginctl {word}-linger user$n; done"),
            LIMIT,
        )
    };
    linger("enable")?.ok()?;
    places.extend(log_in(&host, 9)?);
    linger("disable")?.ok()?;
    for place in &places {
        assert!(
            place.starts_with("/user.slice/user-10") && place.ends_with(".scope/init.scope"),
            "{place}"
        );
    }
    tell_times(&host, "journalctl -b -o cat | grep 'pam_berth.*delegated'")?;
    let complaints = host.root("journalctl -b -o cat -p warning | grep pam_berth")?;
    assert_eq!(complaints.stdout, "");
    host.wait_until(
        "! ls -d /sys/fs/cgroup/user.slice/user-*/session-*/ /sys/fs/cgroup/user.slice/user-*/berth-* \
         2>/dev/null | grep -v user-0.slice",
        Duration::from_secs(120),
    )?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

/// With elogind each session has its own cgroup, without it the user's is for all of them.
#[test]
fn eighty_without_systemd_and_none_fails_or_leaks() -> Result {
    let host = Host::boot(Image::Sysvinit)?;
    patiently(&host)?;
    host.root("sed -i /pam_elogind/d /etc/pam.d/common-session")?
        .ok()?;
    host.root_for(USERS, LIMIT)?.ok()?;
    let places = log_in(&host, 4)?;
    for place in &places {
        assert!(
            place.starts_with("/berth/user-10") && place.ends_with("/init.scope"),
            "{place}"
        );
    }
    let log = "/var/log/messages /var/log/auth.log";
    tell_times(&host, &format!("grep -h 'pam_berth.*delegated' {log}"))?;
    let complaints = host.root(&format!(
        "grep -h pam_berth {log} | grep -e 'not delegated' -e without"
    ))?;
    assert_eq!(complaints.stdout, "");
    // sshd closes a session while its own process of the user is about to end: what is left then
    // is empty, and the next logins use it or clear it up.
    host.wait_until(
        "! grep -l 'populated 1' /sys/fs/cgroup/berth/user-*/cgroup.events",
        Duration::from_secs(120),
    )?;
    let left =
        host.root("find /sys/fs/cgroup/berth/user-* -mindepth 1 -type d ! -name init.scope")?;
    assert_eq!(left.stdout, "");
    Ok(())
}
