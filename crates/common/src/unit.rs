//! Names of systemd units.

use crate::Uid;

/// The service that holds a user's lasting delegated cgroup.
pub fn lasting_base(uid: Uid) -> String {
    format!("berth-user@{uid}.service")
}

/// The service that answers a user's launch socket.
pub fn session_helper(uid: Uid) -> String {
    format!("berth-session-helper@{uid}.service")
}

/// The socket unit in front of [`session_helper`].
pub fn launch_socket(uid: Uid) -> String {
    format!("berth-session-helper@{uid}.socket")
}

/// The user's service manager; logind starts it with the first session or for linger.
pub fn service_manager(uid: Uid) -> String {
    format!("user@{uid}.service")
}

/// What the process calls itself that systemd leaves beside the main process of a service with
/// `PAMName=`, as its child, to close the PAM session in the end.
pub const PAM_KEEPER: &str = "(sd-pam)";

/// The service behind [`crate::bus::NAME`].
pub const BERTHD: &str = "berthd.service";

/// Root's containers, from boot to shutdown.
pub const ROOT_BOOT: &str = "berth-autostart.service";

/// Whether this is the unit of one container, `berth@NAME.service`.
pub fn is_of_container(unit: &str) -> bool {
    let name = unit.strip_prefix("berth@");
    let name = name.and_then(|rest| rest.strip_suffix(".service"));
    name.is_some_and(|name| name.parse::<crate::ContainerName>().is_ok())
}

/// The host's container bridge.
pub const NET: &str = "berth-net.service";

/// The first systemd whose transient scopes read drop-ins; below it the session drop-in must not
/// be installed.
pub const FIRST_SYSTEMD_WITH_SCOPE_DROPINS: u32 = 252;

/// The slice above the slices of all users.
pub const USER_SLICE: &str = "user.slice";

/// The slice that holds a user's sessions and services.
pub fn user_slice(uid: Uid) -> String {
    format!("user-{uid}.slice")
}

/// The scope of the login session that logind calls `id`.
pub fn session_scope(id: &str) -> String {
    format!("session-{id}.scope")
}

/// Whether a cgroup of this name, in a user's slice, is the scope of a login session.
pub fn is_session_scope(name: &str) -> bool {
    name.starts_with("session-") && name.ends_with(".scope")
}

/// systemd's version from what `systemctl --version` says first: `systemd 252 (252.39-1~deb12u1)`.
pub fn systemd_version(text: &str) -> Option<u32> {
    let mut words = text.split_ascii_whitespace();
    let word = words
        .next()
        .filter(|word| *word == "systemd")
        .and(words.next())?;
    leading_number(word)
}

/// The version in the name of systemd's shared library, `libsystemd-shared-252.so` or
/// `libsystemd-shared-252.4-1.fc37.so`: what a tree holds in which nothing can be run.
pub fn systemd_version_of_library(file_name: &str) -> Option<u32> {
    let rest = file_name.strip_prefix("libsystemd-shared-")?;
    rest.ends_with(".so")
        .then(|| leading_number(rest))
        .flatten()
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_containers() {
        assert!(is_of_container("berth@web.service"));
        for other in [
            "berth-user@1000.service",
            "berth@.service",
            "berth@web.socket",
            "web",
        ] {
            assert!(!is_of_container(other), "{other}");
        }
    }

    #[test]
    fn systemds_version() {
        let debian = "systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT\n";
        assert_eq!(systemd_version(debian), Some(252));
        assert_eq!(systemd_version("systemd 256~rc3 (256~rc3-1)"), Some(256));
        for bad in [
            "",
            "systemd",
            "systemd x",
            "elogind 252",
            "systemd 99999999999",
        ] {
            assert_eq!(systemd_version(bad), None, "{bad:?}");
        }
        assert_eq!(
            systemd_version_of_library("libsystemd-shared-247.so"),
            Some(247)
        );
        let fedora = "libsystemd-shared-252.4-598.fc37.so";
        assert_eq!(systemd_version_of_library(fedora), Some(252));
        for bad in [
            "libsystemd-shared-.so",
            "libsystemd-core-252.so",
            "libsystemd-shared-252",
        ] {
            assert_eq!(systemd_version_of_library(bad), None, "{bad:?}");
        }
    }
}
