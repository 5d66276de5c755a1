//! `berth ls`: the containers and what they are doing.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use berth_common::ContainerName;
use berth_container_config::Config;
use serde::Serialize;

use super::load_settings;
use super::shared_files::SharedFiles;
use crate::error::Result;
use crate::lxc::{self, Sockets};
use crate::place::Place;
use crate::state::{Record, Runtime, State};

/// The most that is read of a table of addresses, in bytes.
const TABLE_LIMIT: u64 = 1 << 20;

/// So many threads look at containers at once, each at no less than so many.
const AT_ONCE: usize = 4;
const LEAST: usize = 100;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Whether it is ready, as its `berth.toml` has it; without that, whether its init runs.
    pub ready: bool,
    /// Its init as the host sees it.
    pub pid: Option<i32>,
    /// Its IPv4 addresses, without the loopback.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses, without loopback and link-local.
    pub ipv6: Vec<Ipv6Addr>,
    /// Ports of the host that lead to it, as `berth publish` takes them.
    pub ports: Vec<String>,
    /// Whether it runs under LXC and not under Berth.
    pub lxc: bool,
    /// Names of its interfaces, inside.
    pub interfaces: Vec<String>,
    /// Whether it starts at boot.
    pub autostart: bool,
    /// Its groups (`lxc.group`).
    pub groups: Vec<String>,
    /// Whether its root is another user than the host's; `None` if its configuration cannot be read.
    pub unprivileged: Option<bool>,
    /// What it uses.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What is wrong with its configuration or its runtime files, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a running container uses, in bytes; `None` where the controller does not reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Memory, the page cache included.
    pub memory: Option<u64>,
    /// What was swapped out.
    pub swap: Option<u64>,
}

/// All containers of a place, by name; with what they use, if that is asked for.
pub fn list(place: &Place, with_usage: bool) -> Result<Vec<Line>> {
    let names = place.names()?;
    let seen = Seen::at(place);
    let some = |names: &[ContainerName]| -> Vec<Line> {
        let look = Look::new(place, &seen);
        let one = |name| look.line(name, with_usage);
        names.iter().map(one).collect()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let each = names.len().div_ceil(processors.min(AT_ONCE)).max(LEAST);
    if names.len() <= each {
        return Ok(some(&names));
    }
    let (first, others) = names.split_at(each);
    Ok(std::thread::scope(|scope| {
        let others: Vec<_> = others
            .chunks(each)
            .map(|names| scope.spawn(|| some(names)))
            .collect();
        let mut lines = some(first);
        for other in others {
            lines.extend(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        lines
    }))
}

/// One container. What cannot be found out about it is its problem, and not that of the others.
pub fn line(place: &Place, name: &ContainerName) -> Line {
    Look::new(place, &Seen::at(place)).line(name, false)
}

/// What is the same for all containers of a list.
struct Seen {
    sockets: Sockets,
    /// Names of the containers that have runtime files; `None` where they cannot be listed.
    with_runtime: Option<HashSet<OsString>>,
}

impl Seen {
    fn at(place: &Place) -> Self {
        Self {
            sockets: Sockets::read(),
            with_runtime: entries(&place.runtime_parents()).ok(),
        }
    }

    /// Whether the container may run: of most of a thousand nothing has to be looked for.
    fn may_have_runtime(&self, name: &ContainerName) -> bool {
        let name = OsStr::new(name.as_str());
        self.with_runtime
            .as_ref()
            .is_none_or(|names| names.contains(name))
    }
}

/// The names in all these directories, which need not exist.
fn entries(dirs: &[PathBuf]) -> io::Result<HashSet<OsString>> {
    let mut names = HashSet::new();
    for dir in dirs {
        match std::fs::read_dir(dir) {
            Ok(entries) => {
                for entry in entries {
                    names.insert(entry?.file_name());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// One look at many containers: what several of them include is read once.
struct Look<'p> {
    place: &'p Place,
    seen: &'p Seen,
    shared: SharedFiles,
}

/// What a container is doing, with one look at the sockets before. What cannot be told is unknown.
pub fn state(sockets: &Sockets, place: &Place, name: &ContainerName) -> State {
    match Runtime::new(place.runtime_dir(name)).state() {
        Ok((State::Stopped, _)) => match lxc::find_among(sockets, place, name) {
            Ok(running) => running.map_or(State::Stopped, |running| running.state),
            Err(_) => State::Unknown,
        },
        Ok((state, _)) => state,
        Err(_) => State::Unknown,
    }
}

impl<'p> Look<'p> {
    fn new(place: &'p Place, seen: &'p Seen) -> Self {
        Self {
            place,
            seen,
            shared: SharedFiles::default(),
        }
    }

    fn line(&self, name: &ContainerName, with_usage: bool) -> Line {
        let place = self.place;
        let mut problems = Vec::new();
        let (mut state, record) = match self.seen.may_have_runtime(name) {
            false => (State::Stopped, None),
            true => Runtime::new(place.runtime_dir(name))
                .state()
                .unwrap_or_else(|error| {
                    problems.push(error.to_string());
                    (State::Unknown, None)
                }),
        };
        let config = self
            .shared
            .load(&place.config_file(name))
            .map_err(|error| problems.push(error.to_string()))
            .ok();
        let ports = match load_settings(place, name) {
            Ok(settings) => settings
                .publish
                .iter()
                .map(|one| one.value.to_string())
                .collect(),
            Err(error) => {
                problems.push(error.to_string());
                Vec::new()
            }
        };
        let mut pid = init_of(state, record.as_ref());
        let mut lxc = false;
        if state == State::Stopped {
            match lxc::find_among(&self.seen.sockets, place, name) {
                Ok(Some(running)) => {
                    lxc = true;
                    state = running.state;
                    pid = Some(running.init);
                }
                Ok(None) => {}
                Err(error) => problems.push(error.to_string()),
            }
        }
        Line {
            name: name.to_string(),
            state,
            ready: state.has_init() && (lxc || record.as_ref().is_some_and(|record| record.ready)),
            pid,
            lxc,
            ipv4: pid.map(ipv4_of).unwrap_or_default(),
            ipv6: pid.map(ipv6_of).unwrap_or_default(),
            ports,
            interfaces: interfaces_of(state, record.as_ref()),
            autostart: config.as_ref().is_some_and(Config::starts_at_boot),
            groups: config.as_ref().map(groups_of).unwrap_or_default(),
            unprivileged: config
                .as_ref()
                .map(|config| !place.owner.uid.is_root() || !config.idmap.is_empty()),
            usage: with_usage.then(|| usage_of(state, record.as_ref())),
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
        }
    }
}

fn groups_of(config: &Config) -> Vec<String> {
    let groups = config.groups.iter();
    groups.map(|group| group.value.clone()).collect()
}

fn interfaces_of(state: State, record: Option<&Record>) -> Vec<String> {
    let nics = record
        .filter(|_| state.has_init())
        .map(|record| &record.nics);
    let names = nics.into_iter().flatten().map(|nic| nic.name.clone());
    names.filter(|name| !name.is_empty()).collect()
}

fn usage_of(state: State, record: Option<&Record>) -> Usage {
    let cgroup = record
        .filter(|_| state.has_init())
        .and_then(|record| record.cgroup.as_ref());
    let payload = cgroup.and_then(|place| place.payload().ok());
    let figure = |file: &str| payload.as_ref()?.read(file).ok()?.trim().parse().ok();
    Usage {
        memory: figure("memory.current"),
        swap: figure("memory.swap.current"),
    }
}

/// Init's process number while it means init.
pub fn init_of(state: State, record: Option<&Record>) -> Option<i32> {
    state
        .has_init()
        .then(|| record.and_then(|record| record.init))
        .flatten()
}

/// The container's addresses from the kernel's own table of them: nothing has to be entered.
pub fn ipv4_of(init: i32) -> Vec<Ipv4Addr> {
    local_addresses(&table_of(init, "fib_trie"))
}

/// In fib_trie an address stands on a line before the one that says `/32 host LOCAL`.
fn local_addresses(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in fib_trie.lines() {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last.filter(|address| !address.is_loopback()));
        }
    }
    found.into_iter().collect()
}

/// Global IPv6 addresses of a process's network namespace.
pub fn ipv6_of(init: i32) -> Vec<Ipv6Addr> {
    global_addresses(&table_of(init, "if_inet6"))
}

/// A table of a process's network namespace; empty if the process is gone. The container fills
/// it, so only its beginning counts, in whole lines.
fn table_of(init: i32, name: &str) -> String {
    let mut table = String::new();
    if let Ok(file) = File::open(format!("/proc/{init}/net/{name}")) {
        // What was read before a failure is as good as any other beginning.
        let _ = file.take(TABLE_LIMIT).read_to_string(&mut table);
    }
    table.truncate(table.rfind('\n').map_or(0, |end| end + 1));
    table
}

/// Lines of if_inet6: address, index, prefix, scope (0: global), flags, interface.
fn global_addresses(if_inet6: &str) -> Vec<Ipv6Addr> {
    let mut found: Vec<Ipv6Addr> = if_inet6
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            (fields.nth(2)? == "00").then(|| Ipv6Addr::from(address))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_common::{Gid, Uid};
    use berth_kernel::user::User;

    #[test]
    fn one_broken_container_is_listed_with_its_problem_beside_the_others() {
        let dir = std::env::temp_dir().join(format!("berth-list-{}", std::process::id()));
        let owner = User {
            name: "nobody-of-that-name".into(),
            uid: Uid::new(4_000_000).unwrap(),
            gid: Gid::new(4_000_000).unwrap(),
            home: dir.join("home"),
            shell: "/bin/sh".into(),
        };
        let place = Place::of(owner, Some(&dir.join("lxc"))).unwrap();
        for name in ["bad", "good"] {
            let name = name.parse().unwrap();
            std::fs::create_dir_all(place.container_dir(&name)).unwrap();
            std::fs::write(place.config_file(&name), "lxc.start.auto = 1\n").unwrap();
        }
        let state = place
            .runtime_dir(&"bad".parse().unwrap())
            .join(crate::state::STATE_FILE);
        std::fs::create_dir_all(&state).unwrap();
        let lines = list(&place, true).unwrap();
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.name.as_str(), line.state, line.problem.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("bad", State::Unknown, true),
                ("good", State::Stopped, false)
            ]
        );
        assert!(lines.iter().all(|line| line.autostart));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_table_is_read_in_whole_lines() {
        let own = std::process::id() as i32;
        let table = table_of(own, "dev");
        assert!(table.contains("lo:") && table.ends_with('\n'), "{table}");
        assert_eq!(table_of(i32::MAX, "dev"), "");
    }

    #[test]
    fn addresses_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    Local:\n  +-- 0.0.0.0/0 2 0 2\n     +-- 10.209.0.0/24 2 0 2\n        |-- \
                    10.209.0.0\n           /24 link UNICAST\n        |-- 10.209.0.57\n           \
                    /32 host LOCAL\n        |-- 10.209.0.255\n           /32 link BROADCAST\n     \
                    |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(trie), [Ipv4Addr::new(10, 209, 0, 57)]);
        let six = "00000000000000000000000000000001 01 80 10 80       lo\n\
                   fe800000000000000216fffffe000001 02 40 20 80     eth0\n\
                   fd000000000000000000000000000005 02 40 00 80     eth0\n";
        assert_eq!(
            global_addresses(six),
            ["fd00::5".parse::<Ipv6Addr>().unwrap()]
        );
        assert!(local_addresses("garbage |-- \n/32 host LOCAL").is_empty());
    }
}
