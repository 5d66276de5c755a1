//! `berth start`, `stop`, `restart`, `autostart`

use std::collections::BTreeMap;
use std::time::Duration;

use berth::cli::{self, Cli};
use berth::commands::start::{Where, needs_launch, through_launch_socket};
use berth::commands::stop::Stopped;
use berth::commands::{autostart, freeze, ready, reboot, start, stop, wait};
use berth::error::{Error, Result};
use berth::place::Place;
use berth_common::{ContainerName, exit};

use super::print::{out, tell};

pub fn start_verb(cli: &Cli, place: &Place, options: &cli::Start) -> Result<u8> {
    let wanted = if options.here {
        Where::Here
    } else {
        Where::Lasting
    };
    place.require(&options.name)?;
    if needs_launch(wanted)? {
        let mut arguments = vec!["start", options.name.as_str()];
        arguments.extend(options.no_deps.then_some("--no-deps"));
        arguments.extend(options.no_wait.then_some("--no-wait"));
        return launch(cli, &arguments);
    }
    if options.here
        && let Some(why) = start::repair_session()?
    {
        tell(&format!(
            "berth: this session has no delegated cgroup: {why}"
        ));
    }
    let beside = ready::Beside {
        dependencies: !options.no_deps,
        wait: !options.no_wait,
    };
    for warning in ready::start(place, &options.name, beside)? {
        tell(&format!("berth: {warning}"));
    }
    Ok(exit::OK)
}

/// Runs this very command again, in the lasting cgroup.
pub fn launch(cli: &Cli, arguments: &[&str]) -> Result<u8> {
    let lxcpath = match &cli.lxcpath {
        None => None,
        Some(path) => Some(
            path.to_str()
                .ok_or_else(|| Error::other("the path given by --lxcpath is not UTF-8"))?,
        ),
    };
    let mut all: Vec<&str> = lxcpath.map_or_else(Vec::new, |path| vec!["--lxcpath", path]);
    all.extend(arguments);
    through_launch_socket(&all)
}

pub fn grace(place: &Place, options: &cli::Stop) -> Duration {
    match options.kill {
        true => Duration::ZERO,
        false => stop::grace(place, &options.name, options.timeout),
    }
}

pub fn freeze_verb(place: &Place, name: &ContainerName) -> Result<u8> {
    freeze::freeze(place, name).map(|()| exit::OK)
}

pub fn unfreeze_verb(place: &Place, name: &ContainerName) -> Result<u8> {
    freeze::unfreeze(place, name).map(|()| exit::OK)
}

pub fn wait_verb(place: &Place, options: &cli::Wait) -> Result<u8> {
    let wanted = match options.ready {
        true => wait::Wanted::Ready,
        false => wait::Wanted::States(&options.state),
    };
    wait::wait(place, &options.name, wanted, options.timeout).map(|()| exit::OK)
}

pub fn stop_verb(place: &Place, options: &cli::Stop) -> Result<u8> {
    let grace = grace(place, options);
    let stopped = stop::stop(place, &options.name, Some(grace))?;
    report_stopped(&options.name, stopped, options.kill, grace);
    Ok(exit::OK)
}

pub fn report_stopped(name: &ContainerName, stopped: Stopped, killed: bool, grace: Duration) {
    match stopped {
        Stopped::InOrder => {}
        Stopped::Killed if killed => {}
        Stopped::Killed => {
            tell(&format!(
                "berth: {name} did not stop in {} s and was killed",
                grace.as_secs()
            ));
        }
        Stopped::WasAborted => {
            tell(&format!(
                "berth: {name} had been aborted; its remains are removed"
            ));
        }
    }
}

pub fn restart(cli: &Cli, place: &Place, options: &cli::Restart) -> Result<u8> {
    if options.reboot {
        let limit = stop::grace(place, &options.stop.name, options.stop.timeout);
        reboot::reboot(place, &options.stop.name, limit)?;
        return Ok(exit::OK);
    }
    let options = &options.stop;
    let grace = grace(place, options);
    match stop::stop(place, &options.name, Some(grace)) {
        Ok(stopped) => report_stopped(&options.name, stopped, options.kill, grace),
        Err(Error::NotRunning { .. }) => {}
        Err(error) => return Err(error),
    }
    start_verb(
        cli,
        place,
        &cli::Start {
            name: options.name.clone(),
            here: false,
            no_deps: false,
            no_wait: false,
        },
    )
}

pub fn autostart_verb(cli: &Cli, place: &Place, options: &cli::Autostart) -> Result<u8> {
    use berth_autostart::{Direction, Group, Limits, Selection, plan, run};
    let stops = options.shutdown || options.kill;
    if !stops && !options.list && needs_launch(Where::Lasting)? {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        return through_launch_socket(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let _ = cli;
    let autostart::Found { known, broken } = autostart::containers(place)?;
    let selection = Selection {
        groups: options
            .groups
            .iter()
            .flat_map(|list| Group::parse_list(list))
            .collect(),
        all: options.all,
        ignore_auto: options.ignore_auto,
    };
    let direction = if stops {
        Direction::Shutdown
    } else {
        Direction::Start
    };
    let plan = plan(&known, &selection, direction);
    for (name, why) in &broken {
        tell(&format!("berth: {name} cannot be judged: {why}"));
    }
    if options.list {
        for line in plan.list() {
            out(&line)?;
        }
        return Ok(exit::OK);
    }
    let graces: BTreeMap<ContainerName, Duration> = known
        .iter()
        .filter(|_| stops)
        .map(|container| &container.name)
        .map(|name| (name.clone(), stop::grace(place, name, options.timeout)))
        .collect();
    let longest = graces.values().max().copied();
    let limits = Limits {
        stop_timeout: match options.kill {
            true => Some(Duration::ZERO),
            false => Some(longest.unwrap_or(stop::DEFAULT_GRACE)),
        },
        total: options.total.map(Duration::from_secs),
        ..Limits::default()
    };
    let mut progress =
        |entry: &berth_autostart::Entry| tell(&format!("{}: {}", entry.name, entry.outcome));
    let mut jobs = autostart::Jobs::new(place, graces, &mut progress);
    Ok(run(&plan, &limits, &mut jobs).exit_status())
}
