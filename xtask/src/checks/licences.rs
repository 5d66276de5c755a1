//! Every crate that Berth is built from has a licence that Berth may be given away under.

use super::metadata::Metadata;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};

/// Licences without conditions beyond keeping their text.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks all dependencies; the answer says how many.
pub fn check(workspace: &Workspace) -> Result<String> {
    let metadata = Metadata::read(workspace)?;
    let mut bad = Vec::new();
    let mut count = 0;
    for package in &metadata.packages {
        count += 1;
        let licence = package.license.as_deref().unwrap_or("");
        let fine = allowed(licence)
            .with_context(|| format!("{} {}: licence “{licence}”", package.name, package.version));
        match fine {
            Ok(true) => {}
            Ok(false) => bad.push(format!("{} {}: {licence}", package.name, package.version)),
            Err(error) => bad.push(format!("{error:#}")),
        }
    }
    if !bad.is_empty() {
        bail!("not among the allowed licences:\n  {}", bad.join("\n  "));
    }
    Ok(format!("{count} crates have allowed licences"))
}

/// Evaluates an SPDX expression: `OR` leaves the choice, `AND` asks for both. The old `/` means
/// `OR`.
fn allowed(expression: &str) -> Result<bool> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let value = either(&mut rest)?;
    if !rest.is_empty() {
        bail!("cannot understand it from “{}” on", rest[0]);
    }
    Ok(value)
}

fn either(rest: &mut &[&str]) -> Result<bool> {
    let mut value = both(rest)?;
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        value |= both(rest)?;
    }
    Ok(value)
}

fn both(rest: &mut &[&str]) -> Result<bool> {
    let mut value = one(rest)?;
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        value &= one(rest)?;
    }
    Ok(value)
}

fn one(rest: &mut &[&str]) -> Result<bool> {
    let Some((word, after)) = rest.split_first() else {
        bail!("it ends early, or there is none");
    };
    *rest = after;
    if *word == "(" {
        let value = either(rest)?;
        if rest.first() != Some(&")") {
            bail!("a bracket is not closed");
        }
        *rest = &rest[1..];
        return Ok(value);
    }
    if let [with, exception, after @ ..] = *rest
        && *with == "WITH"
    {
        *rest = after;
        return Ok(ALLOWED.contains(&&*format!("{word} WITH {exception}")));
    }
    Ok(ALLOWED.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0-only", false),
            ("GPL-2.0 OR MIT", true),
            ("MIT AND GPL-2.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR GPL-2.0) AND LGPL-2.1", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
            ("GPL-3.0 WITH Classpath-exception-2.0", false),
        ] {
            assert_eq!(allowed(expression).unwrap(), expected, "{expression}");
        }
        for broken in ["", "(MIT", "MIT)", "MIT OR", "AND"] {
            assert!(!matches!(allowed(broken), Ok(true)), "{broken}");
        }
    }
}
