//! `lxc.hook.…`

use super::expected;
use crate::key::Refusal;

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// On the host, before anything is made.
    PreStart,
    /// In the container's mount namespace, before its root file system is mounted.
    PreMount,
    /// There, after all mounts.
    Mount,
    /// There, after `/dev` is made.
    Autodev,
    /// On the host, right before init.
    StartHost,
    /// In the container, right before init.
    Start,
    /// On the host, with the container's namespaces, after its end.
    Stop,
    /// On the host, after its end.
    PostStop,
    /// At a copy.
    Clone,
    /// On the host, before the container is destroyed.
    Destroy,
}

impl HookKind {
    /// Its name in configurations, and what the hook is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreStart => "pre-start",
            Self::PreMount => "pre-mount",
            Self::Mount => "mount",
            Self::Autodev => "autodev",
            Self::StartHost => "start-host",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::PostStop => "post-stop",
            Self::Clone => "clone",
            Self::Destroy => "destroy",
        }
    }
}

/// How hooks are told what they are run for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HookVersion {
    /// By arguments.
    #[default]
    Arguments,
    /// By variables.
    Variables,
}

/// `0` or `1`.
pub fn hook_version(text: &str) -> Result<HookVersion, Refusal> {
    match text {
        "0" => Ok(HookVersion::Arguments),
        "1" => Ok(HookVersion::Variables),
        _ => expected("0 (hooks are told by arguments) or 1 (by variables)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(hook_version("0"), Ok(HookVersion::Arguments));
        assert_eq!(hook_version("1"), Ok(HookVersion::Variables));
        for wrong in ["2", "-1", "one", "01"] {
            assert!(hook_version(wrong).is_err(), "{wrong}");
        }
    }
}
