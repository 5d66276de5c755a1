//! The service manager on the system bus (org.freedesktop.systemd1(5)).

use std::fmt;
use std::time::Duration;

/// How long the bus and the service manager may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    async fn attach_processes_to_unit(
        &self,
        unit: &str,
        subcgroup: &str,
        pids: &[u32],
    ) -> zbus::Result<()>;
}

/// A call on the system bus that failed.
#[derive(Debug)]
pub struct BusError {
    operation: String,
    source: zbus::Error,
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot {} over the system bus: {}",
            self.operation, self.source
        )
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Moves processes into the cgroup `subcgroup` (absolute, below the unit's own; it must exist)
/// of a delegated unit.
///
/// systemd 238 and later allow it without privilege and without a polkit prompt where the
/// caller, the processes and the unit's `User=` are the same user. Waits at most 10 seconds for
/// the answer. Makes its own connection and drops it; it may start a thread, so programs that
/// fork do it in a child.
pub fn attach_processes_to_unit(unit: &str, subcgroup: &str, pids: &[u32]) -> Result<(), BusError> {
    let call = async {
        let builder = zbus::connection::Builder::system().method_timeout(LIMIT);
        let connection = builder.build().await?;
        ManagerProxy::new(&connection)
            .await?
            .attach_processes_to_unit(unit, subcgroup, pids)
            .await
    };
    zbus::block_on(call).map_err(|source| BusError {
        operation: format!("move into the cgroup {subcgroup} of {unit}"),
        source,
    })
}
