//! `berth publish`, `unpublish`: ports of the host that lead into a container.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_common::ContainerName;
use berth_container_config::berth_toml::{self, EditError, Publish};
use berth_kernel::fs as kernel_fs;

use super::VERB_PATIENCE;
use super::ask::if_there;
use crate::config_file::ConfigFile;
use crate::create::SETTINGS_MODE;
use crate::error::{Error, Result};
use crate::monitor::protocol::Request;
use crate::place::Place;
use crate::ports;
use crate::state::Runtime;

/// How long a port that was taken back is waited for.
const FREE_WITHIN: Duration = Duration::from_secs(1);

/// Lets ports of the host lead into a container: at once if it runs, and at each start. All of
/// them, or none.
pub fn publish(place: &Place, name: &ContainerName, new: &[Publish]) -> Result<()> {
    change(place, name, |text| add(place, name, text, new))
}

/// The text of a `berth.toml` with these ports, which can be had at this moment.
pub fn add(place: &Place, name: &ContainerName, text: &str, new: &[Publish]) -> Result<String> {
    let file = place.settings_file(name);
    let mut text = text.to_owned();
    for publish in new {
        text = berth_toml::publish(&text, &file, publish)
            .map_err(|error| refused(name, &publish.to_string(), &error))?;
    }
    let bound = ports::bind_all(new);
    bound.map_err(|error| Error::other(ports::explain(place, name, &error)))?;
    Ok(text)
}

/// Takes back what [`publish`] gave, and cuts the connections that came by it; what it was.
pub fn unpublish(
    place: &Place,
    name: &ContainerName,
    wanted: &[Publish],
    all: bool,
) -> Result<Vec<Publish>> {
    let file = place.settings_file(name);
    let mut gone = Vec::new();
    change(place, name, |text| {
        let mut text = text.to_owned();
        if all {
            let result = berth_toml::unpublish(&text, &file, |_| true);
            let (left, removed) = result.map_err(|error| refused(name, "", &error))?;
            (text, gone) = (left, removed);
        }
        for publish in wanted {
            let result = berth_toml::unpublish(&text, &file, |one| one == publish);
            let (left, removed) =
                result.map_err(|error| refused(name, &publish.to_string(), &error))?;
            text = left;
            gone.extend(removed);
        }
        Ok(text)
    })?;
    wait_until_free(&gone);
    Ok(gone)
}

/// The forwarder gives a socket up a moment after its monitor. Whoever publishes the port again
/// at once should have it; if it stays taken, it is somebody else who was faster.
fn wait_until_free(gone: &[Publish]) {
    let limit = Instant::now() + FREE_WITHIN;
    while ports::bind_all(gone).is_err() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn refused(name: &ContainerName, what: &str, error: &EditError) -> Error {
    Error::other(match error {
        EditError::Invalid(_) => error.to_string(),
        EditError::NotPublished if what.is_empty() => {
            format!("container “{name}” publishes no port")
        }
        _ => format!("container “{name}”, {what}: {error}"),
    })
}

/// Changes the file, and has a monitor that lives obey it. If that cannot be, the file is as it
/// was.
fn change(
    place: &Place,
    name: &ContainerName,
    edit: impl FnOnce(&str) -> Result<String>,
) -> Result<()> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let _lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    place.require(name)?;
    let path = place.settings_file(name);
    let before = berth_toml::read_text(&path).map_err(|error| Error::other(error.to_string()))?;
    let after = edit(before.as_deref().unwrap_or_default())?;
    write(&path, before.is_some(), &after)?;
    let obeyed = match runtime.state()?.0.is_active() {
        // One that ends needs not know: the next start reads the file.
        true => if_there(&runtime, &Request::Ports, Some(VERB_PATIENCE)).map(drop),
        false => Ok(()),
    };
    if obeyed.is_err() {
        match &before {
            Some(before) => write(&path, true, before)?,
            None => {
                std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, error))?
            }
        }
    }
    obeyed
}

fn write(path: &Path, exists: bool, text: &str) -> Result<()> {
    if exists {
        return ConfigFile::open(path)?.replace(text.to_owned());
    }
    let failed = |error| Error::file("write", path, error);
    let dir = path.parent().unwrap_or(Path::new("."));
    let dir = kernel_fs::open_dir(dir).map_err(failed)?;
    let name = path.file_name().unwrap_or(OsStr::new(berth_toml::FILE));
    let durability = kernel_fs::Durability::ContentAndName;
    kernel_fs::write_atomically(
        dir.as_fd(),
        name,
        text.as_bytes(),
        SETTINGS_MODE,
        durability,
    )
    .map_err(failed)
}
