//! One line of a configuration file.

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing but blanks, or a comment.
    Blank,
    /// `lxc.key = value`; the value trimmed and without one pair of quotes around it.
    Assignment {
        /// The key.
        key: &'a str,
        /// The value; empty clears the key.
        value: &'a str,
    },
    /// Begins with `lxc.` and has no `=`.
    NoEquals {
        /// The line, trimmed.
        text: &'a str,
    },
    /// Anything else. LXC ignores it.
    Other {
        /// The line, trimmed.
        text: &'a str,
    },
}

/// The prefix of all keys.
pub const PREFIX: &str = "lxc.";

impl<'a> Line<'a> {
    /// Reads one line, with or without its line end. Leading blanks count for nothing; there is no
    /// continuation and no comment after a value.
    pub fn parse(text: &'a str) -> Self {
        let text = text.trim_matches(is_blank);
        if text.is_empty() || text.starts_with('#') {
            return Self::Blank;
        }
        if !text.starts_with(PREFIX) {
            return Self::Other { text };
        }
        match text.split_once('=') {
            None => Self::NoEquals { text },
            Some((key, value)) => Self::Assignment {
                key: key.trim_matches(is_blank),
                value: unquote(value.trim_matches(is_blank)),
            },
        }
    }
}

/// What is no part of a key or a value at their ends. Other characters that look like a blank
/// are text to LXC: a key that begins with one is none.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Removes one pair of equal quotes around the text.
pub fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if text.len() >= 2
            && let Some(inner) = text
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner;
        }
    }
    text
}

/// A value as it has to be written to be read again as it is; `None` if no line can hold it.
pub(crate) fn written(value: &str) -> Option<String> {
    if value.is_empty() || value.contains(['\n', '\r', '\0']) {
        return None;
    }
    [
        value.to_owned(),
        format!("\"{value}\""),
        format!("'{value}'"),
    ]
    .into_iter()
    .find(|written| {
        let line = format!("lxc.x = {written}");
        matches!(Line::parse(&line), Line::Assignment { value: read, .. } if read == value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let set = |key, value| Line::Assignment { key, value };
        for (text, expected) in [
            ("", Line::Blank),
            (" \t\r", Line::Blank),
            ("  # lxc.a = b", Line::Blank),
            ("lxc.a=b", set("lxc.a", "b")),
            ("  lxc.a \t= b c # d\r", set("lxc.a", "b c # d")),
            ("lxc.a =", set("lxc.a", "")),
            ("lxc.a = 'b \"c\"'", set("lxc.a", "b \"c\"")),
            ("lxc.a = \"b'", set("lxc.a", "\"b'")),
            ("lxc.a = \"", set("lxc.a", "\"")),
            ("lxc.a = \"\"", set("lxc.a", "")),
            ("lxc.environment = A=b=c", set("lxc.environment", "A=b=c")),
            ("lxc.a b", Line::NoEquals { text: "lxc.a b" }),
            ("lcx.a = b", Line::Other { text: "lcx.a = b" }),
            (
                "\u{a0}lxc.a = b",
                Line::Other {
                    text: "\u{a0}lxc.a = b",
                },
            ),
            ("lxc.a = \u{a0}b", set("lxc.a", "\u{a0}b")),
            ("lxc.a = ''b''", set("lxc.a", "'b'")),
            ("lxc.a = 'b' # c", set("lxc.a", "'b' # c")),
            ("lxc.a = b \\", set("lxc.a", "b \\")),
            ("lxc.a == b", set("lxc.a", "= b")),
            ("lxc.a=$b ${c}", set("lxc.a", "$b ${c}")),
        ] {
            assert_eq!(Line::parse(text), expected, "{text:?}");
        }
    }
}
