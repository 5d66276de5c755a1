//! From a configuration to a plan: everything that can be refused is refused here, before
//! anything is made.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use berth_cgroups::LimitSetting;
use berth_common::{ContainerName, InterfaceName, Uid};
use berth_container_config::value::{
    CgroupMountMode, CreateTarget, Gateway, IdKind, MountEntry, NetType, ProcMode, PropagationKind,
    SysMode,
};
use berth_container_config::{Config, IdMapping, Net, Positioned};
use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::mount::{Attributes, Propagation};

use super::plan::{AutoMount, Create, MountPlan, MountSource, NetPlan, StartPlan, Way};
use crate::error::{Error, Result};
use crate::place::Place;

/// Dropped for every container unless its configuration says which to drop or keep: what reaches
/// the host however the container is confined (LXC's common.conf).
const DROPPED_BY_DEFAULT: [&str; 5] = [
    "mac_admin",
    "mac_override",
    "sys_module",
    "sys_rawio",
    "sys_time",
];

/// The plan for a container, or why it cannot be started.
pub fn plan(place: &Place, name: &ContainerName, config: &Config) -> Result<StartPlan> {
    let dir = place.container_dir(name);
    let rootfs = rootfs(config, &dir)?;
    let idmap = idmap(config, &place.config_file(name))?;
    let init: Vec<CString> = match &config.init_cmd {
        Some(command) => command
            .iter()
            .map(|word| c_string(word, &command.at.to_string()))
            .collect::<Result<_>>()?,
        None => vec![c"/sbin/init".to_owned()],
    };
    let (nets, host_network) = nets(config)?;
    let hostname = config
        .uts_name
        .as_ref()
        .map_or(name.as_str(), |given| given.value.as_str());
    let auto = &config.mount_auto;
    Ok(StartPlan {
        name: name.clone(),
        lxcpath: place.lxcpath.clone(),
        idmap,
        hostname: c_string(hostname, "lxc.uts.name")?,
        init,
        cwd: config
            .init_cwd
            .as_ref()
            .map_or_else(|| "/".into(), |cwd| cwd.value.clone()),
        environment: environment(config)?,
        nets,
        host_network,
        limits: limits(config)?,
        mounts: config
            .mounts
            .iter()
            .map(|entry| mount(entry, &rootfs))
            .collect::<Result<_>>()?,
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
        pty_max: config.pty_max.as_ref().map_or(1024, |most| most.value),
        tty_max: config.tty_max.as_ref().map_or(0, |most| most.value),
        tty_dir: config.tty_dir.as_ref().map(|dir| dir.value.clone()),
        personality: config.arch.as_ref().map(|arch| arch.value.personality),
        dropped_capabilities: dropped_capabilities(config),
        no_new_privs: config.no_new_privs.as_ref().is_some_and(|on| on.value),
        halt_signal: config.signals.halt.as_ref().map(|signal| signal.number()),
        kill_signal: config
            .signals
            .stop
            .as_ref()
            .map_or(SIGKILL, |signal| signal.number()),
        pdeath_signal: config.monitor_pdeath.as_ref().map_or(SIGKILL, |given| {
            given.value.map_or(0, |signal| signal.number())
        }),
        log_file: config.log_file.as_ref().map_or_else(
            || dir.join(format!("{name}.log")),
            |file| file.value.clone(),
        ),
    })
}

const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;

fn rootfs(config: &Config, dir: &Path) -> Result<PathBuf> {
    let Some(rootfs) = &config.rootfs else {
        return Err(Error::other(format!(
            "{}: lxc.rootfs.path is missing: it names the container's root directory, as in \
             lxc.rootfs.path = dir:{}",
            dir.join("config").display(),
            dir.join("rootfs").display()
        )));
    };
    match std::fs::metadata(&rootfs.value) {
        Ok(found) if found.is_dir() => Ok(rootfs.value.clone()),
        Ok(_) => Err(Error::other(format!(
            "{}: lxc.rootfs.path: {} is not a directory",
            rootfs.at,
            rootfs.value.display()
        ))),
        Err(error) => Err(Error::other(format!(
            "{}: lxc.rootfs.path: the root directory {} cannot be used: {}",
            rootfs.at,
            rootfs.value.display(),
            crate::error::Plain(&error)
        ))),
    }
}

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

fn environment(config: &Config) -> Result<Vec<CString>> {
    let mut variables: Vec<(String, String)> = vec![
        ("PATH".to_owned(), crate::exec::DEFAULT_PATH.to_owned()),
        ("container".to_owned(), "lxc".to_owned()),
    ];
    for entry in &config.environment {
        let value = match &entry.value.value {
            Some(value) => value.clone(),
            None => std::env::var(&entry.name).map_err(|_| {
                Error::other(format!(
                    "{}: lxc.environment: {} is not set in the environment of this start, so it \
                     cannot be copied; say which value: lxc.environment = {}=…",
                    entry.at, entry.name, entry.name
                ))
            })?,
        };
        variables.retain(|(name, _)| *name != entry.name);
        variables.push((entry.name.clone(), value));
    }
    variables
        .into_iter()
        .map(|(name, value)| c_string(&format!("{name}={value}"), "lxc.environment"))
        .collect()
}

fn limits(config: &Config) -> Result<Vec<LimitSetting>> {
    config
        .cgroup
        .iter()
        .map(|setting| {
            LimitSetting::new(&setting.file, &setting.value.value).map_err(|error| {
                Error::other(format!(
                    "{}: lxc.cgroup2.{}: {error}",
                    setting.at, setting.file
                ))
            })
        })
        .collect()
}

fn dropped_capabilities(config: &Config) -> CapabilitySet {
    if let Some(kept) = &config.cap_keep {
        let kept = CapabilitySet::of(kept.iter().map(|capability| capability.number()));
        return CapabilitySet::of((0..cred::capability_count()).filter(|n| !kept.contains(*n)));
    }
    if config.cap_drop.is_empty() {
        return CapabilitySet::of(
            DROPPED_BY_DEFAULT
                .iter()
                .filter_map(|name| cred::capability_number(name)),
        );
    }
    CapabilitySet::of(config.cap_drop.iter().map(|capability| capability.number()))
}

fn nets(config: &Config) -> Result<(Vec<NetPlan>, bool)> {
    let mut plans = Vec::new();
    let mut host_network = false;
    for net in config.nets.values() {
        let Some(kind) = &net.kind else { continue };
        match kind.value {
            NetType::Empty => {}
            NetType::None => host_network = true,
            NetType::Veth => plans.push(veth(net, &kind.at.to_string())?),
        }
    }
    if host_network && !plans.is_empty() {
        return Err(Error::other(
            "lxc.net: an interface of type none shares the host's network; it cannot stand beside \
             one of type veth",
        ));
    }
    Ok((plans, host_network))
}

fn veth(net: &Net, at: &str) -> Result<NetPlan> {
    let interface = |name: &Positioned<String>| {
        name.parse::<InterfaceName>()
            .map_err(|error| Error::other(format!("{}: {error}", name.at)))
    };
    let bridge = net.link.as_ref().map(interface).transpose()?;
    Ok(NetPlan {
        at: at.to_owned(),
        name: net.name.as_ref().map(interface).transpose()?,
        up: net.up,
        mtu: net.mtu.as_ref().map(|mtu| mtu.value),
        mac: net
            .hwaddr
            .as_ref()
            .map(|template| template.fill(random_mac())),
        ipv4: net
            .ipv4
            .addresses
            .iter()
            .map(|address| (address.address, address.prefix, Some(address.broadcast)))
            .collect(),
        ipv6: net
            .ipv6
            .addresses
            .iter()
            .map(|address| (address.address, address.prefix))
            .collect(),
        gateway4: way(net.ipv4.gateway.as_ref(), bridge.as_ref())?,
        gateway6: way(net.ipv6.gateway.as_ref(), bridge.as_ref())?,
        bridge,
    })
}

fn way<A: Copy + Family>(
    gateway: Option<&Positioned<Gateway<A>>>,
    link: Option<&InterfaceName>,
) -> Result<Option<Way<A>>> {
    match gateway {
        None => Ok(None),
        Some(given) => match given.value {
            Gateway::Address(address) => Ok(Some(Way::Through(address))),
            Gateway::Device => Ok(Some(Way::Device)),
            Gateway::Auto => match own_address(link)? {
                Some(address) => Ok(Some(Way::Through(address))),
                None => Err(Error::other(format!(
                    "{}: gateway auto means the bridge's own address, but {} has none of that \
                     family",
                    given.at,
                    link.map_or_else(
                        || "no bridge (lxc.net.N.link)".to_owned(),
                        ToString::to_string
                    )
                ))),
            },
        },
    }
}

/// An address family as a type.
trait Family: Sized {
    /// The address if it is of this family.
    fn of(ip: IpAddr) -> Option<Self>;
}

impl Family for Ipv4Addr {
    fn of(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        }
    }
}

impl Family for Ipv6Addr {
    fn of(ip: IpAddr) -> Option<Self> {
        match ip {
            // A link-local address would need the interface beside it.
            IpAddr::V6(v6) if !v6.is_unicast_link_local() => Some(v6),
            _ => None,
        }
    }
}

/// The first address of the family that the host's interface has.
fn own_address<A: Family>(link: Option<&InterfaceName>) -> Result<Option<A>> {
    let Some(link) = link else { return Ok(None) };
    let fail = |error: berth_netlink::Error| Error::other(error.to_string());
    let mut socket = berth_netlink::Socket::open().map_err(fail)?;
    let Some(found) = socket.find_link(link).map_err(fail)? else {
        return Ok(None);
    };
    let addresses = socket.addresses(Some(found.index)).map_err(fail)?;
    Ok(addresses.into_iter().find_map(|address| A::of(address.ip)))
}

/// Random bytes for what a template leaves open; all zero where /dev/urandom cannot be read.
fn random_mac() -> [u8; 6] {
    use std::io::Read;
    let mut bytes = [0; 6];
    if let Ok(mut random) = std::fs::File::open("/dev/urandom") {
        let _ = random.read_exact(&mut bytes);
    }
    bytes
}

fn mount(entry: &Positioned<MountEntry>, rootfs: &Path) -> Result<MountPlan> {
    let at = entry.at.to_string();
    let options = &entry.options;
    let source = match options.bind {
        Some(recursive) if options.relative => MountSource::BindWithin {
            path: PathBuf::from(entry.source.trim_start_matches('/')),
            recursive,
        },
        Some(recursive) => MountSource::Bind {
            path: PathBuf::from(&entry.source),
            recursive,
        },
        None => MountSource::New {
            kind: c_string(&entry.fstype, &at)?,
            source: c_string(&entry.source, &at)?,
            options: options
                .data
                .iter()
                .map(|option| match option.split_once('=') {
                    Some((key, value)) => Ok((c_string(key, &at)?, Some(c_string(value, &at)?))),
                    None => Ok((c_string(option, &at)?, None)),
                })
                .collect::<Result<_>>()?,
        },
    };
    let mut attributes = Attributes::NONE;
    let flags = [
        (options.read_only, Attributes::READ_ONLY),
        (options.nosuid, Attributes::NO_SUID),
        (options.nodev, Attributes::NO_DEV),
        (options.noexec, Attributes::NO_EXEC),
        (options.nosymfollow, Attributes::NO_SYM_FOLLOW),
        (options.noatime, Attributes::NO_ATIME),
        (options.nodiratime, Attributes::NO_DIR_ATIME),
        (options.strictatime, Attributes::STRICT_ATIME),
    ];
    for (_, attribute) in flags.into_iter().filter(|(set, _)| *set == Some(true)) {
        attributes |= attribute;
    }
    let target = match entry.target.strip_prefix(rootfs) {
        Ok(below) => below.to_owned(),
        Err(_) => entry.target.clone(),
    };
    Ok(MountPlan {
        at,
        source,
        target,
        attributes,
        propagation: options.propagation.map(|spread| {
            let kind = match spread.kind {
                PropagationKind::Private => Propagation::Private,
                PropagationKind::Shared => Propagation::Shared,
                PropagationKind::Slave => Propagation::Slave,
                PropagationKind::Unbindable => Propagation::Unbindable,
            };
            (kind, spread.recursive)
        }),
        optional: options.optional,
        create: match options.create {
            None => Create::No,
            Some(CreateTarget::Directory) => Create::Directory,
            Some(CreateTarget::File) => Create::File,
        },
    })
}

fn c_string(text: &str, at: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::other(format!("{at}: the value has a zero byte in the middle")))
}
