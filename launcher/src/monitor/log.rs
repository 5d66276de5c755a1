//! The container's log: a line for what its monitor did or could not do, in a file and in the
//! journal; where there is none, in the system's log, if that is wanted.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use berth_container_config::LogLevel;
use berth_container_config::value::Facility;

use super::journal;
use crate::printable::cell;
use crate::start::plan::LogPlan;

/// Above this size (bytes) the log starts anew.
const LARGEST: u64 = 256 * 1024;
/// Where the system's log listens (syslog(3)).
const SYSLOG: &str = "/dev/log";

/// Writes down what happened.
pub fn event(log: &LogPlan, text: &str) {
    line(log, LogLevel::Notice, text);
}

/// Writes down what could not be done.
pub fn failure(log: &LogPlan, text: &str) {
    line(log, LogLevel::Error, text);
}

/// A log that cannot be written changes nothing for the container.
fn line(log: &LogPlan, level: LogLevel, text: &str) {
    if level < log.level {
        return;
    }
    append(&log.file, text);
    // Whoever reads the other end may be slow, or not there.
    if journal::line(log, severity(level), text).is_err()
        && let Some(facility) = log.syslog
    {
        let _ = tell_system(&message(facility, level, &log.name, text));
    }
}

fn append(file: &Path, text: &str) {
    let now = crate::time::utc(crate::state::now());
    let full = std::fs::symlink_metadata(file).is_ok_and(|found| found.len() > LARGEST);
    let opened = File::options()
        .create(true)
        .append(!full)
        .write(true)
        .truncate(full)
        .mode(0o640)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(file);
    if let Ok(mut log) = opened {
        let _ = log.write_all(format!("{now} {text}\n").as_bytes());
    }
}

/// Of syslog(3): LOG_ERR and LOG_NOTICE.
fn severity(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        _ => 5,
    }
}

/// As syslog(3) sends it, without the time, which the receiver adds: priority, program, text.
fn message(facility: Facility, level: LogLevel, name: &str, text: &str) -> String {
    let priority = facility.number() * 8 + severity(level);
    let pid = std::process::id();
    format!("<{priority}>berth-monitor[{pid}]: {name}: {}", cell(text))
}

fn tell_system(message: &str) -> std::io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), SYSLOG).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_log_gets_one_line_with_its_priority() {
        let facility = berth_container_config::value::facility("local1").unwrap();
        let text = message(facility, LogLevel::Error, "web", "two\nlines\u{1b}");
        let pid = std::process::id();
        assert_eq!(
            text,
            format!("<139>berth-monitor[{pid}]: web: two\\nlines\\u{{1b}}")
        );
        let daemon = berth_container_config::value::facility("daemon").unwrap();
        assert!(message(daemon, LogLevel::Notice, "web", "x").starts_with("<29>"));
    }
}
