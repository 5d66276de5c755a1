//! Asking `berthd`, which does for a user what needs root. `berth-session-helper` speaks D-Bus for
//! this program.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use berth_common::{path, unit};
use berth_session_protocol::client::LaunchError;

use crate::commands::start::has_systemd;
use crate::error::{Error, Plain};

/// More than the helper allows itself.
const LIMIT: Duration = Duration::from_secs(17);
const PAUSE: Duration = Duration::from_millis(5);
/// `berthd` says one line.
const MAX_ANSWER: usize = 16 * 1024;

/// Talks over the caller's launch socket. Where nobody has made it, `berthd` is asked to start his
/// lasting cgroup, and then it is tried again.
pub fn with_launch_socket<T>(
    talk: impl Fn() -> Result<T, LaunchError>,
) -> Result<Result<T, LaunchError>, Error> {
    match talk() {
        Err(error) if nobody_listens(&error) && has_systemd() => match start_lasting_cgroup() {
            Ok(()) => Ok(talk()),
            Err(why) => Err(Error::other(format!("{error}: {why}"))),
        },
        talked => Ok(talked),
    }
}

fn nobody_listens(error: &LaunchError) -> bool {
    match error {
        LaunchError::NoSocket(_) => true,
        LaunchError::Connect { source, .. } => {
            source.kind() == std::io::ErrorKind::ConnectionRefused
        }
        _ => false,
    }
}

/// Has the caller's lasting cgroup and its launch socket started; otherwise why they are not.
pub fn start_lasting_cgroup() -> Result<(), String> {
    ask("start").map(drop)
}

/// Has the caller's session handed over to him; what was done, otherwise why it was not.
pub fn repair_session() -> Result<String, String> {
    ask("repair")
}

/// Runs the helper, for at most 17 seconds.
fn ask(word: &str) -> Result<String, String> {
    ask_with(Path::new(path::SESSION_HELPER), word, LIMIT)
}

fn ask_with(helper: &Path, word: &str, limit: Duration) -> Result<String, String> {
    let mut child = Command::new(helper)
        .args(["ask", word])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {}: {}", helper.display(), Plain(&error)))?;
    let Some(status) = wait(&mut child, limit) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!(
            "berthd did not answer within {} seconds (see: systemctl status {})",
            limit.as_secs(),
            unit::BERTHD
        ));
    };
    // It has ended: all that it said is in the pipes.
    let said = |stream: Option<&mut dyn std::io::Read>| -> String {
        let bytes = stream.and_then(|it| berth_kernel::fs::read_bounded(it, MAX_ANSWER).ok());
        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        text.trim().to_owned()
    };
    if status.success() {
        return Ok(said(child.stdout.as_mut().map(|it| it as _)));
    }
    match said(child.stderr.as_mut().map(|it| it as _)) {
        why if why.is_empty() => Err(format!("{} ended with {status}", helper.display())),
        why => Err(why),
    }
}

/// Waits for the child's end; `None` if it did not end in time.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn helper(name: &str, script: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("berth-ask-{name}-{}", std::process::id()));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn an_answer_a_refusal_and_silence() {
        let limit = Duration::from_secs(20);
        let good = helper("good", "echo did $2 for $1");
        assert_eq!(
            ask_with(&good, "start", limit).unwrap(),
            "did start for ask"
        );
        let refuses = helper("refuses", "echo no way >&2; exit 1");
        assert_eq!(ask_with(&refuses, "start", limit).unwrap_err(), "no way");
        let dies = helper("dies", "kill -9 $$");
        let why = ask_with(&dies, "start", limit).unwrap_err();
        assert!(why.contains("signal"), "{why}");
        let hangs = helper("hangs", "exec sleep 1000");
        let why = ask_with(&hangs, "start", Duration::from_millis(200)).unwrap_err();
        assert!(why.contains("did not answer"), "{why}");
        for path in [good, refuses, dies, hangs] {
            std::fs::remove_file(path).unwrap();
        }
        let why = ask_with(Path::new("/nonexistent/helper"), "start", limit).unwrap_err();
        assert!(why.contains("/nonexistent/helper"), "{why}");
    }
}
