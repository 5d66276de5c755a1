//! A person's terminal before `berth attach` and `exec`.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};

use berth_kernel::tty::{self, PseudoTerminal, WindowSize};

use crate::world::{Container, Owner, eventually, in_container};

/// `berth …` in a session of its own at a terminal of the host's.
struct Seated {
    berth: Child,
    terminal: PseudoTerminal,
    seen: String,
}

impl Seated {
    fn at(container: &Container<'_>, arguments: &[&str]) -> Self {
        let devpts = berth_kernel::fs::open_dir(std::path::Path::new("/dev/pts")).unwrap();
        let terminal = PseudoTerminal::open(devpts.as_fd()).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = container.command("setsid");
        command
            .args(["-c", "berth"])
            .args(arguments)
            .env("TERM", "vt100");
        command.stdin(end()).stdout(end()).stderr(end());
        tty::set_window_size(terminal.master.as_fd(), size(24, 80)).unwrap();
        berth_kernel::sock::set_nonblocking(terminal.master.as_fd(), true).unwrap();
        Self {
            berth: command.spawn().unwrap(),
            terminal,
            seen: String::new(),
        }
    }

    fn types(&self, keys: &str) {
        let master = self.terminal.master.try_clone().unwrap();
        std::fs::File::from(master)
            .write_all(keys.as_bytes())
            .unwrap();
    }

    /// Waits for a text behind what was waited for before.
    fn sees(&mut self, text: &str) {
        let mut master = std::fs::File::from(self.terminal.master.try_clone().unwrap());
        let mut buffer = [0; 4096];
        let seen = &mut self.seen;
        eventually(text, || {
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            seen.contains(text)
        });
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    /// Presses a key until it has been understood: its program may not have begun yet.
    fn presses_until(&mut self, key: &str, text: &str) {
        let mut master = std::fs::File::from(self.terminal.master.try_clone().unwrap());
        let mut buffer = [0; 4096];
        let mut seen = String::new();
        eventually(text, || {
            self.types(key);
            std::thread::sleep(std::time::Duration::from_millis(20));
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            seen.contains(text)
        });
    }

    fn ends(&mut self, code: i32) {
        eventually("the end", || self.berth.try_wait().unwrap().is_some());
        assert_eq!(self.berth.wait().unwrap().code(), Some(code));
    }
}

fn size(rows: u16, columns: u16) -> WindowSize {
    WindowSize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[test]
fn a_shell_follows_size_and_keys() {
    in_container(Owner::User, "", |container| {
        let before = |seat: &Seated| nix::sys::termios::tcgetattr(&seat.terminal.slave).unwrap();
        let mut seat = Seated::at(container, &["attach", "web"]);
        seat.sees("# ");
        seat.types("stty size; tty; echo $TERM\n");
        seat.sees("24 80");
        seat.sees("/dev/pts/");
        seat.sees("vt100");
        tty::set_window_size(seat.terminal.master.as_fd(), size(50, 132)).unwrap();
        seat.presses_until("stty size\n", "50 132");
        seat.types("sleep 1000\n");
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
