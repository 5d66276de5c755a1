//! Telling the service manager how the service is (sd_notify(3)).

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service is up.
pub const READY: &str = "READY=1";

/// The service manager could not be told.
#[derive(Debug)]
pub struct NotifyError(io::Error);

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot notify the service manager (NOTIFY_SOCKET): {}",
            self.0
        )
    }
}

impl std::error::Error for NotifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Sends `state`, lines of `KEY=value`, to the socket that `NOTIFY_SOCKET` names. `Ok(false)` if
/// nobody wants to be told.
pub fn notify(state: &str) -> Result<bool, NotifyError> {
    match std::env::var_os("NOTIFY_SOCKET") {
        None => Ok(false),
        Some(name) => notify_at(&name, state).map(|()| true).map_err(NotifyError),
    }
}

fn notify_at(name: &OsStr, state: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        // vsock addresses are for the host of a virtual machine, not for its services.
        _ => return Err(io::Error::from(io::ErrorKind::AddrNotAvailable)),
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_arrive_at_paths_and_abstract_names() {
        let name = format!("berth-notify-test-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let abstract_socket =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let path_socket = UnixDatagram::bind(&path).unwrap();
        let mut buffer = [0; 32];
        for (address, socket) in [
            (format!("@{name}"), abstract_socket),
            (path.display().to_string(), path_socket),
        ] {
            notify_at(OsStr::new(&address), READY).unwrap();
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], READY.as_bytes());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(notify_at(path.as_os_str(), READY).is_err());
        assert!(notify_at(OsStr::new("vsock:2:1"), READY).is_err());
    }
}
