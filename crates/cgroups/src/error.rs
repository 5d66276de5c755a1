//! What can go wrong with a cgroup, with the operation and the path.

use std::fmt;
use std::io;
use std::path::PathBuf;

use berth_kernel::Plain;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed, on what, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No cgroup v2 hierarchy is mounted.
    NoHierarchy,
    /// The process is in no cgroup v2 (`/proc/PID/cgroup` has no line `0::`).
    NoMembership {
        /// The process as its `/proc` directory is named.
        process: String,
    },
    /// The process's cgroup was removed under it.
    Removed {
        /// What it was.
        path: PathBuf,
    },
    /// The path does not name a cgroup of this hierarchy: it is not absolute, or it leads
    /// outside the caller's cgroup namespace.
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// The directory is not on a cgroup hierarchy of the version that was expected.
    NotCgroup {
        /// The directory.
        path: PathBuf,
        /// 1 or 2.
        version: u8,
    },
    /// A cgroup that must be root's, or the user's, belongs to somebody else.
    ForeignOwner {
        /// The cgroup.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// A cgroup cannot be used as it is set up.
    Unusable {
        /// The cgroup.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A pid that is not positive. Zero would mean the writer itself.
    BadPid {
        /// The number given.
        pid: i32,
    },
    /// The setting's name or value is not of the form that cgroup v2 has.
    BadSetting {
        /// The name given.
        file: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The kernel did not take a setting.
    Setting {
        /// The control file.
        file: String,
        /// The value written.
        value: String,
        /// The cgroup.
        path: PathBuf,
        /// The controllers that reach this cgroup, blank-separated.
        controllers: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Processes sit directly in a cgroup that is to hold cgroups only: nobody moved them, new
    /// ones kept appearing, or the caller's time was over before all were moved.
    NotDrained {
        /// The cgroup that still holds processes itself.
        path: PathBuf,
    },
    /// The caller's time was over before all was done.
    OutOfTime {
        /// The cgroup in hand.
        path: PathBuf,
    },
    /// A cgroup where root's is expected, or the user's own, is somebody's whose word does not
    /// count there.
    Foreign {
        /// The cgroup.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// A tree is deeper or larger than anything Berth makes.
    TooLarge {
        /// The tree's top.
        path: PathBuf,
    },
    /// A control file says something that this program does not understand.
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// A system call failed.
    Io {
        /// What was being done, as in "cannot OPERATION PATH".
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.into(),
            source,
        }
    }

    /// The kernel's error number, if it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } | Self::Setting { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the cgroup or file does not exist (any more). The kernel answers `ENODEV` for an
    /// open file of a removed cgroup.
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV))
            || matches!(self, Self::Removed { .. })
    }

    /// Whether permission was the reason.
    pub fn is_permission_denied(&self) -> bool {
        matches!(self.errno(), Some(libc::EACCES | libc::EPERM))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHierarchy => f.write_str(
                "no cgroup v2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup, or boot \
                 with systemd.unified_cgroup_hierarchy=1)",
            ),
            Self::NoMembership { process } => {
                write!(f, "process {process} is in no cgroup of version 2")
            }
            Self::Removed { path } => {
                write!(f, "the cgroup {} was removed while in use", path.display())
            }
            Self::BadPath { path } => write!(
                f,
                "{} is no cgroup's path here: it is not absolute or leads outside this cgroup \
                 namespace",
                path.display()
            ),
            Self::NotCgroup { path, version } => {
                write!(f, "{} does not lie on cgroup v{version}", path.display())
            }
            Self::ForeignOwner { path, uid } => write!(
                f,
                "{} belongs to uid {uid}, whose it should not be: it is left alone (remove it, \
                 or give it to root)",
                path.display()
            ),
            Self::Unusable { path, why } => {
                write!(f, "{} cannot be used: {why}", path.display())
            }
            Self::BadPid { pid } => write!(f, "{pid} is no process id"),
            Self::BadSetting { file, why } => {
                write!(
                    f,
                    "“{}” is no cgroup v2 setting: {why}",
                    file.escape_default()
                )
            }
            Self::Setting {
                file,
                value,
                path,
                controllers,
                source,
            } => {
                write!(
                    f,
                    "cannot set {file} to “{}” in {}: {}",
                    value.escape_default(),
                    path.display(),
                    Plain(source)
                )?;
                let controller = file.split('.').next().unwrap_or(file);
                let reaches = controllers.split(' ').any(|name| name == controller);
                if !reaches && controller != "cgroup" {
                    let have = if controllers.is_empty() {
                        "none"
                    } else {
                        controllers
                    };
                    write!(
                        f,
                        "; the controller {controller} does not reach this cgroup, only these do: \
                         {have} (an administrator can add it to Delegate= of the unit above, if \
                         cgroup v1 does not have it)"
                    )?;
                }
                Ok(())
            }
            Self::NotDrained { path } => write!(
                f,
                "processes still sit directly in {}, not in a cgroup below it",
                path.display()
            ),
            Self::OutOfTime { path } => {
                write!(f, "there was no time left for {}", path.display())
            }
            Self::Foreign { path, uid } => write!(
                f,
                "{} was made by uid {uid} and is in use (an administrator can end what runs there \
                 and remove it)",
                path.display()
            ),
            Self::TooLarge { path } => {
                write!(
                    f,
                    "the tree of cgroups below {} is too deep or too large",
                    path.display()
                )
            }
            Self::Unreadable { path } => {
                write!(f, "the content of {} is not understood", path.display())
            }
            Self::Io {
                operation,
                path,
                source,
            } => {
                write!(
                    f,
                    "cannot {operation} {}: {}",
                    path.display(),
                    Plain(source)
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Setting { source, .. } => Some(source),
            _ => None,
        }
    }
}
