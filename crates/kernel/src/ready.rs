//! Telling whoever started a daemon that it is ready, where that is no `NOTIFY_SOCKET`: by a line
//! on a descriptor (s6, dinit, OpenRC's `notify=fd:N`, our own `berth-boot start`), or by stopping
//! (upstart's `expect stop`). The three ways do not exclude each other.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{Signal, raise};

use crate::process::check;

/// Whom to tell. Nobody, by default.
#[derive(Debug, Default)]
pub struct Readiness {
    line: Option<OwnedFd>,
    stop: bool,
}

impl Readiness {
    /// Takes `--ready-fd N` (or `--ready-fd=N`) and `--ready-stop` out of a program's arguments,
    /// without its name. To be called at the start of the program, before it opens anything. An
    /// error is a line for people.
    pub fn take(arguments: &mut Vec<OsString>) -> Result<Self, String> {
        let mut found = Self::default();
        let mut rest = Vec::new();
        let mut words = std::mem::take(arguments).into_iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            let number = match text.strip_prefix("--ready-fd") {
                Some("") => words.next().map(|word| word.to_string_lossy().into_owned()),
                Some(rest) if rest.starts_with('=') => Some(rest[1..].to_owned()),
                _ if text == "--ready-stop" => {
                    found.stop = true;
                    continue;
                }
                _ if text == "--" => {
                    rest.push(word);
                    rest.extend(words);
                    break;
                }
                _ => {
                    rest.push(word);
                    continue;
                }
            };
            let number = number.unwrap_or_default();
            if found.line.is_some() {
                return Err("--ready-fd may be given once".to_owned());
            }
            found.line = Some(open_descriptor(&number)?);
        }
        *arguments = rest;
        Ok(found)
    }

    /// Tells. Whoever has gone meanwhile does not want to know; a stop lasts until the init
    /// system sends SIGCONT.
    pub fn tell(self) -> io::Result<()> {
        if let Some(fd) = self.line {
            match File::from(fd).write_all(b"\n") {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        if self.stop {
            raise(Signal::SIGSTOP)?;
        }
        Ok(())
    }
}

/// The standard streams are not given away: what is written there is for people.
fn open_descriptor(text: &str) -> Result<OwnedFd, String> {
    let number = text.parse::<RawFd>().ok().filter(|number| *number > 2);
    let number = number.ok_or_else(|| {
        format!(
            "--ready-fd {}: a descriptor's number, 3 or more, is needed",
            text.escape_debug()
        )
    })?;
    // SAFETY: F_SETFD takes an integer and fails with EBADF where nothing is open.
    let marked = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    check(marked.into())
        .map_err(|error| format!("--ready-fd {number}: {}", crate::Plain(&error)))?;
    // SAFETY: it is open; the caller's contract is that nothing of this program's own is yet, and
    // it is taken once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_line_is_written_and_the_other_words_stay() {
        let (mut reader, writer) = io::pipe().unwrap();
        let number = writer.into_raw_fd();
        let mut arguments = words(&format!("run --ready-fd {number} alice"));
        Readiness::take(&mut arguments).unwrap().tell().unwrap();
        assert_eq!(arguments, words("run alice"));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "\n");
    }

    #[test]
    fn nobody_who_reads_is_no_failure() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut arguments = words(&format!("--ready-fd={}", writer.into_raw_fd()));
        Readiness::take(&mut arguments).unwrap().tell().unwrap();
    }

    #[test]
    fn it_stops_and_goes_on() {
        let child = crate::process::fork(|| {
            let ready = Readiness::take(&mut words("--ready-stop")).unwrap();
            u8::from(ready.tell().is_err())
        })
        .unwrap();
        let pid = nix::unistd::Pid::from_raw(child.pid);
        let flags = nix::sys::wait::WaitPidFlag::WUNTRACED;
        let stopped = nix::sys::wait::waitpid(pid, Some(flags)).unwrap();
        assert_eq!(
            stopped,
            nix::sys::wait::WaitStatus::Stopped(pid, Signal::SIGSTOP)
        );
        child.pidfd.signal(Signal::SIGCONT as i32).unwrap();
        assert!(child.pidfd.wait().unwrap().success());
    }

    #[test]
    fn what_is_no_descriptor_is_refused_with_its_reason() {
        for bad in [
            "--ready-fd",
            "--ready-fd x",
            "--ready-fd 1",
            "--ready-fd -1",
            "--ready-fd=",
            "--ready-fd 999999",
        ] {
            let why = Readiness::take(&mut words(bad)).unwrap_err();
            assert!(why.starts_with("--ready-fd"), "{bad}: {why}");
        }
    }
}
