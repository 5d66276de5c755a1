//! Text of others on a terminal: names of files, words of containers, contents of configurations.

use std::borrow::Cow;

/// The text without characters that would command a terminal: every control character but
/// newline and tab is escaped.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

/// The same for a cell of a table, which is one line.
pub fn cell(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

fn escape(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_bad(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(
            printable("a\u{1b}]0;x\u{7}b\u{9b}2J\u{7f}\r"),
            "a\\u{1b}]0;x\\u{7}b\\u{9b}2J\\u{7f}\\r"
        );
        assert_eq!(printable("two\nlines\t“x”"), "two\nlines\t“x”");
        assert_eq!(cell("two\nlines\t“x”"), "two\\nlines\\t“x”");
    }
}
