//! The way through a file and what it includes, line by line.

use crate::error::{Problem, Warning, printable, reason};
use crate::key::Refusal;
use crate::line::Line;
use crate::load::{Loader, Source};
use crate::position::Position;
use crate::text;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The deepest nesting of includes. LXC has no limit and ends with its stack.
const MAX_DEPTH: usize = 16;
/// The most files of one configuration. A file may be included several times (LXC allows it), so
/// the depth alone would allow exponentially many.
const MAX_FILES: usize = 512;
/// The most lines of one configuration, all files together.
const MAX_LINES: usize = 1 << 17;
/// The most problems and the most warnings that are told.
pub(crate) const MAX_TOLD: usize = 100;
/// The key of other files.
pub(crate) const INCLUDE: &str = "lxc.include";

/// What becomes of `key = value` lines. Includes are followed after that.
pub(crate) type Sink<'s> = dyn FnMut(&Position, &str, &str) -> Result<(), Refusal> + 's;

/// A walk, and what it found.
pub(crate) struct Walk<'l, 's> {
    loader: &'l dyn Loader,
    sink: &'s mut Sink<'s>,
    /// Lines that are wrong.
    pub problems: Vec<Problem>,
    /// Lines that count for nothing.
    pub warnings: Vec<Warning>,
    /// All files that were read, in this order.
    pub files: Vec<PathBuf>,
    /// Each `lxc.include` line and the path to which it led.
    pub includes: Vec<(Position, PathBuf)>,
    open: Vec<PathBuf>,
    lines: usize,
}

impl<'l, 's> Walk<'l, 's> {
    pub(crate) fn new(loader: &'l dyn Loader, sink: &'s mut Sink<'s>) -> Self {
        Self {
            loader,
            sink,
            problems: Vec::new(),
            warnings: Vec::new(),
            files: Vec::new(),
            includes: Vec::new(),
            open: Vec::new(),
            lines: 0,
        }
    }

    /// Goes through a file's text.
    pub(crate) fn file(&mut self, path: &Path, text: &str) {
        self.files.push(path.to_owned());
        self.open.push(path.to_owned());
        let file: Arc<Path> = Arc::from(path);
        for (number, line) in (1..).zip(text.lines()) {
            let at = Position {
                file: file.clone(),
                line: number,
            };
            self.lines += 1;
            if self.lines > MAX_LINES {
                self.problem(
                    &at,
                    None,
                    format!("more than {MAX_LINES} lines with all includes"),
                );
                break;
            }
            if self.problems.len() >= MAX_TOLD {
                break;
            }
            self.line(&at, line);
        }
        self.open.pop();
    }

    fn line(&mut self, at: &Position, line: &str) {
        match Line::parse(line) {
            Line::Blank => {}
            _ if line.contains('\0') => self.problem(at, None, "the line has a NUL byte".into()),
            _ if !text::is_text(line) => self.problem(
                at,
                None,
                "the line is not UTF-8 text; only a comment may be in another encoding".into(),
            ),
            Line::Other { text } => {
                let message = format!(
                    "“{}” has no effect: only lines that begin with “lxc.” or “#” have a meaning",
                    printable(text)
                );
                self.warn(at, None, message);
            }
            Line::NoEquals { text } => {
                let key = text.split_whitespace().next().unwrap_or(text);
                let message = format!("expected “{} = value”, found no “=”", printable(key));
                self.problem(at, Some(key), message);
            }
            Line::Assignment { key, value } => {
                let result = match key {
                    INCLUDE => match (self.sink)(at, key, value) {
                        Ok(()) => self.include(at, value),
                        refused => refused,
                    },
                    _ => (self.sink)(at, key, value),
                };
                if let Err(refusal) = result {
                    self.problem(at, Some(key), refusal.message(value));
                }
            }
        }
    }

    fn include(&mut self, at: &Position, value: &str) -> Result<(), Refusal> {
        if value.is_empty() {
            let message = "an include without a path reads nothing";
            self.warn(at, Some(INCLUDE), message.to_owned());
            return Ok(());
        }
        let path = self.loader.resolve(Path::new(value));
        self.admit(&path)?;
        match self.loader.read(&path) {
            Ok(Source::Text(text)) => {
                self.includes.push((at.clone(), path.clone()));
                self.file(&path, &text);
            }
            Ok(Source::Directory(files)) => {
                self.includes.push((at.clone(), path));
                for file in files {
                    self.member(at, &file)?;
                }
            }
            // A path written as a directory may be absent (conf.d directories of packages).
            Err(error) if error.kind() == io::ErrorKind::NotFound && value.ends_with('/') => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
        Ok(())
    }

    /// Reads one file of an included directory.
    fn member(&mut self, at: &Position, path: &Path) -> Result<(), Refusal> {
        self.admit(path)?;
        match self.loader.read(path) {
            Ok(Source::Text(text)) => {
                self.includes.push((at.clone(), path.to_owned()));
                self.file(path, &text);
            }
            // A directory named like a file: LXC reads files only.
            Ok(Source::Directory(_)) => {}
            Err(error) => {
                let message = unreadable(path, &error).message("");
                self.problem(at, Some(INCLUDE), message);
            }
        }
        Ok(())
    }

    fn admit(&self, path: &Path) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::Other(why));
        let shown = printable(&path.to_string_lossy());
        if self.open.iter().any(|open| open == path) {
            return refuse(format!("{shown} includes itself"));
        }
        if self.open.len() >= MAX_DEPTH {
            return refuse(format!(
                "cannot include {shown}: more than {MAX_DEPTH} nested includes"
            ));
        }
        if self.files.len() >= MAX_FILES {
            return refuse(format!(
                "cannot include {shown}: more than {MAX_FILES} files"
            ));
        }
        Ok(())
    }

    fn problem(&mut self, at: &Position, key: Option<&str>, message: String) {
        self.problems.push(Problem {
            at: at.clone(),
            key: key.map(str::to_owned),
            message,
        });
    }

    fn warn(&mut self, at: &Position, key: Option<&str>, message: String) {
        if self.warnings.len() < MAX_TOLD {
            self.warnings.push(Warning {
                at: at.clone(),
                key: key.map(str::to_owned),
                message,
            });
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::Other(format!(
        "cannot read {}: {}",
        printable(&path.to_string_lossy()),
        reason(error)
    ))
}
