//! Sizes of logs and buffers.

use super::{digits, expected};
use crate::key::Refusal;

/// What `auto` means for the console's log and buffer, in bytes.
const AUTOMATIC: u64 = 128 << 10;
/// The least, in bytes: a page.
const PAGE: u64 = 4096;
/// The most, in bytes: a file is measured by a signed number.
const MOST: u64 = 1 << 62;

/// `auto`, or a number of bytes with `KB`, `MB` or `GB` (powers of 1024) behind it. As LXC has it:
/// less than a page counts as a page, and anything else as the power of 2 that is not below it. A
/// plain 0 is nothing, `None`.
pub fn log_size(text: &str) -> Result<Option<u64>, Refusal> {
    const WHAT: &str = "auto, or a number of bytes such as 65536, 128KB, 4MB or 1GB";
    if text == "auto" {
        return Ok(Some(AUTOMATIC));
    }
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        _ => return expected(WHAT),
    };
    let bytes = digits::<u64>(number.trim_end())
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes <= MOST);
    match bytes {
        None => expected(WHAT),
        Some(0) => Ok(None),
        Some(bytes) => Ok(Some(bytes.max(PAGE).next_power_of_two())),
    }
}

/// The largest buffer that a monitor keeps in memory, in bytes.
const LARGEST_BUFFER: u64 = 64 << 20;

/// A [`log_size`] that fits into memory.
pub fn buffer_size(text: &str) -> Result<Option<usize>, Refusal> {
    let size = log_size(text)?.map(|bytes| {
        let fits = usize::try_from(bytes).ok();
        fits.filter(|_| bytes <= LARGEST_BUFFER)
    });
    match size {
        None => Ok(None),
        Some(Some(size)) => Ok(Some(size)),
        Some(None) => expected(
            "at most 64MB, which the container's monitor keeps in memory (lxc.console.logfile \
             keeps more)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("auto", 131_072),
            ("1", 4096),
            ("4097", 8192),
            ("128KB", 131_072),
            ("128 kb", 131_072),
            ("3Mb", 4 << 20),
            ("1gB", 1 << 30),
        ] {
            assert_eq!(log_size(text), Ok(Some(bytes)), "{text}");
        }
        assert_eq!(log_size("0"), Ok(None));
        for wrong in [
            "-1",
            "1k",
            "1KiB",
            "KB",
            "1TB",
            "1.5MB",
            "big",
            "99999999999GB",
            "1 2",
        ] {
            assert!(log_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_buffer_fits_into_memory() {
        assert_eq!(buffer_size("64MB"), Ok(Some(64 << 20)));
        let message = buffer_size("65MB").unwrap_err().message("65MB");
        assert!(
            message.contains("at most 64MB") && message.contains("“65MB”"),
            "{message}"
        );
    }
}
