//! Labels of the kernel's security modules.

use super::{absolute_path, expected};
use crate::key::Refusal;
use std::fmt;
use std::path::PathBuf;

/// `lxc.apparmor.profile`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppArmorProfile {
    /// `unconfined`: without a profile.
    Unconfined,
    /// `unchanged`: the caller's.
    Unchanged,
    /// `generated`: made for this container, and loaded, at its start.
    Generated,
    /// The name of a profile that the kernel has.
    Named(String),
}

/// A word, or the name of a profile (apparmor.d(5)).
pub fn apparmor_profile(text: &str) -> Result<AppArmorProfile, Refusal> {
    // The kernel takes the name up to the first zero byte and at most a page.
    let good = text.len() <= 4000 && !text.chars().any(char::is_control);
    match text {
        "unconfined" => Ok(AppArmorProfile::Unconfined),
        "unchanged" => Ok(AppArmorProfile::Unchanged),
        "generated" => Ok(AppArmorProfile::Generated),
        _ if good => Ok(AppArmorProfile::Named(text.to_owned())),
        _ => expected("unconfined, unchanged, generated or the name of a profile"),
    }
}

/// A rule of an AppArmor profile, which a comma ends, or an `include`.
pub fn apparmor_rule(text: &str) -> Result<String, Refusal> {
    let whole = text.ends_with(',') || text.trim_start_matches('#').starts_with("include ");
    match whole && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => expected("a rule of an AppArmor profile, with a comma at its end"),
    }
}

/// `user:role:type` with or without a level, or `unconfined_t`, LXC's word for no change.
pub fn selinux_context(text: &str) -> Result<String, Refusal> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    let mut parts = text.splitn(4, ':');
    let named = parts.clone().count() >= 3 && parts.all(|part| !part.is_empty());
    match text == "unconfined_t" || (named && text.chars().all(plain) && text.len() <= 4000) {
        true => Ok(text.to_owned()),
        false => expected("user:role:type or user:role:type:level, or unconfined_t"),
    }
}

/// The longest path or name of a socket, in bytes (unix(7)).
const SUN_PATH_MAX: usize = 107;

/// Where a socket is (unix(7)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixAddress {
    /// In a file system.
    Path(PathBuf),
    /// A name in the network namespace.
    Abstract(String),
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

/// `unix:PATH` or `unix:@NAME`.
pub fn unix_address(text: &str) -> Result<UnixAddress, Refusal> {
    let what = "unix: and an absolute path, or unix:@ and a name, of at most 107 bytes";
    let Some(text) = text.strip_prefix("unix:") else {
        return expected(what);
    };
    let address = match text.strip_prefix('@') {
        Some(name) if !name.is_empty() => UnixAddress::Abstract(name.to_owned()),
        _ => match absolute_path(text) {
            Ok(path) => UnixAddress::Path(path),
            Err(_) => return expected(what),
        },
    };
    match text.len() <= SUN_PATH_MAX {
        true => Ok(address),
        false => expected(what),
    }
}

/// Any text.
pub fn text(text: &str) -> Result<String, Refusal> {
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_a_path_or_a_name() {
        for good in ["unix:/run/proxy", "unix:@proxy"] {
            assert_eq!(unix_address(good).unwrap().to_string(), good);
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(unix_address(&long[..112]).is_ok());
        for wrong in [
            "/run/proxy",
            "unix:proxy",
            "unix:@",
            "unix:",
            "unix:/a/../b",
            &long,
        ] {
            assert!(unix_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn profiles() {
        let named = |name: &str| Ok(AppArmorProfile::Named(name.to_owned()));
        assert_eq!(
            apparmor_profile("generated"),
            Ok(AppArmorProfile::Generated)
        );
        assert_eq!(
            apparmor_profile("lxc-container-default"),
            named("lxc-container-default")
        );
        assert_eq!(
            apparmor_profile("lxc-web//&:lxc-web:"),
            named("lxc-web//&:lxc-web:")
        );
        assert!(apparmor_profile("a\tb").is_err());
        assert!(apparmor_profile(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn rules() {
        for good in ["mount fstype=nfs,", "#include <abstractions/lxc/more>"] {
            assert!(apparmor_rule(good).is_ok(), "{good}");
        }
        for wrong in ["mount fstype=nfs", "}", "a,\u{1b}"] {
            assert!(apparmor_rule(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn contexts() {
        for good in [
            "system_u:system_r:lxc_t",
            "system_u:system_r:lxc_t:s0:c22,c23",
            "unconfined_t",
        ] {
            assert_eq!(selinux_context(good).as_deref(), Ok(good));
        }
        for wrong in ["lxc_t", "a:b", "a::c", "a:b:c d", ":b:c"] {
            assert!(selinux_context(wrong).is_err(), "{wrong}");
        }
    }
}
