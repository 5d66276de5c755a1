//! logind with the patches of `logind-patches`, on hosts that are otherwise as Debian and Berth's
//! installation leave them, but without the drop-in for sessions. `cargo xtask logind` builds it and
//! runs what is here; nothing else does.

use anyhow::Context;
use berth_test_harness::{Host, Image, Login, Result, shared};
use berth_tests_booted::lxc;
use berth_tests_booted::session::{self, CONSOLE, PROBE, Session, in_service, opened_by};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(180);
/// For the table of depths.
const ROUNDS: u32 = 5;
/// As often as it takes: systemd refuses the sixth start within ten seconds.
const RESTART: &str = "systemctl reset-failed systemd-logind && systemctl restart systemd-logind";
/// What the setting is where nothing else is said.
const CONTROLLERS: &str = "cpu memory pids";
/// Turns controllers on first, as the user of a scope may: nobody else does without our module.
const ENABLE_AND_PROBE: &str = "/usr/local/bin/enable-and-probe";
const ENABLE: &str = r#"#!/bin/sh
base=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
echo "+cpu +memory +pids" >"${base%/init.scope}/cgroup.subtree_control"
exec /usr/local/bin/session-probe
"#;
/// Lays what was built over what Debian has, keeping that.
const REPLACE: &str = r#"
set -eu
mount -t hostfs -o "$1" none /mnt
cd /mnt
find . -type f | while read -r file; do
    [ ! -e "/$file" ] || [ -e "/$file.debian" ] || cp -a "/$file" "/$file.debian"
    mkdir -p "$(dirname "/$file")"
    cp --remove-destination "$file" "/$file"
    case $file in *.service) chmod 644 "/$file" ;; *) chmod 755 "/$file" ;; esac
done
cd /
umount /mnt
# Berth's drop-in would delegate what logind does not.
find /usr /etc -path '*/session-.scope.d/50-berth.conf' -delete
cp -a /etc/pam.d/common-session /root/common-session
mkdir -p /etc/systemd/logind.conf.d
"#;

/// The host, and the turn of a test that changes logind's configuration.
fn host(image: Image) -> Result<(&'static Host, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    static PREPARED: Mutex<bool> = Mutex::new(false);
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = shared(image)?;
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*prepared {
        let built = std::env::var("BERTH_LOGIND")
            .context("BERTH_LOGIND is not set: run these tests by `cargo xtask logind`")?;
        session::install(host)?;
        host.write(ENABLE_AND_PROBE, ENABLE)?;
        host.write("/root/replace", REPLACE)?;
        host.root(&format!(
            "chmod 755 {ENABLE_AND_PROBE} && sh /root/replace '{built}'"
        ))?
        .ok()?;
        host.write(
            "/etc/systemd/logind.conf.d/test.conf",
            &setting(CONTROLLERS),
        )?;
        host.reboot()?;
        *prepared = true;
    }
    // Whatever the test before has changed.
    set(host, CONTROLLERS)?;
    with_module(host, true)?;
    Ok((host, turn))
}

fn setting(value: &str) -> String {
    format!("[Login]\nDelegateSessionCgroups={value}")
}

/// Sets `DelegateSessionCgroups=`; new sessions show it.
fn set(host: &Host, value: &str) -> Result {
    host.write("/etc/systemd/logind.conf.d/test.conf", &setting(value))?;
    host.root(RESTART)?.ok()?;
    Ok(())
}

/// Our module in the stacks of logins, or not.
fn with_module(host: &Host, module: bool) -> Result {
    let change = match module {
        true => "s/pam_berth.so.*/pam_berth.so debug/",
        false => "/pam_berth/d",
    };
    host.root(&format!(
        "sed '{change}' /root/common-session >/etc/pam.d/common-session"
    ))?
    .ok()?;
    Ok(())
}

/// A PAM service with these lines for its session, whose caller is PID 1; `command` as `user` in it.
fn by_service(host: &Host, lines: &[&str], user: &str, command: &str) -> Result<String> {
    let stack = format!(
        "auth required pam_permit.so\naccount required pam_permit.so\n\
         session required pam_loginuid.so\nsession {}",
        lines.join("\nsession ")
    );
    host.write("/etc/pam.d/test-session", &stack)?;
    let options = format!("-p PAMName=test-session -p User={user}");
    Ok(in_service(&options, command))
}

fn probe(login: &Login, how: &str) -> Result<Session> {
    Session::parse(&login.run(how)?.text())
}

/// What logind and our module say of what they could not do.
fn complaints(host: &Host) -> Result<String> {
    let look = "journalctl -b -o cat -u systemd-logind -t sshd -t login -p warning | \
                grep -e 'subgroup of its scope' -e pam_berth -e systemd.delegate";
    Ok(host.root(look)?.stdout)
}

fn the_setting_is_known(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let ask = |property: &str| {
        let manager =
            "org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager";
        host.root(&format!("busctl get-property {manager} {property}"))?
            .ok()
    };
    assert_eq!(ask("DelegateSessionCgroups")?, "b true\n");
    let controllers = "as 3 \"cpu\" \"memory\" \"pids\"\n";
    assert_eq!(ask("DelegateSessionControllers")?, controllers);
    for (value, on, controllers) in [
        ("no", "b false\n", "as 0\n"),
        ("", "b false\n", "as 0\n"),
        ("nonsense", "b false\n", "as 0\n"),
        ("pids nonsense", "b true\n", "as 1 \"pids\"\n"),
        (
            "pids\nDelegateSessionCgroups=memory",
            "b true\n",
            "as 2 \"memory\" \"pids\"\n",
        ),
        ("yes\nDelegateSessionCgroups=", "b false\n", "as 0\n"),
    ] {
        set(host, value)?;
        assert_eq!(ask("DelegateSessionCgroups")?, on, "{value}");
        assert_eq!(ask("DelegateSessionControllers")?, controllers, "{value}");
    }
    set(host, "yes")?;
    assert!(ask("DelegateSessionControllers")?.contains("\"io\""));
    host.root("systemctl is-active systemd-logind && ! systemctl --failed | grep logind")?
        .ok()?;
    Ok(())
}

fn sessions_are_hers_without_the_module(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    with_module(host, false)?;
    let alice = host.login("alice")?;
    let ssh = probe(&alice, PROBE)?;
    // Nobody has turned on controllers, and all else is there.
    assert!(!ssh.has("memory"), "{ssh:#?}");
    assert_eq!(ssh.get("moved"), "yes", "{ssh:#?}");
    assert_eq!(ssh.get("inside"), "0", "{ssh:#?}");
    let marked = format!("getfattr --only-values -n user.delegate {}", ssh.base());
    assert_eq!(alice.run(&marked)?.ok()?, "1");
    probe(&alice, ENABLE_AND_PROBE)?.is_delegated("alice", 1000)?;

    let once =
        format!("[ ! -e ~/once ] || {{ rm ~/once; {ENABLE_AND_PROBE}; exit; }}; . ~/.profile");
    host.write("/home/alice/.bash_profile", &once)?;
    let console = "install -o alice /dev/null /home/alice/once; ".to_owned()
        + &in_service("", &format!("{CONSOLE} login -f alice"));
    let su = in_service("", &format!("su -l alice -c {ENABLE_AND_PROBE}"));
    let shell = in_service("-p PAMName=login -p User=alice", ENABLE_AND_PROBE);
    let job = ["optional pam_systemd.so class=background"];
    let job = by_service(host, &job, "alice", ENABLE_AND_PROBE)?;
    for (way, command) in [
        ("login", console),
        ("su -l", su),
        ("a shell", shell),
        ("a job", job),
    ] {
        let opened = opened_by(host, &command)?;
        let delegated = opened.is_delegated("alice", 1000);
        delegated.map_err(|error| error.context(way))?;
    }
    assert_eq!(complaints(host)?, "");
    Ok(())
}

/// Classes that came after systemd 252.
fn lighter_sessions_are_hers_too(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    with_module(host, false)?;
    let classes: &[_] = match image {
        Image::Trixie => &["background-light"],
        _ => &["background-light", "user-light"],
    };
    for class in classes {
        let line = format!("optional pam_systemd.so class={class}");
        let command = by_service(host, &[&line], "alice", ENABLE_AND_PROBE)?;
        let delegated = opened_by(host, &command)?.is_delegated("alice", 1000);
        delegated.map_err(|error| error.context(class.to_string()))?;
    }
    Ok(())
}

fn the_module_finds_it_done(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let alice = host.login("alice")?;
    let session = probe(&alice, PROBE)?;
    session.is_delegated("alice", 1000)?;
    let scope = session.base().trim_start_matches("/sys/fs/cgroup");
    host.wait_until(
        &format!("journalctl -b -o cat | grep 'pam_berth.*: delegated {scope}'"),
        SOON,
    )?;
    assert_eq!(complaints(host)?, "");
    Ok(())
}

/// Unmodified LXC in a plain login shell.
fn lxc_runs(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    lxc::prepare(host)?;
    for module in [false, true] {
        with_module(host, module)?;
        let alice = host.login("alice")?;
        let base = probe(&alice, PROBE)?.base().to_owned();
        let ok = |command: &str| alice.run_for(command, LIMIT)?.ok();
        ok("lxc-create -n web -t busybox && lxc-start -n web")?;
        let place = ok("cat /proc/$(lxc-info -n web -pH)/cgroup")?;
        let place = format!("/sys/fs/cgroup{}", place.trim().trim_start_matches("0::"));
        assert_eq!(place, format!("{base}/lxc.payload.web"), "module: {module}");
        let limits = ok(&format!("cat {place}/memory.max {place}/pids.max"))?;
        assert_eq!(limits, "50331648\n30\n", "module: {module}");
        let inside = ok("lxc-attach -n web -- cat /sys/fs/cgroup/memory.max")?;
        assert_eq!(inside, "50331648\n", "module: {module}");
        ok("lxc-stop -k -n web && lxc-destroy -n web")?;
        let left = format!("ls -d {base}/lxc.payload* {base}/lxc.monitor* 2>/dev/null; true");
        assert_eq!(ok(&left)?, "", "module: {module}");
        alice.logout()?;
    }
    Ok(())
}

fn it_stays_hers(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    for module in [false, true] {
        with_module(host, module)?;
        let alice = host.login("alice")?;
        let first = probe(&alice, ENABLE_AND_PROBE)?;
        first.is_delegated("alice", 1000)?;
        let scope = format!("session-{}.scope", first.get("id"));
        for change in [
            "systemctl daemon-reload".to_owned(),
            RESTART.to_owned(),
            format!("systemctl set-property --runtime {scope} MemoryHigh=500M TasksMax=2000"),
            "systemctl daemon-reexec".to_owned(),
            format!("systemctl daemon-reload && {RESTART}"),
        ] {
            host.root(&change)?.ok()?;
            let now = probe(&alice, PROBE)?;
            let delegated = now.is_delegated("alice", 1000);
            delegated.map_err(|error| error.context(change.clone()))?;
            assert_eq!(now.base(), first.base(), "{change}");
        }
        alice.logout()?;
        host.wait_until(&format!("! test -e {}", first.base()), SOON)?;
    }
    Ok(())
}

fn others_are_left_alone(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    set(host, "yes")?;
    let later: &[_] = match image {
        Image::Tools => &[],
        _ => &[("user-early", "alice"), ("user-incomplete", "alice")],
    };
    let all = [
        ("greeter", "alice"),
        ("lock-screen", "alice"),
        ("manager", "alice"),
        // A system user, as display managers have one.
        ("user", "daemon"),
        ("background", "daemon"),
    ];
    for (class, user) in all.iter().chain(later) {
        let line = format!("optional pam_systemd.so class={class}");
        let command = by_service(host, &[&line], user, PROBE)?;
        let opened = opened_by(host, &command)?;
        let untouched = opened.is_untouched();
        untouched.map_err(|error| error.context(format!("{class} of {user}")))?;
        if *class != "manager" {
            assert!(opened.base().contains("/session-"), "{opened:#?}");
        }
    }
    let line = ["optional pam_systemd.so class=user"];
    let root = opened_by(host, &by_service(host, &line, "root", PROBE)?)?;
    assert!(root.base().ends_with(".scope"), "{root:#?}");
    assert_eq!(root.base(), root.get("cgroup"), "{root:#?}");
    let alice = host.login("alice")?;
    let slice = "stat -c %U /sys/fs/cgroup/user.slice /sys/fs/cgroup/user.slice/user-1000.slice";
    assert_eq!(alice.run(slice)?.ok()?, "root\nroot\n");
    Ok(())
}

/// A module before pam_systemd decides about the one session, whatever the setting says.
fn pam_data_decides(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let open = |data: &str, command: &str| {
        let data = format!("required pam_set_delegate.so {data}");
        let lines = [data.trim_end(), "optional pam_systemd.so class=user"];
        opened_by(host, &by_service(host, &lines, "alice", command)?)
    };
    for data in ["no", "0"] {
        open(data, PROBE)?.is_untouched()?;
    }
    // What cannot be understood leaves it to the setting, and is told.
    open("cpu nonsense", ENABLE_AND_PROBE)?.is_delegated("alice", 1000)?;
    let told = "journalctl -b -o cat | grep 'Failed to parse systemd.delegate.*cpu nonsense'";
    host.wait_until(told, SOON)?;

    set(host, "no")?;
    for data in ["", "no"] {
        open(data, PROBE)?.is_untouched()?;
    }
    for data in ["yes", CONTROLLERS] {
        open(data, ENABLE_AND_PROBE)?.is_delegated("alice", 1000)?;
    }
    Ok(())
}

/// The small series: Debian's own logind, and only pam_systemd is patched.
fn pam_data_is_enough(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let files = "/usr/lib/systemd/systemd-logind /usr/lib/systemd/system/systemd-logind.service";
    let swap = |from: &str, to: &str| -> Result {
        host.root(&format!(
            "for f in {files}; do mv $f $f{to} && mv $f{from} $f || exit; done; \
             systemctl daemon-reload && {RESTART}"
        ))?
        .ok()?;
        Ok(())
    };
    swap(".debian", ".patched")?;
    let result = with_debians_logind(host);
    swap(".patched", ".debian")?;
    result
}

fn with_debians_logind(host: &Host) -> Result {
    let unknown = "busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \
                   org.freedesktop.login1.Manager DelegateSessionCgroups";
    assert!(!host.root(unknown)?.success(), "the patched logind runs");
    let data = format!("required pam_set_delegate.so {CONTROLLERS}");
    let systemd = "optional pam_systemd.so class=user";
    let open = |lines: &[&str]| opened_by(host, &by_service(host, lines, "alice", PROBE)?);
    open(&[systemd])?.is_untouched()?;
    let hers = open(&[&data, systemd])?;
    let owners = hers.get("owners");
    assert!(owners.starts_with("alice alice alice stat: "), "{hers:#?}");
    assert_eq!(hers.base(), hers.get("cgroup"));
    let whole = open(&[&data, systemd, "optional pam_berth.so"])?;
    whole.is_delegated("alice", 1000)
}

fn all_else_is_as_before(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    with_module(host, false)?;
    let alice = host.login("alice")?;
    let session = probe(&alice, ENABLE_AND_PROBE)?;
    session.is_delegated("alice", 1000)?;
    let ok = |command: &str| alice.run_for(command, LIMIT)?.ok();

    // Scopes and services of her service manager.
    let own = ok("systemd-run --user --scope --quiet cat /proc/self/cgroup")?;
    assert!(own.contains("/user@1000.service/"), "{own}");
    let own = ok("systemd-run --user --wait --pipe --quiet cat /proc/self/cgroup")?;
    assert!(own.contains("/user@1000.service/"), "{own}");

    // Sessions are found by their processes, and the other way round.
    let id = session.get("id");
    let of_shell = ok(
        "busctl call org.freedesktop.login1 /org/freedesktop/login1 \
         org.freedesktop.login1.Manager GetSessionByPID u $$",
    )?;
    assert!(
        of_shell.contains("/org/freedesktop/login1/session/"),
        "{of_shell}"
    );
    let shown = ok("loginctl show-session self -p Id -p Name -p Class -p Scope -p Remote")?;
    for line in [
        format!("Id={id}"),
        "Name=alice".into(),
        "Class=user".into(),
        format!("Scope=session-{id}.scope"),
        "Remote=yes".into(),
    ] {
        assert!(shown.lines().any(|l| l == line), "{line}: {shown}");
    }
    let status = ok(&format!("loginctl session-status {id} --no-pager --full"))?;
    assert!(
        status.contains("sshd") && status.contains("init.scope"),
        "{status}"
    );
    assert!(ok("loginctl list-sessions --no-legend")?.contains("alice"));

    // Her processes are ended with her session when she says so.
    let second = host.login("alice")?;
    let scope = probe(&second, PROBE)?;
    ok(&format!("loginctl terminate-session {}", scope.get("id")))?;
    host.wait_until(&format!("! test -e {}", scope.base()), SOON)?;
    let scope = session.base().to_owned();
    alice.logout()?;
    host.wait_until(&format!("! test -e {scope}"), SOON)?;
    Ok(())
}

fn a_shell_by_machinectl_is_hers(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    with_module(host, false)?;
    let command = format!("machinectl --quiet shell alice@.host {ENABLE_AND_PROBE} < /dev/null");
    opened_by(host, &command)?.is_delegated("alice", 1000)?;
    assert_eq!(host.root("machinectl list --no-legend")?.ok()?, "");
    Ok(())
}

/// From another session she may be faster than logind in a scope that has just become hers. What she
/// makes there holds nobody else's processes.
fn she_prepares_no_leaf_for_root(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    with_module(host, false)?;
    let hostile = host.login("alice")?;
    let plant = "for (my $end = time + 600; time < $end && !-e '/tmp/enough';) { \
                 for (glob '/sys/fs/cgroup/user.slice/user-1000.slice/session-*.scope') { \
                 next unless mkdir \"$_/init.scope\"; \
                 open my $f, '>', \"$_/init.scope/cgroup.freeze\" and print $f 1; } }";
    hostile
        .run(&format!(
            "perl -e '{}' >/dev/null 2>&1 &",
            plant.replace('\'', "\"")
        ))?
        .ok()?;
    for _ in 0..8 {
        let login = host.login("alice")?;
        let session = probe(&login, PROBE)?;
        let in_leaf = session.get("cgroup").ends_with("/init.scope");
        let maker = session.get("leaf");
        assert_eq!(in_leaf, maker == "root", "{session:#?}");
        login.logout()?;
    }
    hostile.run("touch /tmp/enough")?.ok()?;
    host.wait_until("! pgrep -u alice -x perl && rm -f /tmp/enough", SOON)?;
    Ok(())
}

/// Prints the table of logind-patches/README.md.
fn depth_has_its_price(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let program = Path::new(env!("CARGO_BIN_EXE_cgroup-depth"));
    let dir = program.parent().context("a program has a directory")?;
    let dir = dir.display();
    host.root(&format!(
        "mount -t hostfs -o {dir} none /mnt && cp /mnt/cgroup-depth /root/; umount /mnt"
    ))?
    .ok()?;
    let measure = format!("nice -n -10 /root/cgroup-depth {ROUNDS}");
    let table = host.root_for(&measure, Duration::from_secs(1200))?.ok()?;
    println!("{table}");
    let rows: Vec<_> = table.lines().map(|row| row.split(" | ").count()).collect();
    // A heading, the line below it, seven rows: a name, eleven depths, quartiles, a slope.
    assert_eq!(rows, [14, 1, 14, 14, 14, 14, 14, 14, 14], "{table}");
    let left = host.root("ls -d /sys/fs/cgroup/berth-depth-*")?;
    assert!(!left.success(), "{left}");
    Ok(())
}

/// One test a function, for a version of systemd.
macro_rules! tests_on {
    ($image:expr, $($name:ident)*) => {
        use super::*;
        $(
            #[test]
            #[ignore = "`cargo xtask logind` builds what it boots"]
            fn $name() -> Result {
                super::$name($image)
            }
        )*
    };
}

mod systemd_252 {
    tests_on! { Image::Tools,
        the_setting_is_known
        sessions_are_hers_without_the_module
        the_module_finds_it_done
        lxc_runs
        it_stays_hers
        others_are_left_alone
        pam_data_decides
        pam_data_is_enough
        all_else_is_as_before
        a_shell_by_machinectl_is_hers
        she_prepares_no_leaf_for_root
        depth_has_its_price
    }
}

/// What there is to see with systemd 257 and later, on hosts without LXC and machinectl.
macro_rules! later_tests_on {
    ($image:expr) => {
        tests_on! { $image,
            the_setting_is_known
            sessions_are_hers_without_the_module
            lighter_sessions_are_hers_too
            the_module_finds_it_done
            it_stays_hers
            others_are_left_alone
            pam_data_decides
            pam_data_is_enough
            all_else_is_as_before
            she_prepares_no_leaf_for_root
        }
    };
}

mod systemd_257 {
    later_tests_on! { Image::Trixie }
}

mod systemd_262 {
    later_tests_on! { Image::Forky }
}
