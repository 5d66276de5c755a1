//! Which init system is in the tree that is installed into, and what is for which.

use super::plan::{Item, Plan};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// An init system.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// systemd
    Systemd,
    /// upstart
    Upstart,
    /// sysvinit, with its own scripts
    Sysv,
    /// OpenRC, under whichever process 1
    Openrc,
}

impl Init {
    /// As the manifest and directories name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Upstart => "upstart",
            Self::Sysv => "sysv",
            Self::Openrc => "openrc",
        }
    }

    /// The one of the tree at `root`, which may be the running host; `None` if it cannot be told.
    pub fn of(root: &Path) -> Option<Self> {
        let here = fs::canonicalize(root).is_ok_and(|path| path == Path::new("/"));
        if here && Path::new("/run/systemd/system").is_dir() {
            return Some(Self::Systemd);
        }
        let program = |name: &str| {
            let dirs = ["sbin", "usr/sbin", "usr/bin"];
            dirs.iter()
                .any(|dir| root.join(dir).join(name).symlink_metadata().is_ok())
        };
        let first = ["sbin/init", "usr/sbin/init"]
            .iter()
            .find_map(|path| fs::read_link(root.join(path)).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .unwrap_or_default();
        // Debian has programs of several side by side: what /sbin/init is, counts first.
        if first.contains("systemd") && !here {
            return Some(Self::Systemd);
        }
        if root.join("etc/init").is_dir() && program("initctl") {
            return Some(Self::Upstart);
        }
        if program("openrc-run") {
            return Some(Self::Openrc);
        }
        root.join("etc/inittab").exists().then_some(Self::Sysv)
    }
}

impl Plan {
    /// Leaves out what is for other init systems than this.
    pub fn settle(mut self, init: Option<Init>) -> Self {
        let fits = |wanted: Option<Init>| wanted.is_none() || wanted == init;
        self.items.retain(|item| fits(item.init));
        self.activate.retain(|activate| fits(activate.init));
        self
    }

    /// For a package, which does not know where it will be: what is for one init system lies below
    /// `share`, in a directory of that one's name, where an administrator takes it from.
    pub fn shelve(mut self, share: &str) -> Self {
        let shelve = |item: Item| match item.init {
            Some(init) => Item {
                to: format!("{share}/init/{}{}", init.name(), item.to),
                kind: item.kind.unconfigured(),
                ..item
            },
            None => item,
        };
        self.items = self.items.into_iter().map(shelve).collect();
        self.activate.retain(|activate| activate.init.is_none());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_trees_init_is_told_by_what_is_in_it() {
        let scratch = Scratch::new("install-init");
        let tree = &scratch.0;
        assert_eq!(Init::of(tree), None);
        for dir in ["etc/init", "sbin", "usr/sbin"] {
            fs::create_dir_all(tree.join(dir)).unwrap();
        }
        fs::write(tree.join("etc/inittab"), "").unwrap();
        assert_eq!(Init::of(tree), Some(Init::Sysv));
        fs::write(tree.join("usr/sbin/openrc-run"), "").unwrap();
        assert_eq!(Init::of(tree), Some(Init::Openrc));
        fs::write(tree.join("sbin/initctl"), "").unwrap();
        assert_eq!(Init::of(tree), Some(Init::Upstart));
        std::os::unix::fs::symlink("../lib/systemd/systemd", tree.join("sbin/init")).unwrap();
        assert_eq!(Init::of(tree), Some(Init::Systemd));
    }
}
