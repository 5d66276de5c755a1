//! Running the host's tools: found in fixed directories, with an empty environment, bounded in
//! time.

use crate::Error;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Far beyond what any of them takes; one that hangs (a lock of iptables, a dead name service)
/// must not hang the boot.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is read of an output, in bytes.
const MOST: u64 = 4 << 20;

/// The program of this name, if the host has it.
pub fn find(name: &str) -> Option<PathBuf> {
    DIRECTORIES
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| {
            path.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// How a program ended.
#[derive(Debug)]
pub struct Output {
    /// Whether its exit code was 0.
    pub ok: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained, in one line.
    pub complaint: String,
}

/// Runs a program to its end with `input` on its standard input.
pub fn run<S: AsRef<str>>(program: &Path, arguments: &[S], input: &str) -> Result<Output, Error> {
    let failed = |source| Error::Program {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments.iter().map(AsRef::as_ref))
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;

    let stdout = child.stdout.take().map(read_aside);
    let stderr = child.stderr.take().map(read_aside);
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not want it all has said why on its standard error.
        let _ = stdin.write_all(input.as_bytes());
    }

    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            let why = format!("no end after {} s", PATIENCE.as_secs());
            return Err(failed(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let complaint = collect(stderr);
    let mut complaint = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let first = complaint.next().unwrap_or("no reason given").to_owned();
    Ok(Output {
        ok: status.success(),
        stdout: collect(stdout),
        complaint: complaint.fold(first, |all, line| all + "; " + line),
    })
}

/// Reads in a thread, so that a full pipe cannot block the program, and a descriptor that a
/// daemon kept open cannot block us.
fn read_aside(pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.take(MOST).read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}

fn collect(output: Option<mpsc::Receiver<Vec<u8>>>) -> String {
    let bytes = output.and_then(|output| output.recv_timeout(Duration::from_secs(2)).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_complaints_and_input() {
        let sh = find("sh").expect("a shell");
        let output = run(
            &sh,
            &["-c", "cat; echo one >&2; echo two >&2; exit 3"],
            "in",
        )
        .unwrap();
        assert!(!output.ok);
        assert_eq!(
            (output.stdout.as_str(), output.complaint.as_str()),
            ("in", "one; two")
        );
        let output = run(&sh, &["-c", "exec 0<&-; env"], &"x".repeat(1 << 20)).unwrap();
        assert!(
            output.ok && output.stdout.contains("LC_ALL=C"),
            "{output:?}"
        );
        assert!(
            !output.stdout.contains("CARGO"),
            "the environment is not passed on"
        );
    }

    #[test]
    fn only_programs_are_found() {
        assert!(find("no-such-program-anywhere").is_none());
        assert!(find("../../etc/passwd").is_none());
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run::<&str>(Path::new("/nonexistent/tool"), &[], "")
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/tool"), "{error}");
    }
}
