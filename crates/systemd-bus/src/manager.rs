//! The service manager on the system bus (org.freedesktop.systemd1(5)).

use crate::{BusError, SystemBus};
use std::time::Duration;
use zbus::proxy::CacheProperties;
use zbus::wire::OwnedObjectPath;

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

    async fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    async fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    async fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1"
)]
trait Unit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_state(&self) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn load_state(&self) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn condition_result(&self) -> zbus::Result<bool>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn job(&self) -> zbus::Result<(u32, OwnedObjectPath)>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Service",
    default_service = "org.freedesktop.systemd1"
)]
trait Service {
    #[zbus(property(emits_changed_signal = "false"), name = "MainPID")]
    fn main_pid(&self) -> zbus::Result<u32>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn result(&self) -> zbus::Result<String>;
}

/// What the service manager says of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// Whether a job is queued for it or under way.
    pub has_job: bool,
    /// Whether its conditions held when it was last started.
    pub conditions_held: bool,
}

impl UnitState {
    /// Whether it is up.
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// Whether it is up or about to be.
    pub fn is_active_or_starting(&self) -> bool {
        matches!(&*self.active, "active" | "activating" | "reloading")
    }

    /// Whether it is down and stays so.
    pub fn is_at_rest(&self) -> bool {
        !self.has_job && matches!(&*self.active, "inactive" | "failed")
    }
}

impl SystemBus {
    /// Queues the start of a unit. A job that would undo one under way is refused.
    pub fn start_unit(&self, name: &str) -> Result<(), BusError> {
        self.call(format!("start {name}"), async {
            let manager = ManagerProxy::new(&self.connection).await?;
            manager.start_unit(name, "fail").await.map(drop)
        })
    }

    /// Queues the stop of a unit, under the same condition.
    pub fn stop_unit(&self, name: &str) -> Result<(), BusError> {
        self.call(format!("stop {name}"), async {
            let manager = ManagerProxy::new(&self.connection).await?;
            manager.stop_unit(name, "fail").await.map(drop)
        })
    }

    /// How a unit is.
    pub fn unit_state(&self, name: &str) -> Result<UnitState, BusError> {
        self.call(format!("ask how {name} is"), async {
            let manager = ManagerProxy::new(&self.connection).await?;
            let path = manager.load_unit(name).await?;
            let unit = UnitProxy::builder(&self.connection)
                .path(path)
                .cache_properties(CacheProperties::No);
            let unit = unit.build().await?;
            Ok(UnitState {
                load: unit.load_state().await?,
                has_job: unit.job().await?.0 != 0,
                active: unit.active_state().await?,
                conditions_held: unit.condition_result().await?,
            })
        })
    }

    /// How a service's last run ended: `success`, `exec-condition`, `exit-code` …
    pub fn service_result(&self, name: &str) -> Result<String, BusError> {
        self.call(format!("ask how {name} ended"), async {
            self.service(name).await?.result().await
        })
    }

    /// The main process of a service; 0 if it has none.
    pub fn main_pid(&self, name: &str) -> Result<u32, BusError> {
        self.call(format!("ask for the main process of {name}"), async {
            self.service(name).await?.main_pid().await
        })
    }

    async fn service(&self, name: &str) -> zbus::Result<ServiceProxy<'_>> {
        let manager = ManagerProxy::new(&self.connection).await?;
        let path = manager.load_unit(name).await?;
        let service = ServiceProxy::builder(&self.connection)
            .path(path)
            .cache_properties(CacheProperties::No);
        service.build().await
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
    let bus = SystemBus::connect(LIMIT)?;
    bus.call(
        format!("move into the cgroup {subcgroup} of {unit}"),
        async {
            ManagerProxy::new(&bus.connection)
                .await?
                .attach_processes_to_unit(unit, subcgroup, pids)
                .await
        },
    )
}
