//! Credentials and capabilities of the calling process.

use std::io;

use berth_common::capability::CAPABILITIES;
use berth_common::{Gid, Uid};

use crate::process::check;

/// The real uid: who called.
pub fn real_uid() -> Uid {
    to_uid(nix::unistd::getuid())
}

/// The effective uid: whose rights count.
pub fn effective_uid() -> Uid {
    to_uid(nix::unistd::geteuid())
}

/// The real gid.
pub fn real_gid() -> Gid {
    // The kernel never gives out the invalid id.
    Gid::new(nix::unistd::getgid().as_raw()).unwrap_or(Gid::ROOT)
}

fn to_uid(uid: nix::unistd::Uid) -> Uid {
    // The kernel never gives out the invalid id; should it, the least trusted choice is not
    // root but the overflow uid.
    Uid::new(uid.as_raw())
        .or(Uid::new(65_534))
        .unwrap_or(Uid::ROOT)
}

/// Sets real, effective and saved uid of the process (setresuid(2)).
pub fn set_all_uids(uid: Uid) -> io::Result<()> {
    let uid = nix::unistd::Uid::from_raw(uid.raw());
    nix::unistd::setresuid(uid, uid, uid).map_err(io::Error::from)
}

/// Sets real, effective and saved gid of the process (setresgid(2)).
pub fn set_all_gids(gid: Gid) -> io::Result<()> {
    let gid = nix::unistd::Gid::from_raw(gid.raw());
    nix::unistd::setresgid(gid, gid, gid).map_err(io::Error::from)
}

/// Sets the supplementary groups (setgroups(2)).
pub fn set_groups(groups: &[Gid]) -> io::Result<()> {
    let groups: Vec<_> = groups
        .iter()
        .map(|gid| nix::unistd::Gid::from_raw(gid.raw()))
        .collect();
    nix::unistd::setgroups(&groups).map_err(io::Error::from)
}

/// The number of a capability by its name in lower case, without `cap_`.
pub fn capability_number(name: &str) -> Option<u8> {
    CAPABILITIES
        .iter()
        .position(|known| *known == name)
        .map(|number| number as u8)
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// The set with these numbers, 0–63.
    pub fn of(numbers: impl IntoIterator<Item = u8>) -> Self {
        Self(numbers.into_iter().fold(0, |set, number| {
            set | 1u64.checked_shl(number.into()).unwrap_or(0)
        }))
    }

    /// Whether the capability is in the set.
    pub fn contains(self, number: u8) -> bool {
        self.0 & 1u64.checked_shl(number.into()).unwrap_or(0) != 0
    }

    /// The set with one more.
    #[must_use]
    pub fn with(self, number: u8) -> Self {
        Self(self.0 | Self::of([number]).0)
    }

    /// The kernel's bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// How many capabilities the running kernel knows.
pub fn capability_count() -> u8 {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|text| text.trim().parse::<u8>().ok());
    last.map_or(CAPABILITIES.len() as u8, |last| last.saturating_add(1))
        .min(64)
}

/// Takes the capabilities in `drop` out of the bounding set for good, and empties the ambient and
/// inheritable sets: what is inheritable comes back when root executes a program, bounding set or
/// not (capabilities(7)). A number that the kernel does not know is passed over.
pub fn drop_from_bounding_set(drop: CapabilitySet) -> io::Result<()> {
    for number in (0..64).filter(|number| drop.contains(*number)) {
        // SAFETY: PR_CAPBSET_DROP takes an integer.
        let done =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        match check(done.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            other => {
                other?;
            }
        }
    }
    // SAFETY: PR_CAP_AMBIENT takes integers.
    let done = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
            0,
            0,
            0,
        )
    };
    check(done.into())?;
    let now = capabilities()?;
    set_capabilities(now.effective, now.permitted, CapabilitySet::EMPTY)
}

/// Capabilities of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Those that count now.
    pub effective: CapabilitySet,
    /// Those that it may make effective.
    pub permitted: CapabilitySet,
    /// Those that a program may keep which it executes.
    pub inheritable: CapabilitySet,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Sets effective, permitted and inheritable capabilities of the calling thread (capset(2)).
pub fn set_capabilities(
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
) -> io::Result<()> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let half = |shift: u32| CapabilityData {
        effective: (effective.0 >> shift) as u32,
        permitted: (permitted.0 >> shift) as u32,
        inheritable: (inheritable.0 >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data structures, which outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) };
    check(done).map(drop)
}

/// Keeps permitted capabilities at a change from root to another uid, up to the next exec
/// (PR_SET_KEEPCAPS).
pub fn keep_capabilities() -> io::Result<()> {
    // SAFETY: PR_SET_KEEPCAPS takes an integer.
    let done = unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
    check(done.into()).map(drop)
}

/// Lets the next program keep these of the caller's permitted capabilities, whoever's it is
/// (capabilities(7), ambient set).
pub fn keep_capabilities_across_exec(keep: CapabilitySet) -> io::Result<()> {
    let now = capabilities()?;
    set_capabilities(now.effective, now.permitted, keep)?;
    for number in (0..64).filter(|number| keep.contains(*number)) {
        // SAFETY: PR_CAP_AMBIENT takes integers.
        let done = unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong,
                libc::c_ulong::from(number),
                0,
                0,
            )
        };
        check(done.into())?;
    }
    Ok(())
}

/// Permitted capabilities of the calling thread (capget(2)).
pub fn permitted_capabilities() -> io::Result<CapabilitySet> {
    capabilities().map(|now| now.permitted)
}

/// Capabilities of the calling thread (capget(2)).
pub fn capabilities() -> io::Result<Capabilities> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let mut data = [CapabilityData::default(); 2];
    // SAFETY: version 3 takes a header and room for two data structures.
    let done = unsafe { libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) };
    check(done)?;
    let whole = |part: fn(&CapabilityData) -> u32| {
        CapabilitySet(u64::from(part(&data[0])) | u64::from(part(&data[1])) << 32)
    };
    Ok(Capabilities {
        effective: whole(|data| data.effective),
        permitted: whole(|data| data.permitted),
        inheritable: whole(|data| data.inheritable),
    })
}

/// From here on no exec gives new privileges (prctl(2), PR_SET_NO_NEW_PRIVS).
pub fn set_no_new_privs() -> io::Result<()> {
    // SAFETY: the option takes integers.
    let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    check(done.into()).map(drop)
}

/// Whether no exec can give new privileges to this process.
pub fn has_no_new_privs() -> bool {
    // SAFETY: the option takes integers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_names_have_the_kernels_numbers() {
        assert_eq!(capability_number("chown"), Some(0));
        assert_eq!(capability_number("net_admin"), Some(12));
        assert_eq!(capability_number("sys_admin"), Some(21));
        assert_eq!(capability_number("checkpoint_restore"), Some(40));
        assert_eq!(capability_number("cap_chown"), None);
    }

    /// Needs root.
    #[test]
    fn what_is_dropped_does_not_come_back_with_an_exec() {
        use crate::process::{Exit, fork};
        let chown = CapabilitySet::of([0]);
        let child = fork(|| {
            let outcome = (|| {
                let now = capabilities()?;
                set_capabilities(now.effective, now.permitted, chown)?;
                // SAFETY: PR_CAP_AMBIENT takes integers.
                let raised = unsafe {
                    libc::prctl(
                        libc::PR_CAP_AMBIENT,
                        libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong,
                        0 as libc::c_ulong,
                        0,
                        0,
                    )
                };
                check(raised.into())?;
                drop_from_bounding_set(chown)?;
                let after = capabilities()?;
                assert_eq!(after.inheritable, CapabilitySet::EMPTY);
                assert_eq!(after.permitted, now.permitted);
                assert_eq!(after.effective, now.effective);
                let script = "exec grep -q '^CapPrm:.*[02468ace]$' /proc/self/status";
                let arguments = [c"sh".into(), c"-c".into(), std::ffi::CString::new(script)?];
                let path = [c"PATH=/usr/bin:/bin".into()];
                Err::<(), _>(crate::process::exec(
                    std::path::Path::new("/bin/sh"),
                    &arguments,
                    &path,
                ))
            })();
            eprintln!("{outcome:?}");
            99
        });
        assert_eq!(child.unwrap().pidfd.wait().unwrap(), Exit::Code(0));
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = CapabilitySet::of([0, 12, 40]);
        assert!(set.contains(12) && set.contains(40) && !set.contains(13));
        assert!(!set.contains(200));
    }
}
