//! The disk images that a host boots from, and what is special about each.

use crate::dirs::images_dir;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// A disk image that `cargo xtask image` makes. All have users alice and bob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Debian 12 without Berth: what a test compares with or installs on.
    Stock,
    /// Debian 12 with Berth installed.
    Berth,
    /// Debian 13, with a newer systemd, and Berth.
    Trixie,
    /// Debian 12 with Berth and the tools that users have beside it: LXC, podman, crun,
    /// machinectl, at, tmux.
    Tools,
    /// Debian 12 with Berth, without systemd: sysvinit and elogind.
    Sysvinit,
    /// Debian 12 with Berth, without systemd: OpenRC and elogind.
    Openrc,
    /// Debian's testing suite with Berth: the newest systemd there is.
    Forky,
}

/// How a host mounts control groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cgroups {
    /// cgroup2 at `/sys/fs/cgroup`, with all controllers.
    #[default]
    V2,
    /// Controllers in cgroup v1 hierarchies of their own; cgroup2 without controllers at
    /// `/sys/fs/cgroup/unified`.
    Hybrid,
    /// cgroup v1 only. elogind mounts cgroup2 at `/sys/fs/cgroup/unified` all the same, for itself.
    V1,
}

/// The commands of root by which a host with this init is driven.
#[derive(Debug)]
pub(crate) struct Init {
    /// Waits for the end of the boot. What failed in it is for the test to ask.
    pub(crate) booted: &'static str,
    /// Shuts down in order and reboots.
    pub(crate) reboot: &'static str,
    /// Shuts down in order and powers off.
    pub(crate) poweroff: &'static str,
    /// The log of the current boot.
    pub(crate) journal: &'static str,
    /// The log of all boots.
    pub(crate) journal_of_all_boots: &'static str,
}

const SYSTEMD: Init = Init {
    booted: "systemctl is-system-running --wait",
    reboot: "systemctl reboot",
    poweroff: "systemctl poweroff",
    journal: "journalctl --boot --no-pager --output=short-monotonic",
    journal_of_all_boots: "journalctl --no-pager",
};

/// sysvinit's programs; xtask/image/inittab.sh has the scripts that these rely on.
const SCRIPTS: Init = Init {
    booted: "until [ -e /run/test-booted ]; do sleep 0.1; done",
    reboot: "shutdown -r now",
    poweroff: "shutdown -h -P now",
    journal: "sed -n \"/boot $(cat /proc/sys/kernel/random/boot_id)/,\\$p\" /var/log/messages",
    journal_of_all_boots: "cat /var/log/messages",
};

impl Image {
    /// Every image, in the order of their declaration.
    pub const ALL: [Self; 7] = {
        let [stock, berth, trixie, tools, sysvinit, openrc] = Self::RELEASES;
        [stock, berth, trixie, tools, sysvinit, openrc, Self::Forky]
    };

    /// Those that are made when none is named. What changes every day is made only by name.
    pub const RELEASES: [Self; 6] = [
        Self::Stock,
        Self::Berth,
        Self::Trixie,
        Self::Tools,
        Self::Sysvinit,
        Self::Openrc,
    ];

    /// The name of its directory, and for `cargo xtask image`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Berth => "berth",
            Self::Trixie => "trixie",
            Self::Tools => "tools",
            Self::Sysvinit => "sysvinit",
            Self::Openrc => "openrc",
            Self::Forky => "forky",
        }
    }

    /// Whether Berth is installed.
    pub fn has_berth(self) -> bool {
        self != Self::Stock
    }

    /// Where its files (`disk.img`, `key`) are.
    pub(crate) fn dir(self) -> Result<PathBuf> {
        let link = images_dir()?.join(self.name());
        link.canonicalize().with_context(|| {
            format!(
                "no test image {}: make it with `cargo xtask image {}`",
                link.display(),
                self.name()
            )
        })
    }

    pub(crate) fn init(self) -> &'static Init {
        match self {
            Self::Stock | Self::Berth | Self::Trixie | Self::Tools | Self::Forky => &SYSTEMD,
            Self::Sysvinit | Self::Openrc => &SCRIPTS,
        }
    }

    /// What tells the init on the kernel's command line.
    pub(crate) fn cgroup_arguments(self, cgroups: Cgroups) -> &'static [&'static str] {
        match (self, cgroups) {
            (_, Cgroups::V2) => &[],
            (Self::Stock | Self::Berth | Self::Tools, Cgroups::Hybrid) => {
                &["systemd.unified_cgroup_hierarchy=0"]
            }
            (Self::Stock | Self::Berth | Self::Tools, Cgroups::V1) => &[
                "systemd.unified_cgroup_hierarchy=0",
                "systemd.legacy_systemd_cgroup_controller=1",
            ],
            // systemd 256 and 257 want to be told twice; later ones know version 2 alone.
            (Self::Trixie | Self::Forky, Cgroups::Hybrid) => &[
                "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
                "systemd.unified_cgroup_hierarchy=0",
            ],
            (Self::Trixie | Self::Forky, Cgroups::V1) => &[
                "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
                "systemd.unified_cgroup_hierarchy=0",
                "systemd.legacy_systemd_cgroup_controller=1",
            ],
            (Self::Sysvinit | Self::Openrc, Cgroups::Hybrid) => &["test.cgroups=hybrid"],
            (Self::Sysvinit | Self::Openrc, Cgroups::V1) => &["test.cgroups=v1"],
        }
    }
}
