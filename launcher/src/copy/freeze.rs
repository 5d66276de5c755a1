//! A running container that stands still while its files are copied.

use std::io::Read;
use std::time::Duration;

use berth_cgroups::CgroupDir;
use berth_kernel::process;

use crate::error::{Error, Result};
use crate::state::Record;

/// How long a container may take to stand still.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container that stands still until this is dropped, or its process dies.
pub struct Frozen {
    end: Option<std::io::PipeWriter>,
    thawer: process::Child,
}

/// Freezes a container. `None`: it has no cgroup of its own, or stood still already.
pub fn freeze(record: &Record) -> Result<Option<Frozen>> {
    let Some(place) = &record.cgroup else {
        return Ok(None);
    };
    let failed =
        |error: berth_cgroups::Error| Error::other(format!("cannot freeze the container: {error}"));
    let payload = place.payload()?;
    if payload.is_frozen().map_err(failed)? {
        return Ok(None);
    }
    let frozen = hold(&payload)?;
    payload.freeze(true).map_err(failed)?;
    match payload.wait_frozen(true, PATIENCE).map_err(failed)? {
        true => Ok(Some(frozen)),
        false => Err(Error::other(format!(
            "the container did not stand still within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

/// A process that thaws the container when this one ends, however it does.
fn hold(payload: &CgroupDir) -> Result<Frozen> {
    let failed = |error| Error::os("start a process", error);
    let (mut watch, end) = std::io::pipe().map_err(failed)?;
    let mut end = Some(end);
    let thawer = process::fork(|| {
        drop(end.take());
        // Ctrl-C at the terminal is for the whole foreground group.
        let _ = berth_kernel::limits::block_signals();
        // Whatever ends this ends the waiting.
        let _ = watch.read(&mut [0]);
        u8::from(payload.freeze(false).is_err())
    })
    .map_err(failed)?;
    Ok(Frozen { end, thawer })
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thawer.pidfd.wait();
    }
}
