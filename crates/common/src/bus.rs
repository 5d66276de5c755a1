//! Names on the system bus.

/// The well-known name of `berthd`.
pub const NAME: &str = "org.berth.Manager1";
/// Its one object.
pub const PATH: &str = "/org/berth/Manager1";
/// Its one interface.
pub const INTERFACE: &str = "org.berth.Manager1";

/// Starts the lasting cgroup of the calling user; no arguments, the answer is a line for people.
pub const START: &str = "StartLastingCgroup";
/// Ends the lasting cgroup of the calling user if it was started without a session and nothing
/// is in it any more; the same form.
pub const RELEASE: &str = "ReleaseLastingCgroup";
/// Hands the caller's login session over to its user; the same form.
pub const REPAIR: &str = "RepairSession";

/// An error of `berthd`: policy or the state of things speaks against it.
pub const REFUSED: &str = "org.berth.Error.Refused";
/// An error of `berthd`: too much is asked at a time.
pub const BUSY: &str = "org.berth.Error.Busy";
/// An error of `berthd`: it was tried and did not work.
pub const FAILED: &str = "org.berth.Error.Failed";
