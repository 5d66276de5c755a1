//! A person's terminal on the host.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use berth_kernel::tty::{self, PseudoTerminal, WindowSize};

use crate::world::{Container, eventually};

/// `berth …` in a session of its own at a terminal of the host's.
pub struct Seated {
    berth: Child,
    pub terminal: PseudoTerminal,
    seen: String,
}

impl Seated {
    pub fn at(container: &Container<'_>, arguments: &[&str]) -> Self {
        Self::before(container.command("setsid"), arguments)
    }

    /// `setsid` is that program, whoever's it is.
    pub fn before(setsid: Command, arguments: &[&str]) -> Self {
        let devpts = berth_kernel::fs::open_dir(std::path::Path::new("/dev/pts")).unwrap();
        let terminal = PseudoTerminal::open(devpts.as_fd()).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = setsid;
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

    pub fn types(&self, keys: &str) {
        let master = self.terminal.master.try_clone().unwrap();
        std::fs::File::from(master)
            .write_all(keys.as_bytes())
            .unwrap();
    }

    /// Waits for a text behind what was waited for before.
    pub fn sees(&mut self, text: &str) {
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
    pub fn presses_until(&mut self, key: &str, text: &str) {
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

    /// The shell's terminal has the caller's size and kind, and follows it.
    pub fn follows_the_callers_terminal(&mut self) {
        self.sees("# ");
        self.types("stty size; tty; echo $TERM\n");
        self.sees("24 80");
        self.sees("/dev/pts/");
        self.sees("vt100");
        tty::set_window_size(self.terminal.master.as_fd(), size(50, 132)).unwrap();
        self.presses_until("stty size\n", "50 132");
    }

    pub fn ends(&mut self, code: i32) {
        eventually("the end", || self.berth.try_wait().unwrap().is_some());
        assert_eq!(self.berth.wait().unwrap().code(), Some(code));
    }
}

pub fn size(rows: u16, columns: u16) -> WindowSize {
    WindowSize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
