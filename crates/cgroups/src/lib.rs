//! cgroup v2: the host's layout, delegated trees, limits.
#![forbid(unsafe_code)]
