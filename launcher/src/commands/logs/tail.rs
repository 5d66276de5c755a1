//! The end of a log.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::Out;
use crate::error::{Error, Result};

const PIECE: usize = 64 * 1024;

/// Prints a file, or its last lines only; how far it was read.
pub(super) fn print(file: &File, lines: Option<usize>, out: &Out) -> Result<u64> {
    let failed = |error| Error::os("read the log", error);
    let size = file.metadata().map_err(failed)?.len();
    let begin = match lines {
        None => 0,
        Some(lines) => begin_of_last(file, size, lines).map_err(failed)?,
    };
    print_from(file, begin, size, out)
}

/// Prints a part of a file; how far it was read.
pub(super) fn print_from(file: &File, begin: u64, size: u64, out: &Out) -> Result<u64> {
    let failed = |error| Error::os("read the log", error);
    let mut at = begin;
    let mut buffer = vec![0; PIECE];
    while at < size {
        let most = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
        let count = file.read_at(&mut buffer[..most], at).map_err(failed)?;
        if count == 0 {
            break;
        }
        at += count as u64;
        if !out.print(&buffer[..count])? {
            break;
        }
    }
    Ok(at)
}

/// Where the last lines begin. A line break at the very end is the last line's own.
fn begin_of_last(file: &File, size: u64, lines: usize) -> std::io::Result<u64> {
    if lines == 0 {
        return Ok(size);
    }
    let mut left = lines;
    let mut end = size;
    let mut buffer = vec![0; PIECE];
    while end > 0 {
        let begin = end.saturating_sub(PIECE as u64);
        let piece = &mut buffer[..usize::try_from(end - begin).unwrap_or(PIECE)];
        file.read_exact_at(piece, begin)?;
        for (offset, byte) in piece.iter().enumerate().rev() {
            let at = begin + offset as u64;
            if *byte != b'\n' || at + 1 == size {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(at + 1);
            }
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_begin_behind_a_line_break() {
        let path = std::env::temp_dir().join(format!("berth-tail-{}", std::process::id()));
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        for (lines, begin) in [(0, 14), (1, 8), (2, 4), (3, 0), (9, 0)] {
            assert_eq!(begin_of_last(&file, 14, lines).unwrap(), begin, "{lines}");
        }
        // Without a line break at the end, and longer than a piece.
        file.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(begin_of_last(&file, 100_014, 1).unwrap(), 14);
        assert_eq!(begin_of_last(&file, 100_014, 2).unwrap(), 8);
        assert_eq!(begin_of_last(&file, 0, 2).unwrap(), 0);
        std::fs::remove_file(path).unwrap();
    }
}
