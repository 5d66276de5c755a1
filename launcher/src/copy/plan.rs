//! What a copy is made of: decided, and refused, before anything is made.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use berth_container_config::value::RootSource;
use berth_container_config::{Config, DiskLoader, IdMapping, load_text};

use super::config::Text;
use super::relations::{self, Member};
use crate::config_file::ConfigFile;
use crate::error::{Error, Result};
use crate::place::Place;

/// What becomes of the root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A directory with all files, of an overlay too.
    Whole,
    /// An overlay upon the files of the source. One upon an overlay has the same below it, and a
    /// copy of its changes.
    Overlay,
    /// As it is: a directory becomes a directory, an overlay one with a copy of its changes.
    Same,
}

/// Where the files of the copy's root come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// They are copied with the rest of the container's directory, to the same place there. For
    /// an image that is a file; `dir` tells whether the container's files can be looked at.
    InPlace {
        /// Below the container's directory.
        inside: PathBuf,
        /// Whether it is a directory.
        is_dir: bool,
    },
    /// A directory, to `rootfs`.
    Directory(PathBuf),
    /// An overlay, the uppermost layer first, to `rootfs`.
    Merged(Vec<PathBuf>),
    /// New changes upon these, the uppermost first, in `overlay/delta`.
    Upon(Vec<PathBuf>),
    /// The changes at `changes`, to `overlay/delta`, upon the others.
    Changes {
        /// What is copied.
        changes: PathBuf,
        /// What stays below it.
        lower: Vec<PathBuf>,
    },
}

/// A copy's root, or where LXC mounts an overlay's.
pub const ROOTFS: &str = "rootfs";
/// What an overlay needs.
pub const OVERLAY: &str = "overlay";
/// In it: what takes the changes.
pub const CHANGES: &str = "delta";
/// In it: where the kernel prepares them.
pub const WORK: &str = "work";

/// A copy that can be made.
pub struct Plan {
    /// The directory that is copied.
    pub source: PathBuf,
    /// Its configuration, read.
    pub config: Config,
    /// Its text, as it is.
    pub text: String,
    /// The container's ids; empty only for root's.
    pub idmap: Vec<IdMapping>,
    /// Where the root's files come from.
    pub root: Root,
    /// What in the directory is not copied with the rest.
    pub skipped: Vec<OsString>,
    /// What the copy builds upon.
    pub origins: Vec<Member>,
}

impl Plan {
    /// Looks at the container, or the snapshot, in a directory.
    pub fn new(place: &Place, source: &Path, how: How) -> Result<Self> {
        let file = ConfigFile::open(&source.join("config"))?;
        let text = file.text().to_owned();
        let loaded = load_text(file.path(), &text, &DiskLoader)
            .map_err(|error| Error::other(error.to_string()))?;
        let config = loaded.config;
        let (root, root_parts) = root(&config, source, how)?;
        let layers = match &root {
            Root::Upon(layers) | Root::Changes { lower: layers, .. } => layers.as_slice(),
            _ => &[],
        };
        let origins = relations::owners_of(place, layers);
        let idmap = config.idmap.iter().map(|mapping| mapping.value).collect();
        let mut skipped = vec![
            "config".into(),
            relations::SNAPSHOTS.into(),
            relations::ORIGINS_FILE.into(),
            relations::COPIES_FILE.into(),
            "ts".into(),
            "comment".into(),
        ];
        let name = source.file_name().unwrap_or_default();
        let mut log = name.to_owned();
        log.push(".log");
        skipped.push(log);
        skipped.extend(root_parts);
        Ok(Self {
            source: source.to_owned(),
            config,
            text,
            idmap,
            root,
            skipped,
            origins,
        })
    }

    /// Whether an entry of the source directory is left out.
    pub fn skips(&self, name: &OsStr) -> bool {
        self.skipped.iter().any(|skipped| skipped == name)
    }

    /// What `lxc.rootfs.path` says in a copy that stands in `target`.
    pub fn rootfs_value(&self, target: &Path) -> String {
        let overlay = |lower: &[PathBuf]| {
            let lower: Vec<String> = lower
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let changes = target.join(OVERLAY).join(CHANGES);
            format!("overlay:{}:{}", lower.join(":"), changes.display())
        };
        match &self.root {
            Root::InPlace { inside, is_dir } => {
                let kind = if *is_dir { "dir" } else { "loop" };
                format!("{kind}:{}", target.join(inside).display())
            }
            Root::Directory(_) | Root::Merged(_) => {
                format!("dir:{}", target.join(ROOTFS).display())
            }
            Root::Upon(lower) | Root::Changes { lower, .. } => overlay(lower),
        }
    }

    /// The configuration of a copy that stands in `target`, whose root is there.
    pub fn config_at(&self, target: &Path) -> Result<Text> {
        let mut text = Text::new(self.source.join("config"), &self.text);
        text.set_rootfs(&self.rootfs_value(target))?;
        Ok(text)
    }
}

/// The root, and the entries of the container's directory that are parts of it.
fn root(config: &Config, source: &Path, how: How) -> Result<(Root, Vec<OsString>)> {
    let Some(wanted) = &config.rootfs.path else {
        // A configuration without a root file system is copied as it is.
        let inside = PathBuf::from(ROOTFS);
        let root = Root::InPlace {
            inside,
            is_dir: true,
        };
        return Ok((root, Vec::new()));
    };
    let at = &wanted.at;
    let refused = |why: &str| Error::other(format!("{at}: lxc.rootfs.path: {why}"));
    let first = |path: &Path| {
        let inside = path.strip_prefix(source).ok()?;
        Some(inside.components().next()?.as_os_str().to_owned())
    };
    let is_dir = |path: &Path| path.is_dir();
    let as_directory = |path: &Path| {
        let inside = path
            .strip_prefix(source)
            .ok()
            .filter(|_| how != How::Overlay);
        match (how, inside) {
            (How::Overlay, _) => Root::Upon(vec![path.to_owned()]),
            (_, Some(inside)) => Root::InPlace {
                inside: inside.to_owned(),
                is_dir: true,
            },
            (_, None) => Root::Directory(path.to_owned()),
        }
    };
    match &wanted.value {
        RootSource::Overlay { lower, upper } => {
            let parts = lower.iter().chain([upper]).filter_map(|path| first(path));
            let mut parts: Vec<OsString> = parts.collect();
            // Where LXC mounts it.
            parts.push(ROOTFS.into());
            let root = match how {
                How::Whole => Root::Merged([vec![upper.clone()], lower.clone()].concat()),
                How::Overlay | How::Same => {
                    if how == How::Same && lower.iter().any(|path| path.starts_with(source)) {
                        return Err(refused(
                            "a layer below the changes lies in the container's own directory; \
                             make a whole copy (berth copy)",
                        ));
                    }
                    Root::Changes {
                        changes: upper.clone(),
                        lower: lower.clone(),
                    }
                }
            };
            Ok((root, parts))
        }
        RootSource::Directory(path) | RootSource::Any(path) if is_dir(path) => {
            let root = as_directory(path);
            let parts = match &root {
                Root::InPlace { .. } => Vec::new(),
                _ => [first(path), Some(ROOTFS.into())]
                    .into_iter()
                    .flatten()
                    .collect(),
            };
            Ok((root, parts))
        }
        RootSource::Directory(path) => Err(refused(&format!(
            "there is no directory {}",
            path.display()
        ))),
        RootSource::Image(_) | RootSource::Any(_) if how == How::Overlay => Err(refused(
            "an overlay needs a directory below it, and this is an image; make a whole copy \
             (berth copy without --snapshot)",
        )),
        RootSource::Image(path) | RootSource::Any(path)
            if path.is_file() && path.starts_with(source) =>
        {
            let inside = path.strip_prefix(source).unwrap_or(path).to_owned();
            let root = Root::InPlace {
                inside,
                is_dir: false,
            };
            Ok((root, Vec::new()))
        }
        RootSource::Image(path) | RootSource::Any(path) | RootSource::Device(path) => {
            Err(refused(&format!(
                "{} lies outside of the container's directory and is no directory; copy it \
                 yourself, and the container's configuration with it",
                path.display()
            )))
        }
    }
}
