//! What an argument may be: containers, their snapshots, keys and so on.

use std::any::TypeId;
use std::path::PathBuf;

use berth_common::{ContainerName, InterfaceName};
use berth_container_config::key::{Action, keys};
use clap::Arg;

use super::spot::Spot;
use super::{Candidate, Offer};
use crate::commands::{list, load_settings};
use crate::lxc::Sockets;
use crate::place::Place;
use crate::printable::cell;
use crate::snapshot;
use crate::state::State;

/// What the argument may be; `None` if nothing is known of it.
pub fn of(spot: &Spot, argument: &Arg, place: impl Fn() -> Option<Place>) -> Option<Offer> {
    let id = argument.get_id().as_str();
    if is_new_name(spot, id) {
        return None;
    }
    let parser = argument.get_value_parser().type_id();
    let is = |wanted: TypeId| parser == wanted;
    match id {
        "lxcpath" | "share" => Some(Offer::also("directories")),
        "owner" if spot.path.is_empty() => Some(Offer::also("users")),
        "user" if spot.is("grant") || spot.is("revoke") || spot.is("cgroup show") => {
            Some(Offer::also("users"))
        }
        "from" | "to" if spot.is("cp") => ends(spot, &place()?),
        "targets" | "target" if spot.path.first() == Some(&"config") => Some(Offer {
            also: Some("files"),
            ..containers(spot, id, &place()?)?
        }),
        "key" => Some(Offer::words(keys_in_use())),
        "snapshot" => snapshots(spot, &place()?),
        "ports" if spot.is("unpublish") => published(spot, &place()?),
        "state" => Some(Offer::words(WAITED.map(|state| state.word().to_owned()))),
        "template" => Some(Offer::words(
            ["busybox", "none"].into_iter().map(str::to_owned),
        )),
        "cwd" => None,
        _ if is(TypeId::of::<ContainerName>()) => containers(spot, id, &place()?),
        _ if is(TypeId::of::<InterfaceName>()) => Some(Offer::words(bridges())),
        _ if is(TypeId::of::<PathBuf>()) => Some(Offer::also("files")),
        _ => Some(possible(argument)),
    }
}

/// States that `wait` takes.
const WAITED: [State; 7] = [
    State::Stopped,
    State::Starting,
    State::Running,
    State::Frozen,
    State::Restarting,
    State::Stopping,
    State::Aborted,
];

fn is_new_name(spot: &Spot, id: &str) -> bool {
    [
        ("create", "name"),
        ("copy", "name"),
        ("rename", "new"),
        ("snapshot restore", "to"),
    ]
    .iter()
    .any(|(path, of_it)| id == *of_it && spot.is(path))
}

fn possible(argument: &Arg) -> Offer {
    let seen = argument.get_possible_values();
    let seen = seen.iter().filter(|value| !value.is_hide_set());
    let one = |value: &clap::builder::PossibleValue| Candidate {
        word: value.get_name().to_owned(),
        about: value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    Offer {
        candidates: seen.map(one).collect(),
        also: None,
    }
}

/// Those that make sense for the verb and are not named yet.
fn containers(spot: &Spot, id: &str, place: &Place) -> Option<Offer> {
    let mut names = place.names().ok()?;
    names.retain(|name| {
        name.as_str().starts_with(spot.word) && spot.values(id).all(|given| given != name.as_str())
    });
    let wanted: Option<fn(State) -> bool> = match spot.path.first().copied()? {
        "start" => Some(|state| !state.is_active()),
        "stop" => Some(|state| state != State::Stopped),
        "attach" | "console" | "exec" | "freeze" => Some(|state| state == State::Running),
        "unfreeze" => Some(|state| state == State::Frozen),
        "top" => Some(State::has_init),
        _ => None,
    };
    if let Some(wanted) = wanted {
        let sockets = Sockets::read();
        names.retain(|name| wanted(list::state(&sockets, place, name)));
    }
    Some(Offer::words(names.iter().map(ToString::to_string)))
}

/// A container and a colon, or a file of the host's.
fn ends(spot: &Spot, place: &Place) -> Option<Offer> {
    if spot.word.contains(':') {
        return None;
    }
    let names = place.names().ok()?;
    Some(Offer {
        also: Some("files"),
        ..Offer::words(names.iter().map(|name| format!("{name}:")))
    })
}

fn snapshots(spot: &Spot, place: &Place) -> Option<Offer> {
    let name = spot.value("name")?.parse().ok()?;
    let snapshots = snapshot::list(place, &name).ok()?;
    let one = |snapshot: snapshot::Snapshot| Candidate {
        about: first_line(snapshot.comment.or(snapshot.created)),
        word: snapshot.name,
    };
    let is_word = |snapshot: &snapshot::Snapshot| cell(&snapshot.name) == snapshot.name;
    Some(Offer {
        candidates: snapshots.into_iter().filter(is_word).map(one).collect(),
        also: None,
    })
}

/// A text of somebody's, without what would break the line or steer a terminal.
fn first_line(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    cell(text.lines().next().unwrap_or_default()).into_owned()
}

fn published(spot: &Spot, place: &Place) -> Option<Offer> {
    let name = spot.value("name")?.parse().ok()?;
    let settings = load_settings(place, &name).ok()?;
    let ports = settings.publish.iter().map(|one| one.value.to_string());
    Some(Offer::words(ports.filter(|port| {
        spot.values("ports").all(|given| given != port)
    })))
}

/// The host's bridges, of the kernel's and of Open vSwitch.
fn bridges() -> Vec<String> {
    let interfaces = std::fs::read_dir("/sys/class/net").into_iter().flatten();
    let is_bridge = |entry: &std::fs::DirEntry| entry.path().join("bridge").is_dir();
    let mut names: Vec<String> = interfaces
        .flatten()
        .filter(is_bridge)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Keys that a configuration may have, the first of those with a number in their name.
fn keys_in_use() -> Vec<String> {
    keys()
        .filter(|key| matches!(key.action, Action::Include | Action::Obeyed { .. }))
        .map(|key| key.pattern.replace(".N", ".0").replace('*', ""))
        .collect()
}
