//! `lxc.mount.auto`

use super::absolute_path;
use crate::error::printable;
use crate::key::Refusal;
use std::path::PathBuf;

/// How `/proc` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcMode {
    /// `/proc/sys` and `/proc/sysrq-trigger` read-only, `/proc/sys/net` writable.
    Mixed,
    /// Writable as far as the kernel lets.
    Rw,
}

/// How `/sys` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysMode {
    /// Read-only but for `/sys/devices/virtual/net`.
    Mixed,
    /// Read-only.
    Ro,
    /// Writable as far as the kernel lets.
    Rw,
}

/// How `/sys/fs/cgroup` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMountMode {
    /// `cgroup` alone: writable if the container has CAP_SYS_ADMIN, else mixed.
    Default,
    /// The container's own group writable.
    Mixed,
    /// Read-only.
    Ro,
    /// Writable.
    Rw,
}

/// A request for `/sys/fs/cgroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// How.
    pub mode: CgroupMountMode,
    /// `cgroup-full`: the host's whole tree. With a control group namespace there is no
    /// difference.
    pub full: bool,
    /// `:force`: by the monitor even if the container could mount it itself.
    pub force: bool,
}

/// Kernel file systems that are mounted without an entry. `None`: not mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountAuto {
    /// `/proc`
    pub proc: Option<ProcMode>,
    /// `/sys`
    pub sys: Option<SysMode>,
    /// `/sys/fs/cgroup`
    pub cgroup: Option<CgroupMount>,
    /// A directory of the host whose later mounts show inside
    pub shared: Option<SharedMounts>,
}

/// `shmounts:PATH[:INSIDE]`: what is mounted below a directory of the host while the container
/// runs shows inside too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMounts {
    /// The directory on the host.
    pub host: PathBuf,
    /// Where it is inside, relative to the root; LXC's default is `dev/.lxc-mounts`.
    pub inside: PathBuf,
}

/// Adds one line's words; a later word about the same file system wins.
pub fn mount_auto(auto: &mut MountAuto, text: &str) -> Result<(), Refusal> {
    for word in text.split_whitespace() {
        match word {
            "proc" | "proc:mixed" => auto.proc = Some(ProcMode::Mixed),
            "proc:rw" => auto.proc = Some(ProcMode::Rw),
            "sys" | "sys:mixed" => auto.sys = Some(SysMode::Mixed),
            "sys:ro" => auto.sys = Some(SysMode::Ro),
            "sys:rw" => auto.sys = Some(SysMode::Rw),
            _ if word.starts_with("shmounts") => auto.shared = Some(shared_mounts(word)?),
            _ => auto.cgroup = Some(cgroup_mount(word)?),
        }
    }
    Ok(())
}

fn shared_mounts(word: &str) -> Result<SharedMounts, Refusal> {
    let refuse = || {
        Refusal::Other(format!(
            "expected shmounts:/path or shmounts:/path:/inside with absolute paths without “..”, \
             found “{}”",
            printable(word)
        ))
    };
    let paths = word.strip_prefix("shmounts:").ok_or_else(refuse)?;
    let (host, inside) = paths.split_once(':').unwrap_or((paths, "/dev/.lxc-mounts"));
    let host = absolute_path(host).map_err(|_| refuse())?;
    let inside = absolute_path(inside).map_err(|_| refuse())?;
    match inside.strip_prefix("/") {
        Ok(below) if !below.as_os_str().is_empty() => Ok(SharedMounts {
            host,
            inside: below.to_owned(),
        }),
        _ => Err(refuse()),
    }
}

fn cgroup_mount(word: &str) -> Result<CgroupMount, Refusal> {
    let refuse = || {
        Refusal::Other(format!(
            "expected words like proc:mixed, proc:rw, sys:ro, sys:rw, cgroup, cgroup:mixed, \
             cgroup:rw:force, shmounts:/path, found “{}”",
            printable(word)
        ))
    };
    let mut parts = word.split(':');
    let full = match parts.next() {
        Some("cgroup" | "cgroup2") => false,
        Some("cgroup-full") => true,
        _ => return Err(refuse()),
    };
    let mut mount = CgroupMount {
        mode: CgroupMountMode::Default,
        full,
        force: false,
    };
    for part in parts {
        match part {
            _ if mount.force => return Err(refuse()),
            "force" => mount.force = true,
            _ if mount.mode != CgroupMountMode::Default => return Err(refuse()),
            "mixed" => mount.mode = CgroupMountMode::Mixed,
            "ro" => mount.mode = CgroupMountMode::Ro,
            "rw" => mount.mode = CgroupMountMode::Rw,
            _ => return Err(refuse()),
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_mounts() {
        let mut auto = MountAuto::default();
        mount_auto(&mut auto, "proc sys:ro cgroup").unwrap();
        mount_auto(&mut auto, "sys:rw cgroup-full:rw:force").unwrap();
        assert_eq!(auto.proc, Some(ProcMode::Mixed));
        assert_eq!(auto.sys, Some(SysMode::Rw));
        let cgroup = CgroupMount {
            mode: CgroupMountMode::Rw,
            full: true,
            force: true,
        };
        assert_eq!(auto.cgroup, Some(cgroup));
        mount_auto(&mut auto, "shmounts:/srv/a").unwrap();
        let mut shared = SharedMounts {
            host: "/srv/a".into(),
            inside: "dev/.lxc-mounts".into(),
        };
        assert_eq!(auto.shared, Some(shared.clone()));
        mount_auto(&mut auto, "shmounts:/srv/a:/mnt").unwrap();
        shared.inside = "mnt".into();
        assert_eq!(auto.shared, Some(shared));
        for wrong in [
            "proc:ro",
            "sys:none",
            "cgroup:force:rw",
            "cgroup:rw:ro",
            "dev",
            "shmounts",
            "shmounts:a",
            "shmounts:/a:b",
            "shmounts:/a:/",
            "shmounts:/a:/b/../c",
        ] {
            assert!(mount_auto(&mut auto, wrong).is_err(), "{wrong}");
        }
    }
}
