//! What a session looks like from inside, and what a delegated one has to look like.

use anyhow::{Context, Result, ensure};
use berth_test_harness::Host;
use std::collections::BTreeMap;

/// Where [`install`] puts the script.
pub const PROBE: &str = "/usr/local/bin/session-probe";

/// Says, as the session's user, in which cgroup it runs and whose that is, and tries to use it.
/// `session-probe DIR` asks about another delegated cgroup of the user's, which the caller does
/// not sit in.
const SCRIPT: &str = r#"#!/bin/sh
say() { echo "probe: $1=$2"; }
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
say cgroup "$own"
say user "$(id -un)"
say id "$XDG_SESSION_ID"
say class "$XDG_SESSION_CLASS"
base=${1:-${own%/init.scope}}
say base "$base"
say owners "$(stat -c %U "$base" "$base/cgroup.procs" "$base/cgroup.subtree_control" "$base/init.scope/cgroup.procs" 2>&1 | tr '\n' ' ')"
say leaf "$(stat -c %U "$base/init.scope" 2>&1)"
say kept "$(stat -c %U "$base/memory.max" "$base/pids.max" "$base/cgroup.kill" "$base/cgroup.freeze" | sort -u | tr '\n' ' ')"
say controllers "$(cat "$base/cgroup.subtree_control")"
say inside "$(grep -c . "$base/cgroup.procs")"
child=$base/probe.$$
if mkdir "$child" 2>/dev/null; then
    use() { echo 64M >"$child/memory.max" && echo 50 >"$child/pids.max" && echo 200 >"$child/cpu.weight"; }
    use && say limits "$(cat "$child/memory.max" "$child/pids.max" "$child/cpu.weight" | tr '\n' ' ')"
    if [ -z "$1" ]; then
        sh -c 'echo $$ >"$0/cgroup.procs" && grep -q "/probe\.[0-9]*$" /proc/self/cgroup' "$child" && say moved yes
    fi
    rmdir "$child" && say removed yes
fi
"#;

/// Where [`install`] puts the program that stands in for a console.
pub const CONSOLE: &str = "/usr/local/bin/on-console";

/// Runs a command on a new terminal and prints what it shows. script(1) will not do: login(1) of
/// util-linux hangs its terminal up before it opens it again, which script takes for the end.
const TERMINAL: &str = r#"#!/usr/bin/perl
use strict; use Errno; use Fcntl; use POSIX ();
my ($number, $unlocked) = (pack('I', 0), pack('I', 0));
sysopen(my $master, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "ptmx: $!";
ioctl($master, 0x40045431, $unlocked) or die "TIOCSPTLCK: $!";
ioctl($master, 0x80045430, $number) or die "TIOCGPTN: $!";
my $slave = '/dev/pts/' . unpack('I', $number);
my $child = fork;
if (!$child) {
    POSIX::setsid();
    sysopen(my $terminal, $slave, O_RDWR) or die "$slave: $!";
    POSIX::dup2(fileno $terminal, $_) for 0 .. 2;
    exec @ARGV or die "$ARGV[0]: $!";
}
$| = 1;
my $ended;
for (;;) {
    my $read = sysread $master, my $text, 4096;
    if ($read) { print $text; next }
    die "read: $!" unless defined $read || $!{EIO} || $!{EINTR};
    last if $ended;
    $ended = waitpid($child, POSIX::WNOHANG()) == $child;
    select undef, undef, undef, 0.05;
}
exit $? >> 8;
"#;

/// What the script says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session(BTreeMap<String, String>);

impl Session {
    /// Reads it out of whatever a terminal shows around it.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .filter_map(|line| line.trim_end().split_once("probe: ")?.1.split_once('='));
        let said: BTreeMap<_, _> = lines.map(|(k, v)| (k.into(), v.trim().into())).collect();
        ensure!(said.contains_key("inside"), "no probe in {text:?}");
        Ok(Self(said))
    }

    /// One answer; empty if there is none.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// The delegated cgroup, without the leaf.
    pub fn base(&self) -> &str {
        self.get("base")
    }

    /// Whether its children have this controller.
    pub fn has(&self, controller: &str) -> bool {
        self.get("controllers")
            .split(' ')
            .any(|name| name == controller)
    }

    /// A session's scope of `user`'s, with uid `uid`: his, used from its leaf, with limits that
    /// he sets, and its own limits not his.
    pub fn is_delegated(&self, user: &str, uid: u32) -> Result<()> {
        let scope = format!(
            "/sys/fs/cgroup/user.slice/user-{uid}.slice/session-{}.scope",
            self.get("id")
        );
        let leaf = format!("{scope}/init.scope");
        ensure!(
            self.base() == scope && self.get("cgroup") == leaf,
            "not in the leaf of a session: {self:#?}"
        );
        ensure!(self.get("moved") == "yes", "he cannot use it: {self:#?}");
        ensure!(self.get("leaf") == "root", "podman minds it: {self:#?}");
        self.is_usable(user)
    }

    /// A delegated cgroup of `user`'s of either kind.
    pub fn is_usable(&self, user: &str) -> Result<()> {
        let expected = [
            ("user", user.to_owned()),
            ("owners", [user; 4].join(" ")),
            ("kept", "root".to_owned()),
            ("inside", "0".to_owned()),
            ("limits", "67108864 50 200".to_owned()),
            ("removed", "yes".to_owned()),
        ];
        for (key, value) in expected {
            ensure!(
                self.get(key) == value,
                "{key} is not {value:?} in {self:#?}"
            );
        }
        for controller in ["cpu", "memory", "pids"] {
            ensure!(self.has(controller), "no {controller} in {self:#?}");
        }
        Ok(())
    }

    /// A cgroup that is still root's, without a leaf.
    pub fn is_untouched(&self) -> Result<()> {
        let owners = self.get("owners");
        ensure!(
            owners.starts_with("root root root stat: ") && !owners.contains("alice"),
            "somebody touched it: {self:#?}"
        );
        ensure!(!self.get("cgroup").ends_with("/init.scope"), "{self:#?}");
        ensure!(self.get("limits").is_empty(), "he may use it: {self:#?}");
        Ok(())
    }
}

/// Puts both onto the host.
pub fn install(host: &Host) -> Result<()> {
    // Another test may be running the old one.
    let fresh = format!("{PROBE}.new");
    host.write(&fresh, SCRIPT)?;
    host.root(&format!("chmod 755 {fresh} && mv {fresh} {PROBE}"))?
        .ok()?;
    host.write(CONSOLE, TERMINAL)?;
    host.root(&format!("chmod 755 {CONSOLE}"))?.ok()?;
    Ok(())
}

/// Runs a command of root's that opens a session and runs [`PROBE`] in it.
pub fn opened_by(host: &Host, command: &str) -> Result<Session> {
    let output = host.root(command)?;
    Session::parse(&output.text()).with_context(|| output.to_string())
}

/// `command` in a system service, as a daemon would run it.
pub fn in_service(options: &str, command: &str) -> String {
    format!("systemd-run --quiet --wait --collect --pipe {options} {command}")
}
