//! What containers take on the disk.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use berth_common::ContainerName;
use berth_container_config::IdMapping;
use berth_kernel::fs as kernel_fs;
use serde::{Deserialize, Serialize};

use crate::copy::measure::{Measure, Usage};
use crate::destroy::Saved;
use crate::error::{Error, Result};
use crate::mapped;
use crate::place::Place;

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// What its directory takes, snapshots and an overlay's changes included; not what is below an
    /// overlay.
    #[serde(flatten)]
    pub usage: Usage,
    /// What could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All of a user's containers at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Each by itself.
    pub containers: Vec<Figure>,
    /// All together.
    pub total: Usage,
}

struct Held {
    name: ContainerName,
    path: PathBuf,
    dir: OwnedFd,
}

/// Looks at all containers of a place, with the ids of each.
pub fn figures(place: &Place) -> Result<Figures> {
    let mut groups: Vec<(Vec<IdMapping>, Vec<Held>)> = Vec::new();
    let mut containers = Vec::new();
    for name in place.names()? {
        let path = place.container_dir(&name);
        let held = kernel_fs::open_dir(&path)
            .map_err(|error| Error::file("open", &path, error))
            .and_then(|dir| Ok((dir, Saved::read(&path.join("config")).idmap(&place.owner)?)));
        match held {
            Err(error) => containers.push(failed(&name, &error)),
            Ok((dir, ids)) => {
                let held = Held { name, path, dir };
                match groups.iter_mut().find(|(other, _)| *other == ids) {
                    Some((_, group)) => group.push(held),
                    None => groups.push((ids, vec![held])),
                }
            }
        }
    }
    for (ids, group) in &groups {
        // A process for all of the same ids: making one takes longer than looking at a container.
        let told = mapped::run_returning(ids, || {
            let figures: Vec<Figure> = group.iter().map(look_at).collect();
            serde_json::to_vec(&figures).map_err(|error| Error::other(error.to_string()))
        });
        let told = told.and_then(|bytes| {
            serde_json::from_slice::<Vec<Figure>>(&bytes)
                .map_err(|error| Error::other(error.to_string()))
        });
        match told {
            Ok(figures) => containers.extend(figures),
            Err(error) => containers.extend(group.iter().map(|held| failed(&held.name, &error))),
        }
    }
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    let total = containers
        .iter()
        .fold(Usage::default(), |total, figure| total.plus(figure.usage));
    Ok(Figures { containers, total })
}

fn look_at(held: &Held) -> Figure {
    let mut measure = Measure::new(&held.path, true);
    let looked = measure.take(held.dir.as_fd(), &|_| false);
    Figure {
        name: held.name.to_string(),
        usage: measure.usage(),
        problem: looked.err().map(|error| error.to_string()),
    }
}

fn failed(name: &ContainerName, error: &Error) -> Figure {
    Figure {
        name: name.to_string(),
        usage: Usage::default(),
        problem: Some(error.to_string()),
    }
}
