//! Making a cgroup of version 1 and giving it away.

use super::LegacyHierarchy;
use super::cpulist;
use crate::hierarchy::read_proc;
use crate::{CgroupDir, Error, Result};
use berth_common::{Gid, Uid};
use berth_kernel::fs;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

/// The files whose ownership, with the directory's, lets a user arrange his processes. No other
/// is ever given away: neither a limit, nor `notify_on_release`, nor what `devices` has.
pub const DELEGATED_FILES: [&str; 2] = ["tasks", "cgroup.procs"];

/// Processors that the kernel keeps free of ordinary processes (`isolcpus=`).
const ISOLATED: &str = "/sys/devices/system/cpu/isolated";
const MAX_LIST: usize = 64 * 1024;

impl LegacyHierarchy {
    /// Makes the child `name`, or opens it if it is there, and makes it ready for processes and
    /// for children: mode 0755 whatever the umask is, processors and memory nodes of `cpuset`,
    /// accounting that includes what is below.
    pub fn make_ready(&self, parent: &CgroupDir, name: impl AsRef<OsStr>) -> Result<CgroupDir> {
        let name = name.as_ref();
        let (child, made) = parent.make_child_or_open(name)?;
        let mut ready = child.let_in();
        if self.has("cpuset") {
            let isolated = read_proc(Path::new(ISOLATED), MAX_LIST).unwrap_or_default();
            let isolated = String::from_utf8_lossy(&isolated);
            ready = ready.and_then(|()| init_cpuset(&child, parent, made, &isolated));
        }
        if self.has("memory") {
            init_memory(&child);
        }
        if ready.is_err() && made {
            // A cgroup that nobody can enter is worse than none.
            let _ = parent.remove_child(name);
        }
        ready.map(|()| child)
    }

    /// Gives a cgroup to a user: [`DELEGATED_FILES`] first, the directory last, so that its owner
    /// tells that the rest is done.
    pub fn delegate(&self, dir: &CgroupDir, uid: Uid, gid: Gid) -> Result<()> {
        for file in DELEGATED_FILES {
            dir.chown_file(file, uid, gid)?;
        }
        fs::chown(dir.as_fd(), Some(uid), Some(gid))
            .map_err(|error| dir.error("change the owner of", error))
    }
}

/// As long as one of the two lists is empty nobody may enter (`ENOSPC`). A list that is there
/// stays as it is, since it may be the administrator's; in a cgroup made just now it is the
/// kernel's copy, which has isolated processors too.
fn init_cpuset(child: &CgroupDir, parent: &CgroupDir, made: bool, isolated: &str) -> Result<()> {
    for (file, isolated) in [("cpuset.cpus", isolated), ("cpuset.mems", "")] {
        let current = child.read(file)?;
        if !made && !current.trim().is_empty() {
            continue;
        }
        let wanted = cpulist::without(&parent.read(file)?, isolated);
        if wanted.is_empty() {
            return Err(Error::Unusable {
                path: parent.path().to_owned(),
                why: "its cpuset.cpus or cpuset.mems is empty, so nobody may enter what is below",
            });
        }
        if cpulist::parse(&current) != cpulist::parse(&wanted) {
            child.write(file, &wanted)?;
        }
    }
    // What tools make below gets the lists from here.
    if child.read("cgroup.clone_children")?.trim() != "1" {
        child.write("cgroup.clone_children", "1")?;
    }
    Ok(())
}

/// Before 5.11 the kernel could account each cgroup for itself, and a limit did not hold for what
/// is below. It takes the change only while there are no children, so where somebody else was
/// first it stays as it is.
fn init_memory(child: &CgroupDir) {
    const FILE: &str = "memory.use_hierarchy";
    if child.read(FILE).is_ok_and(|text| text.trim() == "0") {
        let _ = child.write(FILE, "1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, read_to_string, write};
    use std::path::PathBuf;

    /// A directory with the files of a cgroup of version 1, since not every machine has the
    /// controllers there.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let name = format!("berth-legacy-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            create_dir(&path).unwrap();
            for (file, content) in files {
                write(path.join(file), content).unwrap();
            }
            Self(path)
        }

        fn open(&self) -> CgroupDir {
            let fd = fs::open_dir(&self.0).unwrap();
            CgroupDir::unchecked(fd, self.0.clone())
        }

        fn content(&self, file: &str) -> String {
            read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn cpuset(name: &str, cpus: &str, mems: &str) -> Fake {
        let files = [
            ("cpuset.cpus", cpus),
            ("cpuset.mems", mems),
            ("cgroup.clone_children", "0"),
        ];
        Fake::new(name, &files)
    }

    #[test]
    fn a_cpuset_gets_its_parents_lists_without_isolated_processors() {
        let parent = cpuset("parent", "0-7\n", "0-1\n");
        // As made, as made by a kernel that copies, and as an administrator set it up.
        for (name, cpus, mems, made, expected) in [
            ("new", "", "", true, ("0,1,2,3,6,7", "0-1")),
            ("copied", "0-7", "0-1", true, ("0,1,2,3,6,7", "0-1")),
            ("empty", "", "", false, ("0,1,2,3,6,7", "0-1")),
            ("set", "4", "1", false, ("4", "1")),
        ] {
            let child = cpuset(name, cpus, mems);
            init_cpuset(&child.open(), &parent.open(), made, "4-5\n").unwrap();
            let seen = (child.content("cpuset.cpus"), child.content("cpuset.mems"));
            assert_eq!((&*seen.0, &*seen.1), expected, "{name}");
            assert_eq!(child.content("cgroup.clone_children"), "1");
        }
    }

    #[test]
    fn below_an_empty_cpuset_nothing_is_made() {
        let (parent, child) = (cpuset("void", "\n", "0\n"), cpuset("below", "", ""));
        let error = init_cpuset(&child.open(), &parent.open(), true, "");
        let text = error.unwrap_err().to_string();
        assert!(text.contains("void") && text.contains("empty"), "{text}");
    }

    #[test]
    fn memory_is_accounted_with_what_is_below() {
        for (before, after) in [("0\n", "1"), ("1\n", "1\n")] {
            let fake = Fake::new("memory", &[("memory.use_hierarchy", before)]);
            init_memory(&fake.open());
            assert_eq!(fake.content("memory.use_hierarchy").trim(), after.trim());
        }
        let without = Fake::new("memory-new-kernel", &[]);
        init_memory(&without.open());
        assert!(!without.0.join("memory.use_hierarchy").exists());
    }
}
