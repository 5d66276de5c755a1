//! `lxc.namespace.…`: which namespaces are the container's own, the host's, or those of others.

mod shared;

use std::path::Path;

use berth_container_config::{Config, NamespaceKind};
use berth_kernel::ns::Kind;
use nix::sched::CloneFlags;

use super::net::Network;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::start::joined::Joined;
use crate::start::plan::NamespacesPlan;

const CLONE: &str = "lxc.namespace.clone";
const KEEP: &str = "lxc.namespace.keep";

/// Judges whose each namespace is, with `network` for what `lxc.net` says.
pub(super) fn namespaces(
    config: &Config,
    place: &Place,
    network: &Network,
) -> Result<NamespacesPlan> {
    let mut plan = NamespacesPlan {
        of_host: of_host(config)?,
        shared: Vec::new(),
    };
    for share in &config.process.namespaces_shared {
        plan.shared.push(shared::shared(share, place)?);
    }
    shared::refuse_what_does_not_go_together(config, &plan)?;
    // One that exists already is neither new nor the host's.
    plan.of_host -= plan.of_others();
    if network.of_host {
        refuse_two_networks(config, &plan)?;
        plan.of_host |= CloneFlags::CLONE_NEWNET;
    }
    refuse_what_needs_an_own_one(config, network, &plan)?;
    Joined::open(&plan.shared)?;
    Ok(plan)
}

/// The kinds that can be others', with the key that is for the container's own only.
fn kind(kind: NamespaceKind) -> Option<Kind> {
    match kind {
        NamespaceKind::Uts => Some(Kind::Uts),
        NamespaceKind::Ipc => Some(Kind::Ipc),
        NamespaceKind::Net => Some(Kind::Net),
        NamespaceKind::Cgroup => Some(Kind::Cgroup),
        NamespaceKind::Time => Some(Kind::Time),
        NamespaceKind::User | NamespaceKind::Mount | NamespaceKind::Pid => None,
    }
}

/// Why a container has a namespace of this kind for itself.
fn why_own(of: NamespaceKind) -> &'static str {
    match of {
        NamespaceKind::User => {
            "lxc.idmap gives it ids, and with them a user namespace; without those lines it has the \
             host's, which only root's can have"
        }
        NamespaceKind::Mount => "its root file system is mounted in one",
        _ => {
            "its processes end with its init, and reboot inside is no reboot of the host, because \
             it has one"
        }
    }
}

fn of_host(config: &Config) -> Result<CloneFlags> {
    let has_ids = !config.idmap.is_empty();
    let (new, kept) = (
        &config.process.namespaces_new,
        &config.process.namespaces_kept,
    );
    let mut flags = CloneFlags::empty();
    let is_shared = |of| {
        let mut shared = config.process.namespaces_shared.iter();
        shared.any(|shared| shared.kind == of)
    };
    for of in NamespaceKind::all().filter(|of| !is_shared(*of)) {
        let (at, key, is_new) = match (new, kept) {
            (Some(new), _) => (&new.at, CLONE, new.contains(of)),
            (_, Some(kept)) => (&kept.at, KEEP, !kept.contains(of)),
            _ => return Ok(flags),
        };
        let wrong = |what: &str, why: &str| {
            Err(Error::other(format!(
                "{at}: {key}: expected {of} {what}: {why}"
            )))
        };
        match (kind(of), is_new, key) {
            (Some(kind), false, _) => flags |= kind.clone_flag(),
            (Some(_), true, _) => {}
            // What is not kept is new if there is anything that it is for.
            (None, true, KEEP) => {}
            (None, true, _) if of == NamespaceKind::User && !has_ids => {
                return wrong("not to be there", "no line of lxc.idmap gives it ids");
            }
            (None, true, _) => {}
            (None, false, _) if of == NamespaceKind::User && !has_ids => {}
            (None, false, CLONE) => {
                return wrong("to be there, found a list without it", why_own(of));
            }
            (None, false, _) => return wrong("not to be there", why_own(of)),
        }
    }
    Ok(flags)
}

fn refuse_two_networks(config: &Config, plan: &NamespacesPlan) -> Result<()> {
    let new = config.process.namespaces_new.as_ref();
    let new = new.filter(|new| new.contains(NamespaceKind::Net));
    let at = match plan.shared.iter().find(|shared| shared.kind == Kind::Net) {
        Some(shared) => Some(shared.at.clone()),
        None => new.map(|new| format!("{}: {CLONE}", new.at)),
    };
    at.map_or(Ok(()), |at| {
        Err(Error::other(format!(
            "{at}: expected no network namespace here, since lxc.net.0.type = none says that the \
             container has the host's network"
        )))
    })
}

/// What a line that every template writes is worth where it would rename others: nothing, as for
/// LXC.
pub(super) fn warnings(config: &Config, plan: &NamespacesPlan) -> Option<String> {
    let name = config.uts_name.as_ref();
    let name = name.filter(|_| plan.not_own().contains(CloneFlags::CLONE_NEWUTS))?;
    Some(format!(
        "{}: lxc.uts.name counts for nothing: the container has no uts namespace of its own \
         (lxc.namespace), so its host name is that of others",
        name.at
    ))
}

/// Settings of namespaces that are not the container's own would change those of others.
fn refuse_what_needs_an_own_one(
    config: &Config,
    network: &Network,
    plan: &NamespacesPlan,
) -> Result<()> {
    let lacks = |kind: Kind| plan.not_own().contains(kind.clone_flag());
    let refused = |key: &str, of: Kind, hint: &str| {
        Err(Error::other(format!(
            "{key}: the container has no {} namespace of its own (lxc.namespace), {hint}",
            of.name()
        )))
    };
    if let (true, Some(net)) = (lacks(Kind::Net), network.plans.first()) {
        let hint = "so it can have no interface of its own (an empty lxc.net removes those of \
                    included files)";
        return refused(&net.at, Kind::Net, hint);
    }
    if lacks(Kind::Cgroup) && config.mount_auto.cgroup.is_some() {
        let hint = "so it would see the whole hierarchy, or nothing; leave cgroup out";
        return refused("lxc.mount.auto", Kind::Cgroup, hint);
    }
    let clocks = [&config.process.time_boot, &config.process.time_monotonic];
    if let (true, Some(clock)) = (lacks(Kind::Time), clocks.into_iter().flatten().next()) {
        let key = format!("{}: lxc.time.offset", clock.at);
        return refused(&key, Kind::Time, "so its clocks are those of others");
    }
    let shares = |flag| plan.of_others().contains(flag);
    let of_others = shares(CloneFlags::CLONE_NEWNET) && !shares(CloneFlags::CLONE_NEWUSER);
    if of_others && !config.idmap.is_empty() && config.mount_auto.sys.is_some() {
        let hint = "and with ids of its own it cannot mount the /sys of another's network; leave \
                    sys out";
        return refused("lxc.mount.auto", Kind::Net, hint);
    }
    let new = config.process.namespaces_new.as_ref();
    match new.filter(|new| new.contains(NamespaceKind::Time)) {
        Some(new) if !Path::new("/proc/self/ns/time").exists() => Err(Error::other(format!(
            "{}: {CLONE}: this kernel has no time namespaces (5.6, CONFIG_TIME_NS)",
            new.at
        ))),
        _ => Ok(()),
    }
}
