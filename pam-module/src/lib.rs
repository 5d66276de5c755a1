//! PAM session module: delegates a login session's cgroup to its user.
