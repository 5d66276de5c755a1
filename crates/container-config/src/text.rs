//! Bytes of a file as text, and back.
//!
//! Old files have comments in other encodings than UTF-8. They do not keep a container from
//! starting, and an edit of another line must not change them: a byte that is no UTF-8 becomes a
//! character of its own and that character becomes the byte again.

/// Stands for the byte 0; bytes from 0x80 on are used. Private use, plane 16.
const FIRST: u32 = 0x10_f700;

/// The text of a file. [`encode`] gives exactly these bytes again.
pub fn decode(bytes: &[u8]) -> String {
    if let Ok(text) = str::from_utf8(bytes)
        && text.is_ascii()
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match byte_of(c) {
                // The characters in use here are taken apart when a file has them itself.
                Some(_) => {
                    let mut buffer = [0; 4];
                    text.extend(c.encode_utf8(&mut buffer).bytes().map(placeholder));
                }
                None => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().copied().map(placeholder));
    }
    text
}

/// The bytes of a file whose text was [`decode`]d.
pub fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Whether a part of a decoded text was UTF-8.
pub fn is_text(text: &str) -> bool {
    text.is_ascii() || text.chars().all(|c| byte_of(c).is_none())
}

fn placeholder(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn byte_of(c: char) -> Option<u8> {
    u32::from(c)
        .checked_sub(FIRST)
        .and_then(|offset| u8::try_from(offset).ok())
        .filter(|byte| *byte >= 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_comment_in_latin_1_is_kept() {
        let bytes = b"# f\xfcr die Schule\nlxc.tty.max = 1\n";
        let text = decode(bytes);
        assert!(text.ends_with("r die Schule\nlxc.tty.max = 1\n") && !is_text(&text));
        assert_eq!(encode(&text), bytes);
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(bytes: Vec<u8>, plain: String) {
            prop_assert_eq!(encode(&decode(&bytes)), bytes);
            let hostile = format!("{plain}\u{10f7ff}");
            prop_assert_eq!(encode(&decode(hostile.as_bytes())), hostile.as_bytes());
        }
    }
}
