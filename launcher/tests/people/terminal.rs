//! A person's terminal before `berth attach` and `exec`.

use std::io::Write;
use std::process::Stdio;

use crate::seat::Seated;
use crate::world::{Owner, in_container};

#[test]
fn a_shell_follows_size_and_keys() {
    in_container(Owner::User, "", |container| {
        let before = |seat: &Seated| nix::sys::termios::tcgetattr(&seat.terminal.slave).unwrap();
        let mut seat = Seated::at(container, &["attach", "web"]);
        seat.follows_the_callers_terminal();
        // A key that means a signal throws away what is typed and not yet read.
        seat.types("sh -c 'echo go''ing; exec sleep 1000'\n");
        seat.sees("going");
        seat.presses_until("\x1a", "Stopped");
        seat.types("fg\n");
        seat.presses_until("\x03echo code=$?\n", "code=130");
        seat.types("exit 9\n");
        seat.ends(9);
        // The caller's terminal is as it was before.
        let settings = before(&seat);
        use nix::sys::termios::LocalFlags;
        assert!(
            settings
                .local_flags
                .contains(LocalFlags::ICANON | LocalFlags::ECHO)
        );
    });
}

#[test]
fn a_terminal_is_given_or_not_as_asked() {
    in_container(Owner::User, "", |container| {
        // Pipes, and a terminal inside: what is typed ends when the pipe does.
        let mut berth = container.command("berth");
        berth.args(["exec", "web", "-t", "--", "sh", "-c", "tty; cat; echo end"]);
        let mut berth = berth
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        berth.stdin.take().unwrap().write_all(b"typed\n").unwrap();
        let output = berth.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(
            printed.contains("/dev/pts/") && printed.ends_with("end\r\n"),
            "{printed:?}"
        );

        // A terminal, and pipes inside: no line ends are changed, nothing is typed behind the end.
        let arguments = ["exec", "web", "-T", "--", "sh", "-c", "tty; cat; echo end"];
        let mut seat = Seated::at(container, &arguments);
        seat.sees("not a tty");
        seat.types("line\n");
        seat.sees("line");
        seat.sees("line");
        seat.types("\x04");
        seat.sees("end");
        seat.ends(0);

        // A terminal to type at and a redirected output: the bytes are the command's own.
        let file = container.host.home().join("out");
        let script = format!(
            "berth exec web -- sh -c 'echo a; echo b' >{}",
            file.display()
        );
        let mut seat = Seated::at(container, &["--version"]);
        seat.ends(0);
        let mut shell = container.command("setsid");
        let end = seat.terminal.slave.try_clone().unwrap();
        shell.args(["-c", "sh", "-c", &script]).stdin(end);
        assert!(shell.status().unwrap().success());
        assert_eq!(std::fs::read(&file).unwrap(), b"a\nb\n");
    });
}

#[test]
fn a_key_that_interrupts_reaches_a_command_without_a_terminal() {
    in_container(Owner::User, "", |container| {
        let script = "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.05; done";
        let mut seat = Seated::at(container, &["exec", "web", "-T", "--", "sh", "-c", script]);
        seat.sees("ready");
        seat.types("\x03");
        seat.sees("got");
        seat.ends(5);
    });
}

#[test]
fn a_key_leaves_a_command_that_is_hung_up_then() {
    in_container(Owner::User, "", |container| {
        // Without one every key is the command's.
        let mut seat = Seated::at(container, &["exec", "web", "--", "head", "-c", "3"]);
        container.wait_for("pidof head");
        seat.types("\x01q\n");
        seat.ends(0);
        let script = "trap '' INT; echo ready; sleep 1000";
        let words = ["exec", "--escape", "^a", "web", "--", "sh", "-c", script];
        let mut seat = Seated::at(container, &words);
        seat.sees("ready");
        // Twice means the key itself.
        seat.types("\x01\x01x");
        seat.sees("^Ax");
        seat.types("\x01q");
        seat.ends(129);
        container.wait_for("! pidof sleep");
        use nix::sys::termios::{LocalFlags, tcgetattr};
        let left = tcgetattr(&seat.terminal.slave).unwrap().local_flags;
        assert!(left.contains(LocalFlags::ICANON | LocalFlags::ECHO));
        let wrong = container.berth(&["exec", "--escape", "aa", "web", "--", "true"]);
        assert_eq!(wrong.status.code(), Some(2));
    });
}
