//! `/run/lxc/nics`, written anew.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

use berth_common::path;
use berth_kernel::fs::{self, Durability};
use berth_usernic::view::{self, Line};

use super::Nic;
use crate::error::{Error, Result};

pub fn write(nics: &[Nic]) -> Result<()> {
    let file = Path::new(path::NICS_VIEW);
    let failed = |source| Error::file("write the view", file, source);
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(());
    };
    let run = parent.parent().unwrap_or(Path::new("/"));
    let run = fs::open_dir(run).map_err(failed)?;
    let directory = parent.file_name().unwrap_or(OsStr::new("."));
    let (dir, _) = fs::make_dir_at(run.as_fd(), directory, 0o755).map_err(failed)?;
    let lines: Vec<Line> = nics
        .iter()
        .map(|nic| Line {
            owner: nic.owner.clone(),
            bridge: nic.bridge_or_none().to_owned(),
            host: nic.host.clone(),
        })
        .collect();
    let text = view::render(&lines);
    fs::write_atomically(
        dir.as_fd(),
        name,
        text.as_bytes(),
        0o600,
        Durability::Memory,
    )
    .map_err(failed)
}
