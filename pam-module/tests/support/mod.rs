//! A scripted PAM handle, a machine whose cgroups are a test's own, and the look of a session.
// Each of the test programs uses a part of it.
#![allow(dead_code)]

use berth_cgroups::testing::{Sleeper, Subtree};
use berth_cgroups::{CgroupDir, CgroupPath, Error, Hierarchy};
use berth_common::{Gid, Uid};
use berth_kernel::fs;
use pam_berth::session::{Handle, Host, Layout, Level, Person};
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::Duration;

pub const SCOPE: &str = "/user.slice/user-4242.slice/session-3.scope";

pub fn alice() -> (Uid, Gid) {
    (Uid::new(4242).unwrap(), Gid::new(4243).unwrap())
}

pub fn person(name: &str, uid: u32, gid: u32) -> Person {
    Person {
        name: name.to_owned(),
        uid: Uid::new(uid).unwrap(),
        gid: Gid::new(gid).unwrap(),
    }
}

/// What PAM answers, and what was asked and said.
pub struct Script {
    pub service: Option<String>,
    pub user: Option<Person>,
    pub variables: HashMap<String, String>,
    pub lines: Vec<(Level, String)>,
    pub user_asked: u32,
}

impl Script {
    /// alice's login through sshd, as pam_systemd leaves it.
    pub fn login() -> Self {
        let variables = [("XDG_SESSION_ID", "3"), ("XDG_SESSION_CLASS", "user")];
        Self {
            service: Some("sshd".to_owned()),
            user: Some(person("alice", 4242, 4243)),
            variables: variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            lines: Vec::new(),
            user_asked: 0,
        }
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }
}

impl Handle for Script {
    fn service(&mut self) -> Option<String> {
        self.service.clone()
    }

    fn user(&mut self) -> Option<Person> {
        self.user_asked += 1;
        self.user.clone()
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn log(&mut self, level: Level, line: &str) {
        self.lines.push((level, line.to_owned()));
    }
}

/// A machine with a session's scope in a subtree of its own.
pub struct Machine {
    pub tree: Subtree,
    pub scope: CgroupDir,
    pub sleepers: Vec<Sleeper>,
    pub path: CgroupPath,
    pub root: bool,
    pub layout: Layout,
    pub asked: Cell<u32>,
    /// From this question on the clock stands an hour later.
    pub late_from: u32,
}

impl Machine {
    /// As systemd with the drop-in leaves it: marked, root's, two processes in the scope itself.
    pub fn with_session() -> Self {
        let tree = Subtree::new();
        let scope = tree.make_with_controllers(SCOPE);
        fs::set_xattr(scope.as_fd(), "trusted.delegate", b"1").unwrap();
        let sleepers = vec![tree.sleeper(&scope), tree.sleeper(&scope)];
        let path = CgroupPath::new(SCOPE).unwrap();
        let (asked, late_from) = (Cell::new(0), u32::MAX);
        Self {
            tree,
            scope,
            sleepers,
            path,
            root: true,
            layout: Layout::Systemd,
            asked,
            late_from,
        }
    }

    /// Whether the session is as systemd left it.
    pub fn is_untouched(&self) -> bool {
        self.scope.children().unwrap().is_empty()
            && self.scope.owner().unwrap() == (0, 0)
            && self.scope.processes().unwrap().len() == self.sleepers.len()
    }
}

impl Host for Machine {
    fn is_root(&self) -> bool {
        self.root
    }

    fn layout(&self) -> Layout {
        self.layout
    }

    fn hierarchy(&self) -> Result<Hierarchy, Error> {
        Hierarchy::at(self.tree.top().path())
    }

    fn own_path(&self, _: &Hierarchy) -> Result<CgroupPath, Error> {
        Ok(self.path.clone())
    }

    fn now(&self) -> Duration {
        self.asked.set(self.asked.get() + 1);
        let late = if self.asked.get() >= self.late_from {
            3600
        } else {
            0
        };
        Duration::from_secs(late) + Duration::from_micros(u64::from(self.asked.get()))
    }
}
