//! Labels of the kernel's security modules.

use super::expected;
use crate::key::Refusal;

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

#[cfg(test)]
mod tests {
    use super::*;

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
