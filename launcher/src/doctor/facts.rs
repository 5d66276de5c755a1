//! What can be seen of a host's cgroups and of the caller's place in them, without any right.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_cgroups::legacy::{Hierarchies, LegacyHierarchy};
use berth_cgroups::{CgroupPath, DelegatedBase, Hierarchy};
use berth_common::{Uid, path, unit};
use berth_kernel::cred;
use berth_kernel::user::User;
use berth_session_protocol::client::{Descriptors, LaunchError, launch};
use berth_session_protocol::launch::Launch;

use super::pam;
use crate::error::{Error, Result};

/// Where systemd looks for units, the administrator's first.
const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Small files of /proc and /run are read up to this size.
const MAX_FILE: u64 = 64 * 1024;

/// How cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// v2 alone.
    Unified,
    /// v1 controllers, and v2 beside them.
    Hybrid,
    /// v1 alone.
    Legacy,
    /// Not at all.
    None,
}

/// Where the caller sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// In his lasting cgroup.
    Lasting,
    /// In the scope of a login session.
    Session(Session),
    /// Below his service manager.
    Manager,
    /// Elsewhere: a service, cron, a host without sessions.
    Elsewhere,
}

/// The login session in whose scope the caller sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// logind's name for it.
    pub id: String,
    /// Whose session it is.
    pub of: Uid,
    /// Whether systemd marked its scope as delegated.
    pub marked: bool,
    /// Who owns its scope.
    pub owner: u32,
    /// When it began, in microseconds since 1970; unknown without logind.
    pub began: Option<u64>,
    /// The PAM service by which it was opened.
    pub service: Option<String>,
}

/// A delegated cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its place in the hierarchy.
    pub path: String,
    /// The controllers that reach it.
    pub controllers: Vec<String>,
    /// Of those that should: the ones that do not, and where they end.
    pub missing: BTreeMap<&'static str, Gap>,
}

/// Why a controller does not reach a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The kernel has none of this name.
    NotInKernel,
    /// It is switched off on the kernel's command line.
    SwitchedOff,
    /// A v1 hierarchy has it.
    InV1,
    /// This cgroup has it and does not hand it on.
    Stops {
        /// The cgroup whose `cgroup.subtree_control` lacks it.
        at: String,
    },
}

/// How the launch socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// A command went through it.
    Answers,
    /// There is none.
    Missing,
    /// It refuses this caller.
    Refuses(String),
    /// It does not answer as it should.
    Fails(String),
}

/// What the PAM stack of the caller's session does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Whether the module is installed.
    pub installed: bool,
    /// Whether the stack has a line for it.
    pub has_module: bool,
    /// Whether that line says that sessions stay as they are.
    pub switched_off: bool,
    /// Whether pam_systemd comes before it.
    pub after_systemd: bool,
    /// The stack's file.
    pub file: PathBuf,
    /// Whether pam-auth-update(8) rules a file that it includes.
    pub by_pam_auth_update: bool,
    /// When the newest of module and configuration came, in microseconds since 1970.
    pub changed: u64,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The caller.
    pub uid: Uid,
    /// His name, or his number.
    pub user: String,
    /// How cgroups are mounted.
    pub layout: Layout,
    /// The name of process 1.
    pub init: String,
    /// systemd's version, if it runs; 0 if it does not say.
    pub systemd: Option<u32>,
    /// Whether elogind runs.
    pub elogind: bool,
    /// The caller's cgroup.
    pub path: String,
    /// What that is.
    pub place: Where,
    /// The controllers of version 1 whose cgroup the caller sits in is his own.
    pub own_in_v1: Vec<String>,
    /// The delegated cgroup that he sits in.
    pub here: Option<Base>,
    /// His lasting one.
    pub lasting: Option<Base>,
    /// Whether his service manager runs.
    pub manager: bool,
    /// Whether he lingers; without systemd, whether he is listed for the boot.
    pub lingers: bool,
    /// The drop-in that delegates sessions, and when it came, in microseconds since 1970.
    pub session_dropin: Option<u64>,
    /// Whether the units of the lasting cgroup are installed.
    pub units: bool,
    /// The launch socket; not asked of root and system users.
    pub door: Option<Door>,
    /// The PAM stack of his session.
    pub stack: Stack,
}

impl Facts {
    /// Looks.
    pub fn gather() -> Result<Self> {
        let uid = cred::effective_uid();
        let user = User::by_uid(uid).ok().flatten();
        let name = user.map_or_else(|| uid.to_string(), |user| user.name);
        let hierarchy = Hierarchy::detect().ok();
        let own = match &hierarchy {
            Some(hierarchy) => Some(hierarchy.path_of_self().map_err(fail)?),
            None => None,
        };
        let mut facts = Self {
            uid,
            layout: layout(),
            init: small_file("/proc/1/comm").trim().to_owned(),
            systemd: systemd(),
            elogind: Path::new("/run/elogind.pid").exists(),
            path: own.as_ref().map_or_else(String::new, ToString::to_string),
            place: Where::Elsewhere,
            own_in_v1: own_in_v1(uid),
            here: None,
            lasting: None,
            manager: false,
            lingers: match crate::systemd::has_systemd() {
                true => Path::new(path::LINGER_DIR).join(&name).exists(),
                false => Path::new(path::BOOT_DIR).join(&name).exists(),
            },
            user: name,
            session_dropin: unit_file("session-.scope.d/50-berth.conf").and_then(|at| age(&at)),
            units: ["berth-user@.service", "user@.service.d/50-berth.conf"]
                .iter()
                .all(|name| unit_file(name).is_some()),
            door: None,
            stack: Stack::default(),
        };
        if let (Some(hierarchy), Some(own)) = (&hierarchy, own) {
            facts.look_around(hierarchy, own)?;
        }
        let service = match &facts.place {
            Where::Session(session) => session.service.as_deref(),
            _ => None,
        };
        facts.stack = stack(service.unwrap_or("sshd"));
        if uid.is_person() {
            facts.door = Some(door(uid));
            // Asking may have brought it back.
            if let Some(hierarchy) = &hierarchy {
                facts.lasting = lasting(hierarchy, uid)?;
            }
        }
        Ok(facts)
    }

    fn look_around(&mut self, hierarchy: &Hierarchy, own: CgroupPath) -> Result<()> {
        let uid = self.uid;
        let here = DelegatedBase::around(hierarchy, own.clone(), uid).map_err(fail)?;
        let is_lasting = here
            .as_ref()
            .is_some_and(|base| base.is_lasting(hierarchy, uid));
        self.place = if is_lasting {
            Where::Lasting
        } else {
            place(hierarchy, &own, uid)
        };
        let wanted = ["cpu", "memory", "pids"];
        self.here = here
            .map(|found| base(hierarchy, &found, &wanted))
            .transpose()?;
        let manager = hierarchy
            .init_root()
            .child(unit::USER_SLICE)
            .and_then(|path| path.child(unit::user_slice(uid)))
            .and_then(|path| path.child(format!("user@{uid}.service")))
            .map_err(fail)?;
        self.manager = hierarchy.open(&manager).is_ok();
        Ok(())
    }
}

fn own_in_v1(uid: Uid) -> Vec<String> {
    let hierarchies = Hierarchies::detect().unwrap_or_default();
    let is_own = |hierarchy: &&LegacyHierarchy| {
        let owner = hierarchy.open(hierarchy.own()).and_then(|dir| dir.owner());
        owner.is_ok_and(|(owner, _)| owner == uid.raw()) && !uid.is_root()
    };
    let own = hierarchies.iter().filter(is_own);
    own.flat_map(|hierarchy| hierarchy.names().to_vec())
        .collect()
}

fn layout() -> Layout {
    let at = |path: &str| Hierarchy::at(path).is_ok();
    let v1 = small_file("/proc/self/cgroup")
        .lines()
        .any(|line| !line.starts_with("0::"));
    match (at("/sys/fs/cgroup"), Hierarchy::detect().is_ok(), v1) {
        (true, ..) | (false, true, false) => Layout::Unified,
        (false, true, true) => Layout::Hybrid,
        (false, false, true) => Layout::Legacy,
        (false, false, false) => Layout::None,
    }
}

/// The version of the systemd that runs. `systemctl --version` talks to nobody.
fn systemd() -> Option<u32> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let output = crate::output::run(
        Command::new("systemctl")
            .arg("--version")
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
    );
    let text = output.map(|output| output.stdout).unwrap_or_default();
    Some(unit::systemd_version(&String::from_utf8_lossy(&text)).unwrap_or_default())
}

fn place(hierarchy: &Hierarchy, own: &CgroupPath, uid: Uid) -> Where {
    let mut here = Some(own.clone());
    while let Some(path) = here {
        let name = path.name().and_then(|name| name.to_str());
        let above = path.parent();
        let slice_of = above
            .as_ref()
            .and_then(|path| path.name()?.to_str()?.strip_prefix("user-"))
            .and_then(|rest| rest.strip_suffix(".slice")?.parse::<Uid>().ok());
        if let (Some(name), Some(of)) = (name, slice_of) {
            if let Some(id) = name
                .strip_prefix("session-")
                .and_then(|rest| rest.strip_suffix(".scope"))
            {
                return Where::Session(session(hierarchy, &path, id, of));
            }
            if of == uid && name == format!("user@{uid}.service") {
                return Where::Manager;
            }
        }
        here = above;
    }
    Where::Elsewhere
}

fn session(hierarchy: &Hierarchy, scope: &CgroupPath, id: &str, of: Uid) -> Session {
    let dir = hierarchy.open(scope).ok();
    // What logind notes of a session, as sd-login(3) reads it.
    let noted = small_file(&format!("/run/systemd/sessions/{id}"));
    let value = |key: &str| {
        noted
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    Session {
        id: id.to_owned(),
        of,
        marked: dir
            .as_ref()
            .and_then(|dir| dir.is_marked_delegated().ok())
            .unwrap_or(false),
        owner: dir
            .as_ref()
            .and_then(|dir| dir.owner().ok())
            .map_or(0, |(owner, _)| owner),
        began: value("REALTIME").and_then(|text| text.parse().ok()),
        service: value("SERVICE"),
    }
}

fn lasting(hierarchy: &Hierarchy, uid: Uid) -> Result<Option<Base>> {
    let wanted = ["cpu", "io", "memory", "pids"];
    let found = DelegatedBase::lasting_of(hierarchy, uid).map_err(fail)?;
    found
        .map(|found| base(hierarchy, &found, &wanted))
        .transpose()
}

fn base(hierarchy: &Hierarchy, base: &DelegatedBase, wanted: &[&'static str]) -> Result<Base> {
    let controllers = base.dir().controllers().map_err(fail)?;
    let missing = wanted
        .iter()
        .copied()
        .filter(|wanted| controllers.iter().all(|reaches| reaches != wanted))
        .map(|name| (name, gap(hierarchy, base.path(), name)))
        .collect();
    Ok(Base {
        path: base.path().to_string(),
        controllers,
        missing,
    })
}

/// Where on the way from the root to `path` a controller ends.
fn gap(hierarchy: &Hierarchy, path: &CgroupPath, controller: &str) -> Gap {
    let mut way = Vec::new();
    let mut next = path.parent();
    while let Some(above) = next {
        next = above.parent();
        way.push(above);
    }
    for at in way.iter().rev() {
        let Ok(dir) = hierarchy.open(at) else {
            continue;
        };
        let has = |list: berth_cgroups::Result<Vec<String>>| {
            list.is_ok_and(|list| list.iter().any(|name| name == controller))
        };
        if has(dir.controllers()) && !has(dir.enabled_controllers()) {
            return Gap::Stops { at: at.to_string() };
        }
    }
    gap_in_kernel(&small_file("/proc/cgroups"), controller)
}

/// Lines of /proc/cgroups: name, hierarchy (0: v2 or none), number of cgroups, enabled.
fn gap_in_kernel(proc_cgroups: &str, controller: &str) -> Gap {
    let name = if controller == "io" {
        "blkio"
    } else {
        controller
    };
    let line = proc_cgroups.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.collect::<Vec<_>>())
    });
    match line.as_deref() {
        Some([_, _, "0", ..]) => Gap::SwitchedOff,
        Some(["0", ..]) | None => Gap::NotInKernel,
        Some(_) => Gap::InV1,
    }
}

/// Has a command run that does nothing.
fn door(uid: Uid) -> Door {
    let (Ok(null), Ok(root)) = (
        File::options().read(true).write(true).open("/dev/null"),
        File::open("/"),
    ) else {
        return Door::Fails("/dev/null or / cannot be opened".to_owned());
    };
    let request = Launch {
        arguments: vec!["--version".into()],
        environment: Vec::new(),
    };
    let descriptors = Descriptors {
        stdio: [null.as_fd(); 3],
        directory: root.as_fd(),
    };
    match launch(uid, request, descriptors) {
        Ok(exit) if exit.success() => Door::Answers,
        Ok(exit) => Door::Fails(format!("berth --version ended there with {exit}")),
        Err(LaunchError::NoSocket(_)) => Door::Missing,
        Err(LaunchError::Refused(why)) => Door::Refuses(why),
        Err(error) => Door::Fails(error.to_string()),
    }
}

fn stack(service: &str) -> Stack {
    // It came from a file that names it.
    let plain = service
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let service = if plain { service } else { "other" };
    let lines = pam::session_lines(service);
    let at = |module: &str| lines.iter().position(|line| line.module == module);
    let module = at("pam_berth.so");
    let line = module.and_then(|at| lines.get(at));
    let installed = pam::module_file("pam_berth.so");
    let by_pam_auth_update = Path::new("/usr/share/pam-configs/cgroup-berth").exists()
        && lines
            .iter()
            .any(|line| line.file.starts_with("common-session"));
    let files = [
        installed.clone(),
        line.map(|line| pam::stack_file(&line.file)),
    ];
    Stack {
        installed: installed.is_some(),
        has_module: line.is_some(),
        switched_off: line.is_some_and(|line| {
            let last = line
                .arguments
                .iter()
                .rev()
                .find(|word| word.starts_with("session="));
            last.is_some_and(|word| word == "session=none")
        }),
        after_systemd: match (module, at("pam_systemd.so").or(at("pam_elogind.so"))) {
            (Some(ours), Some(theirs)) => theirs < ours,
            _ => false,
        },
        file: pam::stack_file(line.map_or(service, |line| &line.file)),
        by_pam_auth_update,
        changed: files
            .iter()
            .flatten()
            .filter_map(|file| age(file))
            .max()
            .unwrap_or_default(),
    }
}

fn unit_file(name: &str) -> Option<PathBuf> {
    UNIT_DIRS
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

/// When the file got where it is, in microseconds since 1970; packages set other times of it.
fn age(path: &Path) -> Option<u64> {
    let found = path.metadata().ok()?;
    let micros = found.ctime().checked_mul(1_000_000)? + found.ctime_nsec() / 1000;
    micros.try_into().ok()
}

fn small_file(path: &str) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(MAX_FILE).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn fail(error: berth_cgroups::Error) -> Error {
    Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_about_a_controller() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t9\t1\n\
                    memory\t0\t9\t0\nblkio\t4\t1\t1\n";
        assert_eq!(gap_in_kernel(text, "memory"), Gap::SwitchedOff);
        assert_eq!(gap_in_kernel(text, "io"), Gap::InV1);
        assert_eq!(gap_in_kernel(text, "pids"), Gap::NotInKernel);
        assert_eq!(gap_in_kernel("", "cpu"), Gap::NotInKernel);
    }
}
