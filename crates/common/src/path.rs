//! Every path that two parts share.
//!
//! Installed programs live below a prefix, `/usr` unless `BERTH_PREFIX` was set when Berth was
//! built. `cargo xtask install` substitutes the same prefix in units and PAM profiles.

/// Joins string constants at compile time.
macro_rules! join {
    ($($part:expr),+ $(,)?) => {{
        const PARTS: &[&str] = &[$($part),+];
        const LEN: usize = total_len(PARTS);
        const BYTES: [u8; LEN] = join_bytes(PARTS);
        match core::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("joined parts are UTF-8"),
        }
    }};
}

const fn total_len(parts: &[&str]) -> usize {
    let mut total = 0;
    let mut i = 0;
    while i < parts.len() {
        total += parts[i].len();
        i += 1;
    }
    total
}

const fn join_bytes<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut out = [0; N];
    let (mut i, mut at) = (0, 0);
    while i < parts.len() {
        let bytes = parts[i].as_bytes();
        let mut j = 0;
        while j < bytes.len() {
            out[at] = bytes[j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    out
}

/// Where Berth is installed.
pub const PREFIX: &str = match option_env!("BERTH_PREFIX") {
    Some(prefix) => prefix,
    None => "/usr",
};

/// The command that people type.
pub const BERTH: &str = join!(PREFIX, "/bin/berth");
/// Programs that other programs call.
pub const LIBEXEC_DIR: &str = join!(PREFIX, "/libexec/berth");
/// The setuid NIC helper.
pub const USERNIC: &str = join!(LIBEXEC_DIR, "/berth-usernic");
/// Holder of the lasting cgroup and launch socket service.
pub const SESSION_HELPER: &str = join!(LIBEXEC_DIR, "/berth-session-helper");
/// Compiles policies of system calls.
pub const SECCOMP: &str = join!(LIBEXEC_DIR, "/berth-seccomp");
/// The bridge program.
pub const NET: &str = join!(LIBEXEC_DIR, "/berth-net");
/// What needs root on a user's behalf, started by the system bus.
pub const BERTHD: &str = join!(LIBEXEC_DIR, "/berthd");
/// Read-only data.
pub const SHARE_DIR: &str = join!(PREFIX, "/share/berth");
/// Configuration snippets that containers include.
pub const CONFIG_SNIPPET_DIR: &str = join!(SHARE_DIR, "/config");
/// The snippet that `berth create` includes when there is no default.conf.
pub const USER_SNIPPET: &str = join!(CONFIG_SNIPPET_DIR, "/user.conf");
/// The same for root, whose containers have no ids of their own unless he maps some.
pub const ROOT_SNIPPET: &str = join!(CONFIG_SNIPPET_DIR, "/root.conf");

/// What LXC installs for containers to include, and what containers name also where it is gone.
pub const LXC_SNIPPET_DIR: &str = "/usr/share/lxc/config";
/// Berth's own files of these names, read where LXC's are not.
pub const OWN_LXC_SNIPPET_DIR: &str = join!(CONFIG_SNIPPET_DIR, "/lxc");

/// Berth's own configuration.
pub const ETC_DIR: &str = "/etc/berth";
/// The bridge's configuration.
pub const NET_CONF: &str = "/etc/berth/net.toml";
/// Limits of users' cgroups on hosts without systemd: every `*.conf` here.
pub const LIMITS_DIR: &str = "/etc/berth/limits.d";
/// A file named like the user here means that his containers start at boot, on hosts without
/// systemd.
pub const BOOT_DIR: &str = "/etc/berth/boot.d";
/// A file named like the user here means that his containers do not start at boot, though he lingers;
/// [`crate::boot::ALL`] means everybody's.
pub const NO_BOOT_DIR: &str = "/etc/berth/no-boot.d";
/// Who may have a lasting cgroup without a session, and whether sessions are repaired.
pub const BERTHD_CONF: &str = "/etc/berth/berthd.toml";
/// What `berth grant` did for each user, so that `berth revoke` undoes just that.
pub const GRANTS_DIR: &str = "/var/lib/berth/grants";

/// Runtime files of root's parts; mode 0755, root's.
pub const RUN_DIR: &str = "/run/berth";
/// Launch sockets, one a user, named by uid; directory 0755 root, socket 0600 the user's.
pub const LAUNCH_DIR: &str = "/run/berth/launch";
/// The NIC helper's locks; mode 0700, root's.
pub const USERNIC_RUN_DIR: &str = "/run/berth/usernic";
/// There while the text view of NICs may be out of date.
pub const NICS_CHANGED: &str = "/run/berth/usernic/changed";
/// State of the bridge that `berth-net` set up.
pub const NET_RUN_DIR: &str = "/run/berth/net";

/// Who may have how many NICs (lxc-usernet(5)).
pub const USERNET: &str = "/etc/lxc/lxc-usernet";
/// The text view of NICs in LXC's line format.
pub const NICS_VIEW: &str = "/run/lxc/nics";

/// What can be made again, of root's containers.
pub const ROOT_CACHE_DIR: &str = "/var/cache/berth";
/// The same of a user's, below his home.
pub const USER_CACHE_DIR: &str = ".cache/berth";

/// Where root's containers are.
pub const ROOT_LXCPATH: &str = "/var/lib/lxc";
/// Where a user's containers are, below his home.
pub const USER_LXCPATH: &str = ".local/share/lxc";
/// Defaults for root's new containers.
pub const ROOT_DEFAULT_CONF: &str = "/etc/lxc/default.conf";
/// Defaults for a user's new containers, below his home.
pub const USER_DEFAULT_CONF: &str = ".config/lxc/default.conf";

/// A file named like the user here means that he lingers (logind).
pub const LINGER_DIR: &str = "/var/lib/systemd/linger";
/// PAM's configuration, a file a service.
pub const PAM_DIR: &str = "/etc/pam.d";
/// newuidmap(1)
pub const NEWUIDMAP: &str = "/usr/bin/newuidmap";
/// newgidmap(1)
pub const NEWGIDMAP: &str = "/usr/bin/newgidmap";

/// The bridge that `berth-net` sets up unless told otherwise.
pub const DEFAULT_BRIDGE: &str = "berthbr0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lie_below_the_prefix() {
        assert!(BERTH.ends_with("/bin/berth"));
        for path in [BERTH, USERNIC, SESSION_HELPER, NET, USER_SNIPPET] {
            assert!(path.starts_with(PREFIX), "{path}");
        }
    }
}
