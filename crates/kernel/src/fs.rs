//! Files by descriptor: resolution below a root, extended attributes, locks, atomic writes.
