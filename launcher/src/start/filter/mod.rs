//! The filter of system calls that `lxc.seccomp.profile` asks for.
//!
//! Compiling a policy takes milliseconds and a library, so `berth-seccomp` does it, once: what it
//! answered is kept ([`cache`]), and a start costs two small files that are read.

mod cache;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use berth_common::path;
use berth_container_config::value::UnixAddress;
use berth_container_config::{DiskLoader, Loader, Positioned, SeccompSettings, seccomp, text};
use berth_kernel::seccomp::{Program, is_filtered};
use berth_kernel::user::User;

use crate::error::{Error, Plain, Result};
use cache::Cache;

/// The longest policy, in bytes.
const LONGEST: u64 = berth_container_config::MAX_FILE;
/// More than any program and the names beside it, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

/// The filter, and what its owner should know about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The program; `None`: no filter.
    pub program: Option<Program>,
    /// Who decides about system calls that wait under it.
    pub supervisor: Option<Proxy>,
    /// Sentences for the log.
    pub notes: Vec<String>,
}

/// A supervisor of system calls, as LXC's users have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// FILE:LINE: key, for messages.
    pub at: String,
    /// Where it listens.
    pub address: UnixAddress,
    /// What it is told beside each system call.
    pub cookie: String,
}

impl Proxy {
    fn of(settings: &SeccompSettings) -> Option<Self> {
        let proxy = settings.notify_proxy.as_ref()?;
        let cookie = settings.notify_cookie.as_ref();
        Some(Self {
            at: format!("{}: lxc.seccomp.notify.proxy", proxy.at),
            address: proxy.value.clone(),
            cookie: cookie
                .map(|cookie| cookie.value.clone())
                .unwrap_or_default(),
        })
    }
}

/// The filter of a container that `owner` starts, or why there can be none.
pub fn filter(settings: &SeccompSettings, owner: &User) -> Result<Filter> {
    let Some(given) = &settings.profile else {
        return Ok(Filter::default());
    };
    if let Some(nesting) = &settings.allow_nesting
        && !nesting.value
        && is_filtered()
    {
        let note = format!(
            "{}: lxc.seccomp.allow_nesting = 0, and the start is under a filter itself: the \
             container keeps that one",
            nesting.at
        );
        return Ok(Filter {
            notes: vec![note],
            ..Filter::default()
        });
    }
    let policy = Policy::read(given)?;
    let compiler = Compiler::find();
    let cache = Cache::of(owner);
    let key = policy.key(&compiler);
    let proxy = Proxy::of(settings);
    if let Some(program) = cache.as_ref().and_then(|cache| cache.get(&key)) {
        let supervisor = proxy.clone().filter(|_| program.notifies());
        if supervisor.is_some() || !program.notifies() {
            return Ok(Filter {
                program: Some(program),
                supervisor,
                notes: Vec::new(),
            });
        }
    }
    policy.check(proxy.is_some())?;
    let answer = compiler.compile(&policy)?;
    if let (Some(cache), Some(library)) = (&cache, &answer.library) {
        // Without room for it the next start takes as long as this one.
        let _ = cache.put(&key, library, &answer.program);
    }
    let notes = match answer.unknown.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "{}: not filtered, since libseccomp knows no system call of this name: {}",
            policy.path.display(),
            answer.unknown.join(", ")
        )],
    };
    Ok(Filter {
        supervisor: proxy.filter(|_| answer.program.notifies()),
        program: Some(answer.program),
        notes,
    })
}

/// A policy as it was written.
struct Policy {
    at: String,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Policy {
    fn read(given: &Positioned<PathBuf>) -> Result<Self> {
        let path = DiskLoader.resolve(&given.value);
        let at = format!("{}: lxc.seccomp.profile", given.at);
        let cannot = |why: &dyn std::fmt::Display| {
            Error::other(format!(
                "{at}: the policy {} cannot be read: {why}",
                path.display()
            ))
        };
        let mut bytes = Vec::new();
        let file = berth_kernel::fs::open_regular(&path).map_err(|error| cannot(&Plain(&error)))?;
        file.take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot(&Plain(&error)))?;
        if bytes.len() as u64 > LONGEST {
            return Err(cannot(&"it is larger than 1 MiB"));
        }
        Ok(Self { at, path, bytes })
    }

    /// What a program depends on: the policy, the kernel, and what compiled it.
    fn key(&self, compiler: &Compiler) -> Vec<u8> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut key = format!(
            "{} {} {} {}\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            kernel.trim(),
            compiler.identity
        )
        .into_bytes();
        key.extend_from_slice(&self.bytes);
        key
    }

    /// Refuses what is malformed, and what asks for a supervisor where none is, or before it can
    /// have one.
    fn check(&self, supervised: bool) -> Result<()> {
        let text = text::decode(&self.bytes);
        let policy = seccomp::parse(&self.path, &text).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error::other(told.join("\n"))
        })?;
        let refused = |line, why| {
            let path = self.path.display();
            Err(Error::other(format!("{path}:{line}: notify: {why}")))
        };
        match policy.asks_a_supervisor() {
            Some(line) if !supervised => refused(
                line,
                "the call would wait for a supervisor, and lxc.seccomp.notify.proxy names none; \
                 errno N refuses the call, allow makes it",
            ),
            _ => match policy.supervises_its_own_beginning() {
                Some(line) => refused(
                    line,
                    "sendmsg must not wait for a supervisor, since by it the supervisor is told \
                     of the container; give it a line of its own: sendmsg allow",
                ),
                None => Ok(()),
            },
        }
    }
}

/// `berth-seccomp`, and which one it is.
struct Compiler {
    path: PathBuf,
    identity: String,
}

struct Answer {
    program: Program,
    library: Option<String>,
    unknown: Vec<String>,
}

impl Compiler {
    fn find() -> Self {
        let path = std::env::var_os("BERTH_SECCOMP")
            .map_or_else(|| PathBuf::from(path::SECCOMP), PathBuf::from);
        Self {
            identity: identity(&path).unwrap_or_default(),
            path,
        }
    }

    fn compile(&self, policy: &Policy) -> Result<Answer> {
        let cannot = |why: String| {
            Error::other(format!(
                "{}: the policy {} cannot be compiled: {why}",
                policy.at,
                policy.path.display()
            ))
        };
        let run =
            |error: std::io::Error| cannot(format!("{}: {}", self.path.display(), Plain(&error)));
        let mut child = Command::new(&self.path)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(run)?;
        // It reads everything before it writes anything. What it does not read it says.
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(&policy.bytes);
        }
        let mut said = Vec::new();
        if let Some(output) = child.stdout.take() {
            output
                .take(LONGEST_ANSWER)
                .read_to_end(&mut said)
                .map_err(run)?;
        }
        let mut complaint = String::new();
        if let Some(errors) = child.stderr.take() {
            let _ = errors.take(4096).read_to_string(&mut complaint);
        }
        let ended = child.wait().map_err(run)?;
        if !ended.success() {
            let own_name = complaint.trim_end().strip_prefix("policy:");
            return Err(match own_name {
                Some(rest) => Error::other(format!("{}:{rest}", policy.path.display())),
                None => cannot(match complaint.trim_end() {
                    "" => format!("{} ended by itself: {ended}", self.path.display()),
                    why => why.to_owned(),
                }),
            });
        }
        Answer::of(&said).ok_or_else(|| cannot("the program is too long for the kernel".to_owned()))
    }
}

impl Answer {
    /// Lines, an empty one, the program.
    fn of(said: &[u8]) -> Option<Self> {
        let mut rest = said;
        let (mut library, mut unknown) = (None, Vec::new());
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            match line.split_once(' ') {
                _ if line.is_empty() => break,
                Some(("library", path)) => library = Some(path.to_owned()),
                Some(("unknown", name)) => unknown.push(name.to_owned()),
                _ => return None,
            }
        }
        Some(Self {
            program: Program::from_bytes(rest)?,
            library,
            unknown,
        })
    }
}

/// Tells a file from another one of the same name: upgrades of a package make a new one.
fn identity(path: &Path) -> Option<String> {
    let found = std::fs::metadata(path).ok()?;
    Some(format!(
        "{} {} {} {} {}",
        path.display(),
        found.size(),
        found.ino(),
        found.mtime(),
        found.mtime_nsec()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let mut said = b"library /lib/libseccomp.so.2\nunknown zap\n\n".to_vec();
        said.extend([6; 16]);
        let answer = Answer::of(&said).unwrap();
        assert_eq!(answer.library.as_deref(), Some("/lib/libseccomp.so.2"));
        assert_eq!(answer.unknown, ["zap"]);
        assert_eq!(answer.program.as_bytes(), [6; 16]);
        for wrong in [
            &b""[..],
            b"\n",
            b"\n1234567",
            b"library x\n",
            b"more y\n\n12345678",
        ] {
            assert!(Answer::of(wrong).is_none(), "{wrong:?}");
        }
    }
}
