//! A port in the container's network that takes a connection.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use berth_container_config::berth_toml::Probe;
use berth_kernel::process::{self, Exit, PidFd};
use nix::sched::CloneFlags;

use super::Target;
use crate::error::Error;
use crate::monitor::inside;

/// How long one address has to take the connection.
const PATIENCE: Duration = Duration::from_secs(2);
const NOBODY: u8 = 1;
const NO_NETWORK: u8 = 2;

/// Starts a process that tries it from within the network.
pub(super) fn start(port: u16, target: &Target<'_>) -> Result<PidFd, Error> {
    let init = &target.init.pidfd;
    let child = process::clone(CloneFlags::empty(), None, || {
        let entered = process::close_others(&[init.as_fd()])
            .and_then(|()| inside::enter_network(target.plan, init));
        if entered.is_err() {
            return NO_NETWORK;
        }
        let takes = |address| TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
        match inside::addresses()
            .into_iter()
            .any(|address| takes(address).is_ok())
        {
            true => 0,
            false => NOBODY,
        }
    });
    child
        .map(|child| child.pidfd)
        .map_err(|error| Error::os("make a process that tries the port", error))
}

/// What came of it; `None` while it tries.
pub(super) fn result(process: &PidFd, probe: &Probe) -> Option<Result<(), String>> {
    Some(match process.try_wait() {
        Ok(None) => return None,
        Ok(Some(Exit::Code(0))) => Ok(()),
        Ok(Some(Exit::Code(code))) if code == i32::from(NO_NETWORK) => {
            Err("the container's network cannot be entered".to_owned())
        }
        Ok(Some(_)) => Err(format!("nobody takes connections at {probe}")),
        Err(error) => Err(super::failed("wait for the probe")(error)),
    })
}
