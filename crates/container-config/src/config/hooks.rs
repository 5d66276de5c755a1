//! Programs at certain points of a container's life.

use crate::position::Positioned;
use crate::value::{HookKind, HookVersion};

/// `lxc.hook.…`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// `lxc.hook.version`, 0 by default
    pub version: Option<Positioned<HookVersion>>,
    /// All hooks in the order of their lines: a command as a shell reads it
    pub commands: Vec<(HookKind, Positioned<String>)>,
}
