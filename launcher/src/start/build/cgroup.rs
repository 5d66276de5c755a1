//! `lxc.cgroup.dir` and its kin: where the container's cgroups are made.

use berth_common::ContainerName;
use berth_container_config::{Config, Positioned};

use crate::error::{Error, Result};
use crate::start::plan::{ApartPlan, CgroupPlaces, CgroupPlan, CgroupWay};

const DIR: &str = "lxc.cgroup.dir";
const CONTAINER: &str = "lxc.cgroup.dir.container";
const INNER: &str = "lxc.cgroup.dir.container.inner";
const MONITOR: &str = "lxc.cgroup.dir.monitor";
const PIVOT: &str = "lxc.cgroup.dir.monitor.pivot";

/// Judges what is said of them.
pub(super) fn cgroup(name: &ContainerName, config: &Config) -> Result<CgroupPlan> {
    let said = &config.running;
    let dir = way(DIR, said.cgroup_dir.as_ref());
    let inner = way(INNER, said.cgroup_inner.as_ref());
    let pivot = way(PIVOT, said.cgroup_pivot.as_ref());
    let container = way(CONTAINER, said.cgroup_container.as_ref());
    let monitor = way(MONITOR, said.cgroup_monitor.as_ref());
    let places = match (container, monitor) {
        (Some(container), Some(monitor)) => {
            if let Some(dir) = dir {
                return refuse(
                    &dir,
                    &format!(
                        "{CONTAINER} and {MONITOR} say where the container's cgroups are; expected \
                         either those or this"
                    ),
                );
            }
            refuse_nested(&monitor, &container.names, "of the container")?;
            CgroupPlaces::Apart(ApartPlan {
                container,
                inner,
                monitor,
            })
        }
        (Some(alone), None) => return refuse(&alone, &format!("expected {MONITOR}, too")),
        (None, Some(alone)) => return refuse(&alone, &format!("expected {CONTAINER}, too")),
        (None, None) => match inner {
            Some(inner) => {
                return refuse(
                    &inner,
                    &format!("it is below {CONTAINER}; expected that, too"),
                );
            }
            None => CgroupPlaces::Together(dir),
        },
    };
    if let Some(pivot) = &pivot {
        match &places {
            CgroupPlaces::Together(below) => {
                let mut own = below.as_ref().map_or(Vec::new(), |way| way.names.clone());
                own.push(name.to_string());
                refuse_nested(pivot, &own, "of the container")?;
            }
            CgroupPlaces::Apart(apart) => {
                refuse_nested(pivot, &apart.container.names, "of the container")?;
                refuse_nested(pivot, &apart.monitor.names, "of the monitor")?;
            }
        }
    }
    Ok(CgroupPlan { places, pivot })
}

fn way(key: &str, said: Option<&Positioned<Vec<String>>>) -> Option<CgroupWay> {
    said.map(|names| CgroupWay {
        at: format!("{}: {key}", names.at),
        names: names.value.clone(),
    })
}

fn refuse<T>(way: &CgroupWay, why: &str) -> Result<T> {
    Err(Error::other(format!("{}: {why}", way.at)))
}

/// Each is removed as a whole, and where processes are there can be no controllers for cgroups
/// below.
fn refuse_nested(way: &CgroupWay, other: &[String], whose: &str) -> Result<()> {
    let (one, two) = (way.names.join("/"), other.join("/"));
    if !way.names.starts_with(other) && !other.starts_with(&way.names) {
        return Ok(());
    }
    refuse(
        way,
        &format!(
            "expected a cgroup that is neither in that {whose} nor around it, found {one} beside {two}"
        ),
    )
}
