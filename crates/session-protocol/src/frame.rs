//! The frame's layout: version, kind, number of fields (u16), then each field's length (u32) and
//! bytes; integers are little-endian; nothing follows the last field.

use std::fmt;

/// The longest encoded frame, in bytes. Fits a unix socket's default send buffer (net.core's
/// wmem_default, 208 KiB) with the kernel's own overhead.
pub const MAX_PACKET: usize = 128 * 1024;
/// The most fields of a frame.
pub const MAX_FIELDS: usize = 8192;

const VERSION: u8 = 1;
const HEADER: usize = 4;
const LENGTH: usize = 4;

/// A message: what kind it is and its fields, both given a meaning by those who talk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the fields mean.
    pub kind: u8,
    /// Arbitrary bytes.
    pub fields: Vec<Vec<u8>>,
}

/// Why a frame cannot be encoded, or a packet is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// More than [`MAX_PACKET`] bytes or [`MAX_FIELDS`] fields.
    TooLarge,
    /// Shorter than it says, or longer.
    Malformed,
    /// Made by a program that speaks another version.
    Version(u8),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(
                f,
                "more than {} KiB or {MAX_FIELDS} items in one message",
                MAX_PACKET / 1024
            ),
            Self::Malformed => f.write_str("the message is malformed"),
            Self::Version(theirs) => write!(
                f,
                "the other side speaks version {theirs} of the protocol, this one {VERSION}: \
                 both must come from the same release"
            ),
        }
    }
}

impl std::error::Error for FrameError {}

impl Frame {
    /// A frame of this kind.
    pub fn new(kind: u8, fields: Vec<Vec<u8>>) -> Self {
        Self { kind, fields }
    }

    /// The frame as one packet.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        if self.fields.len() > MAX_FIELDS {
            return Err(FrameError::TooLarge);
        }
        let count = u16::try_from(self.fields.len()).map_err(|_| FrameError::TooLarge)?;
        let size = self
            .fields
            .iter()
            .try_fold(HEADER, |sum, field| {
                sum.checked_add(LENGTH)?.checked_add(field.len())
            })
            .filter(|size| *size <= MAX_PACKET)
            .ok_or(FrameError::TooLarge)?;
        let mut packet = Vec::with_capacity(size);
        packet.extend([VERSION, self.kind]);
        packet.extend(count.to_le_bytes());
        for field in &self.fields {
            let length = u32::try_from(field.len()).map_err(|_| FrameError::TooLarge)?;
            packet.extend(length.to_le_bytes());
            packet.extend(field);
        }
        Ok(packet)
    }

    /// The frame that a whole packet holds. There is one encoding for each frame: everything
    /// else is refused.
    pub fn decode(packet: &[u8]) -> Result<Self, FrameError> {
        if packet.len() > MAX_PACKET {
            return Err(FrameError::TooLarge);
        }
        let (header, mut rest) = packet.split_first_chunk().ok_or(FrameError::Malformed)?;
        let [version, kind, low, high]: [u8; HEADER] = *header;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let count = usize::from(u16::from_le_bytes([low, high]));
        if count > MAX_FIELDS {
            return Err(FrameError::TooLarge);
        }
        // Not trusted before the bytes are seen: a packet of four bytes must not reserve more.
        let mut fields = Vec::with_capacity(count.min(rest.len() / LENGTH));
        for _ in 0..count {
            let (length, after) = rest
                .split_first_chunk::<LENGTH>()
                .ok_or(FrameError::Malformed)?;
            let length =
                usize::try_from(u32::from_le_bytes(*length)).map_err(|_| FrameError::Malformed)?;
            let (field, after) = after
                .split_at_checked(length)
                .ok_or(FrameError::Malformed)?;
            fields.push(field.to_vec());
            rest = after;
        }
        if rest.is_empty() {
            Ok(Self { kind, fields })
        } else {
            Err(FrameError::Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            kind: u8,
            fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40),
        ) {
            let frame = Frame { kind, fields };
            let packet = frame.encode().unwrap();
            prop_assert_eq!(Frame::decode(&packet), Ok(frame));
        }

        #[test]
        fn any_bytes_are_a_frame_in_its_only_encoding_or_an_error(
            mut packet in prop::collection::vec(any::<u8>(), 0..64),
            valid_start: bool,
            count in 0u16..4,
        ) {
            if valid_start && packet.len() >= 4 {
                packet[0] = VERSION;
                packet[2..4].copy_from_slice(&count.to_le_bytes());
            }
            if let Ok(frame) = Frame::decode(&packet) {
                prop_assert_eq!(frame.encode().unwrap(), packet);
            }
        }

        #[test]
        fn a_cut_or_lengthened_packet_is_refused(
            fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 1..8),
            cut in 1usize..8,
        ) {
            let packet = Frame { kind: 0, fields }.encode().unwrap();
            let short = &packet[..packet.len().saturating_sub(cut)];
            prop_assert!(Frame::decode(short).is_err());
            let long = [&packet[..], &vec![0; cut]].concat();
            prop_assert_eq!(Frame::decode(&long), Err(FrameError::Malformed));
        }
    }

    #[test]
    fn bounds_hold_at_their_edge() {
        let largest = Frame::new(1, vec![vec![0; MAX_PACKET - HEADER - LENGTH]]);
        let packet = largest.encode().unwrap();
        assert_eq!(packet.len(), MAX_PACKET);
        assert_eq!(Frame::decode(&packet), Ok(largest));
        let larger = Frame::new(1, vec![vec![0; MAX_PACKET - HEADER - LENGTH + 1]]);
        assert_eq!(larger.encode(), Err(FrameError::TooLarge));
        let most = Frame::new(1, vec![Vec::new(); MAX_FIELDS]);
        assert_eq!(Frame::decode(&most.encode().unwrap()), Ok(most));
        assert_eq!(
            Frame::new(1, vec![Vec::new(); MAX_FIELDS + 1]).encode(),
            Err(FrameError::TooLarge)
        );
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(Frame::decode(&[2, 0, 0, 0]), Err(FrameError::Version(2)));
    }
}
