//! `berth ls`

use berth::cli::{self, Column};
use berth::commands::list;
use berth::error::{Error, Result};
use berth::owner;
use berth::place::Place;
use berth::state::State;
use berth::time;
use berth_common::exit;
use serde_json::Value;

use super::look::{SHOWN_ADDRESSES, shown_addresses};
use super::print::{dash, json, out, print_table, tell};

pub fn list_verb(place: impl Fn() -> Result<Place>, options: &cli::Ls) -> Result<u8> {
    if options.all_users {
        return all_users(options);
    }
    let place = place()?;
    let wants_use = |column: &Column| matches!(column, Column::Memory | Column::Swap);
    let with_use = options.json || options.columns.iter().any(wants_use);
    let mut lines = list::list(&place, with_use)?;
    lines.retain(|line| is_wanted(options, line.state, &line.groups));
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
    if lines.is_empty() && is_filtered(options) {
        return Ok(exit::OK);
    }
    if lines.is_empty() {
        tell("no containers yet; make one with: berth create NAME");
        return Ok(exit::OK);
    }
    let mut columns = vec![Column::Name, Column::State, Column::Pid, Column::Ipv4];
    if lines.iter().any(|line| !line.ports.is_empty()) {
        columns.push(Column::Ports);
    }
    columns.push(Column::Boot);
    if !options.columns.is_empty() {
        columns.clone_from(&options.columns);
    }
    let value = |line: &list::Line| {
        let mut value = serde_json::to_value(line)
            .map_err(|error| Error::other(format!("cannot show {}: {error}", line.name)))?;
        value["owner"] = place.owner.name.as_str().into();
        Ok(value)
    };
    let values = lines.iter().map(value).collect::<Result<Vec<Value>>>()?;
    print(&columns, &values)?;
    for line in &lines {
        if let Some(problem) = &line.problem {
            tell(&format!("berth: {}: {problem}", line.name));
        }
    }
    Ok(exit::OK)
}

fn is_filtered(options: &cli::Ls) -> bool {
    options.running || options.stopped || options.frozen || !options.groups.is_empty()
}

/// Without a filter all are. Of states one is enough, of groups it takes all, as for lxc-ls.
fn is_wanted(options: &cli::Ls, state: State, groups: &[String]) -> bool {
    let wanted = [
        (options.running, state.has_init()),
        (options.stopped, state == State::Stopped),
        (options.frozen, state == State::Frozen),
    ];
    let mut asked = wanted.iter().filter(|(asked, _)| *asked).peekable();
    let of_state = asked.peek().is_none() || asked.any(|(_, is)| *is);
    of_state && options.groups.iter().all(|group| groups.contains(group))
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
    let state = |one: &Value| -> State {
        serde_json::from_value(one["state"].clone()).unwrap_or(State::Unknown)
    };
    let groups = |one: &Value| -> Vec<String> {
        serde_json::from_value(one["groups"].clone()).unwrap_or_default()
    };
    found.retain(|(_, one)| is_wanted(options, state(one), &groups(one)));
    let with_owner = found.into_iter().map(|(user, mut one)| {
        one["owner"] = user.into();
        one
    });
    let values: Vec<Value> = with_owner.collect();
    if options.json {
        json(&values)?;
        return Ok(code);
    }
    let columns = match options.columns.as_slice() {
        [] => &[
            Column::Owner,
            Column::Name,
            Column::State,
            Column::Pid,
            Column::Boot,
        ],
        chosen => chosen,
    };
    print(columns, &values)?;
    Ok(code)
}

/// A table of what the JSON has, so the two never differ.
fn print(columns: &[Column], containers: &[Value]) -> Result<()> {
    let head = columns.iter().map(|column| column.head().to_owned());
    let row = |one: &Value| -> Vec<String> {
        let cells = columns.iter().map(|column| cell(*column, one));
        cells.collect()
    };
    let rows: Vec<Vec<String>> = [head.collect()]
        .into_iter()
        .chain(containers.iter().map(row))
        .collect();
    print_table(&rows)
}

fn cell(column: Column, one: &Value) -> String {
    let value = &one[column.key()];
    let text = match value {
        Value::String(text) if column == Column::State && one["lxc"] == Value::Bool(true) => {
            format!("{text} (lxc)")
        }
        Value::String(text) => text.clone(),
        Value::Number(bytes) if matches!(column, Column::Memory | Column::Swap) => {
            bytes.as_u64().map(time::bytes).unwrap_or_default()
        }
        Value::Number(number) => number.to_string(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Array(several) => {
            let texts: Vec<&str> = several
                .iter()
                .take(SHOWN_ADDRESSES + 1)
                .filter_map(Value::as_str)
                .collect();
            shown_addresses(&texts).join(", ")
        }
        Value::Null | Value::Bool(false) | Value::Object(_) => String::new(),
    };
    if text.is_empty() { dash() } else { text }
}
