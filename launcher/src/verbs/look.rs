//! `berth ls`, `info`

use berth::cli;
use berth::commands::{events, info, list, logs};
use berth::error::Result;
use berth::owner;
use berth::place::Place;
use berth::state::State;
use berth::time;
use berth_common::exit;

use super::print::{dash, json, json_line, out, print_table, tell};

pub fn list_verb(place: impl Fn() -> Result<Place>, options: &cli::Ls) -> Result<u8> {
    if options.all_users {
        return all_users(options);
    }
    let mut lines = list::list(&place()?)?;
    lines.retain(|line| is_wanted(options, line.state));
    if options.json {
        json(&lines)?;
        return Ok(exit::OK);
    }
    if options.names {
        for line in &lines {
            out(&line.name)?;
        }
        return Ok(exit::OK);
    }
    let all = !(options.running || options.stopped || options.frozen);
    if lines.is_empty() && !all {
        return Ok(exit::OK);
    }
    if lines.is_empty() {
        tell("no containers yet; make one with: berth create NAME");
        return Ok(exit::OK);
    }
    let row = |line: &list::Line| {
        let or_dash = |text: String| if text.is_empty() { dash() } else { text };
        [
            line.name.clone(),
            shown_state(line),
            line.pid.map_or_else(dash, |pid| pid.to_string()),
            or_dash(shown_addresses(&line.ipv4).join(", ")),
            or_dash(shown_addresses(&line.ports).join(", ")),
            if line.autostart {
                "yes".to_owned()
            } else {
                dash()
            },
        ]
    };
    let head = ["NAME", "STATE", "PID", "IPV4", "PORTS", "BOOT"].map(str::to_owned);
    let rows: Vec<[String; 6]> = [head].into_iter().chain(lines.iter().map(row)).collect();
    if lines.iter().any(|line| !line.ports.is_empty()) {
        print_table(&rows)?;
    } else {
        let narrow: Vec<[String; 5]> = rows
            .into_iter()
            .map(|[name, state, pid, ipv4, _, boot]| [name, state, pid, ipv4, boot])
            .collect();
        print_table(&narrow)?;
    }
    for line in &lines {
        if let Some(problem) = &line.problem {
            tell(&format!("berth: {}: {problem}", line.name));
        }
    }
    Ok(exit::OK)
}

/// Without a filter all are.
fn is_wanted(options: &cli::Ls, state: State) -> bool {
    let wanted = [
        (options.running, state.has_init()),
        (options.stopped, state == State::Stopped),
        (options.frozen, state == State::Frozen),
    ];
    let mut asked = wanted.iter().filter(|(asked, _)| *asked).peekable();
    asked.peek().is_none() || asked.any(|(_, is)| *is)
}

/// The containers of all users, with the owner of each.
fn all_users(options: &cli::Ls) -> Result<u8> {
    let lists = owner::all(&["ls", "--json"])?;
    let mut code = exit::OK;
    let mut found = Vec::new();
    for list in lists {
        match list.list {
            Ok(containers) => {
                let of_user = containers.into_iter().map(|one| (list.user.clone(), one));
                found.extend(of_user);
            }
            Err(why) => {
                tell(&format!("berth: {}: {why}", list.user));
                code = exit::FAILED;
            }
        }
    }
    let state = |one: &serde_json::Value| -> State {
        serde_json::from_value(one["state"].clone()).unwrap_or(State::Unknown)
    };
    found.retain(|(_, one)| is_wanted(options, state(one)));
    if options.json {
        let with_owner = found.into_iter().map(|(user, mut one)| {
            one["owner"] = user.into();
            one
        });
        json(&with_owner.collect::<Vec<_>>())?;
        return Ok(code);
    }
    let text = |one: &serde_json::Value, key: &str| match &one[key] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => dash(),
    };
    let head = ["OWNER", "NAME", "STATE", "PID", "BOOT"].map(str::to_owned);
    let rows = found.iter().map(|(user, one)| {
        let boot = one["autostart"] == serde_json::Value::Bool(true);
        [
            user.clone(),
            text(one, "name"),
            text(one, "state"),
            text(one, "pid"),
            if boot { "yes".to_owned() } else { dash() },
        ]
    });
    print_table(&[head].into_iter().chain(rows).collect::<Vec<_>>())?;
    Ok(code)
}

fn shown_state(line: &list::Line) -> String {
    match line.lxc {
        true => format!("{} (lxc)", line.state.word()),
        false => line.state.word().to_owned(),
    }
}

/// At most so many of a container's addresses are shown: it may give itself thousands.
pub const SHOWN_ADDRESSES: usize = 8;

pub fn shown_addresses(addresses: &[impl ToString]) -> Vec<String> {
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

pub fn info_verb(place: &Place, options: &cli::Info) -> Result<u8> {
    let info = info::info(place, &options.name)?;
    if options.json {
        json(&info)?;
        return Ok(exit::OK);
    }
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |label: &str, value: String| rows.push([format!("{label}:"), value]);
    row("Name", info.line.name.clone());
    let state = shown_state(&info.line);
    row(
        "State",
        match info.line.state == State::Running && !info.line.ready {
            true => format!("{state}, not ready"),
            false => state,
        },
    );
    if let Some(status) = &info.status {
        row("Says", status.clone());
    }
    if let Some(note) = &info.note {
        row("Note", note.clone());
    }
    if info.restarts > 0 {
        row("Restarts", info.restarts.to_string());
    }
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
    for port in &info.line.ports {
        row("Published", port.clone());
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
    if let Some(cache) = info.memory_cache {
        let goes = format!("{} of the memory", time::bytes(cache));
        row("Page cache", goes);
    }
    if let (Some(read), Some(written)) = (info.io_read, info.io_written) {
        let both = format!(
            "{} read, {} written",
            time::bytes(read),
            time::bytes(written)
        );
        row("Disk", both);
    }
    if let Some(cpu) = info.cpu_usec {
        row("Processor time", format!("{:.2} s", cpu as f64 / 1e6));
    }
    if let Some(processes) = info.processes {
        row("Processes", processes.to_string());
    }
    if let (Some(last), false) = (&info.last_exit, info.line.state.has_init()) {
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

pub fn events_verb(place: &Place, options: &cli::Events) -> Result<u8> {
    let mut events = events::Events::new(place, options.names.clone())?;
    while let Some(happened) = events.wait()? {
        for event in happened {
            if options.json {
                json_line(&event)?;
                continue;
            }
            let how = event
                .exit
                .as_ref()
                .map_or_else(String::new, |exit| format!(" ({exit})"));
            out(&format!(
                "{}  {}  {}{how}",
                event.time, event.container, event.event
            ))?;
        }
    }
    Ok(exit::OK)
}

pub fn logs_verb(place: &Place, options: &cli::Logs) -> Result<u8> {
    let wanted = logs::Options {
        follow: options.follow,
        lines: options.lines,
        monitor: options.monitor,
    };
    let told = |sentence: &str| tell(&format!("berth: {sentence}"));
    logs::logs(place, &options.name, wanted, told)
}
