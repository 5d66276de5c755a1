//! Requests and their answers over one socket.

use crate::message::{self, HEADER, Message, Messages, Request};
use crate::{Error, wire};
use berth_kernel::netlink_socket;
use std::io;
use std::os::fd::OwnedFd;

/// Room for one datagram: the kernel fills dumps up to 32 KiB (`netlink_dump`).
const BUFFER: usize = 32 * 1024;
/// The kernel answers while it takes the request; a second of silence means that it will not.
const PATIENCE_MS: u32 = 1000;
/// How often a dump that was overtaken by a change is repeated.
const DUMP_TRIES: usize = 5;
/// Datagrams of one dump; 32 KiB each, over a million interfaces.
const MAX_DATAGRAMS: usize = 1 << 16;

/// A route socket of the network namespace in which it was opened, wherever the caller goes
/// afterwards.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// How a dump ended.
enum Dump {
    Complete,
    Interrupted,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let fd = netlink_socket::open_route(PATIENCE_MS).map_err(Error::Open)?;
        Ok(Self {
            fd,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Sends a change and waits for the kernel's yes or no.
    pub(crate) fn change(
        &mut self,
        request: Request,
        operation: impl Fn() -> String,
    ) -> Result<(), Error> {
        self.send(request, &operation)?;
        self.read(&operation, &mut |_| Ok(()))
    }

    /// Asks for one object. The answer is the first message that `decode` makes something of.
    pub(crate) fn get<T>(
        &mut self,
        request: Request,
        operation: impl Fn() -> String,
        decode: impl Fn(&Message) -> Option<T>,
    ) -> Result<T, Error> {
        self.send(request, &operation)?;
        let mut found = None;
        self.read(&operation, &mut |message| {
            if found.is_none() {
                found = decode(message);
            }
            Ok(())
        })?;
        found.ok_or_else(|| Error::Malformed {
            operation: operation(),
        })
    }

    /// Asks for all objects of a kind; repeated when changes overtook it.
    pub(crate) fn dump<T>(
        &mut self,
        request: impl Fn() -> Request,
        operation: impl Fn() -> String,
        decode: impl Fn(&Message) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_TRIES {
            self.send(request(), &operation)?;
            let mut found = Vec::new();
            if let Dump::Complete = self.read_dump(&operation, &mut |message| {
                found.extend(decode(message));
            })? {
                return Ok(found);
            }
        }
        Err(Error::Unstable {
            operation: operation(),
        })
    }

    fn send(&mut self, request: Request, operation: &dyn Fn() -> String) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request
            .finish(self.sequence)
            .ok_or_else(|| Error::Invalid {
                operation: operation(),
                why: "the request is too long",
            })?;
        netlink_socket::send_to_kernel(&self.fd, &bytes).map_err(|source| Error::Transport {
            operation: operation(),
            source,
        })
    }

    /// Reads up to the acknowledgement of the last request.
    fn read(
        &mut self,
        operation: &dyn Fn() -> String,
        each: &mut dyn FnMut(&Message) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for _ in 0..MAX_DATAGRAMS {
            let length = self.receive(operation)?;
            for message in Messages::new(&self.buffer[..length]) {
                let message = message.map_err(|_| malformed(operation))?;
                // Answers to an earlier request that was given up.
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    wire::NLMSG_ERROR => return verdict(&message, operation),
                    wire::NLMSG_NOOP => {}
                    _ => each(&message)?,
                }
            }
        }
        Err(malformed(operation))
    }

    /// Reads up to the end of a dump. A dump is read to its end even when it was interrupted:
    /// the kernel refuses the next one on this socket before that.
    fn read_dump(
        &mut self,
        operation: &dyn Fn() -> String,
        each: &mut dyn FnMut(&Message),
    ) -> Result<Dump, Error> {
        let mut outcome = Dump::Complete;
        for _ in 0..MAX_DATAGRAMS {
            let length = self.receive(operation)?;
            for message in Messages::new(&self.buffer[..length]) {
                let message = message.map_err(|_| malformed(operation))?;
                if message.sequence != self.sequence {
                    continue;
                }
                if message.flags & wire::NLM_F_DUMP_INTR != 0 {
                    outcome = Dump::Interrupted;
                }
                match message.kind {
                    wire::NLMSG_DONE if message.payload.len() < 4 => return Ok(outcome),
                    wire::NLMSG_DONE | wire::NLMSG_ERROR => {
                        return verdict(&message, operation).map(|()| outcome);
                    }
                    wire::NLMSG_NOOP => {}
                    _ => each(&message),
                }
            }
        }
        Err(malformed(operation))
    }

    fn receive(&mut self, operation: &dyn Fn() -> String) -> Result<usize, Error> {
        let length =
            netlink_socket::receive_from_kernel(&self.fd, &mut self.buffer).map_err(|source| {
                Error::Transport {
                    operation: operation(),
                    source,
                }
            })?;
        if length < HEADER {
            return Err(malformed(operation));
        }
        Ok(length)
    }
}

fn malformed(operation: &dyn Fn() -> String) -> Error {
    Error::Malformed {
        operation: operation(),
    }
}

fn verdict(message: &Message, operation: &dyn Fn() -> String) -> Result<(), Error> {
    let answer = message::answer(message).map_err(|_| malformed(operation))?;
    match answer.errno {
        0 => Ok(()),
        errno => Err(Error::Kernel {
            operation: operation(),
            source: io::Error::from_raw_os_error(errno),
            text: answer.text,
        }),
    }
}
