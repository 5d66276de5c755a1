//! A connection to the system bus.

use berth_common::Uid;
use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::time::Duration;
use zbus::names::UniqueName;

/// A conversation over the system bus that failed.
#[derive(Debug)]
pub struct BusError {
    operation: String,
    source: zbus::Error,
}

impl BusError {
    /// `operation` completes "cannot … over the system bus".
    pub fn new(operation: impl Into<String>, source: zbus::Error) -> Self {
        Self {
            operation: operation.into(),
            source,
        }
    }

    /// The name of the error that the other side answered with.
    pub fn name(&self) -> Option<&str> {
        match &self.source {
            zbus::Error::MethodError(name, ..) => Some(name.as_str()),
            _ => None,
        }
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} over the system bus: ", self.operation)?;
        match &self.source {
            zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                f.write_str("no answer in time")
            }
            zbus::Error::MethodError(_, Some(text), _) => f.write_str(text),
            source => source.fmt(f),
        }
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A connection on which every answer is waited for with a limit. It may start a thread, so
/// programs that fork use it in a child.
#[derive(Clone, Debug)]
pub struct SystemBus {
    pub(crate) connection: zbus::Connection,
}

/// Who sent a message, as the bus saw it when he connected.
#[derive(Debug)]
pub struct Caller {
    /// His user id.
    pub uid: Uid,
    /// His process: the bus knows no more than a number, which may have passed to another
    /// process since.
    pub pid: i32,
    /// His process by descriptor, where the bus has one.
    pub process: Option<OwnedFd>,
    /// All groups of the process.
    pub groups: Vec<u32>,
}

#[zbus::proxy(
    interface = "org.freedesktop.DBus",
    default_service = "org.freedesktop.DBus",
    default_path = "/org/freedesktop/DBus"
)]
trait Bus {
    async fn get_connection_credentials(
        &self,
        name: &str,
    ) -> zbus::Result<zbus::fdo::ConnectionCredentials>;
}

impl SystemBus {
    /// Connects; `limit` holds for each answer on the connection.
    pub fn connect(limit: Duration) -> Result<Self, BusError> {
        let build = async {
            let builder = zbus::connection::Builder::system().method_timeout(limit);
            builder.build().await
        };
        let connection = zbus::block_on(build).map_err(|e| BusError::new("connect", e))?;
        Ok(Self { connection })
    }

    /// The connection itself.
    pub fn connection(&self) -> &zbus::Connection {
        &self.connection
    }

    /// Asks the bus who `name` is. `None` if it does not know all of uid and pid.
    pub fn caller(&self, name: &UniqueName<'_>) -> Result<Option<Caller>, BusError> {
        let found = self.call("ask who is calling", async {
            BusProxy::new(&self.connection)
                .await?
                .get_connection_credentials(name)
                .await
        })?;
        let uid = found.unix_user_id().and_then(Uid::new);
        let pid = found
            .process_id()
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|pid| *pid > 0);
        Ok(uid.zip(pid).map(|(uid, pid)| Caller {
            uid,
            pid,
            groups: found.unix_group_ids().cloned().unwrap_or_default(),
            process: found.into_process_fd().map(OwnedFd::from),
        }))
    }

    /// Waits for a call. `operation` completes "cannot … over the system bus".
    pub(crate) fn call<T>(
        &self,
        operation: impl Into<String>,
        call: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, BusError> {
        zbus::block_on(call).map_err(|source| BusError::new(operation, source))
    }
}
