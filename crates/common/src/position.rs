//! Where in a text a mistake is, for messages that name file, line and key.

/// The number of the line that holds the byte position `at`, counted from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&b| b == b'\n').count() + 1
}

/// The key of that line in a file of `key = value`, with a colon and a blank behind it; nothing if
/// the line has none.
pub fn key_at(text: &str, at: usize) -> String {
    let line = text.lines().nth(line_of(text, at) - 1).unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) => format!("{}: ", key.trim()),
        None => String::new(),
    }
}

/// A parser's message of several lines as one.
pub fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_a_line_and_a_key() {
        let text = "a = 1\n\n  b-c = \"x = y\"\nd\n";
        for (at, line, key) in [
            (0, 1, "a: "),
            (5, 1, "a: "),
            (6, 2, ""),
            (12, 3, "b-c: "),
            (24, 4, ""),
            (99, 5, ""),
        ] {
            assert_eq!((line_of(text, at), &*key_at(text, at)), (line, key), "{at}");
        }
        assert_eq!(one_line(" one\n  two \n"), "one; two");
    }
}
