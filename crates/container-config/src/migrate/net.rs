//! `lxc.network.…`: lists of interfaces by order, as numbers.

use super::Outcome;
use super::facts::Facts;
use super::rewrite::Edit;

/// Counts interfaces as the lines go by.
#[derive(Default)]
pub(super) struct Numbers {
    /// The number of the last `type` line's interface.
    current: Option<u32>,
}

impl Numbers {
    /// Each `type` line opened the next interface; the lines after it belong to that.
    pub(super) fn edit(&mut self, key: &str, value: &str, facts: &Facts) -> Outcome {
        let Some(rest) = key.strip_prefix("lxc.network.") else {
            // Whatever value it has: all interfaces so far are forgotten.
            self.current = None;
            return Outcome::of(Edit::both("lxc.net", ""));
        };
        let (number, rest) = match rest.split_once('.') {
            Some((number, rest)) if is_number(number) => (number.parse().ok(), rest),
            _ => (None, rest),
        };
        let first = facts.first_free_net;
        let number = match (number, rest) {
            (Some(number), _) => number,
            (None, "type") => {
                let next = self.current.map_or(first, |last| last.saturating_add(1));
                self.current = Some(next);
                next
            }
            (None, _) => match self.current {
                Some(current) => current,
                None => {
                    let note = format!(
                        "it stands before any lxc.network.type; it is taken for interface {first}"
                    );
                    return Outcome::told(Edit::key(name(first, rest)), note);
                }
            },
        };
        let edit = match value {
            "" => Edit::both(name(number, rest), ""),
            _ => Edit::key(name(number, rest)),
        };
        Outcome::of(edit)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn name(number: u32, rest: &str) -> String {
    match rest {
        "ipv4" | "ipv6" => format!("lxc.net.{number}.{rest}.address"),
        _ => format!("lxc.net.{number}.{rest}"),
    }
}
