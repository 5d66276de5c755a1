//! `device`: devices of the host's in a container that runs.
//!
//! A device's file is the host's own one, attached inside: nobody but root of the host makes device
//! files, and nobody needs to. Whether it can be opened is judged by its owner and mode as ever, so
//! a container has no more rights to it than its ids have. What is added ends with the container.

mod attach;
mod container;
mod filter;
mod interface;
mod list;

use std::path::{Component, Path, PathBuf};

use berth_common::{ContainerName, InterfaceName};

use crate::commands::VERB_PATIENCE;
use crate::error::{Error, Result};
use crate::place::Place;
use attach::HostDevice;
use container::Running;
pub use list::{Line, list};

/// What is added or removed, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A device's file.
    File(PathBuf),
    /// A network interface.
    Interface(InterfaceName),
}

impl std::str::FromStr for Device {
    type Err = String;

    /// What has no slash is an interface's name.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        match text.parse() {
            Ok(name) => Ok(Self::Interface(name)),
            Err(_) => Err(format!(
                "expected a device's file, as /dev/fuse, or the name of a network interface, as \
                 eth1, found “{text}”"
            )),
        }
    }
}

/// Gives a running container a device of the host's, under another path or name inside if that is
/// said.
pub fn add(
    place: &Place,
    name: &ContainerName,
    device: &Device,
    inside: Option<&Path>,
) -> Result<()> {
    match device {
        Device::File(path) => add_file(place, name, path, inside),
        Device::Interface(host) => {
            let inside = inside.map(interface_name).transpose()?;
            let container = Running::open(place, name)?;
            interface::give(&container, host, inside.as_ref().unwrap_or(host))
        }
    }
}

/// Takes it back. It is named as it is inside; an interface may get another name on the host.
pub fn remove(
    place: &Place,
    name: &ContainerName,
    device: &Device,
    host: Option<&Path>,
) -> Result<()> {
    match (device, host) {
        (Device::File(_), Some(_)) => Err(Error::other(
            "a device's file has one name to be removed by: that inside",
        )),
        (Device::File(path), None) => remove_file(place, name, path),
        (Device::Interface(inside), host) => {
            let host = host.map(interface_name).transpose()?;
            let container = Running::open(place, name)?;
            interface::take(&container, inside, host.as_ref().unwrap_or(inside))
        }
    }
}

fn add_file(place: &Place, name: &ContainerName, path: &Path, inside: Option<&Path>) -> Result<()> {
    let device = HostDevice::open(path)?;
    let inside = match inside {
        Some(inside) => absolute(name, inside)?,
        None => std::path::absolute(path).map_err(|error| Error::file("find", path, error))?,
    };
    let container = Running::open(place, name)?;
    let _lock = container.runtime.lock_for_verb(VERB_PATIENCE)?;
    if let Some(there) = list::at(&container, &inside)? {
        return Err(Error::other(format!(
            "{} of “{name}” is a device already ({there}); remove that first, or say another path",
            inside.display()
        )));
    }
    attach::judge(&container, &device)?;
    filter::allow(place, &container, Some(device.number))?;
    attach::attach(&container, &device, &inside).inspect_err(|_| {
        // The filter as it was; the error to tell is the first one.
        let _ = filter::allow(place, &container, None);
    })
}

fn remove_file(place: &Place, name: &ContainerName, path: &Path) -> Result<()> {
    let inside = absolute(name, path)?;
    if is_basic(&inside) {
        return Err(Error::other(format!(
            "{} is not removed: no system works without it",
            inside.display()
        )));
    }
    let container = Running::open(place, name)?;
    let _lock = container.runtime.lock_for_verb(VERB_PATIENCE)?;
    if list::at(&container, &inside)?.is_none() {
        let there = list::paths(&container)?;
        return Err(Error::other(format!(
            "{} of “{name}” is no device that was added; there are: {}",
            inside.display(),
            there.join(", ")
        )));
    }
    attach::detach(&container, &inside)?;
    filter::allow(place, &container, None)
}

/// What every container has.
fn is_basic(path: &Path) -> bool {
    const BASIC: [&str; 9] = [
        "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts",
    ];
    let mut parts = path.components();
    let dev = parts.next() == Some(Component::RootDir)
        && parts.next() == Some(Component::Normal("dev".as_ref()));
    let first = parts.next();
    let is_terminal = |name: &str| {
        name.strip_prefix("tty")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    dev && first.is_some_and(|first| {
        let name = first.as_os_str().to_string_lossy();
        BASIC.contains(&&*name) || is_terminal(&name)
    })
}

fn absolute(name: &ContainerName, path: &Path) -> Result<PathBuf> {
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match path.is_absolute() && is_plain && path.file_name().is_some() {
        true => Ok(path.components().collect()),
        false => Err(Error::other(format!(
            "expected an absolute path in “{name}” without “..”, as /dev/fuse, found “{}”",
            path.display()
        ))),
    }
}

fn interface_name(text: &Path) -> Result<InterfaceName> {
    let text = text.to_string_lossy();
    text.parse().map_err(|error| {
        Error::other(format!(
            "expected the name of a network interface, found “{text}”: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_interfaces_are_told_apart() {
        assert_eq!("/dev/x".parse(), Ok(Device::File("/dev/x".into())));
        assert_eq!("./x".parse(), Ok(Device::File("./x".into())));
        assert!(matches!("eth1".parse(), Ok(Device::Interface(_))));
        for wrong in ["", "an interface with blanks", "far-too-long-for-one"] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn basic_devices_stay() {
        for path in ["/dev/null", "/dev/tty", "/dev/tty4", "/dev/pts/0"] {
            assert!(is_basic(Path::new(path)), "{path}");
        }
        for path in ["/dev/ttyS0", "/dev/fuse", "/null", "/dev", "dev/null"] {
            assert!(!is_basic(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn paths_inside_are_plain() {
        let web = "web".parse().unwrap();
        assert_eq!(
            absolute(&web, Path::new("/dev//x")).unwrap(),
            Path::new("/dev/x")
        );
        for wrong in ["dev/x", "/", "/dev/../x", "/.."] {
            assert!(absolute(&web, Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
