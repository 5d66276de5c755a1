//! `berth info`, `events`, `logs`

use berth::cli;
use berth::commands::{events, info, list, logs};
use berth::error::Result;
use berth::place::Place;
use berth::state::State;
use berth::time;
use berth_common::exit;

use super::print::{json, json_line, out, print_table, tell};

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
