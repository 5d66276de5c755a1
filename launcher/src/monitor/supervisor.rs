//! Between system calls that wait for a supervisor and the program that decides about them, which
//! `lxc.seccomp.notify.proxy` names.
//!
//! The program is a stranger that may take its time, and the monitor waits for nobody: a process of
//! its own carries each filter's system calls there and the answers back, one after the other, as
//! LXC's monitor does and in the same form. Who gets no answer within half a minute, or none that
//! can be one, gets `ENOSYS`.
//!
//! The memory of a container's process belongs to the container's ids, so in a user namespace there
//! is a second process, its root in that and in nothing else, which opens it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use berth_container_config::value::UnixAddress;
use berth_kernel::process::{self, PidFd};
use berth_kernel::sock;
use berth_kernel::supervised::{Notification, Response, Supervised};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use super::log;
use crate::error::{Error, Plain, Result};
use crate::mapped;
use crate::start::filter::Proxy;
use crate::start::plan::LogPlan;

/// How long the program has to take a system call, and to decide about it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a start waits for a program whose queue is full.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// What stands before the kernel's structures in a message: eight reserved bytes, the numbers of
/// the monitor and of init, three sizes, two bytes of padding, the cookie's length.
const HEAD: usize = 32;

/// Whose system calls they are.
pub struct Supervisee<'a> {
    /// The container's first process.
    pub init: i32,
    /// Its user namespace, if it has one of its own.
    pub namespace: Option<BorrowedFd<'a>>,
}

/// The process that carries one filter's system calls.
pub struct Supervisor {
    process: PidFd,
}

impl Supervisor {
    /// Starts one for `listener`.
    pub fn start(
        proxy: &Proxy,
        log: &LogPlan,
        listener: OwnedFd,
        of: Supervisee<'_>,
    ) -> Result<Self> {
        let failed = |error| Error::os("supervise system calls", error);
        let supervised = Supervised::new(listener).map_err(failed)?;
        let connection = connect(proxy, FIRST_PATIENCE).map_err(|error| {
            let (at, address, why) = (&proxy.at, &proxy.address, Plain(&error));
            Error::other(format!(
                "{at}: cannot connect to the supervisor of system calls at {address}: {why}"
            ))
        })?;
        let monitor = std::process::id() as i32;
        let mut connection = Some(connection);
        let child = process::clone(CloneFlags::empty(), None, || {
            let connection = connection.take();
            let mut keep: Vec<BorrowedFd<'_>> = connection.iter().map(AsFd::as_fd).collect();
            keep.push(supervised.as_fd());
            keep.extend(of.namespace);
            let ready = process::set_parent_death_signal(Signal::SIGKILL as i32)
                .and_then(|()| process::close_others(&keep))
                .and_then(|()| Opener::start(of.namespace));
            let Ok(opener) = ready else {
                return 1;
            };
            let mut carrier = Carrier {
                proxy,
                log,
                supervised: &supervised,
                connection,
                opener,
                monitor,
                init: of.init,
                told: false,
            };
            carrier.run()
        });
        let process = child.map_err(failed)?.pidfd;
        Ok(Self { process })
    }

    /// Whether it has ended; it is reaped then.
    pub fn has_ended(&self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.process.signal(Signal::SIGKILL as i32);
        let _ = self.process.wait();
    }
}

fn connect(proxy: &Proxy, limit: Duration) -> io::Result<OwnedFd> {
    let socket = match &proxy.address {
        UnixAddress::Path(path) => sock::connect_within(path, Some(limit))?,
        UnixAddress::Abstract(name) => sock::connect_abstract(name.as_bytes(), limit)?,
    };
    sock::set_send_timeout(socket.as_fd(), Some(PATIENCE))?;
    sock::set_receive_timeout(socket.as_fd(), Some(PATIENCE))?;
    Ok(socket)
}

/// What the process has.
struct Carrier<'a> {
    proxy: &'a Proxy,
    log: &'a LogPlan,
    supervised: &'a Supervised,
    connection: Option<OwnedFd>,
    opener: Option<Opener>,
    monitor: i32,
    init: i32,
    /// Whether the log has a word about what is wrong already.
    told: bool,
}

impl Carrier<'_> {
    /// Until nobody is under the filter any more; the exit code.
    fn run(&mut self) -> u8 {
        loop {
            let mut fds = [PollFd::new(self.supervised.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => return 1,
            }
            let events = fds[0].revents().unwrap_or(PollFlags::POLLHUP);
            if !events.contains(PollFlags::POLLIN) {
                return 0;
            }
            let notification = match self.supervised.receive() {
                Ok(None) => continue,
                Ok(Some(notification)) => notification,
                Err(_) => return 1,
            };
            let response = match self.decide(&notification) {
                Ok(response) => {
                    self.told = false;
                    response
                }
                Err(why) => {
                    // What is in the connection is not known any more.
                    self.connection = None;
                    self.tell(&why);
                    self.supervised.response(notification.id(), libc::ENOSYS)
                }
            };
            if let Err(error) = self.supervised.respond(&response) {
                self.tell(&format!("the answer is none: {}", Plain(&error)));
                let refusal = self.supervised.response(notification.id(), libc::ENOSYS);
                let _ = self.supervised.respond(&refusal);
            }
        }
    }

    /// Once until it is right again: a program inside may call as often as it likes.
    fn tell(&mut self, why: &str) {
        if !self.told {
            self.told = true;
            let at = &self.proxy.at;
            log::failure(self.log, &format!("{at}: a system call got ENOSYS: {why}"));
        }
    }

    fn decide(&mut self, notification: &Notification) -> std::result::Result<Response, String> {
        let id = notification.id();
        let pid = notification.pid();
        let opened = match &self.opener {
            None => open_process(pid),
            Some(opener) => opener.open(pid),
        };
        let [dir, memory] =
            opened.map_err(|error| format!("cannot open /proc/{pid}/mem: {}", Plain(&error)))?;
        if !self.supervised.waits(id) {
            return Err("its process has ended".to_owned());
        }
        let fds = [dir.as_fd(), memory.as_fd(), self.supervised.as_fd()];
        let message = self.message(notification);
        self.send(&message, &fds)
            .map_err(|error| format!("cannot reach the supervisor: {}", Plain(&error)))?;
        self.answer(id, notification.as_bytes().len())
    }

    /// As LXC has it: the head, the notification, the response to be filled in, the cookie.
    fn message(&self, notification: &Notification) -> Vec<u8> {
        let (sizes, cookie) = (self.supervised.sizes(), self.proxy.cookie.as_bytes());
        let mut message = vec![0; 8];
        message.extend(self.monitor.to_ne_bytes());
        message.extend(self.init.to_ne_bytes());
        for size in [sizes.notification, sizes.response, sizes.data, 0] {
            message.extend(size.to_ne_bytes());
        }
        message.extend((cookie.len() as u64).to_ne_bytes());
        message.extend(notification.as_bytes());
        let response = self.supervised.response(notification.id(), 0);
        message.extend(response.as_bytes());
        message.extend(cookie);
        message
    }

    /// By the connection there is, or else a new one.
    fn send(&mut self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if let Some(connection) = &self.connection
            && sock::send(connection.as_fd(), message, fds).is_ok()
        {
            return Ok(());
        }
        let connection = connect(self.proxy, PATIENCE)?;
        sock::send(connection.as_fd(), message, fds)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// What came back: the same without the cookie, the response filled in.
    fn answer(&self, id: u64, notification: usize) -> std::result::Result<Response, String> {
        let connection = self.connection.as_ref().ok_or("there is no connection")?;
        let response = usize::from(self.supervised.sizes().response);
        let mut buffer = vec![0; HEAD + notification + response];
        let packet = sock::recv(connection.as_fd(), &mut buffer, 0)
            .map_err(|error| format!("the supervisor gave no answer: {}", Plain(&error)))?;
        if packet.len != buffer.len() {
            let (came, wanted) = (packet.len, buffer.len());
            return Err(format!(
                "the supervisor's answer has {came} bytes instead of {wanted}"
            ));
        }
        let answer = Response::from_bytes(&buffer[HEAD + notification..]);
        match buffer[..8] == [0; 8] && answer.id() == id {
            true => Ok(answer),
            false => Err("the supervisor answered something else".to_owned()),
        }
    }
}

/// The directory of a process and its memory.
fn open_process(pid: i32) -> io::Result<[OwnedFd; 2]> {
    let mut options = File::options();
    let dir = options.read(true).custom_flags(libc::O_DIRECTORY);
    let dir = dir.open(format!("/proc/{pid}"))?;
    let mut options = File::options();
    let memory = options.read(true).write(true);
    let memory = memory.open(format!("/proc/{pid}/mem"))?;
    Ok([dir.into(), memory.into()])
}

/// Root of the container's user namespace, on the host in everything else: nobody inside has a
/// number for it.
struct Opener {
    requests: OwnedFd,
}

impl Opener {
    /// None where the container has no ids of its own.
    fn start(namespace: Option<BorrowedFd<'_>>) -> io::Result<Option<Self>> {
        let Some(namespace) = namespace else {
            return Ok(None);
        };
        let (ours, theirs) = sock::pair()?;
        // Its answer comes at once, or it has died.
        process::clone(CloneFlags::empty(), None, || {
            let ready = process::set_parent_death_signal(Signal::SIGKILL as i32)
                .and_then(|()| process::close_others(&[theirs.as_fd(), namespace]))
                .and_then(|()| mapped::become_root_of(namespace))
                .and_then(|()| process::set_dumpable(false))
                // Forgotten with the change of ids.
                .and_then(|()| process::set_parent_death_signal(Signal::SIGKILL as i32));
            match ready.and_then(|()| serve(&theirs)) {
                Ok(()) => 0,
                Err(_) => 1,
            }
        })?;
        Ok(Some(Self { requests: ours }))
    }

    fn open(&self, pid: i32) -> io::Result<[OwnedFd; 2]> {
        sock::send(self.requests.as_fd(), &pid.to_ne_bytes(), &[])?;
        let mut errno = [0; 4];
        let packet = sock::recv(self.requests.as_fd(), &mut errno, 2)?;
        match <[OwnedFd; 2]>::try_from(packet.fds) {
            Ok(fds) => Ok(fds),
            Err(_) if packet.len == 0 => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
        }
    }
}

/// Opens what it is asked for until nobody asks any more.
fn serve(requests: &OwnedFd) -> io::Result<()> {
    loop {
        let mut pid = [0; 4];
        if sock::recv(requests.as_fd(), &mut pid, 0)?.len != pid.len() {
            return Ok(());
        }
        match open_process(i32::from_ne_bytes(pid)) {
            Ok([dir, memory]) => {
                sock::send(requests.as_fd(), &[0; 4], &[dir.as_fd(), memory.as_fd()])?;
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                sock::send(requests.as_fd(), &errno.to_ne_bytes(), &[])?;
            }
        }
    }
}
