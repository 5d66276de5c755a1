//! Mapping a new user namespace's ids: newuidmap(1) and newgidmap(1) side by side.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use berth_common::path;

use super::plan::{IdMap, IdRange};
use crate::error::{Error, Result};

/// The two helpers at work. [`Mapping::finish`] waits for them.
pub struct Mapping {
    helpers: Vec<(&'static str, &'static str, Child)>,
}

impl Mapping {
    /// Starts mapping the user namespace of process `pid`. Root writes the maps himself.
    pub fn start(pid: i32, map: &IdMap) -> Result<Self> {
        let mut helpers = Vec::new();
        let parts = [
            (path::NEWUIDMAP, "uid_map", "/etc/subuid", &map.uids),
            (path::NEWGIDMAP, "gid_map", "/etc/subgid", &map.gids),
        ];
        for (program, file, table, ranges) in parts {
            if berth_kernel::cred::effective_uid().is_root() {
                write_map(pid, file, ranges)?;
                continue;
            }
            let mut command = Command::new(program);
            command.arg(pid.to_string());
            for range in ranges {
                command.arg(range.inside.to_string());
                command.arg(range.host.to_string());
                command.arg(range.count.to_string());
            }
            let child = command
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn();
            match child {
                Ok(child) => helpers.push((program, table, child)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::other(format!(
                        "{program} is missing: an administrator installs it with \
                         `apt install uidmap`"
                    )));
                }
                Err(error) => return Err(Error::file("run", Path::new(program), error)),
            }
        }
        Ok(Self { helpers })
    }

    /// Waits until the ids are mapped.
    pub fn finish(self) -> Result<()> {
        let mut result = Ok(());
        for (program, table, child) in self.helpers {
            let output = child
                .wait_with_output()
                .map_err(|error| Error::file("wait for", Path::new(program), error))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim();
                let hint = if berth_kernel::cred::has_no_new_privs() {
                    "this process may not gain privileges (no_new_privs), as newuidmap must"
                        .to_owned()
                } else {
                    format!("does {table} give you the ids that lxc.idmap names?")
                };
                result = Err(Error::other(format!("cannot map ids: {said} ({hint})")));
            }
        }
        result
    }
}

fn write_map(pid: i32, file: &str, ranges: &[IdRange]) -> Result<()> {
    let text: String = ranges
        .iter()
        .map(|range| format!("{} {} {}\n", range.inside, range.host, range.count))
        .collect();
    let path = format!("/proc/{pid}/{file}");
    std::fs::write(&path, text).map_err(|error| Error::file("write", Path::new(&path), error))
}
