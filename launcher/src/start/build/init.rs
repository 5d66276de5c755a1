//! What init and commands run with, and what of it the kernel or its caller's rights forbid.

use std::path::Path;

use berth_common::{Gid, Uid};
use berth_container_config::value::IdKind;
use berth_container_config::{
    Config, NamespaceKind, Positioned, ResourceLimit, SysctlScope, TimeOffset,
};
use berth_kernel::rlimit::{Limited, UNLIMITED};
use berth_kernel::{core_sched, cred};
use nix::sched::CloneFlags;

use crate::error::{Error, Plain, Result};
use crate::start::plan::{InitPlan, LimitPlan, SettingPlan};

pub(super) fn init(config: &Config, not_own: CloneFlags) -> Result<InitPlan> {
    let process = &config.process;
    Ok(InitPlan {
        uid: uid(config)?,
        gid: gid(config)?,
        groups: groups(config)?,
        limits: process.limits.iter().map(limit).collect::<Result<_>>()?,
        proc_files: proc_files(config)?,
        sysctls: sysctls(config, not_own)?,
        core_scheduling: core_scheduling(config)?,
        clock_offsets: clock_offsets(config)?,
    })
}

fn uid(config: &Config) -> Result<Uid> {
    let Some(given) = &config.process.uid else {
        return Ok(Uid::ROOT);
    };
    Uid::new(given.value)
        .filter(|_| is_mapped(config, IdKind::User, given.value))
        .ok_or_else(|| not_mapped(given, "lxc.init.uid", IdKind::User, given.value))
}

fn gid(config: &Config) -> Result<Gid> {
    let Some(given) = &config.process.gid else {
        return Ok(Gid::ROOT);
    };
    mapped_gid(config, given, "lxc.init.gid", given.value)
}

fn groups(config: &Config) -> Result<Vec<Gid>> {
    let Some(given) = &config.process.groups else {
        return Ok(Vec::new());
    };
    given
        .iter()
        .map(|gid| mapped_gid(config, given, "lxc.init.groups", *gid))
        .collect()
}

fn mapped_gid<T>(config: &Config, at: &Positioned<T>, key: &str, gid: u32) -> Result<Gid> {
    Gid::new(gid)
        .filter(|_| is_mapped(config, IdKind::Group, gid))
        .ok_or_else(|| not_mapped(at, key, IdKind::Group, gid))
}

fn is_mapped(config: &Config, kind: IdKind, id: u32) -> bool {
    let mut same = config.idmap.iter().filter(|mapping| mapping.kind == kind);
    config.idmap.is_empty() || same.any(|mapping| mapping.covers_inside(id))
}

fn not_mapped<T>(at: &Positioned<T>, key: &str, kind: IdKind, id: u32) -> Error {
    Error::other(format!(
        "{}: {key}: id {id} does not exist in the container: no line “lxc.idmap = {kind} …” covers \
         it",
        at.at
    ))
}

fn may_lift_limits() -> bool {
    let number = cred::capability_number("sys_resource");
    let held = cred::permitted_capabilities();
    held.is_ok_and(|held| number.is_some_and(|number| held.contains(number)))
}

fn limit(given: &Positioned<ResourceLimit>) -> Result<LimitPlan> {
    let name = given.resource;
    let key = format!("{}: lxc.prlimit.{name}", given.at);
    let resource = Limited::by_name(name)
        .ok_or_else(|| Error::other(format!("{key}: this kernel does not limit it")))?;
    let amount = |value: Option<u64>| value.unwrap_or(UNLIMITED);
    let (soft, hard) = (amount(given.soft), amount(given.hard));
    let (_, most) = resource
        .get()
        .map_err(|error| Error::other(format!("{key}: cannot be asked for: {}", Plain(&error))))?;
    if hard > most && !may_lift_limits() {
        return Err(Error::other(format!(
            "{key}: the hard limit may be {most} at most, which is yours where containers are \
             started (an administrator lifts it in /etc/security/limits.d or for your units)"
        )));
    }
    if name == "nofile"
        && let Some(most) = number_in("/proc/sys/fs/nr_open")
        && hard > most
    {
        return Err(Error::other(format!(
            "{key}: the kernel allows {most} open files at most (sysctl fs.nr_open)"
        )));
    }
    Ok(LimitPlan {
        at: key,
        resource,
        soft,
        hard,
    })
}

fn number_in(file: &str) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn proc_files(config: &Config) -> Result<Vec<SettingPlan>> {
    let files = config.process.proc_files.iter();
    files
        .map(|file| {
            let key = file.path.display().to_string().replace('/', ".");
            let at = format!("{}: lxc.proc.{key}", file.at);
            check_proc_file(&at, &file.path, &file.value.value)?;
            Ok(SettingPlan {
                at,
                path: file.path.clone(),
                value: file.value.value.clone(),
            })
        })
        .collect()
}

fn check_proc_file(at: &str, path: &Path, value: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let own = Path::new("/proc/self").join(path);
    let writable = std::fs::symlink_metadata(&own)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o200 != 0);
    if !writable {
        return Err(Error::other(format!(
            "{at}: no file of a process in /proc that can be written has this name (oom_score_adj, \
             coredump_filter, timerslack_ns, …)"
        )));
    }
    if path.as_os_str() == "oom_score_adj" && !may_lift_limits() {
        let now = std::fs::read_to_string(&own).unwrap_or_default();
        let (now, wanted) = (now.trim().parse::<i32>(), value.parse::<i32>());
        if let (Ok(now), Ok(wanted)) = (now, wanted)
            && wanted < now
        {
            return Err(Error::other(format!(
                "{at}: expected a number from {now} (what your processes have where containers are \
                 started) to 1000, found {wanted}: less, so that others are killed in the \
                 container's place, takes CAP_SYS_RESOURCE on the host"
            )));
        }
    }
    Ok(())
}

fn sysctls(config: &Config, not_own: CloneFlags) -> Result<Vec<SettingPlan>> {
    let sysctls = config.process.sysctls.iter();
    sysctls
        .map(|sysctl| {
            let at = format!("{}: lxc.sysctl.{}", sysctl.at, sysctl.name);
            let hosts = match sysctl.of {
                SysctlScope::Net if not_own.contains(CloneFlags::CLONE_NEWNET) => Some("network"),
                SysctlScope::Ipc if not_own.contains(CloneFlags::CLONE_NEWIPC) => Some("ipc"),
                SysctlScope::User if config.idmap.is_empty() => Some("user"),
                _ => None,
            };
            if let Some(kind) = hosts {
                return Err(Error::other(format!(
                    "{at}: the container has no {kind} namespace of its own, so this would change \
                     that of the host or of others"
                )));
            }
            Ok(SettingPlan {
                at,
                path: sysctl.path.clone(),
                value: sysctl.value.value.clone(),
            })
        })
        .collect()
}

fn core_scheduling(config: &Config) -> Result<bool> {
    let Some(given) = config
        .process
        .core_scheduling
        .as_ref()
        .filter(|on| on.value)
    else {
        return Ok(false);
    };
    let why = match core_sched::cookie() {
        Ok(_) => return Ok(true),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => {
            "no core of this machine runs several threads at a time, so there is nothing to keep \
             apart; remove the line"
                .to_owned()
        }
        Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => {
            "this kernel is built without core scheduling (CONFIG_SCHED_CORE, 5.14)".to_owned()
        }
        Err(error) => Plain(&error).to_string(),
    };
    Err(Error::other(format!("{}: lxc.sched.core: {why}", given.at)))
}

fn clock_offsets(config: &Config) -> Result<Option<String>> {
    let clocks = [
        (
            "lxc.time.offset.boot",
            "boottime",
            &config.process.time_boot,
        ),
        (
            "lxc.time.offset.monotonic",
            "monotonic",
            &config.process.time_monotonic,
        ),
    ];
    let mut offsets = String::new();
    for (key, clock, given) in clocks {
        let Some(given) = given else { continue };
        if !Path::new("/proc/self/ns/time").exists() {
            return Err(Error::other(format!(
                "{}: {key}: this kernel has no time namespaces (5.6, CONFIG_TIME_NS)",
                given.at
            )));
        }
        offsets.push_str(&offset_line(given, key, clock)?);
    }
    let new = config.process.namespaces_new.as_ref();
    let is_new = new.is_some_and(|new| new.contains(NamespaceKind::Time));
    Ok((is_new || !offsets.is_empty()).then_some(offsets))
}

/// A clock cannot be set before its beginning, the host's start.
fn offset_line(given: &Positioned<TimeOffset>, key: &str, clock: &str) -> Result<String> {
    const SECOND: i64 = 1_000_000_000;
    let nanoseconds = given.value.0;
    let up = std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split('.').next()?.parse::<i64>().ok());
    if let Some(up) = up
        && nanoseconds / SECOND < -up
    {
        return Err(Error::other(format!(
            "{}: {key}: the clock of the container would stand before its beginning: the host has \
             run for {up} s",
            given.at
        )));
    }
    Ok(format!(
        "{clock} {} {}\n",
        nanoseconds.div_euclid(SECOND),
        nanoseconds.rem_euclid(SECOND)
    ))
}
