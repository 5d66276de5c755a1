//! Resource limits, niceness, umask: what a privileged program puts in order before it reads input.
