//! `berth cgroup show`: a user's delegated cgroups with all that is in them.
//!
//! Nothing needs rights on what is looked at, everything may vanish meanwhile, and however many
//! cgroups and processes somebody makes, this ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use berth_cgroups::{CgroupDir, CgroupPath, DelegatedBase, Hierarchy};
use berth_common::{Uid, cgroup, unit};
use berth_kernel::cred;
use berth_kernel::user::User;
use serde::Serialize;

use crate::error::{Error, Result};

/// At most so many cgroups of a tree are looked at.
const MAX_CGROUPS: usize = 2000;
/// At most so many processes of a tree are named.
const MAX_PROCESSES: usize = 2000;
/// Each level costs a descriptor.
const MAX_DEPTH: usize = 64;
/// At most so much of a command line is read, in bytes.
const MAX_COMMAND: u64 = 1024;

/// Limits and protections, and what their files hold where none is set.
const LIMITS: [(&str, &str); 10] = [
    ("memory.max", "max"),
    ("memory.high", "max"),
    ("memory.swap.max", "max"),
    ("memory.low", "0"),
    ("memory.min", "0"),
    ("pids.max", "max"),
    ("cpu.max", "max 100000"),
    ("cpu.weight", "100"),
    ("cpuset.cpus", ""),
    ("io.max", ""),
];

/// What one user has.
#[derive(Clone, Debug, Serialize)]
pub struct Trees {
    /// His name.
    pub user: String,
    /// His id.
    pub uid: u32,
    /// Where the caller sits, if it is his own trees that he looks at.
    pub caller: Option<String>,
    /// The lasting one first.
    pub trees: Vec<Tree>,
}

/// Which delegated cgroup it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The one that outlives sessions.
    Lasting,
    /// A login session's.
    Session,
    /// Another one, in which the caller sits.
    Other,
}

/// A delegated cgroup with everything below it.
#[derive(Clone, Debug, Serialize)]
pub struct Tree {
    /// Which it is.
    pub kind: Kind,
    /// Whether the caller sits in it.
    pub here: bool,
    /// Cgroups above it that limit it too, from the top.
    pub above: Vec<Above>,
    /// The cgroup itself.
    pub root: Node,
}

/// A cgroup above with limits of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Above {
    /// Its place in the hierarchy.
    pub path: String,
    /// Its limits, as the kernel writes them.
    pub limits: BTreeMap<&'static str, String>,
}

/// One cgroup.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// The last part of its path.
    pub name: String,
    /// Its place in the hierarchy.
    pub path: String,
    /// The owner's name, or his number where he has none.
    pub owner: String,
    /// The controllers that reach it.
    pub controllers: Vec<String>,
    /// Those that it hands on to its children.
    pub handed_on: Vec<String>,
    /// Limits that are set here, as the kernel writes them.
    pub limits: BTreeMap<&'static str, String>,
    /// Memory in use, in bytes, with everything below; `None` where the controller does not reach.
    pub memory: Option<u64>,
    /// Processes and threads, with everything below; `None` where the controller does not reach.
    pub tasks: Option<u64>,
    /// Whether it is frozen.
    pub frozen: bool,
    /// Processes that sit in it directly.
    pub processes: Vec<Process>,
    /// How many processes more there are than are named.
    pub unnamed_processes: usize,
    /// What is below, the leaf first.
    pub children: Vec<Node>,
    /// How many children more there are than are shown.
    pub unshown_children: usize,
}

/// One process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its command line, or its name in brackets where it has none; `?` if it has ended or may
    /// not be looked at.
    pub command: String,
}

/// Looks at the trees of `user`, by default the caller's. Only root may look at others'.
pub fn trees(user: Option<&str>) -> Result<Trees> {
    let own = cred::effective_uid();
    let user = match user {
        None => {
            User::by_uid(own).map_err(|error| Error::os(format!("look up user {own}"), error))?
        }
        Some(name) => {
            User::by_name(name).map_err(|error| Error::os(format!("look up {name}"), error))?
        }
    };
    let user = user.ok_or_else(|| Error::other("there is no such user"))?;
    if user.uid != own && !own.is_root() {
        return Err(Error::other(format!(
            "only root may look at the cgroups of {}",
            user.name
        )));
    }
    let hierarchy = Hierarchy::detect().map_err(fail)?;
    let caller = hierarchy.path_of_self().map_err(fail)?;
    let is_own = user.uid == own;
    let mut bases = bases_of(&hierarchy, user.uid)?;
    let here = match is_own {
        true => DelegatedBase::around(&hierarchy, caller.clone(), own).map_err(fail)?,
        false => None,
    };
    let here_path = here.as_ref().map(|base| base.path().clone());
    if let Some(here) = here
        && bases.iter().all(|(_, base)| base.path() != here.path())
    {
        bases.push((Kind::Other, here));
    }
    let mut trees = Vec::new();
    for (kind, base) in bases {
        let mut look = Look::new();
        // It may have ended meanwhile.
        if let Some(root) = look.node(base.dir(), base.path(), 0) {
            trees.push(Tree {
                kind,
                here: here_path.as_ref() == Some(base.path()),
                above: above(&hierarchy, base.path()),
                root,
            });
        }
    }
    Ok(Trees {
        user: user.name.clone(),
        uid: user.uid.raw(),
        caller: is_own.then(|| caller.to_string()),
        trees,
    })
}

/// The user's lasting cgroup and those of his sessions, as far as they are his.
fn bases_of(hierarchy: &Hierarchy, uid: Uid) -> Result<Vec<(Kind, DelegatedBase)>> {
    let lasting = DelegatedBase::lasting_of(hierarchy, uid).map_err(fail)?;
    let mut bases: Vec<_> = lasting
        .filter(|_| !uid.is_root())
        .map(|base| (Kind::Lasting, base))
        .into_iter()
        .collect();
    let slice = hierarchy
        .init_root()
        .child(unit::USER_SLICE)
        .and_then(|path| path.child(unit::user_slice(uid)))
        .map_err(fail)?;
    let names = match hierarchy.open(&slice).and_then(|dir| dir.children()) {
        Ok(names) => names,
        // Without systemd there is none.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(fail(error)),
    };
    let mut scopes: Vec<_> = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("session-") && name.ends_with(".scope"))
        .collect();
    scopes.sort();
    for name in scopes {
        let path = slice.child(&name).map_err(fail)?;
        match DelegatedBase::around(hierarchy, path.clone(), uid) {
            Ok(Some(base)) if *base.path() == path => bases.push((Kind::Session, base)),
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(bases)
}

/// Limits of what is above `path`, from the top; the user cannot lift them.
fn above(hierarchy: &Hierarchy, path: &CgroupPath) -> Vec<Above> {
    let mut found = Vec::new();
    let mut next = path.parent();
    while let Some(path) = next {
        if let Ok(dir) = hierarchy.open(&path) {
            let limits = limits_of(&dir);
            if !limits.is_empty() {
                let path = path.to_string();
                found.push(Above { path, limits });
            }
        }
        next = path.parent();
    }
    found.reverse();
    found
}

fn limits_of(dir: &CgroupDir) -> BTreeMap<&'static str, String> {
    let set = |(file, unset): (&'static str, &str)| {
        let text = dir.read(file).ok()?;
        let text = text.trim();
        (text != unset).then(|| (file, text.to_owned()))
    };
    LIMITS.into_iter().filter_map(set).collect()
}

/// One walk through a tree, and what it may still look at.
struct Look {
    cgroups: usize,
    processes: usize,
    names: BTreeMap<u32, String>,
}

impl Look {
    fn new() -> Self {
        Self {
            cgroups: MAX_CGROUPS,
            processes: MAX_PROCESSES,
            names: BTreeMap::new(),
        }
    }

    /// A cgroup and all below it; `None` if it is gone.
    fn node(&mut self, dir: &CgroupDir, path: &CgroupPath, depth: usize) -> Option<Node> {
        self.cgroups = self.cgroups.checked_sub(1)?;
        let (uid, _) = dir.owner().ok()?;
        let controllers = dir.controllers().ok()?;
        let statistics = dir.statistics().unwrap_or_default();
        // A threaded cgroup tells its processes only to the one above.
        let pids = dir.processes().unwrap_or_default();
        let named = pids.len().min(self.processes);
        self.processes -= named;
        let mut names = dir.children().unwrap_or_default();
        names.sort_by_key(|name| (name != cgroup::LEAF, name.clone()));
        let mut node = Node {
            name: path.name().map_or_else(
                || "/".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            ),
            path: path.to_string(),
            owner: self.name_of(uid),
            controllers,
            handed_on: dir.enabled_controllers().unwrap_or_default(),
            limits: limits_of(dir),
            memory: statistics.memory,
            tasks: statistics.tasks,
            frozen: dir.is_frozen().unwrap_or(false),
            unnamed_processes: pids.len() - named,
            processes: pids.into_iter().take(named).map(process).collect(),
            children: Vec::new(),
            unshown_children: 0,
        };
        for name in names {
            if depth + 1 >= MAX_DEPTH || self.cgroups == 0 {
                node.unshown_children += 1;
                continue;
            }
            let child = dir.child(&name).ok().zip(path.child(&name).ok());
            let child = child.and_then(|(dir, path)| self.node(&dir, &path, depth + 1));
            node.children.extend(child);
        }
        Some(node)
    }

    fn name_of(&mut self, uid: u32) -> String {
        let look_up = || {
            let user = Uid::new(uid).and_then(|uid| User::by_uid(uid).ok().flatten());
            user.map_or_else(|| uid.to_string(), |user| user.name)
        };
        self.names.entry(uid).or_insert_with(look_up).clone()
    }
}

fn process(pid: i32) -> Process {
    let read = |file: &str| -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(format!("/proc/{pid}/{file}"))?
            .take(MAX_COMMAND)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let command = match (read("cmdline"), read("comm")) {
        // A kernel thread, or a process that is ending.
        (Ok(words), Ok(name)) if words.is_empty() => {
            format!("[{}]", String::from_utf8_lossy(&name).trim_end())
        }
        (Ok(words), _) if !words.is_empty() => {
            let words = words.strip_suffix(b"\0").unwrap_or(&words);
            String::from_utf8_lossy(words).replace('\0', " ")
        }
        _ => "?".to_owned(),
    };
    Process { pid, command }
}

fn fail(error: berth_cgroups::Error) -> Error {
    Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_named_by_their_command_lines() {
        let own = process(std::process::id().cast_signed());
        let first = std::env::args().next().unwrap();
        assert!(own.command.starts_with(&first), "{own:?}");
        assert!(!own.command.contains('\0'));
        assert_eq!(process(i32::MAX).command, "?");
    }
}
