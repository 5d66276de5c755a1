//! `berth start`, `stop`, `restart`

use std::ffi::OsString;
use std::time::Duration;

use berth::cli::{self, Cli};
use berth::commands::start::{Where, needs_launch, through_launch_socket};
use berth::commands::stop::Stopped;
use berth::commands::{freeze, ready, reboot, start, stop, wait};
use berth::console::Escape;
use berth::error::{Error, Result};
use berth::front::Front;
use berth::place::Place;
use berth_common::{ContainerName, exit};

use super::print::tell;
use super::several;

pub fn start_verb(cli: &Cli, place: &Place, options: &cli::Start) -> Result<u8> {
    if options.names.len() > 1 && (options.foreground || !options.init.is_empty()) {
        return Err(Error::Code {
            code: exit::USAGE,
            text: "--foreground and another init are for one container at a time".to_owned(),
        });
    }
    let this_time = start::Options {
        settings: options.set.clone(),
        init: options.init.clone(),
        foreground: options.foreground,
        no_deps: options.no_deps,
        no_wait: options.no_wait,
    };
    let escape = options.foreground.then_some(options.escape);
    several::each(&options.names, |name| {
        start_one(cli, place, name, options.here, &this_time, escape)
    })
}

/// Starts a container as its files have it.
pub fn start_plainly(cli: &Cli, place: &Place, name: &ContainerName, here: bool) -> Result<u8> {
    start_one(cli, place, name, here, &start::Options::default(), None)
}

fn start_one(
    cli: &Cli,
    place: &Place,
    name: &ContainerName,
    here: bool,
    this_time: &start::Options,
    escape: Option<Escape>,
) -> Result<u8> {
    let wanted = if here { Where::Here } else { Where::Lasting };
    place.require(name)?;
    if needs_launch(wanted)? {
        let mut arguments: Vec<OsString> = vec!["start".into()];
        arguments.extend(escape.map(|escape| format!("--escape={}", escape.given()).into()));
        arguments.extend(this_time.arguments(name));
        return launch(cli, &arguments);
    }
    if here && let Some(why) = start::repair_session()? {
        tell(&format!(
            "berth: this session has no delegated cgroup: {why}"
        ));
    }
    let beside = ready::Beside {
        dependencies: !this_time.no_deps,
        wait: !this_time.no_wait && !this_time.foreground,
    };
    let started = ready::start(place, name, beside, this_time)?;
    for warning in started.warnings {
        tell(&format!("berth: {warning}"));
    }
    match (started.seat, escape) {
        (Some(seat), Some(escape)) => {
            let mut front = Front::new(seat)?;
            front.tell_init_system(place, name)?;
            front.sit(escape)
        }
        _ => Ok(exit::OK),
    }
}

/// Runs this very command again, in the lasting cgroup.
fn launch(cli: &Cli, arguments: &[OsString]) -> Result<u8> {
    let mut all: Vec<OsString> = Vec::new();
    if let Some(path) = &cli.lxcpath {
        all.extend(["--lxcpath".into(), path.into()]);
    }
    all.extend_from_slice(arguments);
    through_launch_socket(&all)
}

fn grace(place: &Place, name: &ContainerName, options: &cli::Stop) -> Duration {
    match options.kill {
        true => Duration::ZERO,
        false => stop::grace(place, name, options.timeout),
    }
}

pub fn freeze_verb(place: &Place, names: &[ContainerName]) -> Result<u8> {
    several::each(names, |name| freeze::freeze(place, name).map(|()| exit::OK))
}

pub fn unfreeze_verb(place: &Place, names: &[ContainerName]) -> Result<u8> {
    several::each(names, |name| {
        freeze::unfreeze(place, name).map(|()| exit::OK)
    })
}

pub fn wait_verb(place: &Place, options: &cli::Wait) -> Result<u8> {
    let wanted = match options.ready {
        true => wait::Wanted::Ready,
        false => wait::Wanted::States(&options.state),
    };
    wait::wait(place, &options.name, wanted, options.timeout).map(|()| exit::OK)
}

pub fn stop_verb(place: &Place, all: &cli::StopOnly) -> Result<u8> {
    let options = &all.stop;
    several::each(&options.names, |name| {
        if all.reboot {
            let limit = stop::grace(place, name, options.timeout);
            return reboot::reboot(place, name, limit).map(|()| exit::OK);
        }
        if all.nokill {
            let grace = stop::grace(place, name, options.timeout);
            let stopped = stop::stop_without_killing(place, name, grace)?;
            report_stopped(name, stopped, false, grace);
            return Ok(exit::OK);
        }
        if options.no_wait {
            stop::ask_to_stop(place, name)?;
            return Ok(exit::OK);
        }
        let grace = grace(place, name, options);
        let stopped = stop::stop(place, name, Some(grace))?;
        report_stopped(name, stopped, options.kill, grace);
        Ok(exit::OK)
    })
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
    several::each(&options.stop.names, |name| {
        restart_one(cli, place, name, options)
    })
}

fn restart_one(
    cli: &Cli,
    place: &Place,
    name: &ContainerName,
    options: &cli::Restart,
) -> Result<u8> {
    if options.reboot {
        let limit = stop::grace(place, name, options.stop.timeout);
        reboot::reboot(place, name, limit)?;
        return Ok(exit::OK);
    }
    let options = &options.stop;
    if options.no_wait {
        return Err(Error::Code {
            code: exit::USAGE,
            text: "restart has to wait for the stop; --no-wait is for stop".to_owned(),
        });
    }
    let grace = grace(place, name, options);
    match stop::stop(place, name, Some(grace)) {
        Ok(stopped) => report_stopped(name, stopped, options.kill, grace),
        Err(Error::NotRunning { .. }) => {}
        Err(error) => return Err(error),
    }
    start_plainly(cli, place, name, false)
}
