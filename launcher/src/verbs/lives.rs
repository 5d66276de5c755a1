//! `berth start`, `stop`, `restart`, `autostart`

use std::time::Duration;

use berth::cli::{self, Cli};
use berth::commands::start::{Where, needs_launch, through_launch_socket};
use berth::commands::stop::Stopped;
use berth::commands::{autostart, reboot, start, stop};
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
        return launch(cli, &["start", options.name.as_str()]);
    }
    if options.here
        && let Some(why) = start::repair_session()?
    {
        tell(&format!(
            "berth: this session has no delegated cgroup: {why}"
        ));
    }
    for warning in start::start(place, &options.name)? {
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

pub fn grace(options: &cli::Stop) -> Duration {
    if options.kill {
        Duration::ZERO
    } else {
        Duration::from_secs(options.timeout)
    }
}

pub fn stop_verb(place: &Place, options: &cli::Stop) -> Result<u8> {
    report_stopped(
        &options.name,
        stop::stop(place, &options.name, Some(grace(options)))?,
        options,
    );
    Ok(exit::OK)
}

pub fn report_stopped(name: &ContainerName, stopped: Stopped, options: &cli::Stop) {
    match stopped {
        Stopped::InOrder => {}
        Stopped::Killed if options.kill => {}
        Stopped::Killed => {
            tell(&format!(
                "berth: {name} did not stop in {} s and was killed",
                options.timeout
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
        let limit = Duration::from_secs(options.stop.timeout);
        reboot::reboot(place, &options.stop.name, limit)?;
        return Ok(exit::OK);
    }
    let options = &options.stop;
    match stop::stop(place, &options.name, Some(grace(options))) {
        Ok(stopped) => report_stopped(&options.name, stopped, options),
        Err(Error::NotRunning { .. }) => {}
        Err(error) => return Err(error),
    }
    start_verb(
        cli,
        place,
        &cli::Start {
            name: options.name.clone(),
            here: false,
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
    let seconds = if options.kill { 0 } else { options.timeout };
    let limits = Limits {
        stop_timeout: Some(Duration::from_secs(seconds)),
        total: options.total.map(Duration::from_secs),
        ..Limits::default()
    };
    let mut progress =
        |entry: &berth_autostart::Entry| tell(&format!("{}: {}", entry.name, entry.outcome));
    let mut jobs = autostart::Jobs::new(place, &mut progress);
    Ok(run(&plan, &limits, &mut jobs).exit_status())
}
