//! Profiles that are made for one container, loaded before its start and removed at its end.
//!
//! Only root may load a profile. Loading goes through apparmor_parser(8), which compiles it.

pub mod profile;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::error::{Error, Plain, Result};

/// Where Debian's package has it, and others.
const PARSERS: [&str; 2] = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];

/// A profile for one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its name in the kernel.
    pub name: String,
    /// What it says (apparmor.d(5)).
    pub text: String,
    /// The line that asked for it, for errors.
    pub at: String,
}

impl Generated {
    /// Has the kernel take the profile, in the place of one of the same name.
    pub fn load(&self) -> Result<()> {
        self.run("--replace").map_err(|why| {
            Error::other(format!(
                "{}: the generated profile {} cannot be loaded: {why}",
                self.at, self.name
            ))
        })
    }

    /// One that a monitor which was killed has left, of which only the name is known.
    pub fn left(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: format!("profile \"{name}\" {{}}\n"),
            at: String::new(),
        }
    }

    /// Has the kernel forget it; why it did not.
    pub fn remove(&self) -> std::result::Result<(), String> {
        self.run("--remove")
    }

    fn run(&self, what: &str) -> std::result::Result<(), String> {
        let said = |error: std::io::Error| format!("apparmor_parser(8): {}", Plain(&error));
        let parser = PARSERS
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .ok_or("there is no apparmor_parser(8); Debian's package apparmor has it")?;
        let mut child = Command::new(parser)
            .args([what, "--skip-cache", "--quiet"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(said)?;
        if let Some(mut input) = child.stdin.take() {
            // What it does not want to read it says.
            let _ = input.write_all(self.text.as_bytes());
        }
        let mut complaint = String::new();
        if let Some(errors) = child.stderr.take() {
            let _ = errors.take(4096).read_to_string(&mut complaint);
        }
        let ended = child.wait().map_err(said)?;
        match (ended.success(), complaint.trim()) {
            (true, _) => Ok(()),
            (false, "") => Err(format!("apparmor_parser(8) ended with {ended}")),
            (false, why) => Err(why.replace('\n', "; ")),
        }
    }
}
