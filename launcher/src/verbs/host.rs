//! `berth grants`, `nic`, `cgroup`, `doctor`, `complete`

use std::ffi::{CString, OsString};
use std::path::Path;

use berth::cli;
use berth::commands::cgroup;
use berth::complete;
use berth::doctor;
use berth::error::{Error, Result};
use berth::grant;
use berth::nic;
use berth::owner;
use berth::time;
use berth_common::{exit, path};
use berth_kernel::process;

use super::print::{dash, json, out, out_raw, print_table, report, tell};

pub fn grants(as_json: bool) -> Result<u8> {
    let rows = grant::grants()?;
    if as_json {
        json(&rows)?;
    } else {
        out(grant::table(&rows).trim_end())?;
    }
    Ok(exit::OK)
}

pub fn nic_verb(verb: &cli::Nic) -> Result<u8> {
    match verb {
        cli::Nic::List(options) => nic_list(options.json)?,
        cli::Nic::Verify => return findings(&nic::verify()?),
        cli::Nic::Gc => return report(&nic::gc()?),
        cli::Nic::Check { file } => return findings(&nic::check(file.as_deref())?),
        cli::Nic::View => nic::write_view()?,
    }
    Ok(exit::OK)
}

pub fn cgroup_verb(verb: &cli::Cgroup) -> Result<u8> {
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

pub fn doctor_verb(options: &cli::Doctor) -> Result<u8> {
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
pub fn findings(lines: &[String]) -> Result<u8> {
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

pub fn nic_list(as_json: bool) -> Result<()> {
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

/// Becomes the program that knows the bridge.
pub fn net_verb(verb: &cli::Net) -> Result<u8> {
    let program = Path::new(path::NET);
    let words = ["berth-net"].into_iter().chain(verb.arguments());
    let words: Vec<CString> = words.filter_map(|word| CString::new(word).ok()).collect();
    let error = process::exec(program, &words, &[]);
    Err(Error::file("run", program, error))
}

/// Completion in a shell never fails and says nothing but what it offers.
pub fn complete_verb(words: &[OsString]) -> Result<u8> {
    if let Some(owner) = complete::owner_of(words).filter(|_| !owner::is_to_become()) {
        let head = ["--user", &owner, "complete", "--"].map(OsString::from);
        let arguments = [&head[..], words].concat();
        return Ok(owner::run(&owner, &arguments, true).unwrap_or(exit::OK));
    }
    for line in complete::offer(words).lines() {
        out(&line)?;
    }
    Ok(exit::OK)
}
