//! Where init says that it is ready.

use berth_common::ContainerName;
use berth_container_config::berth_toml::{self, Probe, Settings};

use crate::error::{Error, Result};

/// The abstract name of the socket, a new one for each start: containers may share a network.
pub(super) fn notify(
    settings: &Settings,
    name: &ContainerName,
    host_network: bool,
) -> Result<Option<String>> {
    let probe = settings.ready.as_ref().map(|ready| &ready.probe);
    if probe != Some(&Probe::Notify) {
        return Ok(None);
    }
    if host_network {
        return Err(Error::other(format!(
            "{}: ready.notify: the container is in the host's network, where everybody could say \
             that it is ready; use ready.command or ready.port there",
            berth_toml::FILE
        )));
    }
    let random =
        berth_kernel::random::bytes::<8>().map_err(|error| Error::os("get random bytes", error))?;
    let random = u64::from_ne_bytes(random);
    Ok(Some(format!("berth/{name}/{random:016x}")))
}
