//! `tests/PROMISES.md`: each promise, and the tests that show it.
//!
//! A promise is a list item, `- what is promised — ` followed by the full names of tests in
//! backquotes. It may go on over indented lines.

use super::libtest::Outcome;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Promise {
    /// Line number, from 1.
    pub line: usize,
    /// Full names of tests.
    pub tests: Vec<String>,
}

/// Reads the file.
pub fn read(root: &Path) -> Result<Vec<Promise>> {
    let path = root.join("tests/PROMISES.md");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let promises = parse(&text)?;
    if promises.is_empty() {
        bail!("{} has no promise", path.display());
    }
    Ok(promises)
}

fn parse(text: &str) -> Result<Vec<Promise>> {
    let mut items: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(item) = line.strip_prefix("- ") {
            items.push((at + 1, item.to_owned()));
            open = true;
        } else if open && line.starts_with("  ") && !line.trim().is_empty() {
            if let Some((_, item)) = items.last_mut() {
                item.push(' ');
                item.push_str(line.trim());
            }
        } else {
            open = false;
        }
    }
    items
        .into_iter()
        .map(|(line, item)| promise(line, &item))
        .collect()
}

fn promise(line: usize, item: &str) -> Result<Promise> {
    let Some((_, tests)) = item.rsplit_once(" — ") else {
        bail!("tests/PROMISES.md:{line}: no ` — ` followed by the tests that show it");
    };
    let tests: Vec<_> = tests
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|test| test.trim().to_owned())
        .collect();
    if tests.is_empty() || tests.iter().any(|test| !test.contains("::")) {
        bail!("tests/PROMISES.md:{line}: tests are named like `crate::module::test`");
    }
    Ok(Promise { line, tests })
}

/// What is wrong when these tests ran: names that no test has, tests that did not run. Failed
/// ones are told elsewhere.
pub fn unkept(promises: &[Promise], ran: &BTreeMap<String, Outcome>) -> Vec<String> {
    let mut wrong = Vec::new();
    for promise in promises {
        for test in &promise.tests {
            if let Some(why) = not_run(test, ran) {
                wrong.push(format!("tests/PROMISES.md:{}: {test}: {why}", promise.line));
            }
        }
    }
    wrong
}

/// The same for keys of container configurations, each with the test that shows what it does.
pub fn not_shown<'k>(
    keys: impl Iterator<Item = (&'k str, &'k str)>,
    ran: &BTreeMap<String, Outcome>,
) -> Vec<String> {
    // The table's own check counts those that name no test.
    keys.filter(|(_, test)| !test.is_empty())
        .filter_map(|(key, test)| Some(format!("{key}: {test}: {}", not_run(test, ran)?)))
        .collect()
}

fn not_run(test: &str, ran: &BTreeMap<String, Outcome>) -> Option<&'static str> {
    match ran.get(test) {
        None => Some("there is no such test, or it did not run"),
        Some(Outcome::Ignored) => Some("that test is ignored"),
        Some(Outcome::Passed | Outcome::Failed) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_their_tests() {
        let text = "# Title\n\n- One thing, `code` and all — `a::b`\n- Another that is long\n  \
            and goes on — `c::d`,\n  `e::f`\n\nText — `not::an_item`\n";
        let names = |tests: &[&str]| tests.iter().map(|t| (*t).to_owned()).collect();
        let expected = [
            Promise {
                line: 3,
                tests: names(&["a::b"]),
            },
            Promise {
                line: 4,
                tests: names(&["c::d", "e::f"]),
            },
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn an_item_without_tests_is_an_error() {
        for text in ["- nothing", "- nothing — ", "- x — by hand", "- x — `word`"] {
            assert!(
                parse(text)
                    .unwrap_err()
                    .to_string()
                    .contains("PROMISES.md:1"),
                "{text}"
            );
        }
    }

    #[test]
    fn tests_must_exist_and_run() {
        let promises = parse("- x — `a::ran` `a::failed` `a::ignored` `a::gone`").unwrap();
        let ran = [
            ("a::ran".to_owned(), Outcome::Passed),
            ("a::failed".to_owned(), Outcome::Failed),
            ("a::ignored".to_owned(), Outcome::Ignored),
        ];
        let wrong = unkept(&promises, &ran.into());
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("a::ignored") && wrong[1].contains("a::gone"));
    }

    #[test]
    fn tests_of_keys_must_exist_and_run() {
        let ran = [
            ("keys::a".to_owned(), Outcome::Passed),
            ("keys::b".to_owned(), Outcome::Ignored),
        ];
        let keys = [
            ("lxc.a", "keys::a"),
            ("lxc.b", "keys::b"),
            ("lxc.c", "keys::c"),
            ("lxc.d", ""),
        ];
        let wrong = not_shown(keys.into_iter(), &ran.into());
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("lxc.b: keys::b: ") && wrong[1].starts_with("lxc.c: "));
    }
}
