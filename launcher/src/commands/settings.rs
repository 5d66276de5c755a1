//! What a start changes of a container's configuration for itself only.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use berth_common::ContainerName;
use berth_container_config::{Config, DiskLoader, load_text};

use super::load_config;
use crate::error::{Error, Result};
use crate::place::Place;

/// The configuration with these lines behind it, and warnings. Errors name the lines of the
/// configuration where they stand there, and the option where they stand in that.
pub fn load(
    place: &Place,
    name: &ContainerName,
    settings: &[String],
) -> Result<(Config, Vec<String>)> {
    if settings.is_empty() {
        return load_config(place, name);
    }
    let file = place.config_file(name);
    let file = file
        .to_str()
        .ok_or_else(|| Error::other(format!("{} is not UTF-8", file.display())))?;
    let mut text = format!("lxc.include = {file}\n");
    for setting in settings {
        if setting.contains(['\n', '\0']) || !matches!(setting.find('='), Some(1..)) {
            return Err(Error::Code {
                code: berth_common::exit::USAGE,
                text: format!("--set wants KEY=VALUE, not “{setting}”"),
            });
        }
        text.push_str(setting);
        text.push('\n');
    }
    let loaded = load_text(Path::new("--set"), &text, &DiskLoader)
        .map_err(|error| Error::other(error.to_string()))?;
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    Ok((loaded.config, warnings))
}

/// An init and its arguments as they are executed.
pub fn init(arguments: &[OsString]) -> Result<Vec<CString>> {
    let zero = |_| Error::other("an argument of init has a zero byte in the middle");
    let one = |argument: &OsString| CString::new(argument.as_bytes()).map_err(zero);
    arguments.iter().map(one).collect()
}
