//! What goes through the pipe: a mark for each thing, then its fields.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::{Error, Result};

/// The longest name, target of a link or piece of content, in bytes.
const MAX_FIELD: u32 = 1 << 20;
/// A piece of a file's content, in bytes.
pub const PIECE: usize = 1 << 18;
const BROKEN_OFF: &str = "the other side broke off";

/// One thing on its way.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A directory; what follows is in it, up to [`Item::Up`].
    Directory(Head),
    /// A file; pieces of its content follow, up to one that is empty.
    File(Head),
    /// A symbolic link, and where it leads.
    Link(Head, OsString),
    /// Bytes of the file's content, and where in it they stand.
    Piece(u64, Vec<u8>),
    /// The end of a file of so many bytes.
    EndOfFile(u64),
    /// The end of a directory.
    Up,
    /// The end of all.
    End,
}

/// What a thing has beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its name; that of the first one is the source's.
    pub name: OsString,
    /// Permissions without set-id bits: those are not for whoever it belongs to now.
    pub mode: u32,
    /// When its content changed last, in seconds since 1970.
    pub modified: i64,
    /// How many bytes a file had when it was opened.
    pub size: u64,
}

impl Item {
    /// Writes it.
    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        let mut bytes = Vec::new();
        let mut field = |field: &[u8]| {
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_le_bytes());
            bytes.extend(field);
        };
        let mark = match self {
            Self::Directory(head) | Self::File(head) | Self::Link(head, _) => {
                field(head.name.as_bytes());
                field(&head.mode.to_le_bytes());
                field(&head.modified.to_le_bytes());
                field(&head.size.to_le_bytes());
                match self {
                    Self::Directory(_) => b'd',
                    Self::File(_) => b'f',
                    Self::Link(_, target) => {
                        field(target.as_bytes());
                        b'l'
                    }
                    _ => b'?',
                }
            }
            Self::Piece(at, content) => {
                field(&at.to_le_bytes());
                field(content);
                b'p'
            }
            Self::EndOfFile(size) => {
                field(&size.to_le_bytes());
                b'e'
            }
            Self::Up => b'u',
            Self::End => b'.',
        };
        let written = to.write_all(&[mark]).and_then(|()| to.write_all(&bytes));
        written.map_err(|error| broken(&error))
    }

    /// Reads one.
    pub fn read(from: &mut impl Read) -> Result<Self> {
        let mut mark = [0];
        from.read_exact(&mut mark).map_err(|error| broken(&error))?;
        Ok(match mark[0] {
            b'd' => Self::Directory(head(from)?),
            b'f' => Self::File(head(from)?),
            b'l' => Self::Link(head(from)?, OsString::from_vec(field(from)?)),
            b'p' => Self::Piece(u64::from_le_bytes(number(from)?), field(from)?),
            b'e' => Self::EndOfFile(u64::from_le_bytes(number(from)?)),
            b'u' => Self::Up,
            b'.' => Self::End,
            _ => return Err(garbled()),
        })
    }
}

fn head(from: &mut impl Read) -> Result<Head> {
    Ok(Head {
        name: OsString::from_vec(field(from)?),
        mode: u32::from_le_bytes(number(from)?) & 0o777,
        modified: i64::from_le_bytes(number(from)?),
        size: u64::from_le_bytes(number(from)?),
    })
}

fn field(from: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)
        .map_err(|error| broken(&error))?;
    let length = u32::from_le_bytes(length);
    if length > MAX_FIELD {
        return Err(garbled());
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)
        .map_err(|error| broken(&error))?;
    Ok(bytes)
}

fn number<const N: usize>(from: &mut impl Read) -> Result<[u8; N]> {
    field(from)?.try_into().map_err(|_| garbled())
}

fn garbled() -> Error {
    Error::other("what came through the pipe is no file")
}

fn broken(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Error::other(BROKEN_OFF),
        _ => Error::other(format!("cannot use a pipe: {}", crate::error::Plain(error))),
    }
}

/// Whether one side failed because the other had.
pub fn is_broken_off(error: &Error) -> bool {
    error.to_string() == BROKEN_OFF
}

/// Whether a name is one of a file in a directory.
pub fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes != b"."
        && bytes != b".."
        && !bytes.contains(&b'/')
        && !bytes.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_survive_the_pipe() {
        let head = Head {
            name: "a b\n".into(),
            mode: 0o640,
            modified: -5,
            size: 1 << 40,
        };
        let items = [
            Item::Directory(head.clone()),
            Item::File(head.clone()),
            Item::Piece(7, vec![0, 1, 2]),
            Item::EndOfFile(1 << 40),
            Item::Link(head, "/x".into()),
            Item::Up,
            Item::End,
        ];
        let mut bytes = Vec::new();
        for item in &items {
            item.write(&mut bytes).unwrap();
        }
        let mut from = bytes.as_slice();
        for item in &items {
            assert_eq!(&Item::read(&mut from).unwrap(), item);
        }
        assert!(is_broken_off(&Item::read(&mut from).unwrap_err()));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut from = bytes.as_slice();
            while Item::read(&mut from).is_ok() {}
        }
    }
}
