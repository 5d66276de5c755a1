//! This network namespace's numbers for others (RTM_GETNSID, linux/net_namespace.h).

use crate::message::{Attributes, Message, Request, u32_at};
use crate::{Error, Socket, wire};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct rtgenmsg`, one byte for the address family, aligned.
const RTGENMSG: usize = 4;

/// `None` where no number was given out.
fn decode(message: &Message) -> Option<Option<u32>> {
    if message.kind != wire::RTM_NEWNSID || message.payload.len() < RTGENMSG {
        return None;
    }
    let number = Attributes::behind(message.payload, RTGENMSG)
        .find(|(kind, _)| *kind == wire::NETNSA_NSID)
        .and_then(|(_, value)| u32_at(value, 0));
    Some(number.filter(|&number| !number.cast_signed().is_negative()))
}

impl Socket {
    /// The number by which [`crate::Link::peer_namespace`] means that network namespace; `None`
    /// if it has none, so that no interface here has its other end there.
    pub fn namespace_number(&mut self, namespace: BorrowedFd<'_>) -> Result<Option<u32>, Error> {
        let mut request = Request::new(wire::RTM_GETNSID, wire::NLM_F_ACK);
        request.fixed(&[0; RTGENMSG]);
        request.number(wire::NETNSA_FD, namespace.as_raw_fd().cast_unsigned());
        self.get(request, || "look up a network namespace".to_owned(), decode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_descriptions_do_not_panic(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let message =
                Message { kind: wire::RTM_NEWNSID, flags: 0, sequence: 0, payload: &payload };
            let _ = decode(&message);
        }
    }
}
