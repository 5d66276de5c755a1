//! Archives as tar(1) writes them: POSIX.1-1988 (ustar), with the long names, sizes and times of
//! POSIX.1-2001 (pax) and of GNU. Files, directories and symbolic links are read and written; all
//! else is refused by name.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::{Error, Result};

const BLOCK: usize = 512;
/// The longest name and the longest extended header, in bytes.
const LONGEST: u64 = 1 << 20;
/// The largest number of eleven octal digits.
const MOST_OCTAL: u64 = 0o77_777_777_777;
const NO_ARCHIVE: &str = "what came is no tar archive (one that is compressed has to be unpacked \
                          first, as in: gzip -dc FILE | berth cp - NAME:/path)";

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file; so many bytes follow.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link, and where it leads.
    Link(OsString),
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path as the archive has it.
    pub path: OsString,
    /// What it is.
    pub kind: Kind,
    /// Permissions without set-id bits.
    pub mode: u32,
    /// When its content changed last, in seconds since 1970.
    pub modified: i64,
}

/// Writes an entry's headers; a file's content and [`pad`] follow.
pub fn write(to: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let (flag, size, link) = match &entry.kind {
        Kind::File(size) => (b'0', *size, OsStr::new("")),
        Kind::Directory => (b'5', 0, OsStr::new("")),
        Kind::Link(target) => (b'2', 0, target.as_os_str()),
    };
    let mut records = Vec::new();
    if entry.path.len() > 100 {
        record(&mut records, "path", entry.path.as_bytes());
    }
    if link.len() > 100 {
        record(&mut records, "linkpath", link.as_bytes());
    }
    if size > MOST_OCTAL {
        record(&mut records, "size", size.to_string().as_bytes());
    }
    if u64::try_from(entry.modified).map_or(true, |seconds| seconds > MOST_OCTAL) {
        record(&mut records, "mtime", entry.modified.to_string().as_bytes());
    }
    if !records.is_empty() {
        let length = records.len() as u64;
        to.write_all(&header(b"pax", b'x', 0o644, length, 0, b""))?;
        to.write_all(&records)?;
        pad(to, length)?;
    }
    let (path, link) = (entry.path.as_bytes(), link.as_bytes());
    let modified = u64::try_from(entry.modified).unwrap_or(0);
    to.write_all(&header(path, flag, entry.mode, size, modified, link))
}

/// Fills the last block of a file of so many bytes.
pub fn pad(to: &mut impl Write, size: u64) -> io::Result<()> {
    to.write_all(&[0; BLOCK][..padding(size)])
}

/// Ends an archive.
pub fn end(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&[0; 2 * BLOCK])?;
    to.flush()
}

fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(into: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    into.extend(format!("{length} {key}=").bytes());
    into.extend(value);
    into.push(b'\n');
}

fn header(path: &[u8], flag: u8, mode: u32, size: u64, modified: u64, link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut text = |at: usize, room: usize, text: &[u8]| {
        let length = text.len().min(room);
        block[at..at + length].copy_from_slice(&text[..length]);
    };
    let octal = |digits: usize, number: u64| format!("{number:0digits$o}");
    text(0, 100, path);
    text(100, 7, octal(7, u64::from(mode)).as_bytes());
    // To whom it belongs is told where it is unpacked.
    text(108, 7, octal(7, 0).as_bytes());
    text(116, 7, octal(7, 0).as_bytes());
    text(124, 11, octal(11, size.min(MOST_OCTAL)).as_bytes());
    text(136, 11, octal(11, modified.min(MOST_OCTAL)).as_bytes());
    text(148, 8, b"        ");
    text(156, 1, &[flag]);
    text(157, 100, link);
    text(257, 8, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// What long names, and extended headers, say of the next entry.
#[derive(Default)]
struct Ahead {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
}

/// Reads the next entry; `None` at the end. All of a file's content and its padding must have been
/// read before.
pub fn read(from: &mut impl Read) -> Result<Option<Entry>> {
    let mut ahead = Ahead::default();
    loop {
        let mut block = [0; BLOCK];
        match fill(from, &mut block)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(Error::other(NO_ARCHIVE)),
        }
        if block == [0; BLOCK] {
            return Ok(None);
        }
        if number(&block[148..156]) != Some(sum(&block)) {
            return Err(Error::other(NO_ARCHIVE));
        }
        let size = number(&block[124..136]).ok_or_else(|| Error::other(NO_ARCHIVE))?;
        match block[156] {
            b'L' => ahead.path = Some(without_nul(long(from, size)?)),
            b'K' => ahead.link = Some(without_nul(long(from, size)?)),
            b'x' => extended(&long(from, size)?, &mut ahead)?,
            // What holds for all entries is a comment of git's, or nothing that counts here.
            b'g' => drop(long(from, size)?),
            _ => return entry(&block, size, ahead).map(Some),
        }
    }
}

/// Reads what fills the last block of a file of so many bytes.
pub fn skip_padding(from: &mut impl Read, size: u64) -> Result<()> {
    let mut rest = [0; BLOCK];
    from.read_exact(&mut rest[..padding(size)])
        .map_err(|error| unreadable(&error))
}

/// An archive that ends too soon, or cannot be read.
pub fn unreadable(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::other("the tar archive ends in the middle"),
        _ => Error::other(format!(
            "cannot read the tar archive: {}",
            crate::error::Plain(error)
        )),
    }
}

fn entry(block: &[u8; BLOCK], size: u64, ahead: Ahead) -> Result<Entry> {
    let field = |from: usize, length: usize| without_nul(block[from..from + length].to_vec());
    let path = ahead.path.unwrap_or_else(|| {
        let (name, prefix) = (field(0, 100), field(345, 155));
        // GNU has other things there.
        match &block[257..263] == b"ustar\0" && !prefix.is_empty() {
            true => [prefix, b"/".to_vec(), name].concat(),
            false => name,
        }
    });
    let size = ahead.size.unwrap_or(size);
    let link = ahead.link.unwrap_or_else(|| field(157, 100));
    let is_directory = path.ends_with(b"/");
    let what = match block[156] {
        b'0' | 0 | b'7' if is_directory => Ok(Kind::Directory),
        b'0' | 0 | b'7' => Ok(Kind::File(size)),
        b'5' => Ok(Kind::Directory),
        b'2' => Ok(Kind::Link(OsString::from_vec(link))),
        b'1' => Err("a second name of another file (a hard link)"),
        b'3' | b'4' => Err("a device"),
        b'6' => Err("a named pipe"),
        b'S' => Err("a file with holes in GNU's old form"),
        _ => Err("of a kind that is not known"),
    };
    let path = OsString::from_vec(path);
    Ok(Entry {
        kind: what.map_err(|what| {
            Error::other(format!(
                "{} in the tar archive is {what} and cannot be copied like this",
                path.display()
            ))
        })?,
        mode: number(&block[100..108]).unwrap_or(0) as u32 & 0o777,
        modified: ahead
            .modified
            .or_else(|| i64::try_from(number(&block[136..148])?).ok())
            .unwrap_or(0),
        path,
    })
}

fn sum(block: &[u8; BLOCK]) -> u64 {
    let counted = |(at, byte): (usize, &u8)| match at {
        148..156 => u64::from(b' '),
        _ => u64::from(*byte),
    };
    block.iter().enumerate().map(counted).sum()
}

/// Octal digits between blanks and NULs; or, as GNU has it, the bytes themselves behind a set bit.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let mut digits = field.iter().skip(1);
        return digits.try_fold(u64::from(field[0] & 0x7f), |number, byte| {
            Some(number.checked_mul(256)? | u64::from(*byte))
        });
    }
    let text = field.split(|byte| *byte == 0).next()?;
    let text = std::str::from_utf8(text).ok()?.trim();
    match text {
        "" => Some(0),
        digits => u64::from_str_radix(digits, 8).ok(),
    }
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

fn long(from: &mut impl Read, size: u64) -> Result<Vec<u8>> {
    if size > LONGEST {
        return Err(Error::other(NO_ARCHIVE));
    }
    let mut bytes = vec![0; size as usize];
    from.read_exact(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    skip_padding(from, size)?;
    Ok(bytes)
}

/// Records as [`record`] writes them.
fn extended(mut bytes: &[u8], ahead: &mut Ahead) -> Result<()> {
    let wrong = || Error::other(NO_ARCHIVE);
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ');
        let blank = blank.ok_or_else(wrong)?;
        let digits = std::str::from_utf8(&bytes[..blank]).map_err(|_| wrong())?;
        let length: usize = digits.parse().map_err(|_| wrong())?;
        let record = bytes.get(blank + 1..length).ok_or_else(wrong)?;
        bytes = &bytes[length..];
        let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let (key, value) = record.split_at(equals.ok_or_else(wrong)?);
        let value = &value[1..];
        let text = || std::str::from_utf8(value).map_err(|_| wrong());
        match key {
            b"path" => ahead.path = Some(without_nul(value.to_vec())),
            b"linkpath" => ahead.link = Some(without_nul(value.to_vec())),
            b"size" => ahead.size = Some(text()?.parse().map_err(|_| wrong())?),
            // Fractions of a second are left away.
            b"mtime" => ahead.modified = text()?.split('.').next().and_then(|s| s.parse().ok()),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(Error::other(
                    "the tar archive has a file with holes; write it without --sparse",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// As many bytes as there are.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(path: &str, kind: Kind, modified: i64) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode: 0o640,
            modified,
        }
    }

    #[test]
    fn entries_survive_the_archive() {
        let long = "d/".repeat(300) + "x";
        let entries = [
            entry("a b", Kind::File(0), 5),
            entry(&long, Kind::Directory, 0),
            entry("l", Kind::Link(long.clone().into()), 7),
            entry("old", Kind::Link("x".into()), -5),
            entry("huge", Kind::File(1 << 40), 1 << 40),
        ];
        for one in entries {
            let mut bytes = Vec::new();
            write(&mut bytes, &one).unwrap();
            assert_eq!(bytes.len() % BLOCK, 0);
            end(&mut bytes).unwrap();
            let mut from = bytes.as_slice();
            assert_eq!(read(&mut from).unwrap(), Some(one));
            assert_eq!(read(&mut from).unwrap(), None);
        }
    }

    #[test]
    fn a_records_length_counts_itself() {
        for (value, whole) in [
            (1, "9 path=x\n".len()),
            (2, "11 path=xx\n".len()),
            (92, 102),
        ] {
            let mut bytes = Vec::new();
            record(&mut bytes, "path", "x".repeat(value).as_bytes());
            assert!(bytes.starts_with(format!("{} path=", bytes.len()).as_bytes()));
            assert_eq!(bytes.len(), whole);
        }
    }

    #[test]
    fn what_is_none_is_told() {
        let told = |bytes: &[u8]| {
            let mut from = bytes;
            read(&mut from).unwrap_err().to_string()
        };
        assert!(told(&[7; 512]).contains("no tar archive"));
        assert!(told(b"text").contains("no tar archive"));
        let device = header(b"dev/x", b'3', 0o600, 0, 0, b"");
        assert!(told(&device).contains("dev/x in the tar archive is a device"));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2048), flag: u8) {
            let _ = read(&mut bytes.as_slice());
            // Behind a header that is right, too.
            let all = [&header(b"x", flag, 0, bytes.len() as u64, 0, b"")[..], &bytes].concat();
            let _ = read(&mut all.as_slice());
        }
    }
}
