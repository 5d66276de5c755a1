//! The check of upstart's job files. Upstart is in no Debian any more, so its `init-checkconf` and
//! `initctl check-config` are not at hand: this does what they do, and looks for what they do not
//! see.

mod job;
mod wiring;

use anyhow::{Context, Result, bail};
use job::{Job, Problem, problem};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
pub use wiring::Level;

/// The oldest upstart that the jobs are for: 1.N.
const OLDEST: u32 = 5;

/// What is wrong, with the file that it is in.
pub type Found = Vec<(PathBuf, Problem)>;

/// Checks the job files of a directory, which one init reads together.
pub fn check_dir(dir: &Path, level: Level) -> Result<Found> {
    let mut paths = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|end| end == "conf" || end == "override")
        {
            paths.push(path);
        }
    }
    paths.sort();
    check_files(&paths, level)
}

/// The same of single files.
pub fn check_files(paths: &[PathBuf], level: Level) -> Result<Found> {
    let mut found = Vec::new();
    let mut jobs = Vec::new();
    for path in paths {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let (job, mut problems) = job::parse(&name, &text);
        // Where upstart would refuse the file, what else is in it does not matter yet.
        if problems.is_empty() {
            problems = judge(&job);
            problems.extend(shell(&job)?);
        }
        found.extend(problems.into_iter().map(|problem| (path.clone(), problem)));
        jobs.push(job);
    }
    let path_of = |name: &str| {
        paths
            .iter()
            .find(|path| path.file_stem().is_some_and(|stem| stem == name))
    };
    for (name, problem) in wiring::check(&jobs, level) {
        found.push((path_of(&name).cloned().unwrap_or_default(), problem));
    }
    Ok(found)
}

/// `cargo xtask jobs`: the repository's own, or those given.
pub fn run(root: &Path, paths: &[PathBuf]) -> Result<String> {
    let found = match paths {
        [] => {
            let mut found = check_dir(&root.join("upstart-jobs"), Level::System)?;
            found.extend(check_dir(
                &root.join("upstart-jobs/session"),
                Level::Session,
            )?);
            found
        }
        paths => check_files(paths, Level::System)?,
    };
    for (path, problem) in &found {
        eprintln!("{}:{}: {}", path.display(), problem.line, problem.text);
    }
    match found.len() {
        0 => Ok("in order".to_owned()),
        count => bail!("{count} problems in upstart's jobs"),
    }
}

/// What the grammar allows and nobody means.
fn judge(job: &Job) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut say = |line: usize, text: String| found.push(problem(line, text));
    if let Some((since, word, line)) = &job.newest
        && *since > OLDEST
    {
        say(
            *line,
            format!("{word} is known since 1.{since}: 1.{OLDEST} refuses the whole file"),
        );
    }
    if !job.description {
        say(0, "a description is needed".to_owned());
    }
    if job.main.is_none() {
        if job.hooks.is_empty() {
            say(0, "exactly one of exec and script is needed, or a pre-start for a job that only rests".to_owned());
        }
        for (wrong, has) in [
            ("task", job.task),
            ("respawn", job.respawn),
            ("expect", job.expect.is_some()),
        ] {
            if has && !job.hooks.is_empty() {
                say(
                    0,
                    format!("{wrong} without exec or script: there is no main process"),
                );
            }
        }
    }
    if job.task && job.respawn {
        say(
            0,
            "task and respawn: a task that ends well is done".to_owned(),
        );
    }
    if let Some(name) = &job.instance {
        if !name.contains('$') {
            say(
                0,
                format!("instance {name}: without a variable there is one instance only"),
            );
        }
        if !job.usage {
            say(
                0,
                "an instance needs usage, which says what to give it".to_owned(),
            );
        }
    }
    if job.start_on.is_some() && job.stop_on.is_none() && !job.task {
        say(
            0,
            "it starts by itself and never stops: stop on is needed".to_owned(),
        );
    }
    emissions(job, &mut say);
    found
}

/// `emits` and what scripts emit are the same.
fn emissions(job: &Job, say: &mut impl FnMut(usize, String)) {
    let mut emitted = Vec::new();
    for process in job.hooks.values().chain(&job.main) {
        for (n, line) in process.text.lines().enumerate() {
            let mut words = line
                .split_whitespace()
                .skip_while(|word| *word != "initctl")
                .skip(1);
            if words.next() == Some("emit")
                && let Some(event) = words.find(|word| !word.starts_with('-'))
            {
                emitted.push(event.to_owned());
                if !job.emits.iter().any(|it| it == event) {
                    say(
                        process.line + n,
                        format!("it emits {event}: that belongs into emits"),
                    );
                }
            }
        }
    }
    // Only of jobs that are emitted by a shell: what a program emits is not seen here.
    for event in &job.emits {
        if !emitted.contains(event) {
            say(0, format!("emits {event}: nothing in it emits that"));
        }
    }
}

/// What upstart gives to the shell has to be understood there.
fn shell(job: &Job) -> Result<Vec<Problem>> {
    /// The characters that make upstart give an exec line to the shell.
    const OF_SHELL: &str = "~`!$^&*()=|\\{}[];\"'<>?";
    let mut found = Vec::new();
    for process in job.hooks.values().chain(&job.main) {
        if !process.script && !process.text.contains(|c| OF_SHELL.contains(c)) {
            continue;
        }
        let mut child = Command::new("sh")
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run sh")?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(process.text.as_bytes())?;
        }
        let said = child.wait_with_output()?;
        if !said.status.success() {
            let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            found.push(problem(
                process.line,
                format!("the shell does not understand it: {why}"),
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
