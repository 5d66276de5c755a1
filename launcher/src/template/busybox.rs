//! The busybox template: one static program of the host under all its names, an inittab and a
//! few scripts. It boots in milliseconds, takes an address by DHCP without waiting for it, and
//! stops its services in order when it is asked to.

mod elf;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_common::ContainerName;

use super::Tree;
use crate::error::{Error, Result};

/// What busybox's init understands (its manual: SIGUSR1 halts, SIGTERM reboots).
pub(super) const CONFIG: &str = "\
# Signals that busybox's init understands
lxc.signal.halt = SIGUSR1
lxc.signal.reboot = SIGTERM
";

/// Where hosts keep it.
const PLACES: [&str; 4] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/bin/busybox.static",
    "/usr/bin/busybox-static",
];
/// What the scripts below call; a busybox without one of them would boot into errors.
const NEEDED: [&str; 15] = [
    "cat", "date", "grep", "hostname", "id", "init", "ip", "kill", "mount", "mv", "pidof", "rm",
    "sh", "syslogd", "udhcpc",
];
/// Where an applet may stand.
const BIN_DIRS: [&str; 4] = ["bin", "sbin", "usr/bin", "usr/sbin"];

/// The host's busybox, found to be static and complete.
#[derive(Debug)]
pub struct Busybox {
    program: File,
    applets: BTreeSet<String>,
}

impl Busybox {
    /// Opens `wanted`, or the first static busybox of the host.
    pub fn find(wanted: Option<&Path>) -> Result<Self> {
        let candidates: Vec<PathBuf> = match wanted {
            Some(path) => vec![path.to_owned()],
            None => PLACES.iter().map(PathBuf::from).collect(),
        };
        let mut dynamic = None;
        for path in &candidates {
            let program = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && wanted.is_none() => {
                    continue;
                }
                other => other.map_err(|error| Error::file("open", path, error))?,
            };
            match elf::is_static(&program) {
                Ok(true) => {
                    let applets = applets(path)?;
                    return Ok(Self { program, applets });
                }
                Ok(false) => dynamic = Some(path),
                Err(error) => return Err(Error::file("use", path, error)),
            }
        }
        let why = match dynamic {
            Some(path) => format!(
                "{} needs the host's libraries, which a container does not have",
                path.display()
            ),
            None => "the host has no busybox".to_owned(),
        };
        Err(Error::other(format!(
            "the template busybox needs a static busybox, and {why}; an administrator installs \
             one with: apt install busybox-static"
        )))
    }

    /// Fills an empty root file system.
    pub(super) fn build(&self, tree: &Tree, name: &ContainerName) -> Result<()> {
        for (path, mode) in DIRECTORIES {
            tree.dir(path, mode)?;
        }
        tree.copy("bin/busybox", 0o755, &self.program)?;
        for applet in &self.applets {
            tree.link(applet, "/bin/busybox")?;
        }
        for (path, mode, content) in FILES {
            tree.file(path, mode, content)?;
        }
        tree.file("etc/hostname", 0o644, &format!("{name}\n"))?;
        let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n");
        tree.file("etc/hosts", 0o644, &hosts)?;
        tree.link("var/run", "/run")
    }
}

/// The applets' paths below the root, as `busybox --list-full` gives them.
fn applets(busybox: &Path) -> Result<BTreeSet<String>> {
    let ask = |option: &str| {
        let mut command = Command::new(busybox);
        let output = crate::output::run(command.arg(option).env_clear())
            .map_err(|error| Error::file("run", busybox, error))?;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ))
    };
    // `--list-full` exists only where the installer was built in.
    let list = match ask("--list-full")? {
        (true, list) if !list.is_empty() => list,
        _ => ask("--list")?.1,
    };
    let applets = parse_applets(&list);
    let has = |name: &&&str| {
        !BIN_DIRS
            .iter()
            .any(|dir| applets.contains(&format!("{dir}/{name}")))
    };
    match NEEDED.iter().find(has) {
        None => Ok(applets),
        Some(missing) => Err(Error::other(format!(
            "{} lacks “{missing}”, which the template needs (Debian's package busybox-static has \
             it)",
            busybox.display()
        ))),
    }
}

fn parse_applets(list: &str) -> BTreeSet<String> {
    let plain = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'[' | b'_' | b'-' | b'.');
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(allowed)
    };
    list.lines()
        .filter_map(|line| {
            let (dir, name) = line.rsplit_once('/').unwrap_or(("bin", line));
            let dir = if BIN_DIRS.contains(&dir) { dir } else { "bin" };
            (plain(name) && name != "busybox").then(|| format!("{dir}/{name}"))
        })
        .collect()
}

const DIRECTORIES: [(&str, u32); 24] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc/init.d", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("lib", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share/udhcpc", 0o755),
    ("usr/share", 0o755),
    ("usr", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
    ("var", 0o755),
];

const FILES: [(&str, u32, &str); 12] = [
    (
        "etc/fstab",
        0o644,
        "# Nothing to mount: the host has mounted what is needed.\n",
    ),
    ("etc/group", 0o644, include_str!("busybox/group")),
    ("etc/init.d/network", 0o755, include_str!("busybox/network")),
    ("etc/init.d/rcK", 0o755, include_str!("busybox/rcK")),
    ("etc/init.d/rcS", 0o755, include_str!("busybox/rcS")),
    ("etc/init.d/syslog", 0o755, include_str!("busybox/syslog")),
    ("etc/inittab", 0o644, include_str!("busybox/inittab")),
    ("etc/passwd", 0o644, include_str!("busybox/passwd")),
    ("etc/profile", 0o644, include_str!("busybox/profile")),
    (
        "etc/resolv.conf",
        0o644,
        "# Written when the network has an address.\n",
    ),
    (
        "etc/shadow",
        0o600,
        "root:*:0:0:99999:7:::\nnobody:*:0:0:99999:7:::\n",
    ),
    (
        "usr/share/udhcpc/default.script",
        0o755,
        include_str!("busybox/udhcpc.script"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_stay_in_their_directories() {
        let list = "bin/sh\nsbin/init\nusr/bin/[\nusr/bin/[[\nlinuxrc\nbin/busybox\n../../etc/x\n\
                    usr/bin/..\nbin/a b\n\nusr/local/bin/x\n";
        let applets: Vec<String> = parse_applets(list).into_iter().collect();
        assert_eq!(
            applets,
            [
                "bin/linuxrc",
                "bin/sh",
                "bin/x",
                "sbin/init",
                "usr/bin/[",
                "usr/bin/[["
            ]
        );
    }

    #[test]
    fn files_stand_in_directories_that_are_made() {
        for (path, _, content) in FILES {
            let (dir, _) = path.rsplit_once('/').unwrap();
            assert!(DIRECTORIES.iter().any(|(made, _)| *made == dir), "{path}");
            assert!(content.ends_with('\n'), "{path}");
        }
    }
}
