//! Holders in the background, for an init system that only runs scripts.

use crate::holder::Options;
use crate::{Failure, allowed, code, place, say, whose};
use berth_common::{Uid, path};
use berth_kernel::process::{self, Exit, PidFd};
use berth_kernel::user::User;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long `start` waits for all holders together to be ready. Those that are not go on; it must
/// not hold the boot up.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// What `stop` waits beyond the containers' own time.
const BEYOND: Duration = Duration::from_secs(40);
/// And after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// A log that has grown beyond this begins anew; one earlier is kept.
const MAX_LOG: u64 = 1024 * 1024;

/// Root and the users of the boot, or those named. What is wrong with an entry is said.
fn wanted(names: &[String]) -> Result<(Vec<User>, bool), Failure> {
    if !names.is_empty() {
        let users = names.iter().map(|name| whose(name));
        return Ok((users.collect::<Result<_, _>>()?, true));
    }
    let (users, problems) = allowed::users();
    problems.iter().for_each(|problem| say(problem));
    let all = std::iter::once(whose("root")?).chain(users);
    Ok((all.collect(), problems.is_empty()))
}

/// Starts a holder for each that has none. A user's that fails is said and keeps nobody else's
/// from starting.
pub fn start(names: &[String], options: &Options) -> Result<u8, Failure> {
    let (users, mut good) = wanted(names)?;
    place::make_dirs().map_err(Failure::doing("make the directories below /run/berth"))?;
    place::make_dir(Path::new(path::LOG_DIR), 0o755)
        .map_err(Failure::doing("make the directory of the logs"))?;
    let mut starting = Vec::new();
    for user in users {
        match place::holder(user.uid) {
            Ok(Some((pid, _))) => say(&format!(
                "the containers of {} are held already (process {pid})",
                user.name
            )),
            Ok(None) => match launch(&user, options) {
                Ok(ready) => starting.push((user, ready)),
                Err(error) => {
                    good = false;
                    say(&format!("{}: {}", user.name, berth_kernel::Plain(&error)));
                }
            },
            Err(error) => {
                good = false;
                say(&format!("{}: {}", user.name, berth_kernel::Plain(&error)));
            }
        }
    }
    good &= wait_until_ready(starting);
    Ok(if good { code::OK } else { code::FAILED })
}

/// Starts one; what is returned becomes readable when it is ready, and ends when it is not.
fn launch(user: &User, options: &Options) -> io::Result<PipeReader> {
    let log = open_log(&user.name)?;
    let null = File::open("/dev/null")?;
    let (reader, writer) = io::pipe()?;
    let seconds = options.stop_seconds.to_string();
    let ready = writer.as_raw_fd().to_string();
    let mut words = vec!["berth-boot", "run", "--ready-fd", &ready];
    words.extend(["--stop-seconds", &seconds]);
    if let Some(groups) = &options.groups {
        words.extend(["--groups", groups]);
    }
    if !options.start {
        words.push("--no-start");
    }
    words.push(&user.name);
    let words: Vec<CString> = words
        .into_iter()
        .map(CString::new)
        .collect::<Result<_, _>>()?;
    let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    // Twice, so that the init script has no child and the holder no parent but init.
    let between = process::fork(|| {
        let become_holder = || -> io::Error {
            let prepare = || -> io::Result<()> {
                nix::unistd::setsid()?;
                std::env::set_current_dir("/")?;
                nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
                process::set_standard_stream(0, null.as_fd())?;
                process::set_standard_stream(1, log.as_fd())?;
                process::set_standard_stream(2, log.as_fd())?;
                process::mark_close_on_exec(3)?;
                process::keep_across_exec(writer.as_fd())
            };
            match prepare() {
                Ok(()) => process::exec(Path::new(path::BOOT), &words, &environment),
                Err(error) => error,
            }
        };
        match process::fork(|| {
            let error = become_holder();
            say(&format!(
                "cannot run {}: {}",
                path::BOOT,
                berth_kernel::Plain(&error)
            ));
            code::FAILED
        }) {
            Ok(_) => code::OK,
            Err(_) => code::FAILED,
        }
    })?;
    match between.pidfd.wait()? {
        Exit::Code(0) => Ok(reader),
        exit => Err(io::Error::other(format!("cannot start a process: {exit}"))),
    }
}

/// Appends; the directory is root's alone to write to.
fn open_log(name: &str) -> io::Result<File> {
    let path = Path::new(path::LOG_DIR).join(format!("boot-{name}.log"));
    if std::fs::metadata(&path).is_ok_and(|found| found.len() > MAX_LOG) {
        std::fs::rename(&path, path.with_extension("log.1"))?;
    }
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let _ = writeln!(file, "berth-boot: begins");
    Ok(file)
}

fn wait_until_ready(mut starting: Vec<(User, PipeReader)>) -> bool {
    let end = Instant::now() + READY_LIMIT;
    let mut good = true;
    while !starting.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            for (user, _) in &starting {
                say(&format!(
                    "{} is not ready yet; it goes on in the background (see {}/boot-{}.log)",
                    user.name,
                    path::LOG_DIR,
                    user.name
                ));
            }
            return false;
        }
        let mut fds: Vec<_> = starting
            .iter()
            .map(|(_, reader)| PollFd::new(reader.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut fds, timeout);
        let events: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let mut events = events.into_iter();
        starting.retain_mut(|(user, reader)| {
            if !events.next().unwrap_or(false) {
                return true;
            }
            if !matches!(reader.read(&mut [0]), Ok(1)) {
                good = false;
                say(&format!(
                    "{} was not started (see {}/boot-{}.log)",
                    user.name,
                    path::LOG_DIR,
                    user.name
                ));
            }
            false
        });
    }
    good
}

/// Stops holders, all at the same time, and waits for each.
pub fn stop(names: &[String], options: &Options) -> Result<u8, Failure> {
    let uids = match names {
        [] => place::known().map_err(Failure::doing("look for what runs"))?,
        _ => named(names)?,
    };
    let mut running: Vec<(i32, PidFd)> = Vec::new();
    for uid in uids {
        let found = place::holder(uid).map_err(Failure::doing("look for what runs"))?;
        running.extend(found);
    }
    for (_, holder) in &running {
        let _ = holder.signal(Signal::SIGTERM as i32);
    }
    let patience = Duration::from_secs(options.stop_seconds).saturating_add(BEYOND);
    wait_for_ends(&mut running, patience);
    if running.is_empty() {
        return Ok(code::OK);
    }
    for (pid, holder) in &running {
        say(&format!("process {pid} does not end and is killed"));
        let _ = holder.signal(Signal::SIGKILL as i32);
    }
    wait_for_ends(&mut running, AFTER_KILL);
    Ok(code::FAILED)
}

/// Whoever was held stays to be stopped, though he is no longer listed.
fn named(names: &[String]) -> Result<Vec<Uid>, Failure> {
    let uid = |name: &String| {
        let user = User::by_name(name).map_err(Failure::doing("look the user up"))?;
        let user = user.ok_or_else(|| Failure::failed(format!("there is no user {name}")))?;
        Ok(user.uid)
    };
    names.iter().map(uid).collect()
}

fn wait_for_ends(running: &mut Vec<(i32, PidFd)>, patience: Duration) {
    let end = Instant::now() + patience;
    while !running.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let mut fds: Vec<_> = running
            .iter()
            .map(|(_, holder)| PollFd::new(holder.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut fds, timeout);
        running.retain(|(_, holder)| !holder.has_ended().unwrap_or(true));
    }
}

/// Says who is held.
pub fn status(names: &[String]) -> Result<u8, Failure> {
    let (users, _) = wanted(names)?;
    let (mut up, mut dead, mut down) = (0, 0, 0);
    for user in users {
        // Others may not open the lock, and see the mark.
        let started = place::mark(user.uid).exists();
        let line = match place::holder(user.uid) {
            Ok(Some((pid, _))) => {
                up += 1;
                format!("running (process {pid})")
            }
            Ok(None) if started => {
                dead += 1;
                "dead: it was killed, its containers may run on".to_owned()
            }
            Ok(None) => {
                down += 1;
                "stopped".to_owned()
            }
            Err(error) => {
                return Err(Failure {
                    code: 4,
                    text: format!("cannot tell: {}", berth_kernel::Plain(&error)),
                });
            }
        };
        let _ = writeln!(io::stdout(), "{}: {line}", user.name);
    }
    Ok(match (up, dead, down) {
        (_, 0, 0) => code::OK,
        (0, 0, _) => code::STATUS_STOPPED,
        _ => code::STATUS_DEAD,
    })
}
