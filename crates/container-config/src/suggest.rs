//! The key that somebody probably meant.

use crate::key;

/// The longest word that is compared; no key is half as long.
const MAX_LEN: usize = 80;

/// The known key nearest to a name, if one is near enough to be a typing error.
pub(crate) fn nearest(name: &str) -> Option<String> {
    if name.len() > MAX_LEN {
        return None;
    }
    let candidates = key::keys().map(|key| spelled(key.pattern, name));
    let (distance, best) = candidates
        .map(|candidate| (distance(name, &candidate), candidate))
        .min()?;
    // A third of what follows `lxc.` may be wrong, but never more than four letters.
    let allowed = (name.len().saturating_sub(4) / 3).clamp(1, 4);
    (distance <= allowed).then_some(best)
}

/// The word nearest to one, if one is near enough to be a typing error.
pub(crate) fn nearest_of<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > MAX_LEN {
        return None;
    }
    let (distance, best) = known
        .map(|candidate| (distance(word, candidate), candidate))
        .min()?;
    (distance <= (word.len() / 3).clamp(1, 4)).then_some(best)
}

/// The pattern with the name's own number in the place of `N` and its rest in that of `*`.
fn spelled(pattern: &str, name: &str) -> String {
    let mut given = name.split('.');
    let mut out = String::new();
    for part in pattern.split('.') {
        let typed = given.next();
        if !out.is_empty() {
            out.push('.');
        }
        match (part, typed) {
            ("N", Some(number))
                if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
            {
                out.push_str(number);
            }
            ("*", Some(first)) => {
                out.push_str(first);
                for more in given.by_ref() {
                    out.push('.');
                    out.push_str(more);
                }
            }
            ("N", _) => out.push('0'),
            _ => out.push_str(part),
        }
    }
    out
}

/// How different two words are: the number of letters to insert, remove, replace or swap with a
/// neighbour.
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let width = b.len() + 1;
    let mut rows = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let at = i * width + j;
            rows[at] = if i == 0 || j == 0 {
                i + j
            } else {
                let replace = rows[at - width - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replace.min(rows[at - width] + 1).min(rows[at - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[at - 2 * width - 2] + 1);
                }
                best
            };
        }
    }
    rows[(a.len() + 1) * width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_lead_to_the_key() {
        for (typed, meant) in [
            ("lxc.utsname.", "lxc.utsname"),
            ("lxc.uts.nam", "lxc.uts.name"),
            ("lxc.rootfs.pat", "lxc.rootfs.path"),
            ("lxc.net.3.tpye", "lxc.net.3.type"),
            ("lxc.net.0.ipv4.adress", "lxc.net.0.ipv4.address"),
            ("lxc.cgruop2.memory.max", "lxc.cgroup2.memory.max"),
            ("lxc.start.atuo", "lxc.start.auto"),
            ("lxc.mount.enrty", "lxc.mount.entry"),
            ("lxc.net.type", "lxc.net.0.type"),
        ] {
            assert_eq!(nearest(typed).as_deref(), Some(meant), "{typed}");
        }
    }

    #[test]
    fn other_words_lead_nowhere() {
        let long = format!("lxc.{}", "x".repeat(500));
        for typed in [
            "lxc.",
            "lxc.foo",
            "lxc.restart.policy",
            "lxc.schnabeltier",
            long.as_str(),
        ] {
            assert_eq!(nearest(typed), None, "{typed}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("ä", "a", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
