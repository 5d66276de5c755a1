//! Labels that the kernel's security modules are asked for: AppArmor's profiles, SELinux's
//! contexts.
//!
//! A process asks by writing to its own files below `/proc/thread-self/attr`. They are the host's
//! and opened before any path of the container is followed: a file that a container put in their
//! place would take the request and forget it (CVE-2015-1334, CVE-2019-16884).

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_kernel::fs::{self, Resolve};
use nix::fcntl::OFlag;

/// The security modules that this kernel runs and that labels can be asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modules {
    /// AppArmor
    pub apparmor: bool,
    /// SELinux
    pub selinux: bool,
}

impl Modules {
    /// Of the host.
    pub fn detect() -> Self {
        Self::below(Path::new("/sys"))
    }

    fn below(sys: &Path) -> Self {
        let enabled = std::fs::read(sys.join("module/apparmor/parameters/enabled"));
        Self {
            apparmor: enabled.is_ok_and(|text| text.starts_with(b"Y")),
            selinux: sys.join("fs/selinux/enforce").exists(),
        }
    }
}

/// A profile to be under from the next exec on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: CString,
    /// Whether a kernel that does not have it, or does not let the caller choose, is passed over.
    pub optional: bool,
    /// What asked for it, for errors.
    pub at: String,
}

/// A context, and what asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// `user:role:type:level`
    pub name: CString,
    /// For errors.
    pub at: String,
}

/// What is asked for; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// AppArmor's profile.
    pub apparmor: Option<Profile>,
    /// SELinux's context.
    pub selinux: Option<Context>,
    /// The context of key rings that are made from now on.
    pub selinux_keyring: Option<Context>,
}

const APPARMOR: [&str; 2] = [
    // Kernel 5.8; before, the file that all modules share.
    "thread-self/attr/apparmor/exec",
    "thread-self/attr/exec",
];
const SELINUX: [&str; 1] = ["thread-self/attr/exec"];
const SELINUX_KEYRING: [&str; 1] = ["thread-self/attr/keycreate"];

impl Labels {
    /// The host's `/proc`, for [`Labels::open`]; `None` if nothing is asked for.
    pub fn proc(&self) -> io::Result<Option<OwnedFd>> {
        match self == &Self::default() {
            true => Ok(None),
            false => proc_at(Path::new("/proc")).map(Some),
        }
    }

    /// Opens the files of the calling process that the requests are written to, below a `/proc`
    /// which shows it.
    pub fn open(&self, proc: BorrowedFd<'_>) -> io::Result<Requests> {
        let file = |wanted: bool, paths: &[&str]| match wanted {
            true => open_first(proc, paths).map(Some),
            false => Ok(None),
        };
        let mut apparmor = file(self.apparmor.is_some(), &APPARMOR)?;
        if self.is_for_unconfined() && is_unconfined(proc) {
            apparmor = None;
        }
        Ok(Requests {
            apparmor,
            selinux: file(self.selinux.is_some(), &SELINUX)?,
            selinux_keyring: file(self.selinux_keyring.is_some(), &SELINUX_KEYRING)?,
        })
    }

    fn is_for_unconfined(&self) -> bool {
        let profile = self.apparmor.as_ref();
        profile.is_some_and(|profile| profile.name.as_bytes() == b"unconfined")
    }
}

/// The files that requests are written to.
#[derive(Debug, Default)]
pub struct Requests {
    apparmor: Option<File>,
    selinux: Option<File>,
    selinux_keyring: Option<File>,
}

impl Requests {
    /// Asks for the context of key rings: before one is made.
    pub fn for_keyrings(&mut self, labels: &Labels) -> Result<(), String> {
        ask_for(self.selinux_keyring.take(), labels.selinux_keyring.as_ref())
    }

    /// Asks for what holds from exec on.
    pub fn for_exec(&mut self, labels: &Labels) -> Result<(), String> {
        if let (Some(mut file), Some(profile)) = (self.apparmor.take(), &labels.apparmor) {
            match file.write_all(&[b"exec ", profile.name.as_bytes()].concat()) {
                Err(_) if profile.optional => {}
                other => other.map_err(|error| no_profile(profile, &error))?,
            }
        }
        ask_for(self.selinux.take(), labels.selinux.as_ref())
    }
}

fn ask_for(file: Option<File>, context: Option<&Context>) -> Result<(), String> {
    let (Some(mut file), Some(context)) = (file, context) else {
        return Ok(());
    };
    file.write_all(context.name.as_bytes()).map_err(|error| {
        format!(
            "{}: the kernel does not give the context {}: {}",
            context.at,
            context.name.to_string_lossy(),
            crate::error::Plain(&error)
        )
    })
}

fn no_profile(profile: &Profile, error: &io::Error) -> String {
    let name = profile.name.to_string_lossy();
    let why = match error.raw_os_error() {
        Some(nix::libc::ENOENT) => {
            "the kernel has no profile of this name; apparmor_parser(8) loads profiles".to_owned()
        }
        Some(nix::libc::EACCES | nix::libc::EPERM) => {
            "the profile that the caller is under does not let it change to this one (unchanged \
             keeps it)"
                .to_owned()
        }
        _ => crate::error::Plain(error).to_string(),
    };
    format!("{}: AppArmor profile {name}: {why}", profile.at)
}

/// A directory that is really procfs: whatever else is mounted at its place takes no request.
fn proc_at(path: &Path) -> io::Result<OwnedFd> {
    let proc = fs::open_dir(path)?;
    match fs::is_proc(proc.as_fd())? {
        true => Ok(proc),
        false => Err(io::Error::other(format!("{} is no procfs", path.display()))),
    }
}

fn open_first(proc: BorrowedFd<'_>, paths: &[&str]) -> io::Result<File> {
    let mut missing = io::Error::from(io::ErrorKind::NotFound);
    for path in paths {
        // Nothing that is mounted over a part of /proc is taken for the kernel's.
        match fs::openat2(proc, Path::new(path), OFlag::O_WRONLY, 0, Resolve::NO_XDEV) {
            Ok(file) => return Ok(file.into()),
            Err(error) => missing = error,
        }
    }
    Err(missing)
}

/// Whether the calling process is under no profile.
fn is_unconfined(proc: BorrowedFd<'_>) -> bool {
    let paths = [
        "thread-self/attr/apparmor/current",
        "thread-self/attr/current",
    ];
    let current = paths.iter().find_map(|path| {
        let file = fs::openat2(proc, Path::new(path), OFlag::O_RDONLY, 0, Resolve::NO_XDEV).ok()?;
        let mut text = String::new();
        File::from(file).take(4096).read_to_string(&mut text).ok()?;
        Some(text)
    });
    current.is_some_and(|text| text.trim_end_matches(['\n', '\0']) == "unconfined")
}

#[cfg(test)]
mod tests;
