//! The machine itself.
#![forbid(unsafe_code)]

use crate::session::{Host, Layout, Person};
use berth_cgroups::legacy::Hierarchies;
use berth_cgroups::session::is_session_id;
use berth_cgroups::{CgroupPath, Error, Hierarchy, MAX_LIMITS_FILE};
use berth_common::{Uid, path};
use berth_kernel::{cred, fs};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Where elogind and logind write down their sessions, a file each.
const SESSIONS_DIR: &str = "/run/systemd/sessions";
/// There if one of both runs; libelogind looks here, too.
const SEATS_DIR: &str = "/run/systemd/seats";
/// There if systemd runs (sd_booted(3)).
const SYSTEMD_DIR: &str = "/run/systemd/system";
const GROUP_FILE: &str = "/etc/group";

/// A session's file has some twenty short lines.
const MAX_SESSION_FILE: usize = 64 * 1024;
const MAX_GROUP_FILE: usize = 1024 * 1024;
/// More files of limits are told and not read.
const MAX_LIMIT_FILES: usize = 64;

/// The machine that the module runs on.
pub(crate) struct Machine {
    begin: Instant,
}

impl Machine {
    /// Starts its clock.
    pub fn new() -> Self {
        let begin = Instant::now();
        Self { begin }
    }
}

impl Host for Machine {
    fn is_root(&self) -> bool {
        cred::effective_uid().is_root()
    }

    fn layout(&self) -> Layout {
        if Path::new(SYSTEMD_DIR).is_dir() {
            Layout::Systemd
        } else if Path::new(SEATS_DIR).is_dir() {
            Layout::Elogind
        } else {
            Layout::Own
        }
    }

    fn hierarchy(&self) -> Result<Hierarchy, Error> {
        Hierarchy::detect()
    }

    fn own_path(&self, hierarchy: &Hierarchy) -> Result<CgroupPath, Error> {
        hierarchy.path_of_self()
    }

    fn legacy_hierarchies(&self) -> Result<Hierarchies, Error> {
        Hierarchies::detect()
    }

    fn process(&self) -> i32 {
        std::process::id().try_into().unwrap_or(0)
    }

    fn session_user(&self, id: &str) -> Option<Uid> {
        if !is_session_id(id) {
            return None;
        }
        let text = read(&Path::new(SESSIONS_DIR).join(id), MAX_SESSION_FILE).ok()?;
        uid_of_session(&text)
    }

    fn limit_files(&self) -> (Vec<(String, String)>, Vec<String>) {
        limit_files(Path::new(path::LIMITS_DIR))
    }

    fn group_file(&self) -> String {
        read(Path::new(GROUP_FILE), MAX_GROUP_FILE).unwrap_or_default()
    }

    fn starts_at_boot(&self, user: &Person) -> bool {
        let plain = !user.name.is_empty() && !user.name.starts_with('.');
        plain && !user.name.contains('/') && Path::new(path::BOOT_DIR).join(&user.name).exists()
    }

    fn time(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |time| time.as_secs().try_into().unwrap_or(i64::MAX))
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }
}

fn read(path: &Path, max: usize) -> std::io::Result<String> {
    let bytes = fs::read_bounded(fs::open_regular(path)?, max)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The line `UID=` of a session's file.
fn uid_of_session(text: &str) -> Option<Uid> {
    let uid = text.lines().find_map(|line| line.strip_prefix("UID="))?;
    uid.parse().ok()
}

/// Every `*.conf` of a directory, in the order of their names.
fn limit_files(directory: &Path) -> (Vec<(String, String)>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut told = |path: &Path, error: &dyn std::fmt::Display| {
        problems.push(format!("the limits in {} ({error})", path.display()));
    };
    let fd = match fs::open_dir(directory) {
        Ok(fd) => fd,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (files, problems),
        Err(error) => {
            told(directory, &error);
            return (files, problems);
        }
    };
    use std::os::fd::AsFd;
    let mut names = match fs::first_names(fd.as_fd(), 4 * MAX_LIMIT_FILES) {
        Ok(names) => names,
        Err(error) => {
            told(directory, &error);
            return (files, problems);
        }
    };
    names.retain(|name| {
        let path = Path::new(name);
        path.extension() == Some(OsStr::new("conf")) && !name.as_encoded_bytes().starts_with(b".")
    });
    names.sort();
    if names.len() > MAX_LIMIT_FILES {
        told(directory, &format!("only {MAX_LIMIT_FILES} files are read"));
        names.truncate(MAX_LIMIT_FILES);
    }
    for name in names {
        let path = directory.join(&name);
        match read(&path, MAX_LIMITS_FILE) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => told(&path, &error),
        }
    }
    (files, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_name_their_user() {
        let text = "# This is private data. Do not parse.\nUID=1000\nUSER=alice\nACTIVE=1\n";
        assert_eq!(uid_of_session(text), Uid::new(1000));
        for bad in ["", "UID=\n", "UID=-1\n", "UID=alice\n", "XUID=1000\n"] {
            assert_eq!(uid_of_session(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn files_of_limits_are_read_in_order_and_others_told() {
        let name = format!("berth-limits-test-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        for (name, text) in [
            ("b.conf", "2"),
            ("a.conf", "1"),
            ("c.conf~", "3"),
            (".d.conf", "4"),
        ] {
            std::fs::write(directory.join(name), text).unwrap();
        }
        std::fs::create_dir(directory.join("e.conf")).unwrap();
        let (files, problems) = limit_files(&directory);
        let missing = limit_files(&directory.join("none"));
        std::fs::remove_dir_all(&directory).unwrap();
        let texts: Vec<_> = files.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["1", "2"]);
        assert!(files[0].0.ends_with("/a.conf"));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("e.conf"), "{problems:?}");
        assert_eq!(
            missing,
            (vec![], vec![]),
            "without the directory there are none"
        );
    }
}
