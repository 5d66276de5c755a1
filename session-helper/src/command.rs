//! Running `berth` as the user would at a fresh login.

use crate::error::{Doing, Error, Result};
use berth_common::{Uid, path};
use berth_kernel::process::{self, Child};
use berth_kernel::signal;
use berth_kernel::user::User;
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{fchdir, setsid};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What Debian's login(1) gives root; people's lacks the sbin directories, but an administrator
/// may have put tools of theirs there.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The one program that is launched, and the variables that a login sets, looked up once.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// `berth` as a user of the user data base runs it.
    pub fn of(uid: Uid) -> Result<Self> {
        let user = User::by_uid(uid).doing("look up the user")?;
        let user = user
            .ok_or_else(|| Error::new("look up the user", format!("no user has the id {uid}")))?;
        Ok(Self::of_user(&user))
    }

    fn of_user(user: &User) -> Self {
        let pair = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
        let environment = vec![
            pair("HOME", user.home.as_os_str()),
            pair("USER", user.name.as_ref()),
            pair("LOGNAME", user.name.as_ref()),
            pair("SHELL", user.shell.as_os_str()),
            pair("PATH", SEARCH_PATH.as_ref()),
            pair("XDG_RUNTIME_DIR", runtime_dir(user.uid).as_os_str()),
        ];
        Self {
            path: path::BERTH.into(),
            environment,
        }
    }

    /// Another program in its place, for tests.
    pub fn at(self, path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..self
        }
    }

    /// The program with these arguments. Of `more` variables, those that the login sets are left
    /// out.
    pub fn command(
        &self,
        arguments: &[OsString],
        more: &[(OsString, OsString)],
    ) -> Result<Command> {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        let words = [name]
            .into_iter()
            .chain(arguments.iter().map(OsString::as_os_str));
        let is_set = |name: &OsString| self.environment.iter().any(|(ours, _)| ours == name);
        let more = more.iter().filter(|(name, _)| !is_set(name));
        let variables = self.environment.iter().chain(more);
        Ok(Command {
            path: self.path.clone(),
            arguments: words
                .map(|word| to_c(word.as_bytes().to_vec()))
                .collect::<Result<_>>()?,
            environment: variables
                .map(|(name, value)| to_c([name.as_bytes(), b"=", value.as_bytes()].concat()))
                .collect::<Result<_>>()?,
        })
    }
}

/// The user's runtime directory: logind makes it at his first login and removes it after the
/// last logout (pam_systemd(8)).
pub fn runtime_dir(uid: Uid) -> PathBuf {
    Path::new("/run/user").join(uid.to_string())
}

fn to_c(bytes: Vec<u8>) -> Result<CString> {
    CString::new(bytes).doing("prepare the command")
}

/// A program with arguments and an environment, ready to be executed.
pub struct Command {
    path: PathBuf,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// Where a command reads, writes and starts.
#[derive(Clone, Copy)]
pub struct Descriptors<'a> {
    /// Standard input, output, error; numbers above 2.
    pub stdio: [BorrowedFd<'a>; 3],
    /// The working directory.
    pub directory: BorrowedFd<'a>,
}

/// The steps of a child on its way to the command, as it reports them.
const STEPS: [&str; 5] = [
    "start a session",
    "set the signals",
    "enter the working directory",
    "set the standard streams",
    "execute",
];

impl Command {
    /// Starts it as a child in a session of its own. An error means that nothing runs.
    pub fn spawn(&self, with: Descriptors<'_>) -> Result<Child> {
        let (mut reader, writer) = io::pipe().doing("make a pipe")?;
        let child = process::clone(CloneFlags::empty(), None, || {
            let Err((step, error)) = self.become_it(with);
            let errno = error.raw_os_error().unwrap_or_default().to_le_bytes();
            let [a, b, c, d] = errno;
            // Without a report the parent takes the command for started, and then for failed.
            let _ = (&writer).write_all(&[step, a, b, c, d]);
            berth_common::exit::NOT_FOUND
        })
        .doing("start a process")?;
        drop(writer);
        // The pipe's other end is close-on-exec: nothing to read means that exec succeeded.
        let mut report = Vec::new();
        let read = reader.read_to_end(&mut report);
        match (read, report.as_slice()) {
            (Ok(_), [step, errno @ ..]) => {
                let _ = child.pidfd.wait();
                let errno = errno.try_into().map_or(0, i32::from_le_bytes);
                let step = STEPS.get(usize::from(*step)).copied().unwrap_or("start");
                let operation = format!("{step} for {}", self.path.display());
                Err(Error::new(operation, io::Error::from_raw_os_error(errno)))
            }
            _ => Ok(child),
        }
    }

    fn become_it(&self, with: Descriptors<'_>) -> std::result::Result<Infallible, (u8, io::Error)> {
        let at = |step: u8| move |error: io::Error| (step, error);
        setsid().map_err(io::Error::from).map_err(at(0))?;
        signal::reset().map_err(at(1))?;
        umask(Mode::from_bits_truncate(0o022));
        fchdir(with.directory)
            .map_err(io::Error::from)
            .map_err(at(2))?;
        for (number, fd) in (0..).zip(with.stdio) {
            process::set_standard_stream(number, fd).map_err(at(3))?;
        }
        process::mark_close_on_exec(3).map_err(at(3))?;
        Err((4, self.exec()))
    }

    /// Replaces this program with it. Returns only on failure.
    pub fn exec(&self) -> io::Error {
        process::exec(&self.path, &self.arguments, &self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> User {
        User {
            name: "alice".into(),
            uid: Uid::new(1000).unwrap(),
            gid: berth_common::Gid::new(1000).unwrap(),
            home: "/home/alice".into(),
            shell: "/bin/bash".into(),
        }
    }

    #[test]
    fn the_login_wins_over_what_the_client_sends() {
        let program = Program::of_user(&alice());
        let more = [
            ("HOME".into(), "/elsewhere".into()),
            ("LANG".into(), "C".into()),
        ];
        let command = program.command(&["start".into()], &more).unwrap();
        let has = |text: &str| {
            command
                .environment
                .iter()
                .any(|it| it.to_bytes() == text.as_bytes())
        };
        assert!(has("HOME=/home/alice") && has("LANG=C") && has("XDG_RUNTIME_DIR=/run/user/1000"));
        assert!(!has("HOME=/elsewhere"));
        assert_eq!(
            command.arguments,
            [c"berth".to_owned(), c"start".to_owned()]
        );
    }

    #[test]
    fn nul_bytes_are_refused() {
        let program = Program::of_user(&alice());
        assert!(program.command(&["a\0b".into()], &[]).is_err());
        assert!(
            program
                .command(&[], &[("BERTH_X".into(), "\0".into())])
                .is_err()
        );
    }
}
