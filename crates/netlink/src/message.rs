//! Messages and attributes as bytes: pure, native byte order, 4-byte alignment (netlink(7)).
//!
//! Decoding never trusts a length: whatever does not fit ends the iteration with [`Malformed`].

use crate::wire;

/// Length of a netlink header.
pub const HEADER: usize = 16;
/// The longest request that is built here. The kernel takes more; nothing we ask for needs it.
pub const MAX_REQUEST: usize = 4096;

/// The bytes are not what netlink(7) promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A request being built.
#[derive(Debug)]
pub struct Request {
    bytes: Vec<u8>,
}

/// An attribute that was opened and waits for its length.
#[must_use = "an attribute that is not closed has no length"]
#[derive(Debug)]
pub struct Nest(usize);

impl Request {
    /// Starts a request of this type; `NLM_F_REQUEST` is added to the flags.
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | wire::NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        Self { bytes }
    }

    /// Appends a fixed structure (`ifinfomsg`, `ifaddrmsg`, `rtmsg`).
    pub fn fixed(&mut self, structure: &[u8]) {
        self.bytes.extend_from_slice(structure);
        self.align();
    }

    /// Appends an attribute. A value that cannot be expressed (over 64 KiB) makes
    /// [`Request::finish`] fail, since it is over [`MAX_REQUEST`] as well.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.align();
    }

    /// Appends a text attribute with the final zero that the kernel expects.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// Appends a number.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Opens an attribute that holds attributes.
    pub fn open(&mut self, kind: u16) -> Nest {
        let nest = Nest(self.bytes.len());
        self.bytes.extend_from_slice(&0u16.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(kind | wire::NLA_F_NESTED).to_ne_bytes());
        nest
    }

    /// Closes what [`Request::open`] opened.
    pub fn close(&mut self, nest: Nest) {
        let length = u16::try_from(self.bytes.len() - nest.0).unwrap_or(u16::MAX);
        self.bytes[nest.0..nest.0 + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// The message with its length and this sequence number, or nothing if it grew over
    /// [`MAX_REQUEST`].
    pub fn finish(mut self, sequence: u32) -> Option<Vec<u8>> {
        if self.bytes.len() > MAX_REQUEST {
            return None;
        }
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Some(self.bytes)
    }

    fn align(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of a datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Reads a received datagram.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let Some(length) = u32_at(rest, 0).map(|length| length as usize) else {
            return Some(Err(Malformed));
        };
        let (Some(kind), Some(flags), Some(sequence)) =
            (u16_at(rest, 4), u16_at(rest, 6), u32_at(rest, 8))
        else {
            return Some(Err(Malformed));
        };
        let Some(payload) = rest.get(HEADER..length) else {
            return Some(Err(Malformed));
        };
        self.0 = rest.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Message {
            kind,
            flags,
            sequence,
            payload,
        }))
    }
}

/// The attributes of a payload, type without the flag bits. Ends at the first one that does not
/// fit, as the kernel's own `nla_for_each_attr` does: what stands before it is good.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads attributes that start at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads the attributes behind a fixed structure of this length.
    pub fn behind(payload: &'a [u8], structure: usize) -> Self {
        Self(payload.get(aligned(structure)..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.0);
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & wire::NLA_TYPE_MASK;
        let value = rest.get(4..length)?;
        self.0 = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The u16 at this place, if there is one.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

/// The u32 at this place, if there is one.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

/// A text attribute without its final zero. Bytes that are no UTF-8 become U+FFFD.
pub fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// What an NLMSG_ERROR says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// errno, or 0 for success.
    pub errno: i32,
    /// The kernel's own words (NETLINK_EXT_ACK), at most 200 characters, none of them a control
    /// character.
    pub text: Option<String>,
}

/// Reads the payload of an NLMSG_ERROR or an NLMSG_DONE.
pub fn answer(message: &Message) -> Result<Answer, Malformed> {
    let errno = u32_at(message.payload, 0)
        .ok_or(Malformed)?
        .cast_signed()
        .saturating_neg();
    if message.flags & wire::NLM_F_ACK_TLVS == 0 {
        return Ok(Answer { errno, text: None });
    }
    // NLMSG_DONE: errno, attributes. NLMSG_ERROR: errno, header of the request, its payload
    // unless it was capped (success is always capped), attributes.
    let start = if message.kind == wire::NLMSG_DONE {
        4
    } else if message.flags & wire::NLM_F_CAPPED != 0 || errno == 0 {
        4 + HEADER
    } else {
        let request = u32_at(message.payload, 4).ok_or(Malformed)? as usize;
        4usize.saturating_add(aligned(request.min(message.payload.len())))
    };
    let text = Attributes::new(message.payload.get(start..).unwrap_or_default())
        .find(|(kind, _)| *kind == wire::NLMSGERR_ATTR_MSG)
        .map(|(_, value)| {
            text(value)
                .chars()
                .take(200)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        });
    Ok(Answer { errno, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_has_the_layout_of_the_header_files() {
        let mut request = Request::new(wire::RTM_NEWLINK, wire::NLM_F_ACK);
        request.fixed(&[0; 16]);
        request.text(wire::IFLA_IFNAME, "eth0");
        let info = request.open(wire::IFLA_LINKINFO);
        request.text(wire::IFLA_INFO_KIND, "veth");
        request.close(info);
        let bytes = request.finish(9).unwrap();
        assert_eq!(bytes.len(), 16 + 16 + 12 + 4 + 12);
        assert_eq!(u32_at(&bytes, 0), Some(bytes.len() as u32));
        assert_eq!(u16_at(&bytes, 6), Some(5));
        assert_eq!(u32_at(&bytes, 8), Some(9));
        assert_eq!(&bytes[32..44], b"\x09\x00\x03\x00eth0\0\0\0\0");
        assert_eq!(u16_at(&bytes, 44), Some(16));
        assert_eq!(
            u16_at(&bytes, 46),
            Some(wire::IFLA_LINKINFO | wire::NLA_F_NESTED)
        );
    }

    #[test]
    fn an_overlong_request_is_refused() {
        let mut request = Request::new(1, 0);
        request.attribute(1, &vec![0; 70_000]);
        assert_eq!(request.finish(1), None);
    }

    #[test]
    fn the_kernels_words_are_found_capped_or_not() {
        let words = b"\x0b\0\x01\0no way\0\0";
        let build = |flags, request: usize| {
            let mut payload = (-22i32).to_ne_bytes().to_vec();
            payload.extend_from_slice(&(request as u32).to_ne_bytes());
            payload.resize(4 + aligned(request), 0);
            payload.extend_from_slice(words);
            (flags, payload)
        };
        for (flags, payload) in [
            build(wire::NLM_F_ACK_TLVS | wire::NLM_F_CAPPED, HEADER),
            build(wire::NLM_F_ACK_TLVS, 45),
        ] {
            let message = Message {
                kind: wire::NLMSG_ERROR,
                flags,
                sequence: 1,
                payload: &payload,
            };
            let expected = Answer {
                errno: 22,
                text: Some("no way".to_owned()),
            };
            assert_eq!(answer(&message), Ok(expected));
        }
    }

    proptest! {
        #[test]
        fn hostile_datagrams_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut seen = 0;
            for message in Messages::new(&bytes) {
                let Ok(message) = message else { break };
                seen += 1;
                let _ = answer(&message);
                for start in [0, 8, 12, 16] {
                    let total: usize =
                        Attributes::behind(message.payload, start).map(|(_, v)| v.len() + 4).sum();
                    prop_assert!(total <= bytes.len());
                }
            }
            prop_assert!(seen * HEADER <= bytes.len());
        }

        #[test]
        fn lengths_that_lie_end_too(
            claimed in any::<u32>(), inner in any::<u16>(), filler in 0usize..64,
        ) {
            let mut bytes = vec![0; HEADER + filler];
            bytes[0..4].copy_from_slice(&claimed.to_ne_bytes());
            bytes.extend_from_slice(&inner.to_ne_bytes());
            bytes.extend_from_slice(&[1, 0]);
            for message in Messages::new(&bytes).flatten() {
                prop_assert!(message.payload.len() < bytes.len());
            }
            prop_assert!(Attributes::new(&bytes[HEADER..]).count() <= bytes.len() / 4);
        }

        #[test]
        fn attributes_come_back(
            attributes in proptest::collection::vec(
                (0u16..0x3fff, proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        ) {
            let mut request = Request::new(5, 0);
            request.fixed(&[0; 16]);
            for (kind, value) in &attributes {
                request.attribute(*kind, value);
            }
            let bytes = request.finish(3).unwrap();
            let messages: Vec<_> = Messages::new(&bytes).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(messages.len(), 1);
            let back: Vec<_> = Attributes::behind(messages[0].payload, 16)
                .map(|(kind, value)| (kind, value.to_vec()))
                .collect();
            prop_assert_eq!(back, attributes);
        }
    }
}
