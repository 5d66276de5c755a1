//! Kernel settings below `/proc/sys`.

use crate::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Key components are joined as they are: interface names may have dots in them.
fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}

/// The value, without the final newline; nothing if this kernel has no such setting.
pub fn read(key: &str) -> Result<Option<String>, Error> {
    match fs::read_to_string(path(key)) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", path(key))(source)),
    }
}

/// Sets it. `Ok(false)` if this kernel has no such setting.
pub fn write(key: &str, value: &str) -> Result<bool, Error> {
    match fs::write(path(key), value) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::file("write", path(key))(source)),
    }
}

/// The interfaces that have settings in `net/ipv4/conf` or `net/ipv6/conf`, `all` and `default` among
/// them.
pub fn interfaces(key: &str) -> Result<Vec<String>, Error> {
    let dir = path(key);
    let wrong = || Error::file("list", dir.clone());
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).map_err(wrong())? {
        let name = entry.map_err(wrong())?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}
