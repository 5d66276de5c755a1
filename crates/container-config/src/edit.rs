//! Changing one key of a file and nothing else.

use crate::line::Line;

/// Sets a key to a value: the last line that sets it is changed, earlier ones stay (the last one
/// wins for a key with one value), a missing one is added at the end. Comments, order, blanks and
/// line ends of everything else stay as they are.
///
/// `key` and `value` must be free of line breaks; a break is replaced by a blank.
pub fn set(text: &str, key: &str, value: &str) -> String {
    let line = format!("{} = {}", one_line(key), one_line(value));
    let last = numbers(text, key).last();
    let mut out = String::with_capacity(text.len() + line.len() + 1);
    match last {
        Some(last) => {
            for (i, old) in lines(text).enumerate() {
                if i == last {
                    let end = &old[old.trim_end_matches(['\n', '\r']).len()..];
                    out.push_str(&line);
                    out.push_str(end);
                } else {
                    out.push_str(old);
                }
            }
        }
        None => {
            out.push_str(text);
            let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
            if !text.is_empty() && !text.ends_with('\n') {
                out.push_str(end);
            }
            out.push_str(&line);
            out.push_str(end);
        }
    }
    out
}

/// Removes all lines that set a key.
pub fn remove(text: &str, key: &str) -> String {
    lines(text).filter(|line| !sets(line, key)).collect()
}

/// The value that the last line of a key gives it, `None` if no line of this text (without its
/// includes) sets it.
pub fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    lines(text)
        .filter_map(|line| match Line::parse(line) {
            Line::Assignment { key: found, value } if found == key => Some(value),
            _ => None,
        })
        .last()
}

/// The numbers, from 0, of the lines that set a key.
pub(crate) fn numbers<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = usize> + 'a {
    let numbered = lines(text).enumerate();
    numbered
        .filter(move |(_, line)| sets(line, key))
        .map(|(number, _)| number)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

fn sets(line: &str, key: &str) -> bool {
    matches!(Line::parse(line), Line::Assignment { key: found, .. } if found == key)
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_line_changes() {
        let text = "# mine\n\n  lxc.uts.name=web\nlxc.start.auto = 0 \r\nlcx.start.auto = 7\n";
        assert_eq!(
            set(text, "lxc.start.auto", "1"),
            "# mine\n\n  lxc.uts.name=web\nlxc.start.auto = 1\r\nlcx.start.auto = 7\n"
        );
        assert_eq!(
            remove(text, "lxc.start.auto"),
            "# mine\n\n  lxc.uts.name=web\nlcx.start.auto = 7\n"
        );
        assert_eq!(get(text, "lxc.start.auto"), Some("0"));
    }

    #[test]
    fn a_missing_line_is_added() {
        assert_eq!(set("", "lxc.a", "1"), "lxc.a = 1\n");
        assert_eq!(set("lxc.b = 2", "lxc.a", "1"), "lxc.b = 2\nlxc.a = 1\n");
        assert_eq!(
            set("#lxc.a = 2\r\n", "lxc.a", "1"),
            "#lxc.a = 2\r\nlxc.a = 1\r\n"
        );
    }

    #[test]
    fn the_last_of_several_changes() {
        let text = "lxc.a = 1\nlxc.b = 1\nlxc.a = 2\nlxc.b = 2";
        assert_eq!(
            set(text, "lxc.a", "3"),
            "lxc.a = 1\nlxc.b = 1\nlxc.a = 3\nlxc.b = 2"
        );
        assert_eq!(
            set(text, "lxc.b", "3"),
            "lxc.a = 1\nlxc.b = 1\nlxc.a = 2\nlxc.b = 3"
        );
    }

    #[test]
    fn no_second_line_can_be_smuggled_in() {
        assert_eq!(set("", "lxc.a", "1\nlxc.b = 2").lines().count(), 1);
    }

    proptest! {
        #[test]
        fn what_is_set_is_got(text in "(?s)(lxc\\.[ab] ?=? ?[0-9]{0,2}\r?\n|.{0,6}\n?){0,12}", value in "[a-z0-9]{1,8}") {
            let after = set(&text, "lxc.a", &value);
            prop_assert_eq!(get(&after, "lxc.a"), Some(value.as_str()));
            // Setting twice changes nothing, and all other lines are as they were.
            prop_assert_eq!(&set(&after, "lxc.a", &value), &after);
            let others = |text: &str| remove(text, "lxc.a").trim_end().to_owned();
            prop_assert_eq!(others(&after), others(&text));
            let removed = remove(&after, "lxc.a");
            prop_assert_eq!(get(&removed, "lxc.a"), None);
        }
    }
}
