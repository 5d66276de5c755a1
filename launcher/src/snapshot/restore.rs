//! Back to a snapshot: the old state stays until the new one stands.

use std::os::fd::AsFd;
use std::time::Duration;

use berth_common::ContainerName;
use berth_kernel::{file_copy, fs as kernel_fs};

use super::require;
use crate::copy::relations::{self, Member};
use crate::copy::{Build, Changes, How, Plan, Source, build, forget, make_named};
use crate::create::refuse_existing;
use crate::destroy::leftovers::{self, Kind, Site};
use crate::destroy::{Saved, refuse_mounts};
use crate::error::{Error, Result};
use crate::place::Place;

/// What was restored.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Sentences for the user.
    pub hints: Vec<String>,
}

/// Makes a container what it was at a snapshot, or makes a new one of it. The snapshot stays.
pub fn restore(
    place: &Place,
    name: &ContainerName,
    snapshot: &str,
    to: Option<&ContainerName>,
) -> Result<Restored> {
    place.require(name)?;
    let source = Source::hold(place, name)?;
    let mut hints = source.hints.clone();
    let from = require(place, name, snapshot)?;
    match to {
        Some(target) => hints.extend(to_new(place, name, &from, target)?),
        None => {
            source.stand_still(false, "", &mut hints)?;
            hints.extend(in_place(place, name, &from)?);
        }
    }
    Ok(Restored { hints })
}

fn to_new(
    place: &Place,
    name: &ContainerName,
    from: &std::path::Path,
    new: &ContainerName,
) -> Result<Vec<String>> {
    refuse_existing(&place.container_dir(new), new)?;
    refuse_mounts(from)?;
    let plan = Plan::new(place, from, How::Same)?;
    make_named(place, name, new, &plan, Changes::default())
}

fn in_place(place: &Place, name: &ContainerName, from: &std::path::Path) -> Result<Vec<String>> {
    let target = place.container_dir(name);
    refuse_mounts(&target)?;
    {
        let change = relations::change(place, name)?;
        let copies = relations::copies_of(place, name, &change)?;
        relations::refuse_copies(name, "restored", &copies)?;
    }
    let plan = Plan::new(place, from, How::Same)?;
    let text = plan.config_at(&target)?.into_text();
    let wanted = Build {
        plan: &plan,
        text: &text,
        target: &target,
        parent: &place.lxcpath,
        files: &[],
        host_name: None,
        moved: None,
        hooks: None,
    };
    let top = kernel_fs::open_dir(&place.lxcpath)
        .map_err(|error| Error::file("open", &place.lxcpath, error))?;
    let top = top.as_fd();
    let member =
        Member::of_dir(&target).ok_or_else(|| Error::other("the container's path is not UTF-8"))?;
    let before = relations::origins(&target)?;
    let old_ids = Saved::read(&target.join("config")).idmap(&place.owner)?;
    let site = leftovers::make(top, &place.lxcpath, name, Kind::Restoring)?;
    let built = crate::copy::register(place, name, &plan, &member)
        .and_then(|()| build(&wanted, &site))
        .and_then(|()| exchange(place, name, &site));
    let old = match built {
        Ok(old) => old,
        Err(error) => {
            let left = site.remove(top, &place.lxcpath, &plan.idmap);
            return Err(Error::other(match left {
                Ok(()) => format!("{error}; container “{name}” is as it was"),
                Err(left) => format!("{error}; container “{name}” is as it was, and {left}"),
            }));
        }
    };
    leftovers::keep_snapshots(top, &old)
        .map_err(|error| Error::file("keep the snapshots in", &target, error))?;
    let _ = kernel_fs::sync_file_system(top);
    let gone: Vec<Member> = before
        .into_iter()
        .filter(|origin| !plan.origins.contains(origin))
        .collect();
    forget(place, name, &gone, &member)?;
    let removed = old.remove(top, &place.lxcpath, &old_ids);
    Ok(removed
        .err()
        .map(|left| left.to_string())
        .into_iter()
        .collect())
}

/// Puts the new state in the place of the old one, at one moment; what the site's name means
/// then is the old one.
fn exchange(place: &Place, name: &ContainerName, site: &Site) -> Result<Site> {
    let target = place.container_dir(name);
    let failed = |error| Error::file("restore", &target, error);
    let top = kernel_fs::open_dir(&place.lxcpath).map_err(failed)?;
    let top = top.as_fd();
    let old = kernel_fs::open_dir_beneath(top, name.as_ref()).map_err(failed)?;
    // Who else can open it may hold it: he only makes this command help others to remove it.
    let _ = kernel_fs::flock_exclusive(old.as_fd(), Duration::ZERO).map_err(failed)?;
    file_copy::exchange(top, &site.name, top, name.as_str().as_ref()).map_err(failed)?;
    Ok(Site {
        name: site.name.clone(),
        dir: old,
    })
}
