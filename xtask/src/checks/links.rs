//! What is linked into the programs that run with more rights than their caller is checked in
//! beside them, and grows only knowingly.

use super::metadata::{Metadata, Package};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

/// A privileged package.
struct Guarded {
    package: &'static str,
    /// The checked-in list.
    list: &'static str,
    /// No more crates than this, itself included.
    limit: usize,
}

const GUARDED: &[Guarded] = &[
    Guarded {
        package: "berth-usernic",
        list: "setuid-netshim/links.txt",
        limit: 9,
    },
    Guarded {
        package: "pam_berth",
        list: "pam-module/links.txt",
        limit: 9,
    },
];

/// The only crates whose build scripts may run for them.
const BUILD_SCRIPTS: &[&str] = &["libc", "nix"];

/// Compares with the checked-in lists.
pub fn check(workspace: &Workspace) -> Result<String> {
    let metadata = Metadata::read(workspace)?;
    let mut answer = String::new();
    let mut wrong = String::new();
    for guarded in GUARDED {
        let linked = linked(workspace, guarded)?;
        let path = workspace.root.join(guarded.list);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}; `cargo xtask links` writes it",
                path.display()
            )
        })?;
        let listed = parse(&text);
        let package = guarded.package;
        for name in linked.difference(&listed) {
            writeln!(
                wrong,
                "{package} links {name}, which is not in {}",
                guarded.list
            )?;
        }
        for name in listed.difference(&linked) {
            writeln!(
                wrong,
                "{package} does not link {name}, which is in {}",
                guarded.list
            )?;
        }
        if linked.len() > guarded.limit {
            let (count, limit) = (linked.len(), guarded.limit);
            writeln!(wrong, "{package} links {count} crates, more than {limit}")?;
        }
        wrong.push_str(&forbidden(&metadata, package, &linked));
        writeln!(answer, "{package} links {} crates, as listed", linked.len())?;
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.trim_end());
    }
    Ok(answer.trim_end().to_owned())
}

/// Writes the lists anew.
pub fn write(workspace: &Workspace) -> Result<String> {
    let mut answer = String::new();
    for guarded in GUARDED {
        let path = workspace.root.join(guarded.list);
        let mut text = format!(
            "# Every crate that is linked into {}, itself included; `cargo xtask links --check`\n\
             # compares. It runs with more rights than its caller: think twice before adding one.\n",
            guarded.package
        );
        for name in linked(workspace, guarded)? {
            writeln!(text, "{name}")?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(answer, "wrote {}", path.display())?;
    }
    Ok(answer.trim_end().to_owned())
}

fn parse(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Names of all crates in a package's normal dependencies, on the machine at hand.
fn linked(workspace: &Workspace, guarded: &Guarded) -> Result<BTreeSet<String>> {
    let mut cargo = workspace.cargo();
    cargo.args([
        "tree",
        "--locked",
        "--package",
        guarded.package,
        "--edges",
        "normal",
    ]);
    cargo.args(["--prefix", "none", "--format", "{p}"]);
    let output = cargo.output().context("cannot run cargo tree")?;
    if !output.status.success() {
        bail!(
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// Procedural macros and unexpected build scripts: code of others that runs while building.
fn forbidden(metadata: &Metadata, package: &str, linked: &BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut say = |crate_: &Package, what: &str| {
        text.push_str(&format!(
            "{package} links {}, which is or has {what}\n",
            crate_.name
        ));
    };
    for dependency in metadata
        .packages
        .iter()
        .filter(|dependency| linked.contains(&dependency.name))
    {
        if dependency.has("proc-macro") {
            say(dependency, "a procedural macro");
        }
        if dependency.has("custom-build") && !BUILD_SCRIPTS.contains(&&*dependency.name) {
            say(dependency, "a build script");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Target;
    use super::*;

    #[test]
    fn lists() {
        let expected: BTreeSet<_> = ["a".to_owned(), "b".to_owned()].into();
        assert_eq!(parse("# why\nb\n\n  a\n"), expected);
    }

    #[test]
    fn macros_and_build_scripts_are_refused() {
        let package = |name: &str, kind: &str| Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: None,
            targets: vec![Target {
                kind: vec![kind.into()],
            }],
        };
        let metadata = Metadata {
            packages: vec![
                package("libc", "custom-build"),
                package("zlib-sys", "custom-build"),
                package("serde_derive", "proc-macro"),
                package("elsewhere", "proc-macro"),
            ],
        };
        let linked = ["libc", "zlib-sys", "serde_derive"]
            .map(str::to_owned)
            .into();
        let text = forbidden(&metadata, "p", &linked);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("zlib-sys") && text.contains("serde_derive"));
    }
}
