//! Words and modes of the cgroup trees that Berth makes or uses (cgroup v2).

/// The leaf of a delegated cgroup in which processes sit. Unmodified liblxc cuts this last
/// component from its caller's cgroup and so finds the delegated cgroup above it.
pub const LEAF: &str = "init.scope";
/// Below a container's cgroup: where its monitor sits.
pub const MONITOR: &str = "monitor";
/// Below a container's cgroup: the container's own tree; limits are set on it.
pub const PAYLOAD: &str = "payload";
/// In a container's own tree: where commands from outside sit. An init that hands controllers on, as
/// systemd does, makes the tree's top a cgroup for cgroups only; no unit's name begins with a dot.
pub const EXEC: &str = ".exec";
/// How deep a container's own tree may be, and how many cgroups it may have: whoever removes it walks
/// through all of it, with a descriptor for each level.
pub const MAX_DEPTH: u32 = 50;
/// See [`MAX_DEPTH`].
pub const MAX_DESCENDANTS: u32 = 50_000;
/// Where systemd puts the control processes of a delegated service; never used by us.
pub const SYSTEMD_CONTROL: &str = ".control";

/// Below the init system's own cgroup, where there is no systemd: the tree that holds the users'
/// lasting cgroups, `user-UID` each.
pub const OWN_TREE: &str = "berth";
/// Begins the names of the users' cgroups there; the uid follows.
pub const OWN_TREE_USER_PREFIX: &str = "user-";
/// In a session's cgroup where elogind delegates sessions itself (`DelegateSessionCgroups=`):
/// where the session's processes sit …
pub const ELOGIND_LEAF: &str = "session";
/// … and where its user makes cgroups.
pub const ELOGIND_DELEGATED: &str = "delegated";

/// The extended attribute by which systemd (251 and later) marks a delegated cgroup; its value
/// is `1`. Readable by everybody.
pub const DELEGATE_XATTR: &str = "user.delegate";
/// The older mark, readable by root only.
pub const DELEGATE_XATTR_TRUSTED: &str = "trusted.delegate";
/// Names of the files whose ownership delegates a cgroup, one a line (kernel 4.15 and later;
/// cgroups(7)).
pub const DELEGATE_LIST: &str = "/sys/kernel/cgroup/delegate";
/// What the list holds on every kernel; used where the file does not exist.
pub const DELEGATE_FALLBACK: [&str; 3] =
    ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// Mode of a delegated cgroup's directory.
pub const DIR_MODE: u32 = 0o755;
/// Mode of the delegated files.
pub const FILE_MODE: u32 = 0o644;

/// The same where a group has the delegated rights, beside an owner who keeps them.
pub const SHARED_DIR_MODE: u32 = 0o775;
/// See [`SHARED_DIR_MODE`].
pub const SHARED_FILE_MODE: u32 = 0o664;

/// Prefixes of the kernel's own files in a cgroup directory. A child cgroup whose name starts
/// with one of them could collide with a control file of today or tomorrow.
pub const CONTROL_FILE_PREFIXES: [&str; 11] = [
    "cgroup.", "memory.", "cpu.", "cpuset.", "io.", "pids.", "hugetlb.", "rdma.", "misc.", "dmem.",
    "irq.",
];
/// Prefixes of the cgroups that liblxc makes beside ours.
pub const LXC_PREFIX: &str = "lxc.";
