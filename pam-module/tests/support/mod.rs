//! A scripted PAM handle, a machine whose cgroups are a test's own, and the look of a session.
// Each of the test programs uses a part of it.
#![allow(dead_code)]

use berth_cgroups::legacy::Hierarchies;
use berth_cgroups::testing::{Sleeper, Subtree};
use berth_cgroups::{CgroupDir, CgroupPath, Error, Hierarchy};
use berth_common::{Gid, Uid};
use berth_kernel::fs;
use pam_berth::session::{Handle, Host, Layout, Level, Person, Record};
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

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
    pub record: Option<Record>,
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
            record: None,
        }
    }

    /// Somebody's login where there is no login manager.
    pub fn plain(user: Person) -> Self {
        Self {
            user: Some(user),
            variables: HashMap::new(),
            ..Self::login()
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

    fn remember(&mut self, record: Record) {
        self.record = Some(record);
    }

    fn recall(&mut self) -> Option<Record> {
        self.record.clone()
    }

    fn log(&mut self, level: Level, line: &str) {
        self.lines.push((level, line.to_owned()));
    }
}

/// A machine whose cgroups are a subtree of the real one's.
pub struct Machine {
    pub tree: Subtree,
    pub scope: CgroupDir,
    pub sleepers: Vec<Sleeper>,
    /// Where the process is that opens the session.
    pub path: CgroupPath,
    /// That process, if it is a real one; then `path` does not count.
    pub process: i32,
    pub root: bool,
    pub layout: Layout,
    /// elogind's sessions and their users.
    pub sessions: HashMap<String, u32>,
    pub limits: Vec<(String, String)>,
    pub groups: String,
    /// Users whose containers start at boot.
    pub boot: Vec<String>,
    /// Whether the hierarchies of version 1 count that the calling thread sees.
    pub legacy: bool,
    /// What is added to the time of day.
    pub later: i64,
    pub asked: Cell<u32>,
    /// From this question on the clock stands an hour later.
    pub late_from: u32,
}

impl Machine {
    fn in_tree(tree: Subtree, scope: CgroupDir, layout: Layout) -> Self {
        Self {
            tree,
            scope,
            sleepers: Vec::new(),
            path: CgroupPath::root(),
            process: 0,
            root: true,
            layout,
            sessions: HashMap::new(),
            limits: Vec::new(),
            groups: String::new(),
            boot: Vec::new(),
            legacy: false,
            later: 0,
            asked: Cell::new(0),
            late_from: u32::MAX,
        }
    }

    /// As systemd with the drop-in leaves it: marked, root's, two processes in the scope itself.
    pub fn with_session() -> Self {
        let tree = Subtree::new();
        let scope = tree.make_with_controllers(SCOPE);
        fs::set_xattr(scope.as_fd(), "trusted.delegate", b"1").unwrap();
        let sleepers = vec![tree.sleeper(&scope), tree.sleeper(&scope)];
        Self {
            sleepers,
            path: CgroupPath::new(SCOPE).unwrap(),
            ..Self::in_tree(tree, scope, Layout::Systemd)
        }
    }

    /// Without systemd and elogind: a login's process is in its daemon's cgroup, as with OpenRC.
    pub fn without_manager() -> Self {
        let tree = Subtree::new();
        let daemon = tree.make("openrc.sshd");
        let mut machine = Self::in_tree(tree, daemon, Layout::Own);
        machine.arrive();
        machine
    }

    /// With elogind, which has made a session `id` of alice's and put a login's process there.
    pub fn with_elogind(id: &str) -> Self {
        let tree = Subtree::new();
        let session = tree.make(id);
        let mut machine = Self::in_tree(tree, session, Layout::Elogind);
        machine.sessions.insert(id.to_owned(), alice().0.raw());
        machine.arrive();
        machine
    }

    /// Another process to log somebody in, in the place where such processes are.
    pub fn arrive(&mut self) -> i32 {
        let sleeper = self.tree.sleeper(&self.scope);
        self.process = sleeper.pid();
        self.sleepers.push(sleeper);
        self.process
    }

    /// Where a process is, as a path in the subtree.
    pub fn place_of(&self, pid: i32) -> String {
        let machine = Hierarchy::detect().unwrap();
        let full = machine.full_path(&machine.path_of_pid(pid).unwrap());
        let below = full.strip_prefix(self.tree.top().path()).unwrap();
        format!("/{}", below.display())
    }

    /// A cgroup of the subtree, if it is there.
    pub fn cgroup(&self, path: &str) -> Option<CgroupDir> {
        let path = CgroupPath::new(path).unwrap();
        self.tree.hierarchy().open(&path).ok()
    }

    /// Whether the session is as systemd left it.
    pub fn is_untouched(&self) -> bool {
        self.scope.children().unwrap().is_empty()
            && self.scope.owner().unwrap() == (0, 0)
            && self.scope.processes().unwrap().len() == self.sleepers.len()
    }
}

/// Runs a script as alice in the directory `dir`; whether it succeeded.
pub fn as_alice(dir: &CgroupDir, script: &str) -> bool {
    let (uid, gid) = alice();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(dir.path());
    shell.uid(uid.raw()).gid(gid.raw());
    shell.stdin(Stdio::null()).stderr(Stdio::null());
    shell.status().unwrap().success()
}

impl Host for Machine {
    fn is_root(&self) -> bool {
        self.root
    }

    fn layout(&self) -> Layout {
        self.layout
    }

    fn legacy_hierarchies(&self) -> Result<Hierarchies, Error> {
        if !self.legacy {
            return Ok(Hierarchies::default());
        }
        let mounts = std::fs::read("/proc/thread-self/mountinfo").unwrap();
        let own = std::fs::read(format!("/proc/{}/cgroup", self.process)).unwrap();
        Ok(Hierarchies::parse(&mounts, &own, b""))
    }

    fn hierarchy(&self) -> Result<Hierarchy, Error> {
        Hierarchy::at(self.tree.top().path())
    }

    fn own_path(&self, _: &Hierarchy) -> Result<CgroupPath, Error> {
        if self.process == 0 {
            return Ok(self.path.clone());
        }
        CgroupPath::new(self.place_of(self.process))
    }

    fn process(&self) -> i32 {
        self.process
    }

    fn session_user(&self, id: &str) -> Option<Uid> {
        self.sessions.get(id).copied().and_then(Uid::new)
    }

    fn limit_files(&self) -> (Vec<(String, String)>, Vec<String>) {
        (self.limits.clone(), Vec::new())
    }

    fn group_file(&self) -> String {
        self.groups.clone()
    }

    fn starts_at_boot(&self, user: &Person) -> bool {
        self.boot.contains(&user.name)
    }

    fn time(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(now.unwrap().as_secs()).unwrap() + self.later
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
