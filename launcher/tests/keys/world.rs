//! Containers on a private host, and what the tests ask of them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use berth_kernel::process::{self, Exit};
use berth_test_private_host::{self as private_host, Host, Setup, ran_alone};

/// Whose container it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An ordinary user's, with subordinate ids and a delegated cgroup.
    User,
    /// Root's.
    Root,
}

/// Runs the body on a host of its own. A panic in it is the test's.
pub fn on_host(body: impl FnOnce(&Host)) {
    on_host_with(|_| {}, body);
}

/// The same on one that lacks something.
pub fn on_host_with(change: impl FnOnce(&mut Setup), body: impl FnOnce(&Host)) {
    if ran_alone() {
        return;
    }
    let berth = PathBuf::from(env!("CARGO_BIN_EXE_berth"));
    let mut setup = Setup::of_programs(berth.parent().unwrap());
    change(&mut setup);
    let child = process::fork(|| {
        let code = private_host::within(&setup, |host| {
            body(host);
            0
        });
        code.unwrap_or_else(|error| {
            eprintln!("{error:#}");
            102
        })
    });
    let exit = child.unwrap().pidfd.wait().unwrap();
    assert_eq!(exit, Exit::Code(0));
}

/// A busybox container with these lines at the end of its configuration runs while the body does.
/// Afterwards it is destroyed, and nothing of it may be left.
pub fn in_container(owner: Owner, lines: &str, body: impl FnOnce(&Container)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        container.append(lines);
        container.start();
        body(&container);
        container.destroy();
    });
}

/// A start with these lines is refused with a message that has this text, and nothing is made.
pub fn refused(owner: Owner, lines: &str, text: &str) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        container.append(lines);
        container.start_is_refused(text);
        container.destroy();
    });
}

/// The same for several, each beside what the configuration has anyway.
pub fn refused_each(owner: Owner, cases: &[(&str, &str)]) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        let before = fs::read_to_string(container.config()).unwrap();
        for (lines, text) in cases {
            container.append(lines);
            container.start_is_refused(text);
            fs::write(container.config(), &before).unwrap();
        }
        container.destroy();
    });
}

/// As [`refused`], for several sets of lines behind the same first ones.
pub fn each_refused(owner: Owner, first: &str, cases: &[(&str, &str)]) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        container.append(first);
        let config = fs::read_to_string(container.config()).unwrap();
        for (lines, text) in cases {
            container.append(lines);
            container.start_is_refused(text);
            fs::write(container.config(), &config).unwrap();
        }
        container.destroy();
    });
}

/// A container on a host.
pub struct Container<'h> {
    pub host: &'h Host,
    pub owner: Owner,
    pub name: &'static str,
}

impl<'h> Container<'h> {
    /// Made from the busybox template, without an interface.
    pub fn create(host: &'h Host, owner: Owner, name: &'static str) -> Self {
        let container = Self { host, owner, name };
        container.ok(&["create", "--template", "busybox", name]);
        container.append("lxc.net =\n");
        container
    }

    /// Its directory on the host.
    pub fn dir(&self) -> PathBuf {
        match self.owner {
            Owner::User => self.host.lxcpath().join(self.name),
            Owner::Root => PathBuf::from("/var/lib/lxc").join(self.name),
        }
    }

    /// Its cgroup with the payload and the monitor, as the host sees it.
    pub fn cgroup(&self) -> PathBuf {
        let base = PathBuf::from("/sys/fs/cgroup").join(private_host::BASE);
        match self.owner {
            Owner::User => base.join(self.name),
            // Below what process 1 sits in.
            Owner::Root => base.join("berth/user-0").join(self.name),
        }
    }

    pub fn config(&self) -> PathBuf {
        self.dir().join("config")
    }

    /// Adds lines at the end of the configuration.
    pub fn append(&self, lines: &str) {
        let mut text = fs::read_to_string(self.config()).unwrap();
        text.push_str(lines);
        text.push('\n');
        fs::write(self.config(), text).unwrap();
    }

    /// A command of the owner's.
    pub fn command(&self, program: &str) -> Command {
        let mut command = match self.owner {
            Owner::User => self.host.as_user(program),
            Owner::Root => self.host.as_root(program),
        };
        command.stdin(Stdio::null());
        command
    }

    /// `berth …` of the owner's.
    pub fn berth(&self, arguments: &[&str]) -> Output {
        self.command("berth").args(arguments).output().unwrap()
    }

    /// `berth …`, which must work; what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.berth(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let log = match output.status.success() {
            true => String::new(),
            false => self.log(),
        };
        assert!(output.status.success(), "berth {arguments:?}: {said}{log}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn start(&self) {
        self.ok(&["start", "--here", self.name]);
    }

    /// Ends it at once.
    pub fn stop(&self) {
        self.ok(&["stop", "-k", self.name]);
    }

    /// What the monitor wrote down.
    pub fn log(&self) -> String {
        let file = self.dir().join(format!("{}.log", self.name));
        fs::read_to_string(file).unwrap_or_default()
    }

    /// A start fails with a message that has this text; no cgroup is left.
    pub fn start_is_refused(&self, text: &str) {
        let output = self.berth(&["start", "--here", self.name]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(text), "no “{text}” in: {said}");
        self.wait_until_cgroup_is_gone();
    }

    /// The last process of a container removes its cgroup a moment after the monitor's end.
    fn wait_until_cgroup_is_gone(&self) {
        let limit = Instant::now() + Duration::from_secs(10);
        while self.cgroup().exists() {
            assert!(Instant::now() < limit, "the cgroup is left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A shell command inside, which must work; what it printed, trimmed.
    pub fn sh(&self, command: &str) -> String {
        let printed = self.ok(&["exec", self.name, "--", "/bin/sh", "-c", command]);
        printed.trim().to_owned()
    }

    /// Waits until a shell command inside works.
    pub fn wait_for(&self, command: &str) {
        let limit = Instant::now() + Duration::from_secs(30);
        let inside = ["exec", self.name, "--", "/bin/sh", "-c", command];
        while !self.berth(&inside).status.success() {
            assert!(Instant::now() < limit, "{command}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A shell command of the owner's on the host, which must work; what it printed, trimmed.
    pub fn sh_on_host(&self, command: &str) -> String {
        let output = self.command("sh").args(["-c", command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}{}", self.log());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A shell command of root's on the host, which must work; what it printed, trimmed.
    pub fn on_host(&self, script: &str) -> String {
        let mut shell = self.host.as_root("sh");
        let output = shell.args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until a shell command on the host prints this: the kernel clears up after the last
    /// process of a container.
    pub fn wait_for_host(&self, script: &str, printed: &str) {
        eventually(script, || {
            self.on_host(&format!("{script} || :")) == printed
        });
    }

    /// A line of `berth info`.
    pub fn info(&self, title: &str) -> String {
        let info = self.ok(&["info", self.name]);
        let line = info.lines().find_map(|line| line.strip_prefix(title));
        let value = line.unwrap_or_else(|| panic!("no {title} in {info}"));
        value.trim_start_matches(':').trim().to_owned()
    }

    /// Ends the monitor by force.
    pub fn kill_monitor(&self) {
        let pid = self.info("Monitor");
        self.on_host(&format!("kill -9 {pid}"));
        eventually("the monitor's end", || {
            self.on_host(&format!("cat /proc/{pid}/comm 2>/dev/null || :")) != "berth-monitor"
        });
    }

    /// Has init reboot, and waits until the container runs again.
    pub fn reboot(&self) {
        let start = "cut -d' ' -f22 /proc/1/stat";
        let before = self.sh(start);
        self.sh("kill -TERM 1");
        eventually("the reboot", || {
            let output = self.berth(&["exec", self.name, "--", "/bin/sh", "-c", start]);
            let now = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success() && now != before
        });
    }

    pub fn destroy(&self) {
        // Init takes its time if it is asked; one that does not run is no matter here.
        self.berth(&["stop", "-k", self.name]);
        self.ok(&["destroy", "--force", self.name]);
        self.wait_until_cgroup_is_gone();
        assert!(!self.dir().exists());
    }
}

/// Waits until it is true: what is asked about ends in other processes.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < limit, "not in twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
