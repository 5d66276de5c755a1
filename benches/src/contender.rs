//! Who is measured, and with which commands.

use std::path::{Path, PathBuf};
use std::process::Command;

use berth_test_private_host::{BASE, Host, SUBID, SUBIDS};

/// The container without a NIC, and the one with one.
pub const CONTAINERS: [&str; 2] = ["plain", "nic"];
/// The payload below the root directory.
pub const PAYLOAD: &str = "/payload";

/// Whose command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The ordinary user's.
    User,
    /// Root's: for a peer that cannot do it for an ordinary user here.
    Root,
}

impl By {
    /// As people say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Root => "root",
        }
    }
}

/// Which build of Berth's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The one that is measured.
    Measured,
    /// The one beside it, if there is any.
    Against,
}

impl Build {
    /// Where its programs are on the host.
    pub fn dir(self) -> &'static Path {
        Path::new(match self {
            Self::Measured => "/run/berth-bench/bin",
            Self::Against => "/run/berth-bench/against",
        })
    }

    /// Behind the names in the table.
    fn suffix(self) -> &'static str {
        match self {
            Self::Measured => "",
            Self::Against => " (against)",
        }
    }
}

/// How a container is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its init is asked, and ends at once.
    Ordered,
    /// Without asking.
    Killed,
}

/// One way to start a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// `berth start` of one of [`CONTAINERS`].
    Berth(Build, &'static str),
    /// `lxc-start` of the same container.
    LxcStart(&'static str),
    /// `lxc-execute` in the container without a NIC.
    LxcExecute,
    /// `crun run` with all namespaces.
    Crun,
    /// `bwrap --unshare-all`.
    Bwrap,
    /// bwrap in a user namespace with the container's ids, which `unshare` has newuidmap and
    /// newgidmap map: the least that a start with these ids costs.
    BwrapIds,
    /// `systemd-nspawn` on the same root directory, which only root can call.
    Nspawn,
}

/// In the order of the table.
pub const ALL: [Contender; 11] = [
    Contender::Bwrap,
    Contender::BwrapIds,
    Contender::Berth(Build::Measured, CONTAINERS[0]),
    Contender::Berth(Build::Against, CONTAINERS[0]),
    Contender::Berth(Build::Measured, CONTAINERS[1]),
    Contender::Berth(Build::Against, CONTAINERS[1]),
    Contender::Crun,
    Contender::LxcExecute,
    Contender::LxcStart(CONTAINERS[0]),
    Contender::LxcStart(CONTAINERS[1]),
    Contender::Nspawn,
];

impl Contender {
    /// As the table shows it.
    pub fn name(self) -> String {
        let nic = |container| {
            if container == CONTAINERS[1] {
                ", with a NIC"
            } else {
                ""
            }
        };
        match self {
            Self::Berth(build, container) => {
                format!("berth start{}{}", nic(container), build.suffix())
            }
            Self::LxcStart(container) => format!("lxc-start{}", nic(container)),
            Self::LxcExecute => "lxc-execute".to_owned(),
            Self::Crun => "crun run".to_owned(),
            Self::Bwrap => "bwrap --unshare-all".to_owned(),
            Self::BwrapIds => "unshare --map-auto bwrap".to_owned(),
            Self::Nspawn => "systemd-nspawn".to_owned(),
        }
    }

    /// Who may run it, in the order of preference.
    pub fn possible(self) -> &'static [By] {
        match self {
            Self::Berth(..) | Self::BwrapIds => &[By::User],
            Self::Nspawn => &[By::Root],
            _ => &[By::User, By::Root],
        }
    }

    /// The program and the Debian package it comes with; `None`: built here.
    pub fn package(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Berth(..) => None,
            Self::LxcStart(_) => Some(("lxc-start", "lxc")),
            Self::LxcExecute => Some(("lxc-execute", "lxc")),
            Self::Crun => Some(("crun", "crun")),
            Self::Bwrap | Self::BwrapIds => Some(("bwrap", "bubblewrap")),
            Self::Nspawn => Some(("systemd-nspawn", "systemd-container")),
        }
    }

    /// Runs the payload in a new container.
    pub fn start(self, host: &Host, by: By, rootfs: &Path) -> Command {
        let program = match self {
            Self::BwrapIds => "unshare",
            _ => self.package().map_or("berth", |(name, _)| name),
        };
        let mut command = self.command(host, by, program);
        match self {
            Self::Berth(_, container) => {
                command.args(["start", container]);
            }
            Self::LxcStart(container) => {
                lxc(&mut command, host, container).arg("--daemon");
            }
            Self::LxcExecute => {
                lxc(&mut command, host, CONTAINERS[0]).args(["--", PAYLOAD]);
            }
            Self::Crun => {
                command.arg("--root").arg(state_dir(host, by));
                command.args(["--cgroup-manager=cgroupfs", "run", "--bundle"]);
                command.arg(bundle(host)).arg("bench");
            }
            Self::Bwrap => {
                command.args(["--unshare-all", "--bind"]).arg(rootfs);
                command.args(["/", "--proc", "/proc", "--dev", "/dev", PAYLOAD]);
            }
            Self::BwrapIds => {
                command.args(["--user", "--map-auto", "--setuid=0", "--setgid=0", "bwrap"]);
                let others = ["ipc", "pid", "net", "uts", "cgroup"];
                command.args(others.map(|kind| format!("--unshare-{kind}")));
                command.arg("--bind").arg(rootfs);
                command.args(["/", "--proc", "/proc", "--dev", "/dev", PAYLOAD]);
            }
            Self::Nspawn => {
                // No service manager answers on this host; nobody is to be told of the container.
                command.args([
                    "--quiet",
                    "--register=no",
                    "--keep-unit",
                    "--private-network",
                ]);
                command.arg(format!("--private-users={SUBID}:{SUBIDS}"));
                command.arg("--directory").arg(rootfs).arg(PAYLOAD);
            }
        }
        command
    }

    /// Runs `true` in the container that [`Self::start`] left running; `None` if it left none.
    pub fn exec(self, host: &Host, by: By) -> Option<Command> {
        match self {
            Self::Berth(_, container) => {
                let mut command = self.command(host, by, "berth");
                command.args(["exec", container, "--", "/bin/true"]);
                Some(command)
            }
            Self::LxcStart(container) => {
                let mut command = self.command(host, by, "lxc-attach");
                lxc(&mut command, host, container).args(["--", "/bin/true"]);
                Some(command)
            }
            _ => None,
        }
    }

    /// Ends that container and waits until nothing of it is left.
    pub fn stop(self, host: &Host, by: By, how: Stop) -> Option<Command> {
        match self {
            Self::Berth(_, container) => {
                let mut command = self.command(host, by, "berth");
                command.arg("stop");
                if how == Stop::Killed {
                    command.arg("-k");
                }
                command.arg(container);
                Some(command)
            }
            Self::LxcStart(container) => {
                let mut command = self.command(host, by, "lxc-stop");
                lxc(&mut command, host, container);
                if how == Stop::Killed {
                    command.arg("--kill");
                }
                Some(command)
            }
            _ => None,
        }
    }

    /// The names of [`Self::exec`] and both ways of [`Self::stop`] in the table.
    pub fn verbs(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Berth(..) => Some(["berth exec … true", "berth stop", "berth stop -k"]),
            Self::LxcStart(_) => Some(["lxc-attach … true", "lxc-stop", "lxc-stop -k"]),
            _ => None,
        }
    }

    fn command(self, host: &Host, by: By, program: &str) -> Command {
        let program = match self {
            Self::Berth(build, _) => build.dir().join(program),
            _ => PathBuf::from(program),
        };
        let mut command = match by {
            By::User => host.as_user(program),
            By::Root => host.as_root(program),
        };
        if let Self::Berth(build, _) = self {
            command.env("BERTH_USERNIC", build.dir().join("berth-usernic"));
        }
        command
    }
}

fn lxc<'c>(command: &'c mut Command, host: &Host, container: &str) -> &'c mut Command {
    command
        .arg("-P")
        .arg(host.lxcpath())
        .args(["-n", container])
}

/// Where crun's bundle is.
pub fn bundle(host: &Host) -> PathBuf {
    host.home().join("bundle")
}

/// The cgroup of crun's container.
pub fn crun_cgroup() -> String {
    format!("/{BASE}/crun")
}

fn state_dir(host: &Host, by: By) -> PathBuf {
    host.home().join(format!("crun-{}", by.word()))
}
