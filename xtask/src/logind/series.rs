//! A quilt series and the form of its patches.

use crate::hash::Hash;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Fields that each patch begins with (DEP-3).
const FIELDS: [&str; 6] = [
    "From",
    "Date",
    "Subject",
    "Forwarded",
    "Last-Update",
    "License",
];
/// systemd's own.
const LICENCE: &str = "LGPL-2.1-or-later";
/// Of a line that people read: what git shows in a terminal.
const MAX_LINE: usize = 78;

/// Patches in the order in which they apply.
#[derive(Debug)]
pub struct Series {
    /// In their order.
    pub patches: Vec<Patch>,
}

/// One of them.
#[derive(Debug)]
pub struct Patch {
    /// Its file.
    pub path: PathBuf,
    /// What it changes, relative to the source's top.
    pub files: Vec<String>,
    text: String,
}

impl Series {
    /// Reads `DIR/series`, as quilt does, and the patches named there.
    pub fn read(dir: &Path) -> Result<Self> {
        Self::of_file(dir, "series")
    }

    /// Another list of patches of the same directory.
    pub fn of_file(dir: &Path, name: &str) -> Result<Self> {
        let list = dir.join(name);
        let text =
            fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        let names = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or("").trim())
            .filter(|name| !name.is_empty());
        let patches = names
            .map(|name| Patch::read(dir.join(name)))
            .collect::<Result<Vec<_>>>()?;
        ensure!(!patches.is_empty(), "{}: no patch", list.display());
        Ok(Self { patches })
    }

    /// Tells states of the series apart.
    pub fn hash(&self) -> String {
        let mut hash = Hash::new();
        for patch in &self.patches {
            hash.add(&patch.text);
        }
        hash.finish()
    }
}

impl Patch {
    /// Reads a patch and looks at its form: what is wrong with it is found where systemd's source
    /// is not at hand, too.
    fn read(path: PathBuf) -> Result<Self> {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let files = check(&text).with_context(|| path.display().to_string())?;
        Ok(Self { path, files, text })
    }
}

/// The files that a patch changes. An error names what is not as it has to be.
fn check(text: &str) -> Result<Vec<String>> {
    let (header, rest) = text.split_once("\n\n").context("no header")?;
    for field in FIELDS {
        let value = header
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        let value = value.with_context(|| format!("no field {field}:"))?;
        ensure!(!value.trim().is_empty(), "nothing in {field}:");
        if field == "License" {
            ensure!(value == LICENCE, "License: {value}, and not {LICENCE}");
        }
        if field == "Subject" {
            let (area, what) = value.split_once(": ").context("Subject: AREA: WHAT")?;
            ensure!(!area.contains(' '), "Subject: “{area}” is no area");
            ensure!(!what.ends_with('.'), "Subject: it ends with a full stop");
        }
    }
    let (message, diff) = rest.split_once("\n---\n").context("no line ---")?;
    ensure!(message.len() > 200, "the message says too little");
    let long = message.lines().find(|line| line.chars().count() > MAX_LINE);
    ensure!(long.is_none(), "a long line in the message: {long:?}");
    hunks(diff)
}

/// Walks through a unified diff and counts.
fn hunks(diff: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut lines = diff.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let number = number + 1;
        if let Some(file) = line.strip_prefix("+++ ") {
            let file = file.strip_prefix("b/").context("+++ without b/")?;
            let inside = Path::new(file)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            ensure!(inside, "{file} is not in the source");
            files.push(file.to_owned());
        }
        let Some(counts) = line.strip_prefix("@@ ") else {
            continue;
        };
        ensure!(!files.is_empty(), "line {number}: a hunk of no file");
        let (mut old, mut new) = counts_of(counts).with_context(|| line.to_owned())?;
        let mut changes = false;
        while old > 0 || new > 0 {
            let (_, line) = lines.next().context("a hunk ends early")?;
            match line.as_bytes().first() {
                Some(b'+') => new = new.checked_sub(1).context("a hunk is too long")?,
                Some(b'-') => old = old.checked_sub(1).context("a hunk is too long")?,
                // Mail programs cut the blank off an empty line of context.
                Some(b' ') | None => {
                    old = old.checked_sub(1).context("a hunk is too long")?;
                    new = new.checked_sub(1).context("a hunk is too long")?;
                }
                _ => bail!("a hunk ends early, at “{line}”"),
            }
            changes |= line.starts_with(['+', '-']);
            let added = line.strip_prefix('+');
            let trailing = added.is_some_and(|text| text.ends_with([' ', '\t']));
            ensure!(!trailing, "blanks at the end of “{line}”");
        }
        ensure!(changes, "line {number}: a hunk that changes nothing");
    }
    ensure!(!files.is_empty(), "it changes nothing");
    Ok(files)
}

/// `-A,B +C,D @@ …`: B and D.
fn counts_of(text: &str) -> Result<(usize, usize)> {
    let mut words = text.split(' ');
    let mut count = |sign: char| -> Result<usize> {
        let range = words.next().and_then(|word| word.strip_prefix(sign));
        let range = range.context("no hunk")?;
        let lines = range.split_once(',').map_or("1", |(_, lines)| lines);
        lines.parse().context("no number of lines")
    };
    Ok((count('-')?, count('+')?))
}

#[cfg(test)]
mod tests {
    use super::super::TARGETS;
    use super::*;

    fn dir(target: &str) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        root.join("logind-patches").join(target)
    }

    #[test]
    fn all_patches_are_listed_and_have_the_form() {
        for target in &TARGETS {
            let dir = dir(target.name);
            let series = Series::read(&dir).unwrap_or_else(|error| panic!("{error:#}"));
            let names = |series: &Series| -> Vec<_> {
                let names = series.patches.iter().map(|patch| patch.path.file_name());
                names.map(|name| name.unwrap().to_owned()).collect()
            };
            let listed = names(&series);
            let mut there: Vec<_> = fs::read_dir(&dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name.to_string_lossy().ends_with(".patch"))
                .collect();
            let mut sorted = listed.clone();
            sorted.sort();
            there.sort();
            assert_eq!(sorted, there);
            // The small series applies by itself: it is how the large one begins.
            let small = names(&Series::of_file(&dir, "series.pam-data").unwrap());
            assert!(listed.starts_with(&small) && small.len() < listed.len());
        }
    }

    /// What the issue asks of a series, by the files that it changes.
    #[test]
    fn code_manual_and_tests_are_changed() {
        for target in &TARGETS {
            let series = Series::read(&dir(target.name)).unwrap();
            let all = series.patches.iter().map(|patch| &*patch.text);
            let all = all.collect::<String>();
            let test = match target.name {
                "252" => "test/units/testsuite-35.sh",
                _ => "test/units/TEST-35-LOGIN.sh",
            };
            for file in [
                "src/login/logind-session.c",
                "src/login/logind.conf.in",
                "src/login/pam_systemd.c",
                "man/logind.conf.xml",
                "man/org.freedesktop.login1.xml",
                "man/pam_systemd.xml",
                test,
            ] {
                let files = series.patches.iter().flat_map(|patch| &patch.files);
                assert!(files.into_iter().any(|name| name == file), "{file}");
            }
            for word in [
                "+Login.DelegateSessionCgroups,",
                "+#DelegateSessionCgroups=no",
                "\"systemd.delegate\"",
                "SESSION_CLASS_CAN_DELEGATE",
            ] {
                assert!(all.contains(word), "{}: {word}", target.name);
            }
        }
    }

    fn patch(field: &str, message: &str, hunk: &str) -> String {
        let fields = "From: A <a@b>\nDate: now\nSubject: login: do it\nForwarded: no\n\
            Last-Update: 2026-12-01\nLicense: LGPL-2.1-or-later\n";
        let fields: String = fields
            .lines()
            .filter(|line| field.is_empty() || !line.starts_with(field))
            .map(|line| format!("{line}\n"))
            .collect();
        let message = format!("{message}\n").repeat(10);
        format!("{fields}\n{message}---\n stat\n\n--- a/x/y.c\n+++ b/x/y.c\n{hunk}")
    }

    #[test]
    fn what_is_wrong_with_a_patch_is_told() {
        const MESSAGE: &str = "It is so, because of this and that.";
        const HUNK: &str = "@@ -1,2 +1,3 @@ int f()\n a\n+b\n c\n";
        assert_eq!(check(&patch("", MESSAGE, HUNK)).unwrap(), ["x/y.c"]);
        let long = "word ".repeat(20);
        for (field, message, hunk, expected) in [
            ("License", MESSAGE, HUNK, "no field License"),
            ("Forwarded", MESSAGE, HUNK, "no field Forwarded"),
            ("", "So.", HUNK, "says too little"),
            ("", &*long, HUNK, "long line"),
            ("", MESSAGE, "@@ -1,2 +1,4 @@\n a\n+b\n c\n", "ends early"),
            ("", MESSAGE, "@@ -1,1 +1,2 @@\n a\n+b \n", "blanks"),
            ("", MESSAGE, "@@ -1,1 +1,1 @@\n a\n", "changes nothing"),
            ("", MESSAGE, "@@ -1 +1 @@\n+a\n+b\n", "too long"),
        ] {
            let error = check(&patch(field, message, hunk)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let outside = patch("", MESSAGE, HUNK).replace("b/x/", "b/../");
        assert!(check(&outside).is_err());
        let foreign = patch("", MESSAGE, HUNK).replace("LGPL-2.1-or-later", "MIT");
        assert!(check(&foreign).is_err());
    }
}
