//! Programs that run as the user, and what they say.

use berth_common::path;
use berth_kernel::process::{self, Child, Exit};
use berth_kernel::user::User;
use berth_kernel::{cred, signal};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a login gives root on Debian; an administrator may have put tools of theirs there.
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many bytes of what a program says are passed on: it is the user's, the log is root's.
const MAX_SAID: usize = 256 * 1024;

/// For whom programs run, and in which environment.
pub struct Person {
    /// The user; root stays as he is.
    pub user: User,
    environment: Vec<CString>,
}

impl Person {
    /// With the variables that a PAM session has set; those of a login win over them.
    pub fn new(user: User, of_session: Vec<CString>) -> io::Result<Self> {
        let pair = |name: &str, value: &OsStr| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        let mut environment = vec![
            pair("HOME", user.home.as_os_str())?,
            pair("USER", user.name.as_ref())?,
            pair("LOGNAME", user.name.as_ref())?,
            pair("SHELL", user.shell.as_os_str())?,
            CString::new(SEARCH_PATH)?,
        ];
        let runtime = Path::new("/run/user").join(user.uid.to_string());
        let is_his = |found: std::fs::Metadata| found.is_dir() && found.uid() == user.uid.raw();
        if std::fs::symlink_metadata(&runtime).is_ok_and(is_his) {
            environment.push(pair("XDG_RUNTIME_DIR", runtime.as_os_str())?);
        }
        let name = |variable: &CString| {
            let bytes = variable.to_bytes();
            let end = bytes.iter().position(|byte| *byte == b'=');
            bytes[..end.unwrap_or(bytes.len())].to_vec()
        };
        let taken: Vec<Vec<u8>> = environment.iter().map(name).collect();
        let more = of_session.into_iter();
        environment.extend(more.filter(|it| !taken.contains(&name(it)) && !name(it).is_empty()));
        Ok(Self { user, environment })
    }

    /// Runs a program as this user, in a session of its own. With `socket` it gets that as its
    /// descriptor 3, as sd_listen_fds(3) has it.
    pub fn spawn(
        &self,
        program: &str,
        words: &[&str],
        socket: Option<BorrowedFd<'_>>,
    ) -> io::Result<(Child, Said)> {
        let arguments: Vec<CString> = std::iter::once(program)
            .chain(words.iter().copied())
            .map(CString::new)
            .collect::<Result<_, _>>()?;
        let null = File::open("/dev/null")?;
        let (reader, writer) = io::pipe()?;
        // The writer's end is the child's alone: the end of its output is the end of the file.
        let child = process::fork(|| {
            let failed = self.become_it(&null, writer.as_fd(), socket, program, &arguments);
            let _ = writeln!(io::stderr(), "{program}: {}", berth_kernel::Plain(&failed));
            berth_common::exit::NOT_FOUND
        })?;
        drop(writer);
        Ok((child, Said::new(reader)?))
    }

    /// In the child. Returns only on failure.
    fn become_it(
        &self,
        null: &File,
        out: BorrowedFd<'_>,
        socket: Option<BorrowedFd<'_>>,
        program: &str,
        arguments: &[CString],
    ) -> io::Error {
        let mut environment = self.environment.clone();
        let prepare = || -> io::Result<()> {
            nix::unistd::setsid()?;
            signal::reset()?;
            umask(Mode::from_bits_truncate(0o022));
            std::env::set_current_dir("/")?;
            process::set_standard_stream(0, null.as_fd())?;
            process::set_standard_stream(1, out)?;
            process::set_standard_stream(2, out)?;
            match socket {
                Some(socket) => {
                    process::close_others(&[socket])?;
                    // The lowest number that is free, and 3 is unless it is this one.
                    match fcntl(socket, FcntlArg::F_DUPFD(3))? {
                        3 => {}
                        _ => process::keep_across_exec(socket)?,
                    }
                }
                None => process::close_others(&[])?,
            }
            if !self.user.uid.is_root() {
                become_user(&self.user)?;
            }
            // Whoever takes over starts its own.
            process::set_parent_death_signal(Signal::SIGTERM as i32)
        };
        if let Err(error) = prepare() {
            return error;
        }
        if socket.is_some() {
            let pid = format!("LISTEN_PID={}", std::process::id());
            environment.extend(CString::new(pid).ok());
            environment.push(c"LISTEN_FDS=1".to_owned());
        }
        process::exec(Path::new(program), arguments, &environment)
    }
}

fn become_user(user: &User) -> io::Result<()> {
    let name = CString::new(user.name.as_bytes())?;
    let gid = nix::unistd::Gid::from_raw(user.gid.raw());
    let groups = nix::unistd::getgrouplist(&name, gid)?;
    let groups: Vec<_> = groups
        .iter()
        .filter_map(|gid| berth_common::Gid::new(gid.as_raw()))
        .collect();
    cred::set_groups(&groups)?;
    cred::set_all_gids(user.gid)?;
    cred::set_all_uids(user.uid)
}

/// `berth`, with what is to be done.
pub fn berth(person: &Person, words: &[&str]) -> io::Result<(Child, Said)> {
    person.spawn(path::BERTH, words, None)
}

/// What a program says, passed on to standard error line by line until it is too much.
pub struct Said {
    reader: PipeReader,
    left: usize,
    line: Vec<u8>,
}

impl Said {
    fn new(reader: PipeReader) -> io::Result<Self> {
        Self::with_limit(reader, MAX_SAID)
    }

    fn with_limit(reader: PipeReader, left: usize) -> io::Result<Self> {
        let flags = nix::fcntl::OFlag::O_NONBLOCK;
        fcntl(&reader, FcntlArg::F_SETFL(flags))?;
        Ok(Self {
            reader,
            left,
            line: Vec::new(),
        })
    }

    /// To be polled.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Passes on what is there. `false` when there will be no more.
    pub fn pass_on(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // As much as a pipe holds: a program that never pauses must not keep its holder here.
        for _ in 0..16 {
            match self.reader.read(&mut buffer) {
                Ok(0) => {
                    self.flush();
                    return false;
                }
                Ok(count) => self.take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            match byte {
                b'\n' => self.flush(),
                // Nothing that steers a terminal on which the log is read.
                byte if byte.is_ascii_control() => self.line.push(b' '),
                byte => self.line.push(*byte),
            }
            if self.left == 0 {
                self.flush();
                crate::say("it says too much: the rest is left out");
            }
        }
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            crate::say(&String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}

/// Waits for a program's end, passing on what it says. After `limit` it is asked to end, and
/// `grace` later killed. `None`: how it ended is not known.
pub fn finish(
    child: &Child,
    said: &mut Option<Said>,
    limit: Duration,
    grace: Duration,
) -> Option<Exit> {
    let mut deadline = Instant::now() + limit;
    let mut orders = [Signal::SIGTERM, Signal::SIGKILL].into_iter();
    loop {
        match child.pidfd.try_wait() {
            Ok(None) => {}
            Ok(exit) => {
                if let Some(said) = said {
                    said.pass_on();
                }
                return exit;
            }
            Err(_) => return None,
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // After SIGKILL nothing more can be done: one that the kernel does not let go is
            // left to it.
            let order = orders.next()?;
            let _ = child.pidfd.signal(order as i32);
            deadline = Instant::now() + grace;
            continue;
        }
        let mut fds = vec![PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            said.iter()
                .map(|said| PollFd::new(said.as_fd(), PollFlags::POLLIN)),
        );
        let rounded_up = left.saturating_add(Duration::from_millis(1));
        let timeout = PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut fds, timeout);
        if said.as_mut().is_some_and(|said| !said.pass_on()) {
            *said = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        let user = User::by_uid(cred::effective_uid()).unwrap().unwrap();
        let of_session = [c"HOME=/elsewhere", c"LANG=C", c"=odd"].map(|it| it.to_owned());
        Person::new(user, of_session.to_vec()).unwrap()
    }

    #[test]
    fn a_login_wins_over_what_modules_set() {
        let person = person();
        let names: Vec<_> = person.environment.iter().map(|it| it.to_bytes()).collect();
        assert!(names.contains(&b"LANG=C".as_slice()));
        assert!(
            !names.contains(&b"HOME=/elsewhere".as_slice()) && !names.contains(&b"=odd".as_slice())
        );
    }

    #[test]
    fn a_program_has_the_socket_as_its_third_descriptor_and_nothing_else() {
        let (reader, writer) = io::pipe().unwrap();
        // Numbers that are not 3, with others open between them.
        let others: Vec<_> = (0..4).map(|_| File::open("/dev/null").unwrap()).collect();
        let script = "test \"$LISTEN_PID\" = $$ && test \"$LISTEN_FDS\" = 1 && echo here >&3 && \
                      ls /proc/$$/fd | tr '\\n' ' ' >&3";
        let (child, said) = person()
            .spawn("/bin/sh", &["-c", script], Some(writer.as_fd()))
            .unwrap();
        drop((writer, others));
        let mut said = Some(said);
        let minute = Duration::from_secs(60);
        let exit = finish(&child, &mut said, minute, minute);
        assert!(exit.is_some_and(Exit::success), "{exit:?}");
        let mut text = String::new();
        let mut reader = reader;
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(
            text.split_whitespace().take(5).collect::<Vec<_>>(),
            ["here", "0", "1", "2", "3"]
        );
        assert!(text.split_whitespace().count() <= 6, "{text}");
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let script = "trap '' TERM; echo up; while :; do sleep 1; done";
        let (child, said) = person().spawn("/bin/sh", &["-c", script], None).unwrap();
        let mut said = Some(said);
        let moment = Duration::from_millis(200);
        let exit = finish(&child, &mut said, moment, moment);
        assert_eq!(exit, Some(Exit::Signal(libc::SIGKILL)));
    }

    #[test]
    fn a_flood_of_words_is_cut_short() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut said = Said::with_limit(reader, 40).unwrap();
        for _ in 0..8 {
            writer.write_all(b"0123456789").unwrap();
            assert!(said.pass_on());
        }
        assert_eq!(said.left, 0);
        drop(writer);
        assert!(!said.pass_on());
    }
}
