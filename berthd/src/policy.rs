//! Whether a user may have his lasting cgroup without a session.

use crate::config::{self, Config, StartPolicy, Who};
use crate::error::Refusal;
use berth_common::{Gid, Uid, linger, path};
use berth_kernel::fs;
use berth_kernel::user::{self, User};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// What speaks for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// He lingers.
    Lingers,
    /// He has a grant, and the administrator counts that.
    Granted,
    /// The administrator named him.
    Named,
    /// The administrator named a group of his.
    Member,
}

impl Right {
    /// For the journal.
    pub fn words(self) -> &'static str {
        match self {
            Self::Lingers => "he lingers",
            Self::Granted => "he has a grant",
            Self::Named => "berthd.toml names him",
            Self::Member => "berthd.toml names a group of his",
        }
    }
}

/// What is known of the user who asks.
pub trait Facts {
    /// His login name.
    fn name(&self) -> &str;
    /// Whether logind holds him for lingering.
    fn lingers(&self) -> bool;
    /// Whether `berth grant` gave him something.
    fn has_grant(&self) -> bool;
    /// Whether the process that asks has this group.
    fn is_in(&self, group: &str) -> Result<bool, Refusal>;
}

/// What speaks for the user; `None` if nothing does.
pub fn judge(policy: &StartPolicy, facts: &impl Facts) -> Result<Option<Right>, Refusal> {
    if *policy == StartPolicy::Never {
        return Ok(None);
    }
    if facts.lingers() {
        return Ok(Some(Right::Lingers));
    }
    match policy {
        StartPolicy::Granted if facts.has_grant() => Ok(Some(Right::Granted)),
        StartPolicy::These(list) => {
            for who in list {
                match who {
                    Who::User(name) if name == facts.name() => return Ok(Some(Right::Named)),
                    Who::Group(name) if facts.is_in(name)? => return Ok(Some(Right::Member)),
                    _ => {}
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// The configuration as it is now.
pub fn read_config() -> Result<Config, Refusal> {
    let file = Path::new(path::BERTHD_CONF);
    let read = fs::open_regular(file).and_then(|it| fs::read_bounded(it, config::MAX_SIZE));
    let text = match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
        other => other
            .and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
            })
            .map_err(|error| Refusal::Failed(format!("cannot read {}: {error}", file.display())))?,
    };
    Config::parse(&text, file).map_err(|error| {
        Refusal::Failed(format!(
            "berthd's configuration is wrong, an administrator has to mend it: {error}"
        ))
    })
}

/// The user with this id, who must be a person.
pub fn person(uid: Uid) -> Result<User, Refusal> {
    if !uid.is_person() {
        return Err(Refusal::Refused(format!(
            "user {uid} is root or a system user: there is no lasting cgroup for those"
        )));
    }
    match User::by_uid(uid) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Refusal::Refused(format!(
            "user {uid} has no entry in the user data base"
        ))),
        Err(error) => Err(Refusal::Failed(format!(
            "cannot look up user {uid}: {error}"
        ))),
    }
}

/// A user of this host.
#[derive(Debug)]
pub struct HostFacts<'a> {
    /// He himself.
    pub user: &'a User,
    /// The groups of the process that asks.
    pub groups: &'a [u32],
}

impl Facts for HostFacts<'_> {
    fn name(&self) -> &str {
        &self.user.name
    }

    fn lingers(&self) -> bool {
        linger::mark(&self.user.name)
            .is_some_and(|mark| is_roots_mark(Path::new(path::LINGER_DIR), &mark))
    }

    fn has_grant(&self) -> bool {
        is_roots_mark(Path::new(path::GRANTS_DIR), &self.user.name)
    }

    fn is_in(&self, group: &str) -> Result<bool, Refusal> {
        match user::group_by_name(group) {
            Ok(gid) => Ok(gid
                .map(Gid::raw)
                .is_some_and(|gid| self.groups.contains(&gid))),
            Err(error) => Err(Refusal::Failed(format!(
                "cannot look up the group “{group}” of {}: {error}",
                path::BERTHD_CONF
            ))),
        }
    }
}

/// Whether there is a file `name` in a directory that only root writes to. It is root's itself
/// and no link: nobody else can have put it there.
fn is_roots_mark(dir: &Path, name: &str) -> bool {
    let only_roots = |status: fs::Status| status.uid == 0 && status.permissions() & 0o022 == 0;
    let found = || -> io::Result<bool> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Ok(false);
        }
        let dir = fs::open_dir(dir)?;
        let mark = fs::status_at(dir.as_fd(), OsStr::new(name))?;
        Ok(only_roots(fs::status(dir.as_fd())?) && mark.is_file() && only_roots(mark))
    };
    found().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Alice {
        lingers: bool,
        granted: bool,
    }

    impl Facts for Alice {
        fn name(&self) -> &str {
            "alice"
        }
        fn lingers(&self) -> bool {
            self.lingers
        }
        fn has_grant(&self) -> bool {
            self.granted
        }
        fn is_in(&self, group: &str) -> Result<bool, Refusal> {
            Ok(group == "staff")
        }
    }

    #[test]
    fn each_policy_lets_in_whom_it_names() {
        let (no, yes) = (false, true);
        let these = |text: &str| {
            StartPolicy::These(vec![match text.strip_prefix('@') {
                Some(group) => Who::Group(group.into()),
                None => Who::User(text.into()),
            }])
        };
        for (policy, lingers, granted, right) in [
            (StartPolicy::Linger, no, yes, None),
            (StartPolicy::Linger, yes, no, Some(Right::Lingers)),
            (StartPolicy::Granted, no, no, None),
            (StartPolicy::Granted, no, yes, Some(Right::Granted)),
            (StartPolicy::Granted, yes, no, Some(Right::Lingers)),
            (StartPolicy::Never, yes, yes, None),
            (StartPolicy::These(Vec::new()), no, yes, None),
            (
                StartPolicy::These(Vec::new()),
                yes,
                no,
                Some(Right::Lingers),
            ),
            (these("alice"), no, no, Some(Right::Named)),
            (these("alic"), no, yes, None),
            (these("@staff"), no, no, Some(Right::Member)),
            (these("@alice"), no, no, None),
            (these("staff"), no, no, None),
        ] {
            let judged = judge(&policy, &Alice { lingers, granted });
            assert_eq!(judged, Ok(right), "{policy:?} {lingers} {granted}");
        }
    }

    /// Needs root.
    #[test]
    fn a_mark_is_roots_alone() {
        let dir = std::env::temp_dir().join(format!("berthd-marks-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        mode(&dir, 0o755);
        std::fs::write(dir.join("alice"), "").unwrap();
        mode(&dir.join("alice"), 0o644);
        std::fs::write(dir.join("theirs"), "").unwrap();
        std::os::unix::fs::chown(dir.join("theirs"), Some(1000), None).unwrap();
        std::fs::write(dir.join("open"), "").unwrap();
        mode(&dir.join("open"), 0o666);
        symlink("alice", dir.join("link")).unwrap();
        std::fs::create_dir(dir.join("dir")).unwrap();
        assert!(is_roots_mark(&dir, "alice"));
        for name in [
            "theirs", "open", "link", "dir", "none", "", ".", "..", "../x",
        ] {
            assert!(!is_roots_mark(&dir, name), "{name}");
        }
        mode(&dir, 0o777);
        assert!(!is_roots_mark(&dir, "alice"));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn root_and_system_users_are_no_persons() {
        for raw in [0, 1, 999, 65_534] {
            let refused = person(Uid::new(raw).unwrap());
            assert!(matches!(refused, Err(Refusal::Refused(_))), "{raw}");
        }
    }
}
