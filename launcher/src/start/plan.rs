//! What a start is going to do, decided and checked before anything is made.

mod cgroup;
mod console;
mod init;
mod log;
mod namespaces;
mod net;
mod root;

pub use init::{InitPlan, LimitPlan, SettingPlan};

use std::ffi::CString;
use std::path::PathBuf;

use berth_cgroups::LimitSetting;
use berth_cgroups::devices::DeviceFilter;
use berth_common::ContainerName;
use berth_container_config::berth_toml::Settings;
use berth_container_config::{IdKind, IdMapping, Personality};
use berth_kernel::mount::{Attributes, Propagation};
use berth_kernel::ns::Kind;
use nix::sched::CloneFlags;

use crate::hook::Hooks;

use super::confinement::Confinement;
pub use cgroup::{ApartPlan, CgroupPlaces, CgroupPlan, CgroupWay};
pub use console::{ConsolePlan, LogFilePlan, PeerPlan};
pub use log::LogPlan;
pub use namespaces::{NamespacesPlan, SharedPlan, Source};
pub use net::{LinkPlan, NetPlan, Scripts, StackedPlan, VethPlan, Way};
pub use root::{FusePlan, IdmapFrom, ImagePlan, RootPlan, RootSource};

/// A file or directory to be made where a mount's target is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Nothing.
    No,
    /// A directory and those above it.
    Directory,
    /// An empty file and the directories above it.
    File,
}

/// What a mount entry shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host.
    Bind {
        /// Which, resolved as the owner.
        path: PathBuf,
        /// Whether with what is mounted below it.
        recursive: bool,
    },
    /// A file or directory of the container itself (`relative`).
    BindWithin {
        /// Which, resolved inside.
        path: PathBuf,
        /// Whether with what is mounted below it.
        recursive: bool,
    },
    /// A new file system.
    New {
        /// Its type.
        kind: CString,
        /// What the first field of the entry says.
        source: CString,
        /// Options of the file system.
        options: Vec<(CString, Option<CString>)>,
    },
}

/// One `lxc.mount.entry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPlan {
    /// File and line, for errors.
    pub at: String,
    /// What is mounted.
    pub source: MountSource,
    /// Where, relative to the container's root.
    pub target: PathBuf,
    /// Read-only, no set-uid and so on.
    pub attributes: Attributes,
    /// How it propagates, and whether all below does; `None`: it stays private.
    pub propagation: Option<(Propagation, bool)>,
    /// Whose ids its files get; only root's containers have one.
    pub idmap: Option<IdmapFrom>,
    /// Whether a failure is passed over.
    pub optional: bool,
    /// What to make where the target is missing.
    pub create: Create,
}

/// How `/proc` or `/sys` is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoMount {
    /// Not at all.
    #[default]
    No,
    /// With the parts that reach beyond the container read-only.
    Mixed,
    /// Read-only.
    ReadOnly,
    /// As the kernel allows.
    ReadWrite,
}

/// Time namespaces (linux/sched.h, 5.6).
pub const CLONE_NEWTIME: i32 = 0x80;

/// Everything a start needs.
#[derive(Clone, Debug)]
pub struct StartPlan {
    /// The container.
    pub name: ContainerName,
    /// The directory that holds all containers, as the NIC helper is told.
    pub lxcpath: PathBuf,
    /// Its root file system.
    pub root: RootPlan,
    /// Where that is mounted until it becomes the root: the root directory itself unless
    /// `lxc.rootfs.mount` or the kind of file system says otherwise.
    pub rootfs: PathBuf,
    /// Whose its ids are; empty for a container of root's that shares the host's.
    pub idmap: Vec<IdMapping>,
    /// Its host name.
    pub hostname: CString,
    /// Init's path and arguments.
    pub init: Vec<CString>,
    /// File, line and key that name it; the key alone where nothing does.
    pub init_at: String,
    /// Init's working directory.
    pub cwd: PathBuf,
    /// The owner's programs at certain points of its life.
    pub hooks: Hooks,
    /// What init and commands run with.
    pub process: InitPlan,
    /// Init's environment.
    pub environment: Vec<CString>,
    /// Its interfaces.
    pub nets: Vec<NetPlan>,
    /// Which of its namespaces are not its own.
    pub namespaces: NamespacesPlan,
    /// Whether it shares the host's network instead.
    pub host_network: bool,
    /// Where its cgroups are made.
    pub cgroup: CgroupPlan,
    /// Limits on its cgroup.
    pub limits: Vec<CgroupLimit>,
    /// What it may do with devices; `None`: what its processes' rights are.
    pub devices: Option<DeviceFilter>,
    /// Its mounts.
    pub mounts: Vec<MountPlan>,
    /// How `/proc` is mounted.
    pub proc: AutoMount,
    /// How `/sys` is mounted.
    pub sys: AutoMount,
    /// How its cgroup is mounted.
    pub cgroup_mount: AutoMount,
    /// Whether `/dev` is a private one.
    pub autodev: bool,
    /// The most that it takes, in bytes.
    pub autodev_size: u32,
    /// Its console.
    pub console: ConsolePlan,
    /// How many terminals its devpts gives.
    pub pty_max: u32,
    /// How many `/dev/ttyN` it has.
    pub tty_max: u32,
    /// The directory below `/dev` in which the files of console and `ttyN` stand; links lead
    /// there.
    pub tty_dir: Option<PathBuf>,
    /// Whether its programs see a 32-bit machine.
    pub personality: Option<Personality>,
    /// What its programs are confined by.
    pub confinement: Confinement,
    /// The signal that asks init to stop; `None`: chosen by what init waits for.
    pub halt_signal: Option<i32>,
    /// The signal that asks init to reboot.
    pub reboot_signal: i32,
    /// The signal that ends init by force; after another one than SIGKILL it has a moment.
    pub kill_signal: i32,
    /// The signal that init gets when its monitor dies; 0 for none.
    pub pdeath_signal: i32,
    /// What the owner should know although it is no reason not to start.
    pub warnings: Vec<String>,
    /// Whether it is destroyed when it has stopped.
    pub ephemeral: bool,
    /// Whether its monitor has mounts of its own.
    pub monitor_unshare: bool,
    /// Where the monitor writes down what happened.
    pub log: LogPlan,
    /// What stands beside its configuration.
    pub settings: Settings,
    /// The abstract name of the socket at which init says that it is ready.
    pub notify: Option<String>,
}

impl StartPlan {
    /// The namespaces that the container's first process is born with.
    pub fn birth_namespaces(&self) -> CloneFlags {
        let mut namespaces = CloneFlags::CLONE_NEWPID;
        namespaces.set(CloneFlags::CLONE_NEWUSER, !self.idmap.is_empty());
        namespaces - self.namespaces.of_others()
    }

    /// Those that it makes itself; they belong to its user namespace.
    pub fn own_namespaces(&self) -> CloneFlags {
        let mut namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        namespaces |= CloneFlags::CLONE_NEWNET;
        let time = CloneFlags::from_bits_retain(CLONE_NEWTIME);
        namespaces.set(time, self.process.clock_offsets.is_some());
        namespaces - self.namespaces.not_own()
    }

    /// All that a process must enter to be where init is.
    pub fn entered_namespaces(&self) -> CloneFlags {
        self.birth_namespaces() | self.own_namespaces() | self.namespaces.of_others()
    }

    /// Whether it is in another's namespace of this kind.
    pub fn shares(&self, kind: Kind) -> bool {
        self.namespaces.of_others().contains(kind.clone_flag())
    }

    /// Whether this kind is the container's own.
    pub fn owns(&self, kind: Kind) -> bool {
        self.own_namespaces().contains(kind.clone_flag())
    }

    /// Whether group `gid` exists inside.
    pub fn has_group(&self, gid: u32) -> bool {
        self.has_id(IdKind::Group, gid)
    }

    /// Whether the user or group `id` exists inside.
    pub fn has_id(&self, kind: IdKind, id: u32) -> bool {
        let mut same = self.idmap.iter().filter(|mapping| mapping.kind == kind);
        self.idmap.is_empty() || same.any(|mapping| mapping.covers_inside(id))
    }
}

/// A limit on the container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupLimit {
    /// File, line and key, for errors.
    pub at: String,
    /// The file of the cgroup and its value.
    pub setting: LimitSetting,
}
