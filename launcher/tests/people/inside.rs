//! Commands in a container: as whom, with what, confined or not.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::world::{Container, Owner, eventually, in_container};

const USERS: &str = "echo 'alice:x:1000:100::/srv:/bin/sh' >>/etc/passwd; \
    echo 'lost:x:70000:100::/:/bin/sh' >>/etc/passwd; \
    printf 'users:x:100:\\nadm:x:4:bob,alice\\nfar:x:70000:alice\\n' >>/etc/group; mkdir -p /srv";

fn exec(container: &Container<'_>, options: &[&str], script: &str) -> Output {
    let command = ["--", "/bin/sh", "-c", script];
    container.berth(&[&["exec", container.name], options, &command].concat())
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap().trim().to_owned()
}

#[test]
fn users_are_the_containers_own() {
    for owner in [Owner::User, Owner::Root] {
        in_container(owner, "", |container| {
            container.sh(USERS);
            let ids = |options: &[&str]| {
                said(&exec(
                    container,
                    options,
                    "echo $(id -u):$(id -g):$(id -G) $USER $HOME",
                ))
            };
            // A group that the container has no id for is nobody's.
            let far = if owner == Owner::Root { " 70000" } else { "" };
            let alice = format!("1000:100:100 4{far} alice /srv");
            assert_eq!(ids(&["-u", "alice"]), alice);
            assert_eq!(ids(&["--user", "1000"]), alice);
            assert_eq!(ids(&["-u", "alice:adm"]), "1000:4:4 alice /srv");
            assert_eq!(ids(&["-u", "alice", "-g", "50"]), "1000:50:50 alice /srv");
            assert_eq!(ids(&["-u", "33:33"]), "33:33:33 33 /");
            assert_eq!(ids(&["--group", "users"]), "0:100:100 root /root");
            let refused = [
                ("bob", "no user “bob”"),
                ("2000", "--user 2000:GID"),
                ("alice:nobodys", "no group “nobodys”"),
            ];
            let missing = [
                ("lost", "has no user id 70000"),
                ("5:70000", "no group id 70000"),
            ];
            let missing = missing.iter().filter(|_| owner == Owner::User);
            for (user, text) in refused.iter().chain(missing) {
                let output = exec(container, &["-u", user], "true");
                assert_eq!(output.status.code(), Some(125), "{user}");
                assert!(said(&output).contains(text), "{}", said(&output));
            }
            // Nothing of root's is left to him.
            let rights = "grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status; cat /proc/1/environ";
            let output = said(&exec(container, &["-u", "alice"], rights));
            assert_eq!(output.matches("0000000000000000").count(), 4, "{output}");
            assert!(output.contains("ermission denied"), "{output}");
            container.sh("chmod 0700 /root");
            let output = exec(container, &["-u", "alice", "-w", "/root"], "pwd");
            assert!(said(&output).contains("cannot change to /root"));
        });
    }
}

/// The container's root puts there what he likes.
#[test]
fn a_hostile_file_of_users_holds_nobody_up() {
    in_container(Owner::User, "", |container| {
        let begun = Instant::now();
        for (trap, answer) in [
            ("mkfifo /etc/passwd", "no user “alice”"),
            ("ln -s /proc/kmsg /etc/passwd", "no user “alice”"),
            ("head -c 5000000 /dev/zero >/etc/passwd", "no user “alice”"),
            (
                "echo 'alice:x:0:0::/:/bin/sh' >/etc/passwd; rm /etc/group; mkfifo /etc/group",
                "0",
            ),
        ] {
            container.sh(&format!("rm -f /etc/passwd; {trap}"));
            let output = said(&exec(container, &["-u", "alice"], "id -u"));
            assert!(output.contains(answer), "{trap}: {output}");
            assert_eq!(container.sh("echo in"), "in");
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn a_command_is_spared_what_is_asked_for_and_never_the_namespaces() {
    let lines = "lxc.cap.drop = sys_time sys_admin\nlxc.no_new_privs = 1";
    in_container(Owner::User, lines, |container| {
        let script = "grep -E 'CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\n\\t '; \
            cat /proc/self/cgroup | grep -o monitor; echo; readlink /proc/self/ns/user";
        let with = |options: &[&str]| said(&exec(container, options, script));
        let confined = with(&[]);
        let user = confined.lines().last().unwrap().to_owned();
        assert!(confined.contains("NoNewPrivs:1"), "{confined}");
        assert!(!confined.contains("monitor"), "{confined}");
        let bounding = |text: &str| {
            let at = text.find("CapBnd:").unwrap() + "CapBnd:".len();
            u64::from_str_radix(&text[at..at + 16], 16).unwrap()
        };
        let dropped = 1 << 21 | 1 << 25; // CAP_SYS_ADMIN, CAP_SYS_TIME
        assert_eq!(bounding(&confined) & dropped, 0);

        let elevated = with(&["--elevated"]);
        assert_eq!(bounding(&elevated) & dropped, dropped, "{elevated}");
        assert!(elevated.contains("NoNewPrivs:0") && elevated.contains("monitor"));
        assert_eq!(elevated.lines().last(), Some(&user[..]));

        let part = with(&["--elevated=cap"]);
        assert_eq!(bounding(&part) & dropped, dropped, "{part}");
        assert!(part.contains("NoNewPrivs:1") && !part.contains("monitor"));
        let part = with(&["--elevated=LSM,CGROUP"]);
        assert_eq!(bounding(&part) & dropped, 0, "{part}");
        assert!(part.contains("NoNewPrivs:0") && part.contains("monitor"));
        let wrong = container.berth(&["exec", "web", "--elevated=ALL", "--", "true"]);
        assert_eq!(wrong.status.code(), Some(2));
    });
}

#[test]
fn the_callers_environment_stays_outside_unless_asked() {
    in_container(Owner::User, "", |container| {
        let with = |options: &[&str]| {
            let mut berth = container.command("berth");
            berth.env("SECRET", "s").env("HOME", "/host").args(["exec"]);
            berth.args(options).args(["web", "--", "env"]);
            said(&berth.output().unwrap())
        };
        for options in [&[][..], &["--clear-env"]] {
            let plain = with(options);
            assert!(!plain.contains("SECRET") && !plain.contains("/host"));
        }
        let all = with(&["--keep-env"]);
        assert!(all.contains("SECRET=s") && !all.contains("/host"), "{all}");
        assert!(with(&["--keep-var", "HOME"]).contains("HOME=/host"));
        assert!(with(&["-e", "A=b=c", "-v", "B="]).contains("A=b=c\n"));
        for wrong in [["-e", "A"], ["-e", "=b"], ["--user", ""], ["--group", ""]] {
            let output = exec(container, &wrong, "true");
            assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        }
        let twice = exec(container, &["-u", "a:b", "-g", "c"], "true");
        assert_eq!(twice.status.code(), Some(2), "{}", said(&twice));
    });
}

#[test]
fn attach_takes_a_command_and_the_same_options() {
    in_container(Owner::User, "", |container| {
        container.sh(USERS);
        let output = container.ok(&[
            "attach",
            "web",
            "-u",
            "alice",
            "--",
            "sh",
            "-c",
            "id -u; pwd",
        ]);
        assert_eq!(output, "1000\n/\n");
        let mut shell = container.command("berth");
        shell.args(["attach", "web", "--user", "alice"]);
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(b"id -u\npwd\nexit 7\n").unwrap();
        let output = shell.wait_with_output().unwrap();
        assert_eq!(said(&output), "1000\n/srv");
        assert_eq!(output.status.code(), Some(7));
    });
}

#[test]
fn twenty_at_once_get_their_own_bytes_and_codes() {
    in_container(Owner::User, "", |container| {
        let bytes: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        let file = container.host.home().join("bytes");
        fs::write(&file, &bytes).unwrap();
        let commands: Vec<_> = (0..20)
            .map(|number| {
                let mut berth = container.command("berth");
                let script = format!("cat; exit {number}");
                berth.args(["exec", "web", "--", "sh", "-c", &script]);
                berth.stdin(fs::File::open(&file).unwrap());
                berth.stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for (number, command) in (0..).zip(commands) {
            let output = command.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(number));
            assert!(output.stdout == bytes, "{number}");
        }
    });
}

/// Each command either ran to its end, was ended with the container, or was told why not.
#[test]
fn commands_beside_a_stop_end_with_it_or_are_refused() {
    in_container(Owner::User, "", |container| {
        for _ in 0..3 {
            let start = |script: &str| {
                let mut berth = container.command("berth");
                berth.args(["exec", "web", "--", "sh", "-c", script]);
                berth
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            };
            let long: Vec<_> = (0..4).map(|_| start("sleep 1000")).collect();
            let mut stop = container.command("berth");
            let mut stop = stop.args(["stop", "-k", "web"]).spawn().unwrap();
            let short: Vec<_> = (0..8).map(|_| start("true")).collect();
            assert!(stop.wait().unwrap().success());
            for command in long {
                let output = command.wait_with_output().unwrap();
                let code = output.status.code();
                assert!(matches!(code, Some(137 | 125)), "{output:?}");
            }
            for command in short {
                let output = command.wait_with_output().unwrap();
                let code = output.status.code();
                assert!(matches!(code, Some(0 | 137 | 125)), "{output:?}");
                assert_eq!(code == Some(125), !output.stderr.is_empty(), "{output:?}");
            }
            assert!(container.ok(&["ls"]).contains("stopped"));
            container.start();
        }
    });
}

/// Whoever enters is killed before he could say which process is the command's, which is held up.
#[test]
fn a_command_that_is_killed_on_its_way_keeps_no_container_from_ending() {
    in_container(Owner::User, "", |container| {
        let monitor = container.info("Monitor");
        let mut strace = container.host.as_root("strace");
        strace.args(["-f", "-q", "-e", "trace=sendmsg", "-p", &monitor]);
        strace.args(["-e", "inject=sendmsg:delay_enter=600s"]);
        let mut strace = strace.stderr(Stdio::null()).spawn().unwrap();
        let traced = format!("grep -v '^TracerPid:.0$' /proc/{monitor}/status | grep Tracer");
        eventually("strace", || {
            !container.on_host(&format!("{traced} || :")).is_empty()
        });
        let mut exec = container.command("berth");
        exec.args(["exec", "web", "--", "sleep", "1000"]);
        let exec = exec.stderr(Stdio::piped()).spawn().unwrap();
        let inside = format!(
            "find {}/payload -name cgroup.procs | xargs cat | wc -l",
            container.cgroup().display()
        );
        eventually("the command", || {
            container.on_host(&inside).parse::<u32>().unwrap() > 1
        });
        // Long enough for whoever of the two is not held up to come to his end.
        std::thread::sleep(Duration::from_millis(500));
        let mut stop = container.command("berth");
        let mut stop = stop.args(["stop", "-k", "web"]).spawn().unwrap();
        // The monitor is held up, too, once it has killed.
        eventually("the kill", || container.log().contains("killed"));
        std::thread::sleep(Duration::from_millis(100));
        strace.kill().unwrap();
        strace.wait().unwrap();
        eventually("the end", || container.info("State") == "stopped");
        assert!(stop.wait().unwrap().success());
        let exec = exec.wait_with_output().unwrap();
        assert_eq!(exec.status.code(), Some(125), "{exec:?}");
        container.start();
    });
}
