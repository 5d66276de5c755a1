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
