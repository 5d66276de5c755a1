//! Exit codes of Berth's programs, as the manual pages document them.

/// Done.
pub const OK: u8 = 0;
/// It could not be done; the message says why.
pub const FAILED: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// `attach` and `exec`: Berth itself failed, the command did not run.
pub const RUN_FAILED: u8 = 125;
/// `attach` and `exec`: the command exists but cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// `attach` and `exec`: there is no such command in the container.
pub const NOT_FOUND: u8 = 127;
/// `attach` and `exec`: the command was ended by signal `n`; the code is this plus `n`.
pub const SIGNAL_BASE: u8 = 128;
