//! Whose containers start at boot. Linger says who may; an administrator can forbid it.

use crate::path;

/// Stands in [`path::NO_BOOT_DIR`] for all users, but those who have a file in [`path::BOOT_DIR`].
pub const ALL: &str = "@all";

/// What `berth` is called with to stop all containers of whoever calls it, in order, within so many
/// seconds.
pub fn stop_all(seconds: &str) -> [&str; 6] {
    [
        "autostart",
        "--shutdown",
        "--all",
        "--ignore-auto",
        "--total",
        seconds,
    ]
}

/// The file that keeps `user`'s containers from starting at boot, if there is one.
pub fn refusal(user: &str, exists: impl Fn(&str) -> bool) -> Option<String> {
    // No file is named like such a user.
    let plain = !user.is_empty() && !user.starts_with('.') && !user.contains('/');
    let own = plain.then(|| format!("{}/{user}", path::NO_BOOT_DIR));
    if let Some(own) = own.filter(|own| exists(own)) {
        return Some(own);
    }
    let all = format!("{}/{ALL}", path::NO_BOOT_DIR);
    let is_excepted = plain && exists(&format!("{}/{user}", path::BOOT_DIR));
    (exists(&all) && !is_excepted).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_or_all_but_some() {
        let with =
            |files: &'static [&str]| move |user: &str| refusal(user, |path| files.contains(&path));
        assert_eq!(with(&[])("bob"), None);
        let bob = with(&["/etc/berth/no-boot.d/bob", "/etc/berth/boot.d/bob"]);
        assert_eq!(bob("bob").as_deref(), Some("/etc/berth/no-boot.d/bob"));
        assert_eq!(bob("alice"), None);
        let all = with(&["/etc/berth/no-boot.d/@all", "/etc/berth/boot.d/alice"]);
        assert_eq!(all("bob").as_deref(), Some("/etc/berth/no-boot.d/@all"));
        assert_eq!(all("alice"), None);
        for strange in ["", ".", "../boot.d/alice", "a/b"] {
            assert!(all(strange).is_some(), "{strange}");
        }
    }
}
