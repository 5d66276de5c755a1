//! Test programs of cargo: built once, run side by side, their output read.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Booted hosts that run at once, over all test programs: each wants its processor while it boots,
/// and little afterwards.
const GUESTS: &str = "3";

/// A built test program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Cargo package.
    pub package: String,
    /// The crate's name, as the first part of the names of its tests.
    pub name: String,
    path: PathBuf,
    /// The package's directory, where its tests run.
    pub dir: PathBuf,
}

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and nothing failed.
    Passed,
    /// It failed.
    Failed,
    /// It did not run.
    Ignored,
}

/// What a test program did.
#[derive(Debug)]
pub struct Report {
    /// Each test by its full name, `crate::module::test`.
    pub tests: Vec<(String, Outcome)>,
    /// What went wrong beside failed tests.
    pub trouble: Option<String>,
    /// Everything it wrote.
    pub output: String,
    /// How long it ran.
    pub took: Duration,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds all test programs of the workspace; the compiler's messages go to standard error.
pub fn build(workspace: &Workspace) -> Result<Vec<Program>> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--locked", "--workspace", "--no-run", "--quiet"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo test")?;
    if !output.status.success() {
        bail!("the tests do not build: {}", output.status);
    }
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Message>(line) else {
            continue;
        };
        programs.extend(message.program());
    }
    Ok(programs)
}

impl Message {
    fn program(self) -> Option<Program> {
        if self.reason != "compiler-artifact" || !self.profile?.test {
            return None;
        }
        let dir = self.manifest_path?.parent()?.to_owned();
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
        let manifest: toml::Table = manifest.parse().ok()?;
        let package = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        let name = self.target?.name.replace('-', "_");
        Some(Program {
            package,
            name,
            path: self.executable?,
            dir,
        })
    }
}

impl Program {
    /// Runs the tests whose names contain `filter`, at most for `limit`.
    pub fn run(&self, filter: Option<&str>, limit: Duration) -> Result<Report> {
        let mut command = std::process::Command::new(&self.path);
        // With one thread, libtest writes a test's name before and its result after whatever
        // the test's own children write.
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
        command
            .args(filter)
            .arg(format!("--test-threads={threads}"));
        command.current_dir(&self.dir).env("RUST_BACKTRACE", "0");
        if std::env::var_os("BERTH_GUESTS").is_none() {
            command.env("BERTH_GUESTS", GUESTS);
        }
        let shown = self.path.display().to_string();
        let start = Instant::now();
        match berth_test_harness::run(&mut command, &shown, "", limit) {
            Ok(output) => Ok(report(&self.name, output.code, &output.text(), output.took)),
            Err(error) => Ok(Report {
                tests: Vec::new(),
                trouble: Some(format!("{}: {error:#}", self.name)),
                output: String::new(),
                took: start.elapsed(),
            }),
        }
    }

    /// Names of the tests, without running them.
    pub fn list(&self, filter: Option<&str>) -> Result<Vec<String>> {
        let mut command = std::process::Command::new(&self.path);
        command.args(filter).arg("--list").current_dir(&self.dir);
        let limit = Duration::from_secs(60);
        let output = berth_test_harness::run(&mut command, "--list", "", limit)?.ok()?;
        let names = output
            .lines()
            .filter_map(|line| line.strip_suffix(": test"));
        Ok(names.map(str::to_owned).collect())
    }
}

/// Runs the examples in documentation.
pub fn run_doc_tests(workspace: &Workspace, limit: Duration) -> Result<Report> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--locked", "--workspace", "--doc", "--no-fail-fast"]);
    let output = berth_test_harness::run(&mut cargo, "cargo test --doc", "", limit)?;
    let mut doc = report("doc", output.code, &output.text(), output.took);
    if doc
        .tests
        .iter()
        .any(|(_, outcome)| *outcome == Outcome::Failed)
    {
        doc.trouble = None;
    }
    Ok(doc)
}

fn report(name: &str, code: i32, output: &str, took: Duration) -> Report {
    let tests = outcomes(name, output);
    let failed = tests.iter().any(|(_, outcome)| *outcome == Outcome::Failed);
    let finished = output.lines().any(|line| line.starts_with("test result: "));
    let trouble = match code {
        0 if finished => None,
        // libtest's own code for failed tests.
        101 if finished && failed => None,
        code => Some(format!("{name}: the test program ended with code {code}")),
    };
    Report {
        tests,
        trouble,
        output: output.to_owned(),
        took,
    }
}

fn outcomes(name: &str, output: &str) -> Vec<(String, Outcome)> {
    let mut tests = Vec::new();
    for line in output.lines() {
        let Some((test, result)) = line
            .strip_prefix("test ")
            .and_then(|l| l.split_once(" ... "))
        else {
            continue;
        };
        let outcome = match result.split([',', ' ']).next() {
            Some("ok") => Outcome::Passed,
            Some("FAILED") => Outcome::Failed,
            Some("ignored") => Outcome::Ignored,
            _ => continue,
        };
        let test = test.strip_suffix(" - should panic").unwrap_or(test);
        tests.push((format!("{name}::{test}"), outcome));
    }
    tests
}

/// The part of a test program's output that tells about failures.
pub fn failures(output: &str) -> &str {
    output
        .find("\nfailures:\n")
        .map_or(output, |at| &output[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\n\
        test a::one ... ok\n\
        test a::two - should panic ... ok\n\
        test three ... FAILED\n\
        test four ... ignored, needs a fifth\n\
        \nfailures:\n\n---- three stdout ----\nbecause\n\n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn every_line_is_read() {
        let report = report("x", 101, OUTPUT, Duration::ZERO);
        let expected = [
            ("x::a::one", Outcome::Passed),
            ("x::a::two", Outcome::Passed),
            ("x::three", Outcome::Failed),
            ("x::four", Outcome::Ignored),
        ];
        assert_eq!(
            report.tests,
            expected.map(|(name, outcome)| (name.to_owned(), outcome))
        );
        assert!(report.trouble.is_none());
        assert!(failures(OUTPUT).starts_with("failures:"));
    }

    #[test]
    fn a_program_that_dies_is_trouble() {
        let cut = &OUTPUT[..OUTPUT.find("test three").unwrap()];
        for code in [134, 101, 0] {
            assert!(
                report("x", code, cut, Duration::ZERO).trouble.is_some(),
                "{code}"
            );
        }
        let passed = "test a ... ok\ntest result: ok. 1 passed\n";
        assert!(report("x", 0, passed, Duration::ZERO).trouble.is_none());
        assert!(report("x", 101, passed, Duration::ZERO).trouble.is_some());
    }
}
