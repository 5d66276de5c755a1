//! The program that root's containers could reach: this one.
//!
//! A process that is on its way into a container is still `berth`, and `/proc/self/exe`, as init or
//! as a script's interpreter, executes that inside. Whoever then opens `/proc/PID/exe` has the host's
//! file (CVE-2019-5736). In a container with ids of its own he may not write to it. In one without, he
//! is the host's root; so the monitor of such a container runs from a read-only mount of the program,
//! which nobody can make writable since it is in no mount namespace.

use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::process;
use nix::fcntl::AT_FDCWD;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::plan::StartPlan;
use crate::error::{Error, Result};
use crate::place::Place;

const OWN: &str = "/proc/self/exe";
/// Set for the program that was executed again, lest it do so for ever where that has no effect.
const MARK: &str = "BERTH_FROM_READ_ONLY_MOUNT";

/// Starts the container by executing this program again, from a read-only mount, if it needs that;
/// returns if it does not. `start` are the words behind `berth start`.
pub fn execute_again_if_writable(
    place: &Place,
    plan: &StartPlan,
    start: &[OsString],
) -> Result<()> {
    if !plan.idmap.is_empty() || is_read_only() {
        return Ok(());
    }
    if std::env::var_os(MARK).is_some() {
        return Err(Error::other(format!(
            "{OWN} can be written to although it was executed from a read-only mount"
        )));
    }
    let failed = |error| Error::os("execute berth from a read-only mount", error);
    let program = DetachedMount::bind(AT_FDCWD, Path::new(OWN), false).map_err(failed)?;
    program
        .set_attributes(Attributes::READ_ONLY, false)
        .map_err(failed)?;
    let lead = [
        "berth".as_bytes(),
        b"--lxcpath",
        place.lxcpath.as_os_str().as_bytes(),
        b"start",
        b"--here",
    ];
    let arguments = lead
        .into_iter()
        .chain(start.iter().map(|word| word.as_bytes()));
    let zero = |_| Error::other("an argument or variable has a zero byte in the middle");
    let arguments: Vec<CString> = arguments
        .map(|argument| CString::new(argument).map_err(zero))
        .collect::<Result<_>>()?;
    let mut environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .map(|variable| CString::new(variable).map_err(zero))
        .collect::<Result<_>>()?;
    environment.push(CString::new(format!("{MARK}=1")).map_err(zero)?);
    Err(failed(process::exec_open_file(
        program.as_fd(),
        &arguments,
        &environment,
    )))
}

/// Whether this program lies on a mount that is read-only.
fn is_read_only() -> bool {
    statvfs(OWN).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY))
}
