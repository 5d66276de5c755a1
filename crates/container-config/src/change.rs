//! Changing what a configuration says of one key, with its includes in mind.

use crate::edit;
use crate::key::takes_several;
use crate::line::written;
use crate::load::Loader;
use crate::survey::survey;
use crate::walk::INCLUDE;
use std::path::Path;

/// What is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// This is the key's only value.
    Set(&'a str),
    /// This is one value more.
    Append(&'a str),
    /// The key has no value: its default, or an empty list.
    Clear,
}

/// The file's text in which the key has the value, whatever the includes say of it; `None` if the
/// value has a line break or a NUL byte, which no line can hold.
///
/// The line stays in its place where that is enough. Otherwise a line that clears what includes
/// said comes before it, or it moves to the end. Comments, order and everything else stay.
pub fn change(
    path: &Path,
    text: &str,
    key: &str,
    change: Change<'_>,
    loader: &dyn Loader,
) -> Option<String> {
    if key == INCLUDE {
        return include(text, change);
    }
    let values = |text: &str| -> Vec<String> {
        let survey = survey(path, text, loader);
        let lines = survey.of_key(key).into_iter();
        lines.map(|line| line.value.clone()).collect()
    };
    let (candidates, wanted) = match change {
        Change::Set(value) => (set(text, key, &written(value)?), vec![value.to_owned()]),
        Change::Append(value) => {
            let mut wanted = values(text);
            wanted.push(value.to_owned());
            (append(text, key, &written(value)?), wanted)
        }
        Change::Clear => (clear(text, key), Vec::new()),
    };
    candidates
        .into_iter()
        .find(|candidate| values(candidate) == wanted)
}

/// Includes of this file alone: what they include in their turn is not to be changed here.
fn include(text: &str, change: Change<'_>) -> Option<String> {
    let line = |path| Some(format!("{INCLUDE} = {}", written(path)?));
    Some(match change {
        Change::Set(path) => in_place(text, INCLUDE, &[&line(path)?], Place::First),
        Change::Append(path) => after_last(text, INCLUDE, &line(path)?),
        Change::Clear => edit::remove(text, INCLUDE),
    })
}

fn set(text: &str, key: &str, value: &str) -> Vec<String> {
    let clearing = format!("{key} =");
    let line = format!("{key} = {value}");
    let removed = edit::remove(text, key);
    if !takes_several(key) {
        return vec![edit::set(text, key, value), at_end(&removed, &[&line])];
    }
    vec![
        in_place(text, key, &[&line], Place::First),
        in_place(text, key, &[&clearing, &line], Place::First),
        at_end(&removed, &[&clearing, &line]),
    ]
}

fn append(text: &str, key: &str, value: &str) -> Vec<String> {
    let line = format!("{key} = {value}");
    vec![after_last(text, key, &line), at_end(text, &[&line])]
}

fn clear(text: &str, key: &str) -> Vec<String> {
    let clearing = format!("{key} =");
    let removed = edit::remove(text, key);
    let ended = at_end(&removed, &[&clearing]);
    vec![
        removed,
        in_place(text, key, &[&clearing], Place::Last),
        ended,
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Last,
}

/// Lines in the place of the first or last one of a key; the others go.
fn in_place(text: &str, key: &str, new: &[&str], place: Place) -> String {
    let own = || edit::numbers(text, key);
    let at = match place {
        Place::First => own().next(),
        Place::Last => own().last(),
    };
    let Some(at) = at else {
        return at_end(text, new);
    };
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number == at {
            push_lines(&mut out, new, line_end(line, text));
        } else if !own().any(|other| other == number) {
            out.push_str(line);
        }
    }
    out
}

fn after_last(text: &str, key: &str, new: &str) -> String {
    let Some(at) = edit::numbers(text, key).last() else {
        return at_end(text, &[new]);
    };
    let mut out = String::with_capacity(text.len() + new.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        out.push_str(line);
        if number == at {
            if !line.ends_with('\n') {
                out.push_str(line_end(line, text));
            }
            push_lines(&mut out, &[new], line_end(line, text));
        }
    }
    out
}

fn at_end(text: &str, new: &[&str]) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(line_end("", text));
    }
    push_lines(&mut out, new, line_end("", text));
    out
}

fn push_lines(out: &mut String, lines: &[&str], end: &str) {
    for line in lines {
        out.push_str(line);
        out.push_str(end);
    }
}

/// The line's own end, or the file's.
fn line_end(line: &str, text: &str) -> &'static str {
    let windows = match line.ends_with('\n') {
        true => line.ends_with("\r\n"),
        false => text.contains("\r\n"),
    };
    if windows { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Source;
    use proptest::prelude::*;
    use std::io;

    const INCLUDED: &str = "lxc.cap.drop = sys_time\nlxc.tty.max = 4\n";

    fn loader(path: &Path) -> io::Result<Source> {
        match path.to_str() {
            Some("/i") => Ok(Source::Text(INCLUDED.to_owned())),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn changed(text: &str, key: &str, what: Change<'_>) -> String {
        change(Path::new("config"), text, key, what, &loader).unwrap()
    }

    #[test]
    fn a_line_is_changed_in_its_place() {
        let text = "# a\nlxc.tty.max = 1 \n# b\n";
        let set = changed(text, "lxc.tty.max", Change::Set("2"));
        assert_eq!(set, "# a\nlxc.tty.max = 2\n# b\n");
        let text = "lxc.idmap = u 0 1 2\n# b\r\nlxc.idmap = g 0 1 2\nlxc.tty.max = 1";
        let set = changed(text, "lxc.idmap", Change::Set("u 0 5 5"));
        assert_eq!(set, "lxc.idmap = u 0 5 5\n# b\r\nlxc.tty.max = 1");
        let more = changed(text, "lxc.idmap", Change::Append("g 2 5 5"));
        assert_eq!(
            more,
            "lxc.idmap = u 0 1 2\n# b\r\nlxc.idmap = g 0 1 2\nlxc.idmap = g 2 5 5\nlxc.tty.max = 1"
        );
        assert_eq!(
            changed(text, "lxc.idmap", Change::Clear),
            "# b\r\nlxc.tty.max = 1"
        );
    }

    #[test]
    fn includes_do_not_win() {
        let before = "lxc.tty.max = 1\nlxc.include = /i\n";
        let set = changed(before, "lxc.tty.max", Change::Set("2"));
        assert_eq!(set, "lxc.include = /i\nlxc.tty.max = 2\n");
        let clear = changed(before, "lxc.tty.max", Change::Clear);
        assert_eq!(clear, "lxc.include = /i\nlxc.tty.max =\n");
        let list = "lxc.include = /i\nlxc.cap.drop = mknod\n# b\n";
        let set = changed(list, "lxc.cap.drop", Change::Set("sys_boot"));
        assert_eq!(
            set,
            "lxc.include = /i\nlxc.cap.drop =\nlxc.cap.drop = sys_boot\n# b\n"
        );
        let more = changed(list, "lxc.cap.drop", Change::Append("sys_boot"));
        assert_eq!(
            more,
            "lxc.include = /i\nlxc.cap.drop = mknod\nlxc.cap.drop = sys_boot\n# b\n"
        );
        let clear = changed(list, "lxc.cap.drop", Change::Clear);
        assert_eq!(clear, "lxc.include = /i\nlxc.cap.drop =\n# b\n");
        // One more, behind the include that adds another.
        let early = "lxc.cap.drop = mknod\nlxc.include = /i\n";
        let more = changed(early, "lxc.cap.drop", Change::Append("sys_boot"));
        assert_eq!(
            more,
            "lxc.cap.drop = mknod\nlxc.include = /i\nlxc.cap.drop = sys_boot\n"
        );
    }

    #[test]
    fn includes_are_lines_like_others() {
        let text = "lxc.include = /i\nlxc.tty.max = 1\n";
        let set = changed(text, "lxc.include", Change::Set("/j"));
        assert_eq!(set, "lxc.include = /j\nlxc.tty.max = 1\n");
        let more = changed(text, "lxc.include", Change::Append("/j"));
        assert_eq!(
            more,
            "lxc.include = /i\nlxc.include = /j\nlxc.tty.max = 1\n"
        );
        assert_eq!(
            changed(text, "lxc.include", Change::Clear),
            "lxc.tty.max = 1\n"
        );
    }

    #[test]
    fn a_family_is_cleared_whole() {
        let text = "lxc.net.0.type = veth\nlxc.net.1.type = empty\n";
        let one = changed(text, "lxc.net.1", Change::Clear);
        assert_eq!(one, format!("{text}lxc.net.1 =\n"));
        assert_eq!(
            changed(text, "lxc.net", Change::Clear),
            format!("{text}lxc.net =\n")
        );
    }

    #[test]
    fn values_are_quoted_where_they_have_to_be() {
        for (value, line) in [
            ("a b", "lxc.uts.name = a b\n"),
            (" a", "lxc.uts.name = \" a\"\n"),
            ("\"a\"", "lxc.uts.name = \"\"a\"\"\n"),
            ("'", "lxc.uts.name = '\n"),
            ("#a = \\n", "lxc.uts.name = #a = \\n\n"),
        ] {
            assert_eq!(changed("", "lxc.uts.name", Change::Set(value)), line);
        }
        for wrong in ["a\nlxc.hook.start = /x", "a\r", "\0"] {
            assert_eq!(
                change(
                    Path::new("c"),
                    "",
                    "lxc.uts.name",
                    Change::Set(wrong),
                    &loader
                ),
                None
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_asked_for_is_so_and_nothing_else_changes(
            text in "((lxc\\.(tty\\.max|cap\\.drop|uts\\.name) ?=? ?[ab]{0,2}|lxc\\.include = /i|.{0,6})\r?\n){0,8}.{0,3}",
            list: bool,
            how in 0..3u8,
        ) {
            let key = if list { "lxc.cap.drop" } else { "lxc.tty.max" };
            let what = match how {
                0 => Change::Set("7"),
                1 => Change::Clear,
                _ if list => Change::Append("7"),
                _ => return Ok(()),
            };
            let after = changed(&text, key, what);
            let others = |text: &str| -> Vec<String> {
                let kept = edit::remove(text, key);
                kept.lines().map(|line| line.trim_end().to_owned()).collect()
            };
            prop_assert_eq!(others(&after), others(&text));
            let again = changed(&after, key, what);
            match what {
                Change::Append(_) => prop_assert!(again.len() > after.len()),
                _ => prop_assert_eq!(again, after),
            }
        }
    }
}
