//! The console's last output, kept in memory.

use std::io::Write;
use std::os::fd::OwnedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// So many bytes of what was written last.
pub struct Ring {
    bytes: Vec<u8>,
    /// Where the next byte goes.
    next: usize,
    /// Whether it went round once.
    full: bool,
}

impl Ring {
    /// An empty one; the kernel gives its memory page by page as it fills.
    pub fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size],
            next: 0,
            full: false,
        }
    }

    /// Adds output, in place of the oldest.
    pub fn push(&mut self, mut output: &[u8]) {
        let size = self.bytes.len();
        if let Some(skipped) = output.len().checked_sub(size) {
            output = &output[skipped..];
        }
        while !output.is_empty() {
            let piece = output.len().min(size - self.next);
            self.bytes[self.next..self.next + piece].copy_from_slice(&output[..piece]);
            output = &output[piece..];
            self.next += piece;
            if self.next == size {
                self.next = 0;
                self.full = true;
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.bytes.len());
    }

    /// The content in order, oldest first.
    fn pieces(&self) -> [&[u8]; 2] {
        let (new, old) = self.bytes.split_at(self.next);
        [if self.full { old } else { &[] }, new]
    }

    /// A file in memory with the content.
    pub fn copy(&self) -> std::io::Result<OwnedFd> {
        let file = memfd_create(c"berth-console", MFdFlags::MFD_CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        for piece in self.pieces() {
            file.write_all(piece)?;
        }
        Ok(file.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(ring: &Ring) -> String {
        String::from_utf8(ring.pieces().concat()).unwrap()
    }

    #[test]
    fn what_was_written_last_is_kept() {
        let mut ring = Ring::new(8);
        assert_eq!(content(&ring), "");
        for (output, kept) in [
            ("abc", "abc"),
            ("defgh", "abcdefgh"),
            ("i", "bcdefghi"),
            ("0123456789", "23456789"),
            ("", "23456789"),
            ("xy", "456789xy"),
        ] {
            ring.push(output.as_bytes());
            assert_eq!(content(&ring), kept);
        }
        ring.clear();
        assert_eq!(content(&ring), "");
        ring.push(b"z");
        assert_eq!(content(&ring), "z");
    }
}
