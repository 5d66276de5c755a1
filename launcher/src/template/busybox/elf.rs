//! Whether a program runs without the host's libraries.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The program header that names a dynamic loader (elf(5)).
const PT_INTERP: u32 = 3;

/// Whether an ELF program has no dynamic loader. Anything but an ELF program is an error.
pub fn is_static(file: &File) -> io::Result<bool> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut ident = [0; 16];
    file.read_exact_at(&mut ident, 0)
        .map_err(|_| wrong("it is no program"))?;
    if ident[..4] != *b"\x7fELF" {
        return Err(wrong("it is no program (no ELF file)"));
    }
    let layout = Layout {
        wide: match ident[4] {
            1 => false,
            2 => true,
            _ => return Err(wrong("its ELF class is unknown")),
        },
        little: match ident[5] {
            1 => true,
            2 => false,
            _ => return Err(wrong("its byte order is unknown")),
        },
    };
    // e_phoff, e_phentsize and e_phnum stand behind each other at places that depend on the class.
    let (offset_at, size_at, count_at) = if layout.wide {
        (32, 54, 56)
    } else {
        (28, 42, 44)
    };
    let offset = match layout.wide {
        true => layout.number::<8>(file, offset_at)?,
        false => layout.number::<4>(file, offset_at)?,
    };
    let size = layout.number::<2>(file, size_at)?;
    let count = layout.number::<2>(file, count_at)?;
    for i in 0..count {
        let at = i
            .checked_mul(size)
            .and_then(|skip| offset.checked_add(skip));
        let at = at.ok_or_else(|| wrong("its program headers lie outside of it"))?;
        if layout.number::<4>(file, at)? == u64::from(PT_INTERP) {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Layout {
    wide: bool,
    little: bool,
}

impl Layout {
    /// The number of `N` bytes (at most 8) at an offset.
    fn number<const N: usize>(&self, file: &File, at: u64) -> io::Result<u64> {
        let mut bytes = [0; N];
        file.read_exact_at(&mut bytes, at)
            .map_err(|error| io::Error::new(error.kind(), "its program headers are cut off"))?;
        if self.little {
            bytes.reverse();
        }
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], tag: &str) -> io::Result<bool> {
        let path = std::env::temp_dir().join(format!("berth-elf-{tag}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let result = is_static(&File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        result
    }

    #[test]
    fn a_dynamic_program_is_told_from_a_static_one() {
        // The test itself and a minimal header without program headers.
        let own = File::open("/proc/self/exe").unwrap();
        assert!(!is_static(&own).unwrap());
        let mut header = [0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert!(check(&header, "empty").unwrap());
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(check(b"", "none").is_err());
        assert!(check(b"#!/bin/sh\nexit 0 # padding", "script").is_err());
        assert!(check(b"\x7fELF\x02\x01padding-padding", "cut").is_err());
        let mut beyond = [0xff; 64];
        beyond[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert!(check(&beyond, "beyond").is_err());
    }
}
