//! Reading a file and what it includes.

use crate::check;
use crate::config::Config;
use crate::error::{LoadError, Warning};
use crate::key::{self, Action, Entry, Refusal};
use crate::position::Position;
use crate::walk::{MAX_TOLD, Walk};
use std::io;
use std::path::{Path, PathBuf};

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

    /// The path that is read for one of `lxc.include`, and that positions name.
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
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
    let mut config = Config::default();
    let mut sink = |at: &Position, key: &str, value: &str| apply(&mut config, at, key, value);
    let mut walk = Walk::new(loader, &mut sink);
    walk.file(path, text);
    let (mut problems, warnings, files) = (walk.problems, walk.warnings, walk.files);
    // What spans several lines is judged only if each line by itself is right: a line that was
    // refused would otherwise cause a second, misleading message.
    if problems.is_empty() {
        check::whole(&mut config, path, &mut problems);
    }
    match problems.is_empty() {
        true => Ok(Loaded {
            config,
            warnings,
            files,
        }),
        false => {
            problems.truncate(MAX_TOLD);
            Err(LoadError::Invalid(problems))
        }
    }
}

/// Lets one line have its effect.
fn apply(config: &mut Config, at: &Position, key: &str, value: &str) -> Result<(), Refusal> {
    let found = key::find(key).map_err(Refusal::Other)?;
    let entry = Entry {
        value,
        at: at.clone(),
        index: found.index,
        rest: found.rest,
    };
    match &found.key.action {
        // The walk has followed it.
        Action::Include => Ok(()),
        Action::Obeyed { set, clear } => match value.is_empty() {
            true => clear(config, &entry),
            false => set(config, &entry),
        },
        Action::Renamed(new) => Err(Refusal::Other(format!(
            "this is a name of LXC before 2.1; write {new} instead (berth config migrate does)"
        ))),
        Action::Gone(why) => Err(Refusal::Other(format!(
            "LXC has no such key since 2.1 ({why}); remove the line (berth config migrate does)"
        ))),
    }
}
