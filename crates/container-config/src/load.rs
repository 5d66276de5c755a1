//! Reading a file and what it includes.

use crate::check;
use crate::config::Config;
use crate::error::{LoadError, Problem, Warning, printable};
use crate::key::{self, Action, Entry, Refusal};
use crate::line::Line;
use crate::position::Position;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a path of `lxc.include` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file's text.
    Text(String),
    /// A directory: the files to read, in this order.
    Directory(Vec<PathBuf>),
}

/// Where included files come from.
pub trait Loader {
    /// Reads a file or lists a directory's `*.conf`.
    fn read(&self, path: &Path) -> io::Result<Source>;
}

impl<F: Fn(&Path) -> io::Result<Source>> Loader for F {
    fn read(&self, path: &Path) -> io::Result<Source> {
        self(path)
    }
}

/// A configuration without problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Lines that count for nothing.
    pub warnings: Vec<Warning>,
    /// All files that were read, in this order.
    pub files: Vec<PathBuf>,
}

/// The deepest nesting of includes.
const MAX_DEPTH: usize = 16;
/// The most files of one configuration. A file may be included several times (LXC allows it), so
/// the depth alone would allow exponentially many.
const MAX_FILES: usize = 512;
/// The most lines of one configuration, all files together.
const MAX_LINES: usize = 1 << 17;
/// The most problems and the most warnings that are told.
const MAX_TOLD: usize = 100;

/// Reads the configuration at a path.
pub fn load(path: &Path, loader: &dyn Loader) -> Result<Loaded, LoadError> {
    let read = |error| LoadError::Read {
        path: path.to_owned(),
        error,
    };
    match loader.read(path).map_err(read)? {
        Source::Text(text) => load_text(path, &text, loader),
        Source::Directory(_) => Err(read(io::Error::from(io::ErrorKind::IsADirectory))),
    }
}

/// Reads a configuration whose text is at hand; `path` names it in errors, and relative includes
/// are given to the loader as they stand.
pub fn load_text(path: &Path, text: &str, loader: &dyn Loader) -> Result<Loaded, LoadError> {
    let mut reader = Reader {
        loader,
        config: Config::default(),
        problems: Vec::new(),
        warnings: Vec::new(),
        files: Vec::new(),
        open: Vec::new(),
        lines: 0,
    };
    reader.file(path, text);
    // What spans several lines is judged only if each line by itself is right: a line that was
    // refused would otherwise cause a second, misleading message.
    if reader.problems.is_empty() {
        check::whole(&mut reader.config, path, &mut reader.problems);
    }
    match reader.problems.is_empty() {
        true => Ok(Loaded {
            config: reader.config,
            warnings: reader.warnings,
            files: reader.files,
        }),
        false => {
            reader.problems.truncate(MAX_TOLD);
            Err(LoadError::Invalid(reader.problems))
        }
    }
}

struct Reader<'l> {
    loader: &'l dyn Loader,
    config: Config,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    files: Vec<PathBuf>,
    open: Vec<PathBuf>,
    lines: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: &str) {
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
            self.line(at, line);
        }
        self.open.pop();
    }

    fn line(&mut self, at: Position, line: &str) {
        match Line::parse(line) {
            Line::Blank => {}
            _ if line.contains('\0') => self.problem(&at, None, "the line has a NUL byte".into()),
            Line::Other { text } => {
                if self.warnings.len() < MAX_TOLD {
                    let message = format!(
                        "“{}” has no effect: only lines that begin with “lxc.” or “#” have a \
                         meaning",
                        printable(text)
                    );
                    self.warnings.push(Warning { at, message });
                }
            }
            Line::NoEquals { text } => {
                let key = text.split_whitespace().next().unwrap_or(text);
                let message = format!("expected “{} = value”, found no “=”", printable(key));
                self.problem(&at, Some(key), message);
            }
            Line::Assignment { key, value } => self.assignment(at, key, value),
        }
    }

    fn assignment(&mut self, at: Position, key: &str, value: &str) {
        let result = match key::find(key) {
            Err(message) => Err(Refusal::Other(message)),
            Ok(found) => {
                let entry = Entry {
                    value,
                    at: at.clone(),
                    index: found.index,
                    rest: found.rest,
                };
                match &found.key.action {
                    Action::Include => self.include(&at, value),
                    Action::Obeyed { set, clear } => match value.is_empty() {
                        true => clear(&mut self.config, &entry),
                        false => set(&mut self.config, &entry),
                    },
                    Action::NotObeyed => Err(Refusal::Other(format!(
                        "LXC knows this key, but this version of Berth does not obey it ({}); \
                         remove the line if the container does not depend on it",
                        found.key.summary
                    ))),
                    Action::Renamed(new) => Err(Refusal::Other(format!(
                        "this is a name of LXC before 2.1; write {new} instead"
                    ))),
                }
            }
        };
        if let Err(refusal) = result {
            self.problem(&at, Some(key), refusal.message(value));
        }
    }

    fn include(&mut self, at: &Position, value: &str) -> Result<(), Refusal> {
        if value.is_empty() {
            return Err(Refusal::Expected(
                "the path of a file or of a directory".into(),
            ));
        }
        let path = Path::new(value);
        self.admit(path)?;
        match self.loader.read(path) {
            Ok(Source::Text(text)) => self.file(path, &text),
            Ok(Source::Directory(files)) => {
                for file in files {
                    self.member(at, &file)?;
                }
            }
            // A path written as a directory may be absent (conf.d directories of packages).
            Err(error) if error.kind() == io::ErrorKind::NotFound && value.ends_with('/') => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
        Ok(())
    }

    /// Reads one file of an included directory.
    fn member(&mut self, at: &Position, path: &Path) -> Result<(), Refusal> {
        self.admit(path)?;
        match self.loader.read(path) {
            Ok(Source::Text(text)) => self.file(path, &text),
            // A directory named like a file: LXC reads files only.
            Ok(Source::Directory(_)) => {}
            Err(error) => {
                let message = unreadable(path, &error).message("");
                self.problem(at, Some("lxc.include"), message);
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
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::Other(format!(
        "cannot read {}: {error}",
        printable(&path.to_string_lossy())
    ))
}
