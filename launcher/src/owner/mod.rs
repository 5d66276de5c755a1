//! The administrator among users' containers: `berth --user alice ls` and `berth ls --all-users`.
//!
//! Nothing of a user's is touched as root. A process of berth's own becomes the user first, without
//! root's environment and descriptors. One that only looks cannot be looked into by his other
//! processes; what it prints reaches root's terminal through a pipe, without anything that would steer
//! the terminal. One that acts is the user's altogether ([`acts`]): a container's monitor does not
//! answer a process that it cannot look into.

mod acts;

use std::ffi::{CString, OsString};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use berth_common::{Gid, Uid};
use berth_kernel::user::User;
use berth_kernel::{cred, process};
use nix::sys::signal::Signal;

use crate::error::{Error, Result};
use crate::printable::printable;

/// Set for the process that becomes the user.
const MARK: &str = "BERTH_BECOMES";
/// What else of root's environment it has.
const KEPT: [&str; 6] = ["TERM", "LANG", "LC_ALL", "COLORTERM", "NO_COLOR", "PATH"];
/// How long one user's list may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that one user's list may have, in bytes.
const LONGEST_LIST: u64 = 8 << 20;
/// So many users are asked at once.
const AT_ONCE: usize = 8;

/// The user that is meant, if the caller may act for him.
fn user(name: &str) -> Result<User> {
    if !cred::effective_uid().is_root() {
        return Err(Error::other("--user is for root (sudo berth --user …)"));
    }
    User::by_name(name)
        .map_err(|error| Error::os(format!("look up user {name}"), error))?
        .ok_or_else(|| Error::other(format!("there is no user {name}")))
}

/// Whether this process was made to become the user.
pub fn is_to_become() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Becomes the user for good. One that does not only look is executed again with these arguments
/// less the user.
pub fn become_user(name: &str, arguments: &[OsString], only_looks: bool) -> Result<()> {
    let user = user(name)?;
    if !only_looks {
        acts::leave_session()
            .map_err(|error| Error::os("leave the administrator's session", error))?;
    }
    become_him(&user, only_looks)?;
    match only_looks {
        true => Ok(()),
        false => acts::again(arguments).map(|never| match never {}),
    }
}

fn become_him(user: &User, only_looks: bool) -> Result<()> {
    let name = &user.name;
    let failed = |error| Error::os(format!("become {name}"), error);
    let login = CString::new(user.name.as_bytes()).map_err(|_| Error::other("a zero byte"))?;
    let groups = nix::unistd::getgrouplist(&login, nix::unistd::Gid::from_raw(user.gid.raw()))
        .map_err(|errno| failed(errno.into()))?;
    let groups: Vec<Gid> = groups
        .iter()
        .filter_map(|gid| Gid::new(gid.as_raw()))
        .collect();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    use std::os::fd::AsFd;
    process::close_others(&[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]).map_err(failed)?;
    cred::set_groups(&groups).map_err(failed)?;
    cred::set_all_gids(user.gid).map_err(failed)?;
    cred::set_all_uids(user.uid).map_err(failed)?;
    // The change of ids has it so already; it must not depend on a sysctl (fs.suid_dumpable).
    process::set_dumpable(false).map_err(failed)?;
    // What it was about to do is the user's then: it may end it in order.
    let signal = match only_looks {
        true => Signal::SIGKILL,
        false => Signal::SIGTERM,
    };
    process::set_parent_death_signal(signal as i32).map_err(failed)
}

fn command(user: &User, arguments: &[OsString]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).env_clear().current_dir("/");
    let kept = KEPT.iter();
    command.envs(kept.filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
        .env(MARK, "1")
        .env("HOME", &user.home)
        .env("USER", &user.name)
        .env("LOGNAME", &user.name);
    let runtime = format!("/run/user/{}", user.uid);
    let is_his = |found: std::fs::Metadata| found.is_dir() && found.uid() == user.uid.raw();
    if std::fs::symlink_metadata(&runtime).is_ok_and(is_his) {
        command.env("XDG_RUNTIME_DIR", runtime);
    }
    command
}

/// Runs berth with these arguments, which name the user, in a process that becomes him; its exit
/// code.
pub fn run(name: &str, arguments: &[OsString], only_looks: bool) -> Result<u8> {
    let user = user(name)?;
    if !only_looks {
        return acts::run(&user, arguments);
    }
    let mut command = command(&user, arguments);
    let failed = |error| Error::os("run berth as the user", error);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| copy(stdout, std::io::stdout()));
        copy(stderr, std::io::stderr());
    });
    child.wait().map(code_of).map_err(failed)
}

fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(berth_common::exit::FAILED)
}

/// Line by line, each without what would steer a terminal.
fn copy(from: Option<impl Read>, mut to: impl Write) {
    use std::io::BufRead;
    let Some(from) = from else { return };
    let mut from = std::io::BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(1 << 16).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let (text, end) = match text.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (&*text, ""),
        };
        if write!(to, "{}{end}", printable(text))
            .and_then(|()| to.flush())
            .is_err()
        {
            return;
        }
    }
}

/// One user's list: what `berth … --json` printed, or why there is none.
#[derive(Debug)]
pub struct UsersList {
    /// Whose.
    pub user: String,
    /// The list.
    pub list: std::result::Result<Vec<serde_json::Value>, String>,
}

/// What these words, which only look, have berth print of all people of the host and root, by name.
/// Each list is made by a process of that user's, in its time; whatever he put in its way costs his
/// own list.
pub fn all(words: &[&str]) -> Result<Vec<UsersList>> {
    if !cred::effective_uid().is_root() {
        return Err(Error::other(format!(
            "--all-users is for root (sudo berth {} --all-users)",
            words.join(" ").trim_end_matches(" --json")
        )));
    }
    let users = people();
    let mut lists = Vec::new();
    for some in users.chunks(AT_ONCE) {
        lists.extend(std::thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|user| scope.spawn(|| list_of(user, words)))
                .collect();
            let heard = asked.into_iter().filter_map(|one| one.join().ok());
            heard.collect::<Vec<_>>()
        }));
    }
    Ok(lists)
}

/// Root, the people of /etc/passwd, and whoever is logged in.
fn people() -> Vec<User> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().filter_map(|line| line.split(':').nth(2));
    let here = std::fs::read_dir("/run/user").into_iter().flatten();
    let here: Vec<String> = here
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let ids: std::collections::BTreeSet<Uid> = named
        .chain(here.iter().map(String::as_str))
        .filter_map(|id| id.parse().ok())
        .filter(|uid: &Uid| uid.is_root() || uid.is_person())
        .collect();
    let users = ids.into_iter();
    users
        .filter_map(|uid| User::by_uid(uid).ok().flatten())
        .collect()
}

fn list_of(user: &User, words: &[&str]) -> UsersList {
    let words = ["--user", &user.name]
        .into_iter()
        .chain(words.iter().copied());
    let words: Vec<OsString> = words.map(OsString::from).collect();
    let mut command = command(user, &words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let list = command
        .spawn()
        .map_err(|error| error.to_string())
        .and_then(hear);
    UsersList {
        user: user.name.clone(),
        list,
    }
}

fn hear(mut child: Child) -> std::result::Result<Vec<serde_json::Value>, String> {
    let deadline = Instant::now() + PATIENCE;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            let _ = stdout.take(LONGEST_LIST).read_to_end(&mut text);
        }
        text
    });
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            _ => {
                let _ = child.kill();
                // One that cannot die waits for a file system of his; nobody waits for it.
                return Err(format!(
                    "there was no answer within {} s",
                    PATIENCE.as_secs()
                ));
            }
        }
    };
    let text = reader.join().unwrap_or_default();
    if !ended {
        return Err("his containers cannot be listed".to_owned());
    }
    serde_json::from_slice(&text).map_err(|_| "the list is too long".to_owned())
}
