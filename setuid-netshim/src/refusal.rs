//! Why a request is not served: each reason once, with what to do about it.

use crate::invocation::{self, Misuse};
use berth_common::{Uid, path};
use std::{fmt, io};

/// How many NICs are named in a refusal.
const NAMED: usize = 8;

/// Why a request is not served.
#[derive(Debug)]
pub enum Refusal {
    /// The program runs without root's rights.
    NoRights(String),
    /// The command line is not understood.
    Misuse(Misuse),
    /// `delete` was asked for a NIC on a bridge that is none of Open vSwitch's.
    NotOvs(String),
    /// The NIC to delete is no port of that bridge, or none of the caller's.
    NotYourPort {
        /// The NIC.
        host: String,
        /// The bridge.
        bridge: String,
    },
    /// The namespace given to `delete` is none, or not the caller's.
    NotYourPlace,
    /// ovs-vsctl(8) failed.
    Ovs {
        /// What was to be done.
        operation: String,
        /// What it said, or what happened to it.
        why: String,
    },
    /// The real uid has no name.
    UnknownUser(Uid),
    /// The process does not exist, or its network namespace is not the caller's.
    NotYourNamespace {
        /// As the caller named it.
        pid: u32,
    },
    /// The helper itself was called in another network namespace than the host's.
    NotTheHost,
    /// The quota file cannot be used.
    Usernet {
        /// What is wrong.
        why: String,
    },
    /// There is no line for the user and the bridge.
    NoLine {
        /// Name of the caller.
        user: String,
        /// The bridge, or `none`.
        bridge: String,
    },
    /// The quota is used up, or zero.
    UsedUp {
        /// Name of the caller.
        user: String,
        /// The bridge, or `none`.
        bridge: String,
        /// The NICs that count.
        nics: Vec<String>,
        /// What the quota file says.
        quota: crate::usernet::Quota,
    },
    /// There is no interface of the bridge's name.
    NoBridge(String),
    /// The interface is something else than a Linux bridge.
    NotABridge {
        /// Its name.
        name: String,
        /// The kernel's word for what it is, if it has one.
        kind: Option<String>,
    },
    /// The bridge has as many ports as the kernel allows.
    BridgeFull(String),
    /// The container has an interface of the wanted name.
    NameTaken(String),
    /// Another request of the same user did not end in time.
    Busy,
    /// The kernel refused.
    Kernel(berth_netlink::Error),
    /// A system call or a file failed.
    System {
        /// What was to be done.
        operation: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Exit codes of the helper. LXC's callers only tell zero from the rest.
pub mod code {
    /// A system call, a file or the kernel failed.
    pub const FAILED: u8 = 1;
    /// The command line is not understood.
    pub const USAGE: u8 = 2;
    /// The program has no rights, or was called in another network namespace than the host's.
    pub const NO_RIGHTS: u8 = 3;
    /// The caller's uid has no name.
    pub const UNKNOWN_USER: u8 = 4;
    /// The namespace is not the caller's, or does not exist.
    pub const NOT_YOURS: u8 = 5;
    /// The quota file has no line for the caller and the bridge.
    pub const NO_LINE: u8 = 6;
    /// The quota is used up.
    pub const USED_UP: u8 = 7;
    /// There is no such bridge, or it is none.
    pub const NO_BRIDGE: u8 = 8;
    /// The bridge is full.
    pub const BRIDGE_FULL: u8 = 9;
    /// The container has an interface of that name.
    pub const NAME_TAKEN: u8 = 10;
    /// Another request of the same user does not end.
    pub const BUSY: u8 = 11;
    /// The quota file cannot be used.
    pub const USERNET: u8 = 12;
}

impl Refusal {
    /// The program's exit code for it ([`code`]).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Misuse(_) => code::USAGE,
            Self::NoRights(_) | Self::NotTheHost => code::NO_RIGHTS,
            Self::UnknownUser(_) => code::UNKNOWN_USER,
            Self::NotYourNamespace { .. } | Self::NotYourPlace | Self::NotYourPort { .. } => {
                code::NOT_YOURS
            }
            Self::NoLine { .. } => code::NO_LINE,
            Self::UsedUp { .. } => code::USED_UP,
            Self::NoBridge(_) | Self::NotABridge { .. } | Self::NotOvs(_) => code::NO_BRIDGE,
            Self::BridgeFull(_) => code::BRIDGE_FULL,
            Self::NameTaken(_) => code::NAME_TAKEN,
            Self::Busy => code::BUSY,
            Self::Usernet { .. } => code::USERNET,
            Self::Ovs { .. } | Self::Kernel(_) | Self::System { .. } => code::FAILED,
        }
    }
}

impl From<berth_netlink::Error> for Refusal {
    fn from(error: berth_netlink::Error) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usernet = path::USERNET;
        match self {
            Self::NoRights(why) => write!(f, "cannot create network interfaces: {why}"),
            Self::Misuse(Misuse::Form) => f.write_str(invocation::USAGE),
            Self::Misuse(Misuse::Part(why)) => f.write_str(why),
            Self::NotOvs(bridge) => write!(
                f,
                "nothing to delete: {bridge} is no Open vSwitch bridge, and a NIC on any other \
                 goes with its container"
            ),
            Self::NotYourPort { host, bridge } => {
                write!(f, "{host} is no NIC of yours on the bridge {bridge}")
            }
            Self::NotYourPlace => {
                f.write_str("the path names no network namespace of a container of yours")
            }
            Self::Ovs { operation, why } => write!(f, "cannot {operation}: {why}"),
            Self::UnknownUser(uid) => write!(f, "uid {uid} has no user name"),
            Self::NotYourNamespace { pid } => write!(
                f,
                "process {pid} has no network namespace of yours: a NIC goes only into a \
                 container that you started and that runs"
            ),
            Self::NotTheHost => f.write_str(
                "called in a network namespace of its own: bridges are those of the host \
                 (the network namespace of process 1)",
            ),
            Self::Usernet { why } => write!(f, "cannot use {usernet}: {why}"),
            Self::NoLine { user, bridge } => {
                match bridge.as_str() {
                    "none" => write!(f, "{user} may not have NICs without a bridge")?,
                    bridge => write!(f, "{user} may not use bridge {bridge}")?,
                }
                write!(
                    f,
                    ": no line for it in {usernet} (ask an administrator to add: {user} veth \
                     {bridge} 1)"
                )
            }
            Self::UsedUp {
                user,
                bridge,
                nics,
                quota,
            } => used_up(f, user, bridge, nics, quota),
            Self::NoBridge(name) => write!(
                f,
                "there is no bridge {name} on this host (ask an administrator to set it up{})",
                if name == path::DEFAULT_BRIDGE {
                    ": systemctl start berth-net.service"
                } else {
                    ""
                }
            ),
            Self::NotABridge { name, kind } => match kind.as_deref() {
                Some("openvswitch") => write!(
                    f,
                    "{name} is an Open vSwitch bridge, and ovs-vsctl is not installed (ask an \
                     administrator to install openvswitch-switch)"
                ),
                Some(kind) => write!(f, "{name} is no bridge, but an interface of type {kind}"),
                None => write!(f, "{name} is no bridge, but another kind of interface"),
            },
            Self::BridgeFull(name) => {
                write!(f, "bridge {name} is full: the kernel allows 1023 ports")
            }
            Self::NameTaken(name) => {
                write!(f, "the container already has an interface {name}")
            }
            Self::Busy => {
                f.write_str("another NIC request of yours does not end; try again when it has")
            }
            Self::Kernel(error) => error.fmt(f),
            Self::System { operation, source } => write!(f, "cannot {operation}: {source}"),
        }
    }
}

fn used_up(
    f: &mut fmt::Formatter<'_>,
    user: &str,
    bridge: &str,
    nics: &[String],
    quota: &crate::usernet::Quota,
) -> fmt::Result {
    let on = if bridge == "none" {
        "without a bridge".to_owned()
    } else {
        format!("on {bridge}")
    };
    write!(
        f,
        "quota reached: {user} has {} of {} NICs {on}",
        nics.len(),
        quota.limit
    )?;
    if !nics.is_empty() {
        write!(f, " ({}", nics[..nics.len().min(NAMED)].join(", "))?;
        if nics.len() > NAMED {
            write!(f, " and {} more", nics.len() - NAMED)?;
        }
        f.write_str(")")?;
    }
    let wanted = quota.line_count.max(0).saturating_add(1);
    write!(
        f,
        "; stop a container, or ask an administrator to change line {} of {} to: {} veth {bridge} \
         {wanted}",
        quota.line,
        path::USERNET,
        quota.label
    )
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kernel(error) => Some(error),
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usernet::Quota;

    #[test]
    fn a_missing_line_says_what_to_ask_for() {
        let refusal = Refusal::NoLine {
            user: "alice".into(),
            bridge: "br7".into(),
        };
        assert_eq!(
            refusal.to_string(),
            "alice may not use bridge br7: no line for it in /etc/lxc/lxc-usernet (ask an \
             administrator to add: alice veth br7 1)"
        );
    }

    #[test]
    fn a_used_up_quota_names_limit_nics_and_line() {
        let refusal = Refusal::UsedUp {
            user: "alice".into(),
            bridge: "br0".into(),
            nics: vec!["veth1000_a".into(), "veth1000_b".into()],
            quota: Quota {
                limit: 2,
                line: 3,
                line_count: 2,
                label: "alice".into(),
            },
        };
        assert_eq!(
            refusal.to_string(),
            "quota reached: alice has 2 of 2 NICs on br0 (veth1000_a, veth1000_b); stop a \
             container, or ask an administrator to change line 3 of /etc/lxc/lxc-usernet to: \
             alice veth br0 3"
        );
    }
}
