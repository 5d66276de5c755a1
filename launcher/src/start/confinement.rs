//! What init and every command in a container are confined by, beside namespaces.

use berth_kernel::cred::CapabilitySet;

use super::apparmor::Generated;
use super::filter::Filter;
use super::label::Labels;

/// What nobody in the container gets rid of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Capabilities that nobody in it gets.
    pub dropped_capabilities: CapabilitySet,
    /// Whether exec gives no new privileges.
    pub no_new_privs: bool,
    /// Whether the key rings that the caller possesses are left behind.
    pub session_keyring: bool,
    /// For the kernel's security modules.
    pub labels: Labels,
    /// The profile among them that is made for this container.
    pub generated: Option<Generated>,
    /// Which system calls are made.
    pub filter: Filter,
}
