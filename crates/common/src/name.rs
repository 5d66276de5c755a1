//! Names that are checked once, where they come in.

use crate::cgroup;
use std::fmt;
use std::str::FromStr;

/// Why a name was refused. The text says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    what: &'static str,
    name: String,
    why: &'static str,
}

impl NameError {
    fn new(what: &'static str, name: &str, why: &'static str) -> Self {
        // Whatever was typed is shown, but neither whole pages of it nor control characters.
        let name = name
            .chars()
            .take(80)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        Self { what, name, why }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{}” is no {}: {}", self.name, self.what, self.why)
    }
}

impl std::error::Error for NameError {}

/// A container's name: 1 to 64 characters of `A-Z a-z 0-9 _ . + -`, the first a letter, a digit
/// or `_`. It is a directory's name, a cgroup's name and, by default, a host name, so what would
/// collide there (`init.scope`, `memory.…`, `lxc.…`) is refused as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

impl ContainerName {
    /// The longest name, in bytes: HOST_NAME_MAX.
    pub const MAX: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| Err(NameError::new("name for a container", text, why));
        let Some(first) = text.bytes().next() else {
            return refuse("it is empty");
        };
        if text.len() > Self::MAX {
            return refuse("it is longer than 64 characters");
        }
        if text.contains('/') {
            return refuse("it has a slash");
        }
        if text == "." || text == ".." {
            return refuse("it means a directory");
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-');
        if !text.bytes().all(allowed) {
            return refuse("only letters, digits and _ . + - are allowed");
        }
        if !(first.is_ascii_alphanumeric() || first == b'_') {
            return refuse("it must start with a letter, a digit or _");
        }
        if text == cgroup::LEAF
            || text.starts_with(cgroup::LXC_PREFIX)
            || cgroup::CONTROL_FILE_PREFIXES
                .iter()
                .any(|prefix| text.starts_with(prefix))
        {
            return refuse("the control group of that name has another meaning");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A network interface's name: 1 to 15 bytes, no slash, blank or colon, not `.` or `..`
/// (the kernel's `dev_valid_name`); `%` is refused too, since the kernel reads it as a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The longest name, in bytes: IFNAMSIZ less the final zero.
    pub const MAX: usize = 15;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| Err(NameError::new("name for a network interface", text, why));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > Self::MAX {
            return refuse("it is longer than 15 characters");
        }
        if text == "." || text == ".." {
            return refuse("it means a directory");
        }
        let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
        if !text.bytes().all(allowed) {
            return refuse("blanks, control characters, / : and % are not allowed");
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! show {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<std::path::Path> for $name {
            fn as_ref(&self) -> &std::path::Path {
                self.0.as_ref()
            }
        }
    )+};
}
show!(ContainerName, InterfaceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_names() {
        for good in [
            "web",
            "a",
            "_x",
            "web-1",
            "db.example.org",
            "0",
            "c++",
            &"n".repeat(64),
        ] {
            assert!(good.parse::<ContainerName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "-n",
            ".hidden",
            "a b",
            "ä",
            "a\n",
            "init.scope",
            "lxc.pivot",
            "cgroup.procs",
            "memory.max",
            &"n".repeat(65),
        ] {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names() {
        for good in ["eth0", "veth1000_aB3d", "a", "br-lan", "exactly15bytes_"] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:1",
            "eth%d",
            "sixteen_bytes_xx",
            "e\u{1}",
        ] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_show_no_control_characters() {
        let error = "a\u{1b}[2J"
            .parse::<ContainerName>()
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
