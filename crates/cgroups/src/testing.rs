//! For tests: a subtree of the machine's cgroup v2, with processes in it, gone afterwards.
//!
//! Needs root, since nothing else may make a cgroup at the top; says so instead of passing.

use crate::{CgroupDir, CgroupPath, Hierarchy};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A cgroup at the top of the machine's hierarchy that counts as the root of a hierarchy of its
/// own. Dropping it kills what is inside and removes it.
#[derive(Debug)]
pub struct Subtree {
    top: CgroupDir,
    name: String,
    hierarchy: Hierarchy,
}

impl Subtree {
    /// Makes one.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-test-{}-{number}", std::process::id());
        let machine = Hierarchy::detect().expect("these tests need a mounted cgroup v2");
        let top = machine
            .open(&CgroupPath::root())
            .and_then(|root| root.make_child(&name))
            .expect("these tests make cgroups and need root");
        let hierarchy = Hierarchy::at(top.path()).expect("a new cgroup can be opened");
        Self {
            top,
            name,
            hierarchy,
        }
    }

    /// The hierarchy whose root is the subtree's top.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// The top.
    pub fn top(&self) -> &CgroupDir {
        &self.top
    }

    /// Makes the cgroups on this path, relative to the top, and opens the last.
    pub fn make(&self, path: &str) -> CgroupDir {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let first = self
            .top
            .make_child(names.next().expect("a path has a name"));
        names
            .try_fold(first.expect("can make a cgroup"), |dir, name| {
                dir.make_child(name)
            })
            .expect("can make a cgroup")
    }

    /// As [`Self::make`], and every controller that the machine has for the top reaches the
    /// last cgroup. On a machine whose controllers are all in use by version 1, that is none.
    pub fn make_with_controllers(&self, path: &str) -> CgroupDir {
        let enable = |dir: CgroupDir, name: &str| {
            let controllers = dir.enable_available_controllers()?;
            assert!(controllers.refused.is_empty(), "{controllers:?}");
            dir.make_child(name)
        };
        let top = self
            .hierarchy
            .open(&CgroupPath::root())
            .expect("can open the top");
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(top, enable).expect("can make a cgroup")
    }

    /// Starts a process that sleeps, in this cgroup.
    pub fn sleeper(&self, dir: &CgroupDir) -> Sleeper {
        self.shell(dir, "exec sleep 1000")
    }

    /// Starts a shell script in this cgroup; not a word of it is run before the shell is there.
    pub fn shell(&self, dir: &CgroupDir, script: &str) -> Sleeper {
        let enter = format!(
            "echo 0 > '{}/cgroup.procs' || exit 99; {script}",
            dir.path().display()
        );
        let child = Command::new("sh")
            .arg("-c")
            .arg(enter)
            .stdin(Stdio::null())
            .spawn();
        let sleeper = Sleeper(child.expect("sh can be started"));
        for _ in 0..2000 {
            if dir
                .processes_below()
                .expect("the cgroup can be read")
                .contains(&sleeper.pid())
            {
                return sleeper;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the process did not enter {}", dir.path().display());
    }
}

impl Drop for Subtree {
    fn drop(&mut self) {
        let machine = Hierarchy::detect().and_then(|machine| machine.open(&CgroupPath::root()));
        let removed = self
            .top
            .kill()
            .and_then(|()| self.top.wait_unpopulated(Duration::from_secs(5)))
            .and_then(|_| machine?.remove_tree(&self.name));
        if let Err(error) = removed {
            eprintln!("left behind: {error}");
        }
    }
}

/// A process of a test; killed and reaped when dropped.
#[derive(Debug)]
pub struct Sleeper(Child);

impl Sleeper {
    /// Its id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("pids fit")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.0
            .try_wait()
            .expect("a child can be waited for")
            .is_some()
    }

    /// Waits for its end; the exit code, if it was not killed.
    pub fn wait(&mut self) -> Option<i32> {
        self.0.wait().expect("a child can be waited for").code()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
