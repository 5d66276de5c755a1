//! What an installation consists of, before anything is written.

use super::init::Init;
use super::manifest::{Activate, Manifest, Places, matches};
use crate::hash::Hash;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Every directory and file with its content.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they are made.
    pub items: Vec<Item>,
    /// Commands for the host.
    pub activate: Vec<Activate>,
}

/// One directory or file.
#[derive(Debug)]
pub struct Item {
    /// Absolute path on the host.
    pub to: String,
    /// Mode bits.
    pub mode: u32,
    /// User and group id.
    pub owner: (u32, u32),
    /// The same, by name.
    pub owner_name: String,
    /// The init system that it is for, if for one.
    pub init: Option<Init>,
    /// What it is.
    pub kind: Kind,
}

/// What an [`Item`] is.
#[derive(Debug)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with this content.
    File {
        /// All of it.
        content: Vec<u8>,
        /// Whether one that is there already stays.
        config: bool,
        /// The first systemd that bears it.
        systemd: Option<u32>,
    },
}

impl Kind {
    /// The same as one that an upgrade replaces.
    pub fn unconfigured(self) -> Self {
        match self {
            Self::File {
                content, systemd, ..
            } => Self::File {
                content,
                config: false,
                systemd,
            },
            Self::Directory => Self::Directory,
        }
    }
}

impl Plan {
    /// From the manifest, with programs that have been built for `profile`.
    pub fn new(
        workspace: &Workspace,
        manifest: &Manifest,
        places: &Places,
        profile: &str,
    ) -> Result<Self> {
        let mut items = Vec::new();
        for directory in &manifest.directory {
            let (mode, owner) = (directory.access.bits()?, directory.access.ids()?);
            let to = places.fill(&directory.to)?;
            items.push(Item {
                to,
                mode,
                owner,
                owner_name: directory.access.owner.clone(),
                init: None,
                kind: Kind::Directory,
            });
        }
        let build = workspace.target.join(profile_dir(profile));
        for program in &manifest.program {
            let path = build.join(&program.file);
            let content = fs::read(&path).with_context(|| {
                format!(
                    "packaging/manifest.toml: {}: no {}",
                    program.package,
                    path.display()
                )
            })?;
            items.push(Item {
                to: places.fill(&program.to)?,
                mode: program.access.bits()?,
                owner: program.access.ids()?,
                owner_name: program.access.owner.clone(),
                init: None,
                kind: Kind::File {
                    content,
                    config: false,
                    systemd: None,
                },
            });
        }
        for file in &manifest.file {
            for path in matches(&workspace.root, &file.from)? {
                items.push(Item {
                    to: target_of(&places.fill(&file.to)?, &path),
                    mode: file.access.bits()?,
                    owner: file.access.ids()?,
                    owner_name: file.access.owner.clone(),
                    init: file.init,
                    kind: Kind::File {
                        content: filled(places, &path)?,
                        config: file.config,
                        systemd: file.systemd,
                    },
                });
            }
        }
        Ok(Self {
            items,
            activate: manifest.activate.clone(),
        })
    }

    /// Tells installations apart that differ in whatever way.
    pub fn hash(&self) -> String {
        let mut hash = Hash::new();
        for item in &self.items {
            hash.add(&item.to)
                .add(format!("{:o} {:?} {:?}", item.mode, item.owner, item.init));
            if let Kind::File {
                content,
                config,
                systemd,
            } = &item.kind
            {
                hash.add(content)
                    .add([u8::from(*config)])
                    .add(format!("{systemd:?}"));
            }
        }
        for activate in &self.activate {
            hash.add(&activate.command).add([u8::from(activate.image)]);
            hash.add(activate.needs.as_deref().unwrap_or(""))
                .add(format!("{:?}", activate.init));
        }
        hash.finish()
    }
}

/// Cargo's directory for a profile.
fn profile_dir(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}

fn target_of(to: &str, from: &Path) -> String {
    match from.file_name() {
        Some(name) if to.ends_with('/') => format!("{to}{}", name.to_string_lossy()),
        _ => to.to_owned(),
    }
}

/// A text file has its words filled in; anything else is taken as it is.
fn filled(places: &Places, path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    match String::from_utf8(bytes) {
        Ok(text) => {
            let text = places
                .fill(&text)
                .with_context(|| format!("in {}", path.display()))?;
            Ok(text.into_bytes())
        }
        Err(error) => Ok(error.into_bytes()),
    }
}
