//! Limits of the calling process on resources, by name (setrlimit(2)).

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The kernel's amount for "unlimited".
pub const UNLIMITED: u64 = libc::RLIM_INFINITY;

const NAMES: [(&str, Resource); 16] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

/// A resource whose use is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited(Resource);

impl Limited {
    /// By its name in lower case, without `rlimit_`.
    pub fn by_name(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, resource)| Self(*resource))
    }

    /// Soft and hard limit.
    pub fn get(self) -> io::Result<(u64, u64)> {
        Ok(getrlimit(self.0)?)
    }

    /// Sets both. `EPERM` for a hard limit above the present one without CAP_SYS_RESOURCE.
    pub fn set(self, soft: u64, hard: u64) -> io::Result<()> {
        Ok(setrlimit(self.0, soft, hard)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_by_name() {
        let child = crate::process::fork(|| {
            let act = || -> io::Result<bool> {
                let files = Limited::by_name("nofile").ok_or(io::ErrorKind::NotFound)?;
                let (_, hard) = files.get()?;
                files.set(17, hard)?;
                Ok(files.get()? == (17, hard) && Limited::by_name("files").is_none())
            };
            u8::from(!matches!(act(), Ok(true)))
        });
        assert!(child.unwrap().pidfd.wait().unwrap().success());
    }
}
