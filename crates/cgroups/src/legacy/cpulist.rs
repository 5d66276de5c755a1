//! Lists of processors as cpuset(7) writes them: `0-3,8`.

use std::collections::BTreeSet;

/// As many as a kernel can be built for.
const MOST: u32 = 8192;

/// The numbers in a list; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// `list` without the numbers of `isolated`. `list` itself where one of them is not understood
/// or where nothing would be left.
pub(super) fn without(list: &str, isolated: &str) -> String {
    let rest = parse(list).zip(parse(isolated)).map(|(all, isolated)| {
        let numbers: Vec<_> = all.difference(&isolated).map(u32::to_string).collect();
        numbers.join(",")
    });
    match rest {
        Some(rest) if !rest.is_empty() && !isolated.trim().is_empty() => rest,
        _ => list.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse("0-2,5\n"), Some([0, 1, 2, 5].into()));
        assert_eq!(parse("\n"), Some(BTreeSet::new()));
        for bad in ["a", "1-", "-1", "3-1", "0-99999999", "1;2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn isolated_processors_are_left_out() {
        assert_eq!(without("0-3\n", "2-3\n"), "0,1");
        assert_eq!(without("0-3\n", "\n"), "0-3");
        assert_eq!(without("2-3", "0-3"), "2-3", "something must be left");
        assert_eq!(without("0-3", "nonsense"), "0-3");
    }
}
