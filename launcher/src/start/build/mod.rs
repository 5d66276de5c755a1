//! From a configuration to a plan: everything that can be refused is refused here, before
//! anything is made.

mod apparmor;
mod cgroup;
mod confinement;
mod console;
pub(crate) mod devices;
mod init;
mod mount;
mod namespaces;
pub(crate) mod net;
mod process;
mod ready;
mod root;

pub(crate) use process::hook_environment;

use std::ffi::CString;
use std::path::Path;

use berth_cgroups::LimitSetting;
use berth_common::{ContainerName, Uid};
use berth_container_config::value::{CgroupMountMode, IdKind, ProcMode, SysMode};
use berth_container_config::{Config, IdMapping, LogLevel};
use berth_kernel::cred;
use berth_kernel::ns::Kind;

use super::label;
use super::plan::{AutoMount, CgroupLimit, LogPlan, StartPlan};
use crate::error::{Error, Result};
use crate::hook::{Hooks, Paths};
use crate::place::Place;
use berth_kernel::user::User;

/// The plan for a container, or why it cannot be started.
pub fn plan(place: &Place, name: &ContainerName, config: &Config) -> Result<StartPlan> {
    let dir = place.container_dir(name);
    let settings = crate::commands::load_settings(place, name)?;
    let (root, rootfs) = root::root(config, &dir)?;
    let idmap = idmap(config, &place.config_file(name))?;
    let init: Vec<CString> = match &config.init_cmd {
        Some(command) => command
            .iter()
            .map(|word| c_string(word, &command.at.to_string()))
            .collect::<Result<_>>()?,
        None => vec![c"/sbin/init".to_owned()],
    };
    let mut network = net::network(config)?;
    let namespaces = namespaces::namespaces(config, place, &network)?;
    network
        .warnings
        .extend(namespaces::warnings(config, &namespaces));
    network.of_host = namespaces.of_host.contains(Kind::Net.clone_flag());
    if let (true, Some(first)) = (network.of_host, settings.publish.first()) {
        let why = crate::monitor::HOST_NETWORK;
        return Err(Error::other(format!("{}: {why}", first.at)));
    }
    if let Some(net) = network.plans.first()
        && !cred::effective_uid().is_root()
    {
        super::nic::refuse_without_helper(net)?;
    }
    let hostname = config
        .uts_name
        .as_ref()
        .map_or(name.as_str(), |given| given.value.as_str());
    let auto = &config.mount_auto;
    let confinement = confinement::confinement(config, place, name, label::Modules::detect)?;
    Ok(StartPlan {
        name: name.clone(),
        lxcpath: place.lxcpath.clone(),
        idmap,
        hostname: c_string(hostname, "lxc.uts.name")?,
        init,
        init_at: config.init_cmd.as_ref().map_or_else(
            || "lxc.init.cmd".to_owned(),
            |given| format!("{}: lxc.init.cmd", given.at),
        ),
        cwd: config
            .init_cwd
            .as_ref()
            .map_or_else(|| "/".into(), |cwd| cwd.value.clone()),
        hooks: Hooks::of(
            name,
            config,
            &hook_paths(config, &place.config_file(name), &rootfs),
        )?,
        process: init::init(config, namespaces.not_own())?,
        environment: process::environment(config)?,
        nets: network.plans,
        host_network: network.of_host,
        namespaces,
        warnings: network.warnings,
        cgroup: cgroup::cgroup(name, config)?,
        limits: limits(config)?,
        devices: devices::devices(config),
        mounts: mount::mounts(config, &dir)?,
        console: console::console(config, &root)?,
        root,
        rootfs,
        proc: match auto.proc {
            None => AutoMount::No,
            Some(ProcMode::Mixed) => AutoMount::Mixed,
            Some(ProcMode::Rw) => AutoMount::ReadWrite,
        },
        sys: match auto.sys {
            None => AutoMount::No,
            Some(SysMode::Mixed) => AutoMount::Mixed,
            Some(SysMode::Ro) => AutoMount::ReadOnly,
            Some(SysMode::Rw) => AutoMount::ReadWrite,
        },
        cgroup_mount: match auto.cgroup {
            None => AutoMount::No,
            Some(mount) if mount.mode == CgroupMountMode::Ro => AutoMount::ReadOnly,
            Some(_) => AutoMount::ReadWrite,
        },
        autodev: config.autodev.as_ref().is_none_or(|autodev| autodev.value),
        autodev_size: match config.autodev_size.as_ref().map(|size| size.value) {
            None | Some(0) => 500_000,
            Some(size) => size,
        },
        pty_max: config.pty_max.as_ref().map_or(1024, |most| most.value),
        tty_max: console::terminals(config)?,
        tty_dir: config.tty_dir.as_ref().map(|dir| dir.value.clone()),
        personality: config.arch.as_ref().map(|arch| arch.value.personality),
        confinement,
        halt_signal: config.signals.halt.as_ref().map(|signal| signal.number()),
        reboot_signal: config
            .signals
            .reboot
            .as_ref()
            .map_or(SIGINT, |signal| signal.number()),
        kill_signal: config
            .signals
            .stop
            .as_ref()
            .map_or(SIGKILL, |signal| signal.number()),
        pdeath_signal: config.monitor_pdeath.as_ref().map_or(SIGKILL, |given| {
            given.value.map_or(0, |signal| signal.number())
        }),
        ephemeral: config.running.ephemeral.as_ref().is_some_and(|on| on.value),
        monitor_unshare: monitor_unshare(config)?,
        log: log(config, &place.owner, name, &dir),
        notify: ready::notify(&settings, name, network.of_host)?,
        settings,
    })
}

fn log(config: &Config, owner: &User, name: &ContainerName, dir: &Path) -> LogPlan {
    let file = config.log_file.as_ref();
    LogPlan {
        name: name.to_string(),
        owner: (owner.name.clone(), owner.uid.raw()),
        file: file.map_or_else(
            || dir.join(format!("{name}.log")),
            |file| file.value.clone(),
        ),
        level: config
            .log_level
            .as_ref()
            .map_or(LogLevel::Notice, |level| level.value),
        syslog: config
            .running
            .syslog
            .as_ref()
            .map(|facility| facility.value),
    }
}

fn monitor_unshare(config: &Config) -> Result<bool> {
    let given = config.running.monitor_unshare.as_ref();
    match given.filter(|on| on.value) {
        None => Ok(false),
        Some(_) if cred::effective_uid().is_root() => Ok(true),
        Some(given) => Err(Error::other(format!(
            "{}: lxc.monitor.unshare: only root's monitors can have mounts of their own: a mount \
             namespace takes CAP_SYS_ADMIN on the host; remove the line (mounts of hooks of the \
             kinds pre-mount and mount are the container's alone in any case)",
            given.at
        ))),
    }
}

fn hook_paths<'p>(config: &Config, file: &'p Path, mount_point: &'p Path) -> Paths<'p> {
    let rootfs = config.rootfs.path.as_ref();
    Paths {
        config: file,
        rootfs: rootfs.map_or_else(String::new, |path| path.path().display().to_string()),
        mount_point,
    }
}

const SIGINT: i32 = nix::sys::signal::Signal::SIGINT as i32;
const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;

fn idmap(config: &Config, file: &Path) -> Result<Vec<IdMapping>> {
    let map: Vec<IdMapping> = config.idmap.iter().map(|mapping| mapping.value).collect();
    if map.is_empty() {
        if cred::effective_uid().is_root() {
            return Ok(map);
        }
        return Err(Error::other(format!(
            "{}: lxc.idmap is missing: an ordinary user's container runs on his subordinate ids, \
             as in lxc.idmap = u 0 100000 65536 (see /etc/subuid; an administrator gives them \
             with: berth grant {})",
            file.display(),
            own_name()
        )));
    }
    let has_root = |kind| {
        map.iter()
            .any(|mapping| mapping.kind == kind && mapping.covers_inside(0))
    };
    if !has_root(IdKind::User) || !has_root(IdKind::Group) {
        return Err(Error::other(format!(
            "{}: lxc.idmap maps no id for root: it needs a line for user 0 and one for group 0, \
             as in lxc.idmap = u 0 100000 65536 and lxc.idmap = g 0 100000 65536",
            file.display()
        )));
    }
    Ok(map)
}

fn own_name() -> String {
    let uid: Uid = cred::effective_uid();
    match berth_kernel::user::User::by_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

fn limits(config: &Config) -> Result<Vec<CgroupLimit>> {
    config
        .cgroup
        .iter()
        .map(|setting| {
            let at = format!("{}: lxc.cgroup2.{}", setting.at, setting.file);
            match LimitSetting::new(&setting.file, &setting.value.value) {
                Ok(setting) => Ok(CgroupLimit { at, setting }),
                Err(error) => Err(Error::other(format!("{at}: {error}"))),
            }
        })
        .collect()
}

fn c_string(text: &str, at: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::other(format!("{at}: the value has a zero byte in the middle")))
}
