//! The command line, in the three generations that liblxc has used.
//!
//! | since  | arguments |
//! |--------|-----------|
//! | 1.0    | `PID TYPE BRIDGE [NAME]` |
//! | 2.0.0  | `LXCPATH CONTAINER PID TYPE BRIDGE [NAME]` |
//! | 2.0.9  | `create LXCPATH CONTAINER PID TYPE BRIDGE [NAME]`, `delete LXCPATH CONTAINER NETNS TYPE BRIDGE NAME` |

use berth_common::{ContainerName, InterfaceName};

/// What is printed when the arguments make no sense.
pub const USAGE: &str = "usage: berth-usernic create LXCPATH CONTAINER PID veth BRIDGE [NAME]\n\
     Gives the container with the network namespace of process PID a network interface NAME\n\
     (default: the first free of eth0, eth1, …) on BRIDGE, or on no bridge if BRIDGE is “none”.\n\
     Who may have how many is written in /etc/lxc/lxc-usernet.";

/// Where the host's end goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It becomes a port of this bridge.
    Bridge(InterfaceName),
    /// It stays alone (`none`).
    Unbridged,
}

impl Link {
    /// As it is written on the command line and in the quota file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bridge(name) => name.as_str(),
            Self::Unbridged => "none",
        }
    }
}

/// Which fields the answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// `NAME:HOSTNAME`, up to LXC 2.0.8.
    Names,
    /// `NAME:INDEX:HOSTNAME:HOSTINDEX`.
    NamesAndIndexes,
}

/// A request to create a NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// A process in the container's network namespace, as this process's procfs numbers it.
    pub pid: u32,
    /// Where the host's end goes.
    pub link: Link,
    /// Name inside the container; `None` lets the kernel take the first free `ethN`.
    pub name: Option<InterfaceName>,
    /// The container's name, for information only: the caller may say what he likes.
    pub container: Option<ContainerName>,
    /// What the caller's generation of LXC reads.
    pub answer: AnswerForm,
}

/// Where the network namespace of a container that ends is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/proc/PID/ns/net`
    Process(u32),
    /// `/proc/PID/fd/N`
    Descriptor(u32, u32),
}

/// A request to delete a port of an Open vSwitch bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The container's network namespace; `None` if the caller named no such place.
    pub place: Option<Place>,
    /// The bridge.
    pub bridge: InterfaceName,
    /// The host's end.
    pub host: InterfaceName,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Create a NIC.
    Create(Create),
    /// Delete a port of an Open vSwitch bridge.
    Delete(Delete),
}

/// Why a command line is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Not one of the known forms.
    Form,
    /// The form is known, this part of it is not valid.
    Part(String),
}

/// Reads the arguments behind the program's name.
pub fn parse(arguments: &[&str]) -> Result<Invocation, Misuse> {
    match *arguments {
        ["create", _lxcpath, container, pid, kind, bridge] => create(
            Some(container),
            pid,
            kind,
            bridge,
            "",
            AnswerForm::NamesAndIndexes,
        ),
        ["create", _lxcpath, container, pid, kind, bridge, name] => create(
            Some(container),
            pid,
            kind,
            bridge,
            name,
            AnswerForm::NamesAndIndexes,
        ),
        ["delete", _lxcpath, _container, place, kind, bridge, host] => {
            delete(place, kind, bridge, host)
        }
        [verb, ..] if verb == "create" || verb == "delete" => Err(Misuse::Form),
        [pid, kind, bridge] if is_number(pid) => {
            create(None, pid, kind, bridge, "", AnswerForm::Names)
        }
        [pid, kind, bridge, name] if is_number(pid) => {
            create(None, pid, kind, bridge, name, AnswerForm::Names)
        }
        [_lxcpath, container, pid, kind, bridge] if is_number(pid) => {
            create(Some(container), pid, kind, bridge, "", AnswerForm::Names)
        }
        [_lxcpath, container, pid, kind, bridge, name] if is_number(pid) => {
            create(Some(container), pid, kind, bridge, name, AnswerForm::Names)
        }
        _ => Err(Misuse::Form),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn create(
    container: Option<&str>,
    pid: &str,
    kind: &str,
    bridge: &str,
    name: &str,
    answer: AnswerForm,
) -> Result<Invocation, Misuse> {
    let pid = process_number(pid)
        .ok_or_else(|| Misuse::Part(format!("“{}” is no process number", shown(pid))))?;
    check_kind(kind)?;
    let link = match bridge {
        "none" => Link::Unbridged,
        name => Link::Bridge(bridge_name(name)?),
    };
    let name = match name {
        "" | "eth%d" => None,
        name => Some(
            name.parse()
                .map_err(|e| Misuse::Part(format!("interface: {e}")))?,
        ),
    };
    // LXC accepts names that are none of ours; they are not worth a refusal.
    let container = container.and_then(|name| name.parse().ok());
    Ok(Invocation::Create(Create {
        pid,
        link,
        name,
        container,
        answer,
    }))
}

fn delete(place: &str, kind: &str, bridge: &str, host: &str) -> Result<Invocation, Misuse> {
    check_kind(kind)?;
    Ok(Invocation::Delete(Delete {
        place: namespace_place(place),
        bridge: bridge_name(bridge)?,
        host: host
            .parse()
            .map_err(|e| Misuse::Part(format!("interface: {e}")))?,
    }))
}

/// A path is a place only in the two forms that liblxc uses, so that no caller can have a root
/// process walk through paths of his choice.
fn namespace_place(path: &str) -> Option<Place> {
    let (pid, rest) = path.strip_prefix("/proc/")?.split_once('/')?;
    let pid = process_number(pid)?;
    match rest.strip_prefix("fd/") {
        Some(number) if is_number(number) => Some(Place::Descriptor(pid, number.parse().ok()?)),
        None if rest == "ns/net" => Some(Place::Process(pid)),
        _ => None,
    }
}

/// Positive, and fits pid_t.
fn process_number(text: &str) -> Option<u32> {
    Some(text)
        .filter(|text| is_number(text))?
        .parse()
        .ok()
        .filter(|&pid: &u32| pid > 0 && i32::try_from(pid).is_ok())
}

fn check_kind(kind: &str) -> Result<(), Misuse> {
    if kind == "veth" {
        return Ok(());
    }
    Err(Misuse::Part(format!(
        "only the type veth is supported, not “{}”",
        shown(kind)
    )))
}

fn bridge_name(name: &str) -> Result<InterfaceName, Misuse> {
    name.parse()
        .map_err(|e| Misuse::Part(format!("bridge: {e}")))
}

/// What the caller typed, without control characters and not whole pages of it.
fn shown(text: &str) -> String {
    text.chars()
        .take(40)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn created(arguments: &[&str]) -> Create {
        match parse(arguments) {
            Ok(Invocation::Create(create)) => create,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    #[test]
    fn all_three_generations() {
        let today = created(&["create", "/p", "web", "17", "veth", "br0", "eth1"]);
        assert_eq!(today.pid, 17);
        assert_eq!(today.link.as_str(), "br0");
        assert_eq!(today.name.as_ref().unwrap().as_str(), "eth1");
        assert_eq!(today.container.as_ref().unwrap().as_str(), "web");
        assert_eq!(today.answer, AnswerForm::NamesAndIndexes);

        let two = created(&["/p", "web", "17", "veth", "br0", "eth1"]);
        assert_eq!(
            two,
            Create {
                answer: AnswerForm::Names,
                ..today.clone()
            }
        );
        let one = created(&["17", "veth", "br0", "eth1"]);
        assert_eq!(
            one,
            Create {
                container: None,
                ..two
            }
        );

        assert_eq!(
            created(&["create", "/p", "web", "17", "veth", "none"]).link,
            Link::Unbridged
        );
        for arguments in [
            &["create", "/p", "web", "17", "veth", "br0"][..],
            &["create", "/p", "web", "17", "veth", "br0", ""],
            &["create", "/p", "web", "17", "veth", "br0", "eth%d"],
            &["/p", "web", "17", "veth", "br0"],
            &["17", "veth", "br0"],
        ] {
            assert_eq!(created(arguments).name, None, "{arguments:?}");
        }
    }

    #[test]
    fn deletions_name_a_namespace_by_process_or_descriptor() {
        for (path, place) in [
            ("/proc/17/ns/net", Some(Place::Process(17))),
            ("/proc/17/fd/5", Some(Place::Descriptor(17, 5))),
            ("/proc/self/ns/net", None),
            ("/proc/17/ns/net/", None),
            ("/proc/17/fd/../ns/net", None),
            ("/proc/17/ns/mnt", None),
            ("/proc/17/fd/", None),
            ("/etc/shadow", None),
            ("/home/alice/fifo", None),
            ("", None),
        ] {
            let delete = ["delete", "/p", "web", path, "veth", "ovs0", "veth0"];
            match parse(&delete) {
                Ok(Invocation::Delete(delete)) => assert_eq!(delete.place, place, "{path}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            parse(&["delete", "/p", "web", "/proc/1/ns/net", "veth", "ovs0"]),
            Err(Misuse::Form)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for wrong in [
            &[][..],
            &["--help"],
            &["create"],
            &["create", "/p", "web", "17", "veth"],
            &["create", "/p", "web", "17", "veth", "br0", "eth0", "more"],
            &["destroy", "/p", "web", "17", "veth", "br0"],
            &["17", "veth"],
        ] {
            assert_eq!(parse(wrong), Err(Misuse::Form), "{wrong:?}");
        }
        for pid in [
            "",
            "0",
            "-1",
            "+1",
            " 1",
            "1x",
            "0x1",
            "4294967296",
            "2147483648",
            "1/../2",
        ] {
            let wrong = ["create", "/p", "web", pid, "veth", "br0"];
            assert!(matches!(parse(&wrong), Err(Misuse::Part(_))), "{pid:?}");
        }
        for (kind, bridge, name) in [
            ("foo", "br0", "eth0"),
            ("veth", "", "eth0"),
            ("veth", "..", "eth0"),
            ("veth", "a/b", "eth0"),
            ("veth", "sixteen_bytes_xx", "eth0"),
            ("veth", "br0", "sixteen_bytes_xx"),
            ("veth", "br0", "a b"),
            ("veth", "br0", "veth%d"),
        ] {
            let wrong = ["create", "/p", "web", "17", kind, bridge, name];
            assert!(matches!(parse(&wrong), Err(Misuse::Part(_))), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(arguments in proptest::collection::vec(".{0,20}", 0..9)) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            if let Err(Misuse::Part(text)) = parse(&arguments) {
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
