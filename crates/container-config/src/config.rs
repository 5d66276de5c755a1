//! What a configuration says.

mod console;
mod files;
mod hooks;
mod net;
mod process;
mod running;
mod security;

pub use hooks::Hooks;
pub use net::{Ipv4Settings, Ipv6Settings, Ipvlan, Net, VethSettings};
pub use process::Process;
pub use running::Running;

use crate::position::Positioned;
use crate::value::{
    Arch, Capability, CgroupSetting, DeviceRule, EnvironmentEntry, IdMapping, LogLevel, MountAuto,
    MountEntry, Signal,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use console::Console;
pub use files::Rootfs;
pub use security::{AppArmorSettings, SeLinuxSettings, SeccompSettings, Security};

/// A container's configuration. A field that no line sets holds `None`, an empty list or the
/// default that its comment names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `lxc.arch`
    pub arch: Option<Positioned<Arch>>,
    /// `lxc.uts.name`
    pub uts_name: Option<Positioned<String>>,
    /// `lxc.rootfs.…`
    pub rootfs: Rootfs,
    /// `lxc.idmap`, free of overlaps; if there is one, the container's root is mapped
    pub idmap: Vec<Positioned<IdMapping>>,
    /// `lxc.net.N.…` by N
    pub nets: BTreeMap<u32, Net>,
    /// `lxc.cgroup2.…`, in the order in which they are to be written
    pub cgroup: Vec<Positioned<CgroupSetting>>,
    /// `lxc.cgroup2.devices.…`, in the order in which they were written; a later one wins
    pub devices: Vec<Positioned<DeviceRule>>,
    /// `lxc.mount.entry`, in the order in which they are to be mounted
    pub mounts: Vec<Positioned<MountEntry>>,
    /// `lxc.mount.fstab`: a file of mounts, which come before those of `mounts`
    pub fstab: Option<Positioned<PathBuf>>,
    /// `lxc.mount.auto`
    pub mount_auto: MountAuto,
    /// `lxc.init.cmd`: an absolute path and its arguments
    pub init_cmd: Option<Positioned<Vec<String>>>,
    /// `lxc.init.cwd`
    pub init_cwd: Option<Positioned<PathBuf>>,
    /// `lxc.environment`; a later line of the same name wins
    pub environment: Vec<Positioned<EnvironmentEntry>>,
    /// `lxc.hook.…`
    pub hooks: Hooks,
    /// How the container is looked after
    pub running: Running,
    /// What else init is given and runs in
    pub process: Process,
    /// `lxc.signal.…`
    pub signals: Signals,
    /// `lxc.start.…`
    pub start: Start,
    /// `lxc.group`
    pub groups: Vec<Positioned<String>>,
    /// `lxc.cap.drop`; `None`: no line, not even an empty one, says what to drop
    pub cap_drop: Option<Vec<Positioned<Capability>>>,
    /// `lxc.cap.keep`; `Some` of nothing: keep none. Never together with `cap_drop`.
    pub cap_keep: Option<Vec<Positioned<Capability>>>,
    /// `lxc.tty.max`, 0 by default
    pub tty_max: Option<Positioned<u32>>,
    /// `lxc.tty.dir`, below `/dev`
    pub tty_dir: Option<Positioned<PathBuf>>,
    /// `lxc.pty.max`, 1024 by default
    pub pty_max: Option<Positioned<u32>>,
    /// `lxc.autodev`, true by default
    pub autodev: Option<Positioned<bool>>,
    /// `lxc.autodev.tmpfs.size`: the most that /dev takes, in bytes; 500000 by default
    pub autodev_size: Option<Positioned<u32>>,
    /// `lxc.console.…`
    pub console: Console,
    /// `lxc.apparmor.…`, `lxc.selinux.…`, `lxc.keyring.…`, `lxc.seccomp.…`
    pub security: Security,
    /// `lxc.monitor.signal.pdeath`; the outer `None`: SIGKILL; the inner `None` (written 0): init
    /// outlives its monitor
    pub monitor_pdeath: Option<Positioned<Option<Signal>>>,
    /// `lxc.no_new_privs`, false by default
    pub no_new_privs: Option<Positioned<bool>>,
    /// `lxc.log.level`
    pub log_level: Option<Positioned<LogLevel>>,
    /// `lxc.log.file`
    pub log_file: Option<Positioned<PathBuf>>,
}

impl Config {
    /// What the absolute target of a mount may begin with: the root's path, where it is mounted,
    /// and the directory `rootfs` beside the configuration, which is in `dir`.
    pub fn root_names(&self, dir: &Path) -> Vec<PathBuf> {
        let named = self.rootfs.path.iter().map(|path| path.path().to_owned());
        let mounted = self.rootfs.mount.iter().map(|path| path.value.clone());
        named.chain(mounted).chain([dir.join("rootfs")]).collect()
    }

    /// Whether `lxc.start.auto` asks for a start at boot.
    pub fn starts_at_boot(&self) -> bool {
        self.start.auto.as_ref().is_some_and(|auto| auto.value)
    }
}

/// The signals that ask init for something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// `lxc.signal.halt`, SIGPWR by default
    pub halt: Option<Positioned<Signal>>,
    /// `lxc.signal.reboot`, SIGINT by default
    pub reboot: Option<Positioned<Signal>>,
    /// `lxc.signal.stop`, SIGKILL by default
    pub stop: Option<Positioned<Signal>>,
}

/// When a container is started by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// `lxc.start.auto`, false by default
    pub auto: Option<Positioned<bool>>,
    /// `lxc.start.delay`: seconds to wait after this one's start, 0 by default
    pub delay: Option<Positioned<u32>>,
    /// `lxc.start.order`: smaller first, 0 by default
    pub order: Option<Positioned<i32>>,
}
