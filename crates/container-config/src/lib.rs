//! LXC's configuration grammar: text in, values with positions out.
//!
//! [`load`] reads a container's file and whatever it includes through a caller's [`Loader`],
//! looks up each key in one [table](key::keys) and returns a [`Config`] of plain values, or every
//! problem that the files have, each with file, line and key. A key that nobody knows is one, too: a
//! container whose seccomp profile were silently ignored would be less confined than its owner
//! believes.
//!
//! The rules are those of lxc.container.conf(5) and of LXC's parser where the page is silent.
#![forbid(unsafe_code)]

pub mod berth_toml;
pub mod change;
mod check;
mod config;
pub mod disk;
pub mod edit;
mod error;
pub mod key;
pub mod line;
mod load;
pub mod migrate;
mod position;
pub mod seccomp;
mod suggest;
mod survey;
pub mod text;
pub mod value;
mod walk;

pub use config::{
    AppArmorSettings, Config, Hooks, Ipv4Settings, Ipv6Settings, Ipvlan, Net, Process, Running,
    SeLinuxSettings, SeccompSettings, Security, Signals, Start, VethSettings,
};
pub use disk::{DiskLoader, MAX_FILE};
pub use error::{LoadError, Problem, Warning};
pub use load::{Loaded, Loader, Source, load, load_text};
pub use position::{Position, Positioned};
pub use suggest::distance;
pub use survey::{Assignment, Survey, survey};
pub use value::{
    AppArmorProfile, Arch, Capability, CgroupMount, CgroupMountMode, CgroupSetting, CreateTarget,
    DeviceAccess, DeviceKind, DeviceRule, EnvironmentEntry, Gateway, HookKind, HookVersion, IdKind,
    IdMapping, Ipv4Address, Ipv6Address, LogLevel, MacTemplate, MountAuto, MountEntry,
    MountOptions, NamespaceKind, Namespaces, NetType, Personality, ProcFile, ProcMode, Propagation,
    PropagationKind, ResourceLimit, Share, ShareWith, Signal, SysMode, Sysctl, SysctlScope,
    TimeOffset,
};
