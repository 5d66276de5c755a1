//! `berth config lint`: everything that is wrong with a configuration, and what is suspicious.

mod beside;
mod host;
mod lines;

use std::path::Path;

use berth_container_config::{
    DiskLoader, LoadError, Position, Problem, Warning, load_text, survey,
};
use berth_kernel::user::User;
use serde::Serialize;

use crate::error::Result;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The container cannot be started like this.
    Error,
    /// It can, and probably not as was meant.
    Warning,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 stands for the file as a whole.
    pub line: u32,
    /// How bad it is.
    pub severity: Severity,
    /// The key, where it is about one.
    pub key: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Finding {
    fn new(severity: Severity, at: &Position, key: Option<&str>, message: String) -> Self {
        Self {
            file: at.file.display().to_string(),
            line: at.line,
            severity,
            key: key.map(str::to_owned),
            message,
        }
    }

    fn error(problem: &Problem) -> Self {
        let key = problem.key.as_deref();
        Self::new(Severity::Error, &problem.at, key, problem.message.clone())
    }

    fn warning(warning: &Warning) -> Self {
        let key = warning.key.as_deref();
        Self::new(Severity::Warning, &warning.at, key, warning.message.clone())
    }

    /// `FILE:LINE: SEVERITY: KEY: what`, without what there is not.
    pub fn text(&self) -> String {
        let mut text = self.file.clone();
        if self.line > 0 {
            text += &format!(":{}", self.line);
        }
        text += match self.severity {
            Severity::Error => ": error: ",
            Severity::Warning => ": warning: ",
        };
        if let Some(key) = &self.key {
            text += &format!("{key}: ");
        }
        text + &self.message
    }
}

/// Everything about a file, for a container that `caller` starts; in the order of lines, file by
/// file.
pub fn lint(file: &Path, caller: &User) -> Result<Vec<Finding>> {
    let config = super::readable(file)?;
    let mut findings: Vec<Finding> = match load_text(file, config.text(), &DiskLoader) {
        Ok(_) => Vec::new(),
        Err(LoadError::Invalid(problems)) => problems.iter().map(Finding::error).collect(),
        Err(error @ LoadError::Read { .. }) => return Err(super::invalid(&error)),
    };
    let survey = survey(file, config.text(), &DiskLoader);
    let mut warnings = survey.warnings.clone();
    warnings.extend(lines::suspicious(file, &survey, caller));
    warnings.extend(host::suspicious(file, &survey, caller));
    findings.extend(warnings.iter().map(Finding::warning));
    findings.extend(beside::findings(file)?);
    let first = file.display().to_string();
    findings.sort_by_key(|found| (found.file != first, found.file.clone(), found.line));
    Ok(findings)
}
