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

/// The variables that a login sets, looked up once.
#[derive(Clone, Debug)]
pub struct LoginEnvironment(Vec<(OsString, OsString)>);

impl LoginEnvironment {
    /// The environment of a user of the user data base.
    pub fn of(uid: Uid) -> Result<Self> {
        let user = User::by_uid(uid).doing("look up the user")?;
        let user = user
            .ok_or_else(|| Error::new("look up the user", format!("no user has the id {uid}")))?;
        Ok(Self::of_user(&user))
    }

    fn of_user(user: &User) -> Self {
        let pair = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
        Self(vec![
            pair("HOME", user.home.as_os_str()),
            pair("USER", user.name.as_ref()),
            pair("LOGNAME", user.name.as_ref()),
            pair("SHELL", user.shell.as_os_str()),
            pair("PATH", SEARCH_PATH.as_ref()),
            pair("XDG_RUNTIME_DIR", runtime_dir(user.uid).as_os_str()),
        ])
    }

    /// As execve(2) takes it, with `more` variables; where a name comes twice the login's counts.
    fn with(&self, more: &[(OsString, OsString)]) -> Result<Vec<CString>> {
        let is_set = |name: &OsString| self.0.iter().any(|(ours, _)| ours == name);
        let more = more.iter().filter(|(name, _)| !is_set(name));
        self.0
            .iter()
            .chain(more)
            .map(|(name, value)| to_c([name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect()
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

/// `berth` with arguments and an environment, ready to be executed.
pub struct Command {
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
    /// `berth` with these arguments, in the login's environment and `more`.
    pub fn new(
        arguments: &[OsString],
        login: &LoginEnvironment,
        more: &[(OsString, OsString)],
    ) -> Result<Self> {
        let mut words = vec![to_c(b"berth".to_vec())?];
        for argument in arguments {
            words.push(to_c(argument.as_bytes().to_vec())?);
        }
        Ok(Self {
            arguments: words,
            environment: login.with(more)?,
        })
    }

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
                let operation = format!("{step} for {}", path::BERTH);
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
        process::exec(Path::new(path::BERTH), &self.arguments, &self.environment)
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
        let login = LoginEnvironment::of_user(&alice());
        let more = [
            ("HOME".into(), "/elsewhere".into()),
            ("LANG".into(), "C".into()),
        ];
        let environment = login.with(&more).unwrap();
        let has = |text: &str| {
            environment
                .iter()
                .any(|entry| entry.to_bytes() == text.as_bytes())
        };
        assert!(has("HOME=/home/alice") && has("LANG=C") && has("XDG_RUNTIME_DIR=/run/user/1000"));
        assert!(!has("HOME=/elsewhere"));
    }

    #[test]
    fn nul_bytes_are_refused() {
        let login = LoginEnvironment::of_user(&alice());
        assert!(Command::new(&["a\0b".into()], &login, &[]).is_err());
        assert!(login.with(&[("BERTH_X".into(), "\0".into())]).is_err());
    }
}
