//! The devices that are attached in a container, as its mounts tell.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use berth_common::ContainerName;
use berth_kernel::fs::{self as kernel_fs, DeviceNumber, OpenFlags, Resolve};
use serde::Serialize;

use super::container::Running;
use super::is_basic;
use crate::destroy::unescape;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::start::child::beneath::open_beneath;

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Where it is inside.
    pub device: PathBuf,
    /// `char` or `block`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The driver's number.
    pub major: u32,
    /// The device's number there.
    pub minor: u32,
    /// Whether every container has it.
    pub basic: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.kind, self.major, self.minor)
    }
}

/// The devices of a running container.
pub fn list(place: &Place, name: &ContainerName) -> Result<Vec<Line>> {
    attached(&Running::open(place, name)?)
}

/// What is attached at a path.
pub(super) fn at(container: &Running, inside: &Path) -> Result<Option<Line>> {
    let mut all = attached(container)?.into_iter();
    Ok(all.find(|line| line.device == inside))
}

/// Where those are that can be removed; never empty words.
pub(super) fn paths(container: &Running) -> Result<Vec<String>> {
    let all = attached(container)?;
    let removable = all.iter().filter(|line| !line.basic);
    let paths: Vec<_> = removable
        .map(|line| line.device.display().to_string())
        .collect();
    Ok(match paths.is_empty() {
        true => vec!["none".to_owned()],
        false => paths,
    })
}

/// The numbers of those that not every container has.
pub(super) fn added(container: &Running) -> Result<Vec<DeviceNumber>> {
    let all = attached(container)?;
    Ok(all
        .iter()
        .filter(|line| !line.basic)
        .map(|line| DeviceNumber {
            block: line.kind == BLOCK,
            major: line.major,
            minor: line.minor,
        })
        .collect())
}

const BLOCK: &str = "block";

/// Mounts of files whose files are devices'. The paths are the container's to choose: nothing is
/// opened but for its status, and nothing outside its root.
fn attached(container: &Running) -> Result<Vec<Line>> {
    let failed = |error| Error::os("look at the container's mounts", error);
    let proc = container.proc.as_fd();
    let table = format!("/proc/self/fd/{}/mountinfo", proc.as_raw_fd());
    let table = std::fs::read(table).map_err(failed)?;
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
    let root =
        kernel_fs::openat2(proc, Path::new("root"), flags, 0, Resolve::ANY).map_err(failed)?;
    let table = String::from_utf8_lossy(&table);
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut lines: Vec<Line> = points
        .map(unescape)
        .filter_map(|point| {
            let file = open_beneath(root.as_fd(), &point).ok()?;
            let number = kernel_fs::status(file.as_fd()).ok()?.as_device()?;
            Some(Line {
                kind: if number.block { BLOCK } else { "char" },
                major: number.major,
                minor: number.minor,
                basic: is_basic(&point),
                device: point,
            })
        })
        .collect();
    lines.sort_by(|one, other| one.device.cmp(&other.device));
    lines.dedup_by(|one, other| one.device == other.device);
    Ok(lines)
}
