//! What a program of the host says, read to its end.
//!
//! `wait_with_output` of the standard library panics where reading fails, as it may when memory or
//! descriptors are short; a monitor must go on then.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Output, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Of each stream no more than this (bytes) is kept; what comes after it is read and dropped.
const KEPT: usize = 1 << 20;

/// Runs a program without input and collects what it says.
pub fn run(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    collect(command.spawn()?)
}

/// Waits for a program's end; what it says on those of its streams that are pipes is collected.
/// After an error it has ended, too.
pub fn collect(mut child: Child) -> io::Result<Output> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let read = loop {
        let open = [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
        let [out_ready, err_ready] = match wait(open) {
            Ok(None) => break Ok(()),
            Ok(Some(ready)) => ready,
            Err(error) => break Err(error),
        };
        let done = [
            (out_ready, take(out.as_mut(), out_ready, &mut stdout)),
            (err_ready, take(err.as_mut(), err_ready, &mut stderr)),
        ];
        let [(_, out_goes_on), (_, err_goes_on)] = done;
        match (out_goes_on, err_goes_on) {
            (Ok(out_goes_on), Ok(err_goes_on)) => {
                out = out.filter(|_| out_goes_on);
                err = err.filter(|_| err_goes_on);
            }
            (Err(error), _) | (_, Err(error)) => break Err(error),
        }
    };
    // Nobody reads any more: a program that goes on writing ends by that.
    drop((out, err));
    let status = child.wait();
    read?;
    Ok(Output {
        status: status?,
        stdout,
        stderr,
    })
}

/// Which of the streams have something to read, or an end; `None` where none is open.
fn wait(open: [Option<BorrowedFd<'_>>; 2]) -> io::Result<Option<[bool; 2]>> {
    let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut fds: Vec<PollFd<'_>> = open.into_iter().flatten().map(readable).collect();
    if fds.is_empty() {
        return Ok(None);
    }
    while let Err(errno) = poll(&mut fds, PollTimeout::NONE) {
        if errno != nix::errno::Errno::EINTR {
            return Err(errno.into());
        }
    }
    let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
    Ok(Some(
        open.map(|fd| fd.is_some() && ready.next() == Some(true)),
    ))
}

/// Takes what is there; whether more may come.
fn take(stream: Option<&mut impl Read>, ready: bool, into: &mut Vec<u8>) -> io::Result<bool> {
    let Some(stream) = stream.filter(|_| ready) else {
        return Ok(true);
    };
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(count) => {
            let room = KEPT.saturating_sub(into.len()).min(count);
            into.extend_from_slice(&buffer[..room]);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Output {
        run(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn both_streams_are_read_side_by_side_and_the_code_is_told() {
        let said = sh("head -c 200000 /dev/zero >&2; echo out; exit 3");
        assert_eq!(said.status.code(), Some(3));
        assert_eq!(said.stdout, b"out\n");
        assert_eq!(said.stderr.len(), 200_000);
    }

    #[test]
    fn a_stream_without_end_does_not_fill_the_memory() {
        let said = sh("head -c 3000000 /dev/zero");
        assert_eq!(said.stdout.len(), KEPT);
        assert!(said.status.success());
    }

    #[test]
    fn a_stream_that_is_no_pipe_is_not_waited_for() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let said = collect(child.unwrap()).unwrap();
        assert_eq!(
            (said.stdout.len(), said.stderr.as_slice()),
            (0, &b"err\n"[..])
        );
    }
}
