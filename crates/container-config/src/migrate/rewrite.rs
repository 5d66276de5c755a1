//! One line before and after.

use crate::line::{is_blank, written};

/// What happens to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// Nothing.
    Keep,
    /// Another key, another value, or both.
    Set {
        key: Option<String>,
        value: Option<String>,
    },
    /// It becomes a comment that says why.
    Comment(String),
}

impl Edit {
    pub(super) fn key(key: impl Into<String>) -> Self {
        Self::Set {
            key: Some(key.into()),
            value: None,
        }
    }

    pub(super) fn value(value: impl Into<String>) -> Self {
        Self::Set {
            key: None,
            value: Some(value.into()),
        }
    }

    pub(super) fn both(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Set {
            key: Some(key.into()),
            value: Some(value.into()),
        }
    }

    /// The line with its blanks, quotes and line end as they were, where nothing else is said.
    pub(super) fn apply(self, old: &str) -> Rewritten {
        let new = match self {
            Self::Keep => None,
            Self::Set { key, value } => Some(set(old, key.as_deref(), value.as_deref())),
            Self::Comment(why) => Some(comment(old, &why)),
        };
        Rewritten {
            old: old.to_owned(),
            new: new.filter(|new| new != old),
        }
    }
}

/// A line, and what it is now if it has changed. With line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) old: String,
    new: Option<String>,
}

impl Rewritten {
    pub(super) fn after(&self) -> &str {
        self.new.as_deref().unwrap_or(&self.old)
    }

    pub(super) fn changes(&self) -> bool {
        self.new.is_some()
    }
}

fn set(old: &str, key: Option<&str>, value: Option<&str>) -> String {
    let body = old.trim_end_matches(is_blank);
    let end = &old[body.len()..];
    let Some((left, right)) = body.split_once('=') else {
        return old.to_owned();
    };
    let name = left.trim_matches(is_blank);
    let indent = &left[..left.len() - left.trim_start_matches(is_blank).len()];
    let after_key = &left[indent.len() + name.len()..];
    let raw = right.trim_start_matches(is_blank);
    let before_value = &right[..right.len() - raw.len()];
    let key = key.unwrap_or(name);
    let value = match value {
        None => raw.to_owned(),
        Some(value) => written(value).unwrap_or_default(),
    };
    format!("{indent}{key}{after_key}={before_value}{value}{end}")
}

fn comment(old: &str, why: &str) -> String {
    let body = old.trim_end_matches(is_blank);
    let end = &old[body.len()..];
    let text = body.trim_start_matches(is_blank);
    let indent = &body[..body.len() - text.len()];
    format!("{indent}# {text} ({why}){end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_was() {
        for (edit, old, new) in [
            (
                Edit::key("lxc.b"),
                "  lxc.a\t=  'x y' \r\n",
                "  lxc.b\t=  'x y' \r\n",
            ),
            (Edit::value("z"), "lxc.a='x'", "lxc.a=z"),
            (Edit::both("lxc.b", "z"), "lxc.a =\n", "lxc.b =z\n"),
            (
                Edit::Comment("gone".into()),
                " lxc.a = x\n",
                " # lxc.a = x (gone)\n",
            ),
            (Edit::Keep, "lxc.a = x\n", "lxc.a = x\n"),
        ] {
            assert_eq!(edit.apply(old).after(), new);
        }
        assert!(!Edit::key("lxc.a").apply("lxc.a = x").changes());
    }
}
