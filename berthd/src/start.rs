//! A user's lasting cgroup: starting it where no login did, and ending what was so started.

use crate::error::Refusal;
use crate::policy::{self, HostFacts};
use berth_cgroups::{DelegatedBase, Hierarchy};
use berth_common::{path, unit};
use berth_kernel::process;
use berth_kernel::user::User;
use berth_systemd_bus::{BusError, Caller, SystemBus, UnitState};
use std::time::{Duration, Instant};

/// How long units may take to come up, or one to go down.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// systemd: a job that stands in the way is under way.
const DESTRUCTIVE: &str = "org.freedesktop.systemd1.TransactionIsDestructive";

/// Starts the caller's lasting cgroup and its launch socket; a line for him.
///
/// While his service manager runs (he is logged in or lingers), a login would have started them:
/// this host got Berth later. Otherwise only `berth-user@` is started, which brings his runtime
/// directory, and not the service manager: logind does not know of such a user and would never
/// end it. `berth-session-helper hold` ends what is started so, by [`release`].
pub fn start(bus: &SystemBus, caller: &Caller) -> Result<String, Refusal> {
    let user = policy::person(caller.uid)?;
    let manager = unit::service_manager(user.uid);
    let manager = bus.unit_state(&manager).map_err(Refusal::failed)?;
    let why = if manager.is_active_or_starting() {
        "his service manager runs"
    } else if bus.has_session(user.uid).map_err(Refusal::failed)? {
        // Of a kind that has no service manager.
        "he has a session"
    } else {
        let facts = HostFacts {
            user: &user,
            groups: &caller.groups,
        };
        match policy::judge(&policy::read_config()?.start, &facts)? {
            Some(right) => right.words(),
            None => return Err(no_right(&user)),
        }
    };
    let base = unit::lasting_base(user.uid);
    let deadline = Instant::now() + LIMIT;
    up(bus, &base, deadline)?;
    up(bus, &unit::launch_socket(user.uid), deadline)?;
    tracing::info!(
        "user {} ({}), process {}: {base} is up, since {why}",
        user.uid,
        user.name,
        caller.pid
    );
    Ok(format!("the lasting cgroup of {} is up", user.name))
}

fn no_right(user: &User) -> Refusal {
    let name = &user.name;
    Refusal::Refused(format!(
        "{name} has no login session and does not linger, so there is no lasting cgroup for \
         {name}'s containers. A session brings it: ssh localhost, machinectl shell {name}@; so \
         does linger: loginctl enable-linger {name}; or an administrator allows it without \
         either in {} (start-without-session)",
        path::BERTHD_CONF
    ))
}

/// Starts a unit and waits until it is up.
fn up(bus: &SystemBus, name: &str, deadline: Instant) -> Result<(), Refusal> {
    loop {
        match bus.start_unit(name) {
            Ok(()) => break,
            Err(error) if error.name() == Some(DESTRUCTIVE) => {
                if Instant::now() >= deadline {
                    return Err(Refusal::Busy(format!(
                        "{name} is just being stopped; try again when that is over (systemctl \
                         status {name})"
                    )));
                }
                std::thread::sleep(4 * PAUSE);
            }
            Err(error) => return Err(why_not(bus, name, Some(error))),
        }
    }
    let state = settle(bus, name, deadline, UnitState::is_active)?;
    if state.is_active() {
        Ok(())
    } else if state.is_at_rest() {
        Err(why_not(bus, name, None))
    } else {
        Err(Refusal::Busy(format!(
            "{name} did not come up within {} seconds; it may still do so (systemctl status \
             {name})",
            LIMIT.as_secs()
        )))
    }
}

/// Waits until a unit is as wanted or at rest, or the time is over; how it is then.
fn settle(
    bus: &SystemBus,
    name: &str,
    deadline: Instant,
    wanted: fn(&UnitState) -> bool,
) -> Result<UnitState, Refusal> {
    loop {
        let state = bus.unit_state(name).map_err(Refusal::failed)?;
        if wanted(&state) || state.is_at_rest() || Instant::now() >= deadline {
            return Ok(state);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Why a unit did not start.
fn why_not(bus: &SystemBus, name: &str, error: Option<BusError>) -> Refusal {
    let state = bus.unit_state(name);
    let why = match (state, error) {
        (Ok(state), _) if state.load == "not-found" => {
            "systemd does not know it (an administrator installs Berth's units and calls \
             systemctl daemon-reload)"
                .to_owned()
        }
        (Ok(state), _) if state.load == "masked" => "an administrator has masked it".to_owned(),
        (_, Some(error)) => return Refusal::failed(error),
        (Ok(state), None) if !state.conditions_held => {
            "this host has no cgroup v2 with controllers (see ConditionControlGroupController= in \
             the unit)"
                .to_owned()
        }
        (Ok(_), None) => format!("it failed (see: systemctl status {name})"),
        (Err(error), None) => return Refusal::failed(error),
    };
    Refusal::Failed(format!("{name} did not start: {why}"))
}

/// Ends the caller's lasting cgroup if neither logind keeps it nor anything is in it but its
/// holder; a line for him.
///
/// First the socket goes and the launch service after it, so that nothing new can come while the
/// cgroup is looked at. What connected before is served to its end and then counts.
pub fn release(bus: &SystemBus, caller: &Caller) -> Result<String, Refusal> {
    let user = policy::person(caller.uid)?;
    let facts = HostFacts {
        user: &user,
        groups: &caller.groups,
    };
    let manager = unit::service_manager(user.uid);
    let manager = bus.unit_state(&manager).map_err(Refusal::failed)?;
    let kept = manager.is_active_or_starting()
        || policy::Facts::lingers(&facts)
        || bus.has_session(user.uid).map_err(Refusal::failed)?;
    if kept {
        return Err(Refusal::Refused(format!(
            "{} is logged in or lingers: the lasting cgroup stays",
            user.name
        )));
    }
    let (base, service, socket) = (
        unit::lasting_base(user.uid),
        unit::session_helper(user.uid),
        unit::launch_socket(user.uid),
    );
    let pid_of = |unit: &str| bus.main_pid(unit).map_err(Refusal::failed);
    let own = [pid_of(&base)?, pid_of(&service)?, caller.pid.unsigned_abs()];
    expect_idle(&user, &own)?;
    for name in [&socket, &service] {
        bus.stop_unit(name).map_err(Refusal::failed)?;
        settle(bus, name, Instant::now() + LIMIT, UnitState::is_at_rest)?;
    }
    if let Err(refusal) = expect_idle(&user, &[own[0], own[2]]) {
        bus.start_unit(&socket).map_err(Refusal::failed)?;
        return Err(refusal);
    }
    bus.stop_unit(&base).map_err(Refusal::failed)?;
    tracing::info!(
        "user {} ({}): {base} is idle and nothing keeps it: stopped",
        user.uid,
        user.name
    );
    Ok(format!("the lasting cgroup of {} is stopped", user.name))
}

/// An error if there is any process in the user's lasting cgroup but, in its leaf, those with these
/// numbers and the one that keeps the PAM session of the first, the holder.
fn expect_idle(user: &User, own: &[u32]) -> Result<(), Refusal> {
    let busy = || {
        Refusal::Refused(format!(
            "something runs in the lasting cgroup of {}: it stays",
            user.name
        ))
    };
    let hierarchy = Hierarchy::detect().map_err(Refusal::failed)?;
    let base = DelegatedBase::lasting_of(&hierarchy, user.uid).map_err(Refusal::failed)?;
    let Some(base) = base else {
        return Ok(());
    };
    let keeps_pam_session = |pid| {
        process::parent_and_name(pid).is_ok_and(|(parent, name)| {
            name == unit::PAM_KEEPER && own.first() == Some(&parent.unsigned_abs())
        })
    };
    let is_own = |pid: i32| own.contains(&pid.unsigned_abs()) || keeps_pam_session(pid);
    match base.is_idle(is_own) {
        Ok(true) => Ok(()),
        Ok(false) => Err(busy()),
        Err(error) => Err(Refusal::failed(error)),
    }
}
