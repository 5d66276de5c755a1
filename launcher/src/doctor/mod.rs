//! `berth doctor`: what on this host keeps Berth from doing all that it can, and what mends it.
//!
//! A topic gathers facts and then judges them: judging is a function without side effects.

pub mod cgroups;
mod facts;
mod pam;

use serde::Serialize;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Worth knowing, and not to be mended: it is somebody's choice, or in the nature of things.
    Note,
    /// To be mended.
    Problem,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one word.
    pub what: &'static str,
    /// How it is.
    pub status: Status,
    /// The same for people.
    pub text: String,
    /// The one command, or the one act, that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self::new(what, Status::Ok, text, None)
    }

    fn note(what: &'static str, text: impl Into<String>) -> Self {
        Self::new(what, Status::Note, text, None)
    }

    fn problem(what: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(what, Status::Problem, text, Some(remedy.into()))
    }

    fn new(
        what: &'static str,
        status: Status,
        text: impl Into<String>,
        remedy: Option<String>,
    ) -> Self {
        Self {
            what,
            status,
            text: text.into(),
            remedy,
        }
    }
}

/// What was found about one topic.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The topic.
    pub topic: &'static str,
    /// Whether nothing is to be mended.
    pub fine: bool,
    /// One by one.
    pub findings: Vec<Finding>,
}

impl Report {
    fn new(topic: &'static str, findings: Vec<Finding>) -> Self {
        let fine = findings
            .iter()
            .all(|finding| finding.status != Status::Problem);
        Self {
            topic,
            fine,
            findings,
        }
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = format!("{}:", self.topic);
        for finding in &self.findings {
            let status = match finding.status {
                Status::Ok => "ok",
                Status::Note => "note",
                Status::Problem => "PROBLEM",
            };
            text += &format!("\n  {status:<8} {:<12} {}", finding.what, finding.text);
            if let Some(remedy) = &finding.remedy {
                text += &format!("\n{:24}what mends it: {remedy}", "");
            }
        }
        text
    }
}
