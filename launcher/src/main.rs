//! `berth`, the command that people type.
#![forbid(unsafe_code)]

mod verbs;

use std::io::{IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;
use std::time::Duration;

use berth::cli::{self, Cli, Verb};
use berth::commands::start::{Where, needs_launch, through_launch_socket};
use berth::commands::stop::Stopped;
use berth::commands::{autostart, cgroup, destroy, enable, info, list, reboot, start, stop};
use berth::console;
use berth::doctor;
use berth::error::{Error, Result};
use berth::exec;
use berth::grant;
use berth::nic;
use berth::place::Place;
use berth::printable::{cell, printable};
use berth::state::State;
use berth::time;
use berth_common::{ContainerName, exit};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code.into(),
        Err(error) => {
            // Nobody may be listening; the code says it all the same.
            let text = error.to_string();
            let _ = writeln!(std::io::stderr(), "berth: {}", printable(&text));
            error.exit_code().into()
        }
    }
}

fn run(cli: Cli) -> Result<u8> {
    let place = || Place::own(cli.lxcpath.as_deref());
    match &cli.verb {
        Verb::Create(options) => create(&place()?, options),
        Verb::Start(options) => start_verb(&cli, &place()?, options),
        Verb::Stop(options) => stop_verb(&place()?, options),
        Verb::Restart(options) => restart(&cli, &place()?, options),
        Verb::Attach(options) => exec::run(&place()?, &options.name, exec::Options::default()),
        Verb::Console(options) => console_verb(&place()?, options),
        Verb::Exec(options) => exec_verb(&place()?, options),
        Verb::Ls(options) => list_verb(&place()?, options.json),
        Verb::Info(options) => info_verb(&place()?, options),
        Verb::Destroy(options) => destroy_verb(&place()?, options),
        Verb::Enable(options) => report_enabled(enable::enable(&place()?, &options.name)?),
        Verb::Disable(options) => report_enabled(enable::disable(&place()?, &options.name)?),
        Verb::Autostart(options) => autostart_verb(&cli, &place()?, options),
        Verb::Grant(options) => report(&grant::grant(&grant::Request {
            user: options.user.clone(),
            nics: options.nics,
            bridge: options.bridge.clone(),
            boot: options.boot,
        })?),
        Verb::Grants(options) => grants(options.json),
        Verb::Revoke(options) => report(&grant::revoke(
            &options.user,
            options.bridge.as_ref(),
            options.force,
        )?),
        Verb::Config(verb) => verbs::config::run(&place()?, verb),
        Verb::Nic(verb) => nic_verb(verb),
        Verb::Cgroup(verb) => cgroup_verb(verb),
        Verb::Doctor(options) => doctor_verb(options),
    }
}

/// Prints a line for a person; data go through [`out`].
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// Prints data as text.
fn out(line: &str) -> Result<()> {
    out_raw(&printable(line))
}

/// Prints data as they are. A reader that has gone (`| head`) is no error.
fn out_raw(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::os("write to standard output", error)),
        Ok(()) => Ok(()),
    }
}

fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::other(format!("cannot write JSON: {error}")))?;
    out_raw(&text)
}

fn create(place: &Place, options: &cli::Create) -> Result<u8> {
    let created = berth::create::create(&berth::create::CreateOptions {
        owner: place.owner.clone(),
        lxcpath: place.lxcpath.clone(),
        name: options.name.clone(),
        template: options.template.clone(),
        busybox: options.busybox_path.clone(),
    })?;
    for hint in &created.hints {
        tell(&format!("berth: {hint}"));
    }
    out(&format!(
        "{} made in {}",
        options.name,
        created.dir.display()
    ))?;
    Ok(exit::OK)
}

fn start_verb(cli: &Cli, place: &Place, options: &cli::Start) -> Result<u8> {
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
fn launch(cli: &Cli, arguments: &[&str]) -> Result<u8> {
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

fn grace(options: &cli::Stop) -> Duration {
    if options.kill {
        Duration::ZERO
    } else {
        Duration::from_secs(options.timeout)
    }
}

fn stop_verb(place: &Place, options: &cli::Stop) -> Result<u8> {
    report_stopped(
        &options.name,
        stop::stop(place, &options.name, Some(grace(options)))?,
        options,
    );
    Ok(exit::OK)
}

fn report_stopped(name: &ContainerName, stopped: Stopped, options: &cli::Stop) {
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

fn restart(cli: &Cli, place: &Place, options: &cli::Restart) -> Result<u8> {
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

fn exec_verb(place: &Place, options: &cli::Exec) -> Result<u8> {
    if let Some(wrong) = options.env.iter().find(|entry| !entry.contains('=')) {
        return Err(Error::Code {
            code: exit::USAGE,
            text: format!("--env wants NAME=VALUE, not “{wrong}”"),
        });
    }
    let options_inside = exec::Options {
        argv: options
            .command
            .iter()
            .cloned()
            .map(OsStringExt::into_vec)
            .collect(),
        environment: options
            .env
            .iter()
            .map(|entry| entry.clone().into_bytes())
            .collect(),
        cwd: options
            .cwd
            .as_ref()
            .map_or_else(Vec::new, |cwd| cwd.as_os_str().as_bytes().to_vec()),
    };
    exec::run(place, &options.name, options_inside)
}

fn list_verb(place: &Place, as_json: bool) -> Result<u8> {
    let lines = list::list(place)?;
    if as_json {
        json(&lines)?;
        return Ok(exit::OK);
    }
    if lines.is_empty() {
        tell("no containers yet; make one with: berth create NAME");
        return Ok(exit::OK);
    }
    let mut table = vec![["NAME", "STATE", "PID", "IPV4", "BOOT"].map(str::to_owned)];
    for line in &lines {
        let addresses = shown_addresses(&line.ipv4);
        table.push([
            line.name.clone(),
            line.state.word().to_owned(),
            line.pid.map_or_else(dash, |pid| pid.to_string()),
            if addresses.is_empty() {
                dash()
            } else {
                addresses.join(", ")
            },
            if line.autostart {
                "yes".to_owned()
            } else {
                dash()
            },
        ]);
    }
    print_table(&table)?;
    for line in &lines {
        if let Some(problem) = &line.problem {
            tell(&format!("berth: {}: {problem}", line.name));
        }
    }
    Ok(exit::OK)
}

/// At most so many of a container's addresses are shown: it may give itself thousands.
const SHOWN_ADDRESSES: usize = 8;

fn shown_addresses(addresses: &[impl ToString]) -> Vec<String> {
    let mut shown: Vec<String> = addresses
        .iter()
        .take(SHOWN_ADDRESSES)
        .map(ToString::to_string)
        .collect();
    if addresses.len() > SHOWN_ADDRESSES {
        shown.push("…".to_owned());
    }
    shown
}

fn dash() -> String {
    "-".to_owned()
}

fn print_table<const N: usize>(rows: &[[String; N]]) -> Result<()> {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|text| cell(text).into_owned()))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let line: String = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        out(line.trim_end())?;
    }
    Ok(())
}

fn console_verb(place: &Place, options: &cli::Console) -> Result<u8> {
    if options.show_log {
        console::show_log(place, &options.name)?;
    }
    if options.clear_log {
        console::clear_log(place, &options.name)?;
    }
    if options.show_log || options.clear_log {
        return Ok(exit::OK);
    }
    let told = |where_and_how: &str| tell(&format!("berth: {where_and_how}"));
    console::attach(place, &options.name, options.tty, options.escape, told)
}

fn info_verb(place: &Place, options: &cli::Info) -> Result<u8> {
    let info = info::info(place, &options.name)?;
    if options.json {
        json(&info)?;
        return Ok(exit::OK);
    }
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |label: &str, value: String| rows.push([format!("{label}:"), value]);
    row("Name", info.line.name.clone());
    row("State", info.line.state.word().to_owned());
    row("Directory", info.directory.display().to_string());
    row(
        "Starts at boot",
        if info.line.autostart { "yes" } else { "no" }.to_owned(),
    );
    if let Some(pid) = info.line.pid {
        row("PID", pid.to_string());
    }
    if let Some(pid) = info.monitor {
        row("Monitor", pid.to_string());
    }
    if let Some(since) = info.since {
        let age = time::duration(berth::state::now().saturating_sub(since));
        row("Running since", format!("{} ({age})", time::utc(since)));
    }
    for address in shown_addresses(&info.line.ipv4) {
        row("IPv4", address);
    }
    for address in shown_addresses(&info.line.ipv6) {
        row("IPv6", address);
    }
    for nic in &info.nics {
        let link = if nic.bridge.is_empty() {
            "no bridge"
        } else {
            &nic.bridge
        };
        let what = match (nic.kind.as_str(), nic.host.is_empty()) {
            ("empty", _) => continue,
            (_, false) => format!("{}, on the host {} ({link})", nic.name, nic.host),
            (kind, true) => format!("{}, {kind} of {link}", nic.name),
        };
        row("Interface", what);
    }
    if let Some(cgroup) = &info.cgroup {
        row("Cgroup", cgroup.clone());
    }
    if let Some(memory) = info.memory {
        let peak = info
            .memory_peak
            .map(|peak| format!(", at most {}", time::bytes(peak)));
        row("Memory", time::bytes(memory) + &peak.unwrap_or_default());
    }
    if let Some(cpu) = info.cpu_usec {
        row("Processor time", format!("{:.2} s", cpu as f64 / 1e6));
    }
    if let Some(processes) = info.processes {
        row("Processes", processes.to_string());
    }
    if let (Some(last), false) = (&info.last_exit, info.line.state == State::Running) {
        row(
            "Last ended",
            format!("{} ({})", time::utc(last.at), last.how),
        );
    }
    print_table(&rows)?;
    if let Some(problem) = &info.line.problem {
        tell(&format!("berth: {problem}"));
    }
    Ok(exit::OK)
}

fn destroy_verb(place: &Place, options: &cli::Destroy) -> Result<u8> {
    place.require(&options.name)?;
    if !options.force && !confirmed(&options.name)? {
        return Ok(exit::FAILED);
    }
    for hint in &destroy::destroy(place, &options.name, options.force)?.hints {
        tell(&format!("berth: {hint}"));
    }
    Ok(exit::OK)
}

fn confirmed(name: &ContainerName) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::other(format!(
            "“{name}” and all its files would be removed; without a terminal to ask, that needs \
             --force"
        )));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(
        stderr,
        "Remove container “{name}” and all its files? [y/N] "
    );
    let _ = stderr.flush();
    let mut answer = String::new();
    stdin
        .read_line(&mut answer)
        .map_err(|error| Error::os("read the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn report_enabled(enabled: enable::Enabled) -> Result<u8> {
    for line in &enabled.done {
        out(line)?;
    }
    match enabled.missing {
        None => Ok(exit::OK),
        Some(missing) => Err(Error::other(missing)),
    }
}

fn autostart_verb(cli: &Cli, place: &Place, options: &cli::Autostart) -> Result<u8> {
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

fn report(lines: &[String]) -> Result<u8> {
    for line in lines {
        out(line)?;
    }
    Ok(exit::OK)
}

fn grants(as_json: bool) -> Result<u8> {
    let rows = grant::grants()?;
    if as_json {
        json(&rows)?;
    } else {
        out(grant::table(&rows).trim_end())?;
    }
    Ok(exit::OK)
}

fn nic_verb(verb: &cli::Nic) -> Result<u8> {
    match verb {
        cli::Nic::List(options) => nic_list(options.json)?,
        cli::Nic::Verify => return findings(&nic::verify()?),
        cli::Nic::Gc => return report(&nic::gc()?),
        cli::Nic::Check { file } => return findings(&nic::check(file.as_deref())?),
        cli::Nic::View => nic::write_view()?,
    }
    Ok(exit::OK)
}

fn cgroup_verb(verb: &cli::Cgroup) -> Result<u8> {
    match verb {
        cli::Cgroup::Exec(options) => {
            let which = if options.session {
                cgroup::exec::Which::Session
            } else {
                cgroup::exec::Which::Lasting
            };
            match cgroup::exec::exec(which, &options.command)? {}
        }
        cli::Cgroup::Show(options) => {
            let trees = cgroup::show::trees(options.user.as_deref())?;
            if options.json {
                json(&trees)?;
            } else if trees.trees.is_empty() {
                tell("no delegated cgroup; what is missing says: berth doctor cgroups");
            } else {
                let strokes = cgroup::draw::Strokes::of_locale(|name| std::env::var_os(name));
                out_raw(cgroup::draw::draw(&trees, strokes).trim_end())?;
            }
            Ok(exit::OK)
        }
    }
}

fn doctor_verb(options: &cli::Doctor) -> Result<u8> {
    let topics = match options.topic {
        Some(topic) => vec![topic],
        None => vec![cli::Topic::Cgroups],
    };
    let reports: Vec<_> = topics
        .iter()
        .map(|topic| match topic {
            cli::Topic::Cgroups => doctor::cgroups::examine(),
        })
        .collect::<Result<_>>()?;
    if options.json {
        json(&reports)?;
    } else {
        for report in &reports {
            out(&report.text())?;
        }
    }
    Ok(if reports.iter().all(|report| report.fine) {
        exit::OK
    } else {
        exit::FAILED
    })
}

/// Something that was found is a failure of what was looked at.
fn findings(lines: &[String]) -> Result<u8> {
    if let Err(error) = nic::refresh_view() {
        tell(&format!("berth: {error}"));
    }
    report(lines)?;
    Ok(if lines.is_empty() {
        exit::OK
    } else {
        exit::FAILED
    })
}

fn nic_list(as_json: bool) -> Result<()> {
    let nics = nic::list(nic::visible_to_caller())?;
    if let Err(error) = nic::refresh_view() {
        tell(&format!("berth: {error}"));
    }
    if as_json {
        return json(&nics);
    }
    let mut table = vec![
        [
            "OWNER",
            "CONTAINER",
            "BRIDGE",
            "NIC",
            "STATE",
            "SINCE",
            "RECEIVED",
            "SENT",
        ]
        .map(str::to_owned),
    ];
    for nic in &nics {
        table.push([
            nic.owner.clone(),
            nic.container.clone().unwrap_or_else(dash),
            nic.bridge.clone().unwrap_or_else(dash),
            nic.host.clone(),
            if nic.up { "up" } else { "down" }.to_owned(),
            nic.since.map_or_else(dash, time::utc),
            time::bytes(nic.received.bytes),
            time::bytes(nic.sent.bytes),
        ]);
    }
    print_table(&table)
}
