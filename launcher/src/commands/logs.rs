//! `berth logs`: what a container's console printed, or what its monitor wrote down.

mod follow;
mod tail;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use berth_common::{ContainerName, exit};
use berth_kernel::tty;

use super::ask::if_there;
use super::load_config;
use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, Request};
use crate::place::Place;
use crate::printable::printable;
use crate::state::Runtime;

/// What is to be shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether what comes is shown, too, until the container stops.
    pub follow: bool,
    /// Only so many lines of what there is.
    pub lines: Option<usize>,
    /// What the monitor wrote down instead of the console.
    pub monitor: bool,
}

/// Prints it; `told` gets what a person should know beside it.
pub fn logs(
    place: &Place,
    name: &ContainerName,
    options: Options,
    told: impl FnOnce(&str),
) -> Result<u8> {
    place.require(name)?;
    let (config, _) = load_config(place, name)?;
    let out = Out::new();
    let monitor_log = match &config.log_file {
        Some(file) => file.value.clone(),
        None => place.container_dir(name).join(format!("{name}.log")),
    };
    if options.monitor {
        return from_file(place, name, monitor_log, options, &out);
    }
    if let Some(file) = &config.console.log_file {
        return from_file(place, name, file.value.clone(), options, &out);
    }
    let runtime = Runtime::new(place.runtime_dir(name));
    if runtime.state()?.0.is_active()
        && let Some((kept, stream)) = ask(&runtime)?
    {
        if let Some(kept) = &kept {
            tail::print(kept, options.lines, &out)?;
        }
        if options.follow {
            return follow::pipe(stream, &out).map(|()| exit::OK);
        }
        if kept.is_some() {
            return Ok(exit::OK);
        }
    }
    told(&format!(
        "nothing keeps what the console of {name} prints (lxc.console.buffer.size = auto keeps the \
         last of it, lxc.console.logfile all of it); this is its monitor's log"
    ));
    from_file(place, name, monitor_log, options, &out)
}

fn from_file(
    place: &Place,
    name: &ContainerName,
    path: PathBuf,
    options: Options,
    out: &Out,
) -> Result<u8> {
    let file = match berth_kernel::fs::open_regular(&path) {
        Ok(file) => Some(file),
        // It comes with the first line.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::file("read", &path, error)),
    };
    let mut shown = 0;
    if let Some(file) = &file {
        shown = tail::print(file, options.lines, out)?;
    }
    if options.follow {
        follow::file(place, name, &path, file, shown, out)?;
    }
    Ok(exit::OK)
}

/// What the monitor keeps of the console, and what it prints from now on.
fn ask(runtime: &Runtime) -> Result<Option<(Option<File>, File)>> {
    Ok(match if_there(runtime, &Request::Follow, None)? {
        Some(Answer::Following(mut fds)) => {
            let stream = fds.pop().map(File::from);
            let kept = fds.pop().map(File::from);
            stream.map(|stream| (kept, stream))
        }
        _ => None,
    })
}

/// Standard output; on a terminal, without what would command it.
struct Out {
    clean: bool,
}

impl Out {
    fn new() -> Self {
        Self {
            clean: tty::is_terminal(std::io::stdout().as_fd()),
        }
    }

    /// Prints a piece; `false` if nobody reads it any more.
    fn print(&self, piece: &[u8]) -> Result<bool> {
        let mut out = std::io::stdout().lock();
        let written = match self.clean {
            true => {
                let text = String::from_utf8_lossy(piece).replace('\r', "");
                out.write_all(printable(&text).as_bytes())
            }
            false => out.write_all(piece),
        };
        match written.and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Error::os("print", error)),
        }
    }

    fn fd(&self) -> BorrowedFd<'static> {
        // Standard output is open as long as the program is.
        stdout_fd()
    }
}

fn stdout_fd() -> BorrowedFd<'static> {
    use std::sync::OnceLock;
    static STDOUT: OnceLock<std::io::Stdout> = OnceLock::new();
    STDOUT.get_or_init(std::io::stdout).as_fd()
}
