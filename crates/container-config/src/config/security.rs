//! What confines a container beside namespaces and capabilities.

use std::path::PathBuf;

use crate::position::Positioned;
use crate::value::{AppArmorProfile, UnixAddress};

/// The kernel's security modules, key rings and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// `lxc.apparmor.…`
    pub apparmor: AppArmorSettings,
    /// `lxc.selinux.…`
    pub selinux: SeLinuxSettings,
    /// `lxc.keyring.session`, true by default
    pub session_keyring: Option<Positioned<bool>>,
    /// `lxc.seccomp.…`
    pub seccomp: SeccompSettings,
}

/// `lxc.apparmor.…`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppArmorSettings {
    /// `profile`
    pub profile: Option<Positioned<AppArmorProfile>>,
    /// `allow_incomplete`, false by default
    pub allow_incomplete: Option<Positioned<bool>>,
    /// `allow_nesting`, false by default
    pub allow_nesting: Option<Positioned<bool>>,
    /// `raw`: rules at the end of a generated profile
    pub raw: Vec<Positioned<String>>,
}

/// `lxc.selinux.…`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeLinuxSettings {
    /// `context`
    pub context: Option<Positioned<String>>,
    /// `context.keyring`
    pub keyring: Option<Positioned<String>>,
}

/// `lxc.seccomp.…`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeccompSettings {
    /// `profile`
    pub profile: Option<Positioned<PathBuf>>,
    /// `allow_nesting`, true by default: filters add up
    pub allow_nesting: Option<Positioned<bool>>,
    /// `notify.proxy`
    pub notify_proxy: Option<Positioned<UnixAddress>>,
    /// `notify.cookie`
    pub notify_cookie: Option<Positioned<String>>,
}
