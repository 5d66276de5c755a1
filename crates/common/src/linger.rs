//! How logind names its marks for lingering users.

/// The name, in [`crate::path::LINGER_DIR`], of the mark of a lingering user; `None` if no user
/// can have this name. logind writes the few characters that C escapes as C does (names of
/// directory users may have a backslash).
pub fn mark(user: &str) -> Option<String> {
    if user.is_empty() || user.starts_with('.') || user.contains('/') || !user.is_ascii() {
        return None;
    }
    let mut name = String::with_capacity(user.len());
    for c in user.chars() {
        match c {
            '\\' | '"' | '\'' => name.extend(['\\', c]),
            c if c.is_ascii_control() => return None,
            c => name.push(c),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_named_as_logind_names_them() {
        assert_eq!(mark("alice").as_deref(), Some("alice"));
        assert_eq!(mark(r"DOM\alice").as_deref(), Some(r"DOM\\alice"));
        for name in ["", ".", "..", "/", "a/b", "a\nb", "ä"] {
            assert_eq!(mark(name), None, "{name}");
        }
    }
}
