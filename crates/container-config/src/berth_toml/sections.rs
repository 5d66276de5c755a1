//! What each section says.

use std::time::Duration;

use berth_common::ContainerName;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::publish::{MAX_PORTS, Ports, Protocol, Publish, PublishError};
use super::section::{Problems, Section};
use super::{Policy, Probe, Ready, Restart, Settings, Start};
use crate::position::Positioned;

/// More containers before one are refused.
const MAX_AFTER: usize = 64;
/// The longest command of a probe, in bytes.
const MAX_COMMAND: usize = 4096;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;
/// Probes and restarts follow each other no faster.
const SHORTEST: Duration = Duration::from_millis(50);

pub(super) fn settings(table: &DeTable<'_>, problems: &mut Problems<'_>) -> Settings {
    let known = ["start", "ready", "restart", "stop", "publish", "journal"];
    let top = Section::new("", table, &known, problems);
    let (after, start) = start(&top, problems);
    Settings {
        after,
        start,
        ready: ready(&top, problems),
        restart: restart(&top, problems),
        stop_timeout: stop(&top, problems),
        publish: publish(&top, problems),
        journal_console: journal(&top, problems),
    }
}

fn journal(top: &Section<'_, '_>, problems: &mut Problems<'_>) -> bool {
    let Some((table, _)) = top.table("journal", problems) else {
        return true;
    };
    let section = Section::new("journal", table, &["console"], problems);
    match section.get("console") {
        None => true,
        Some(value) => match value.get_ref() {
            DeValue::Boolean(wanted) => *wanted,
            _ => {
                problems.expected("journal.console", "true or false", value);
                true
            }
        },
    }
}

fn start(
    top: &Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> (Vec<Positioned<ContainerName>>, Start) {
    let mut start = Start::default();
    let Some((table, _)) = top.table("start", problems) else {
        return (Vec::new(), start);
    };
    let known = ["after", "timeout", "retries", "retry-delay"];
    let section = Section::new("start", table, &known, problems);
    start.timeout = section.duration("timeout", SECONDS(1), problems);
    start.retries = section.number("retries", 0..=100, problems).unwrap_or(0);
    let delay = section.duration("retry-delay", SHORTEST, problems);
    start.retry_delay = delay.unwrap_or(start.retry_delay);
    (after(&section, problems), start)
}

fn after(section: &Section<'_, '_>, problems: &mut Problems<'_>) -> Vec<Positioned<ContainerName>> {
    const WHAT: &str = "a list of containers' names, like [\"db\", \"cache\"]";
    let mut after: Vec<Positioned<ContainerName>> = Vec::new();
    for text in section.texts("after", WHAT, problems).unwrap_or_default() {
        let (text, offset) = text.value;
        match text.parse::<ContainerName>() {
            Ok(name) if after.iter().any(|other| other.value == name) => {
                problems.add(offset, "start.after", format!("“{name}” stands here twice"));
            }
            Ok(_) if after.len() >= MAX_AFTER => {
                let message = format!("expected at most {MAX_AFTER} containers");
                problems.add(offset, "start.after", message);
                break;
            }
            Ok(name) => after.push(Positioned::new(name, problems.at(offset))),
            Err(error) => problems.add(offset, "start.after", error.to_string()),
        }
    }
    after
}

fn ready(top: &Section<'_, '_>, problems: &mut Problems<'_>) -> Option<Ready> {
    let (table, offset) = top.table("ready", problems)?;
    let known = ["notify", "command", "port", "interval", "timeout"];
    let section = Section::new("ready", table, &known, problems);
    let interval = section.duration("interval", SHORTEST, problems);
    let timeout = section.duration("timeout", SHORTEST, problems);
    let given: Vec<&str> = known[..3]
        .iter()
        .copied()
        .filter(|key| section.get(key).is_some())
        .collect();
    let probe = match given[..] {
        ["notify"] => notify(&section, problems),
        ["command"] => command(&section, problems),
        ["port"] => section
            .number("port", 1..=65_535, problems)
            .and_then(|port| u16::try_from(port).ok())
            .map(Probe::Port),
        [] => {
            let message = "expected one of notify, command and port, found none of them";
            problems.add(offset, "ready", message.to_owned());
            None
        }
        _ => {
            let message = format!("expected one of {}, found all of them", given.join(" and "));
            problems.add(offset, "ready", message);
            None
        }
    };
    Some(Ready {
        probe: probe?,
        interval: interval.unwrap_or(SECONDS(1)),
        timeout: timeout.unwrap_or(SECONDS(60)),
    })
}

fn notify(section: &Section<'_, '_>, problems: &mut Problems<'_>) -> Option<Probe> {
    let value = section.get("notify")?;
    match value.get_ref() {
        DeValue::Boolean(true) => Some(Probe::Notify),
        _ => {
            problems.expected("ready.notify", "true (or no such line)", value);
            None
        }
    }
}

fn command(section: &Section<'_, '_>, problems: &mut Problems<'_>) -> Option<Probe> {
    const WHAT: &str = "a program and its arguments, like [\"/bin/test\", \"-e\", \"/run/ok\"]";
    let value = section.get("command")?;
    let texts = section.texts("command", WHAT, problems)?;
    let words: Vec<String> = texts.iter().map(|text| text.value.0.to_owned()).collect();
    let length: usize = words.iter().map(String::len).sum();
    let fits = words.first().is_some_and(|program| !program.is_empty())
        && length <= MAX_COMMAND
        && !words.iter().any(|word| word.contains('\0'));
    if !fits {
        problems.expected("ready.command", WHAT, value);
        return None;
    }
    Some(Probe::Command(words))
}

fn restart(top: &Section<'_, '_>, problems: &mut Problems<'_>) -> Restart {
    let mut restart = Restart::default();
    let Some((table, offset)) = top.table("restart", problems) else {
        return restart;
    };
    let known = ["policy", "delay", "delay-max", "limit", "window"];
    let section = Section::new("restart", table, &known, problems);
    let policy = |word: &str| {
        let all = [Policy::No, Policy::OnFailure, Policy::Always];
        all.into_iter().find(|policy| policy.word() == word)
    };
    let what = "no, on-failure or always";
    match section.word("policy", what, policy, problems) {
        Some(policy) => restart.policy = policy,
        None if section.get("policy").is_none() => {
            let message = format!("expected a line with the policy: {what}");
            problems.add(offset, "restart.policy", message);
        }
        None => {}
    }
    let delay = section.duration("delay", SHORTEST, problems);
    let delay_max = section.duration("delay-max", SHORTEST, problems);
    restart.delay = delay.unwrap_or(restart.delay);
    restart.delay_max = delay_max.unwrap_or(restart.delay_max.max(restart.delay));
    if restart.delay_max < restart.delay {
        let message = "expected at least restart.delay".to_owned();
        problems.add(offset, "restart.delay-max", message);
    }
    restart.limit = section
        .number("limit", 1..=1000, problems)
        .unwrap_or(restart.limit);
    let window = section.duration("window", SECONDS(1), problems);
    restart.window = window.unwrap_or(restart.window);
    restart
}

fn stop(top: &Section<'_, '_>, problems: &mut Problems<'_>) -> Option<Duration> {
    let (table, _) = top.table("stop", problems)?;
    let section = Section::new("stop", table, &["timeout"], problems);
    section.duration("timeout", Duration::ZERO, problems)
}

fn publish(top: &Section<'_, '_>, problems: &mut Problems<'_>) -> Vec<Positioned<Publish>> {
    let mut list: Vec<Positioned<Publish>> = Vec::new();
    let Some(value) = top.get("publish") else {
        return list;
    };
    let DeValue::Array(tables) = value.get_ref() else {
        problems.expected("publish", "sections [[publish]]", value);
        return list;
    };
    let mut ports = 0;
    for entry in tables.iter() {
        let DeValue::Table(table) = entry.get_ref() else {
            problems.expected("publish", "sections [[publish]]", entry);
            continue;
        };
        let offset = entry.span().start;
        let Some(publish) = one_publish(table, offset, problems) else {
            continue;
        };
        ports += publish.host.count();
        if ports > MAX_PORTS {
            let message = format!("expected at most {MAX_PORTS} ports of one container");
            problems.add(offset, "publish", message);
            break;
        }
        if let Some(earlier) = list.iter().find(|earlier| earlier.collides(&publish)) {
            let message = format!(
                "port {} of the host is taken by line {} already",
                publish.host_side(),
                earlier.at.line
            );
            problems.add(offset, "publish.host", message);
        }
        list.push(Positioned::new(publish, problems.at(offset)));
    }
    list
}

fn one_publish(table: &DeTable<'_>, offset: usize, problems: &mut Problems<'_>) -> Option<Publish> {
    let known = ["host", "container", "protocol"];
    let section = Section::new("publish", table, &known, problems);
    for key in &known[..2] {
        if section.get(key).is_none() {
            let message = format!("expected a line with the port of the {key}");
            problems.add(offset, &section.full(key), message);
        }
    }
    let protocol = match section.get("protocol") {
        None => Some(Protocol::Tcp),
        Some(_) => {
            let parse = |word: &str| word.parse().ok();
            section.word("protocol", "tcp or udp", parse, problems)
        }
    };
    let host = port_value(&section, "host", Publish::parse_host, problems)?;
    let container = port_value(&section, "container", str::parse::<Ports>, problems)?;
    let publish = Publish::new(host, container, protocol?);
    publish
        .map_err(|error| problems.add(offset, "publish", error.to_string()))
        .ok()
}

/// A port as a number or as a text.
fn port_value<T>(
    section: &Section<'_, '_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, PublishError>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let value: &Spanned<DeValue<'_>> = section.get(key)?;
    let parsed = match value.get_ref() {
        DeValue::String(text) => parse(text),
        DeValue::Integer(number) => parse(&number.to_string()),
        _ => Err(PublishError("a port")),
    };
    parsed
        .map_err(|error| problems.expected(&section.full(key), error.0, value))
        .ok()
}
