//! `-c LIST`: sessions on cgroup v1, and on v2 beside it, as pam_cgfs(8) lays them out.
//!
//! In each selected hierarchy a login moves to `/user/NAME/INDEX` below the init system's own
//! cgroup. All sessions of a user share the lowest index that is his in every hierarchy: liblxc
//! wants its caller's cgroup to be writable, no more, and a container that was started in one
//! session is then at home in the other. What a login manager keeps its books in stays as it is.
#![forbid(unsafe_code)]

mod place;
mod remembering;
mod tree;

use crate::arguments::{Arguments, Selection};
use crate::session::{Clock, Failure, Handle, Host, Level, Person, person, session_id};
use berth_cgroups::legacy::LegacyHierarchy;
use berth_cgroups::{CgroupPath, Error, Hierarchy};
use place::Place;
pub(crate) use remembering::Remembering;
use tree::Tree;

/// The top of the users' cgroups.
const TOP: &str = "user";
/// An index is passed over if it is somebody else's, which happens when a name gets a new uid.
const MAX_INDEX: u32 = 64;
/// How often a cgroup that vanished is made again: the user's last other session may just be
/// closing.
const ROUNDS: u32 = 4;

/// What there is to say in the end.
#[derive(Default)]
struct Report {
    done: Vec<String>,
    left: Vec<String>,
    failed: Vec<String>,
    /// Whether version 2 is among the hierarchies that are dealt with.
    unified: bool,
}

impl Report {
    fn settle(&mut self, result: Result<(), Failure>) {
        match result {
            Ok(()) => {}
            Err(Failure::Skip(skip)) => self.left.push(format!("everything ({skip})")),
            Err(failure) => self.failed.push(failure.to_string()),
        }
    }

    fn tell(self, handle: &mut impl Handle, arguments: &Arguments, verb: &str) {
        let level = if self.failed.is_empty() {
            Level::Debug
        } else {
            Level::Warning
        };
        if level == Level::Debug && !arguments.debug {
            return;
        }
        let parts = [
            (verb, self.done),
            ("left", self.left),
            ("failed", self.failed),
        ];
        let parts = parts.into_iter().filter(|(_, items)| !items.is_empty());
        let parts: Vec<_> = parts
            .map(|(what, items)| format!("{what} {}", items.join(", ")))
            .collect();
        if !parts.is_empty() {
            handle.log(level, &format!("-c: {}", parts.join("; ")));
        }
    }
}

/// Gives a session its places in the hierarchies that `-c` selects. Tells whether version 2 was
/// among them, so that nothing else is to be done there. Never fails; what went wrong is one line
/// of syslog.
pub fn open(handle: &mut impl Handle, host: &impl Host, arguments: &Arguments) -> bool {
    attend(handle, arguments, "entered", |handle, selection, report| {
        give_places(handle, host, arguments, selection, report)
    })
}

/// Leaves the places that [`open`] gave, and removes what nobody lives in any more. Tells whether
/// version 2 was among them.
pub fn close(handle: &mut impl Handle, host: &impl Host, arguments: &Arguments) -> bool {
    attend(handle, arguments, "removed", |handle, selection, report| {
        take_places(handle, host, arguments, selection, report)
    })
}

/// Does what is to be done for the hierarchies that are selected, if any are, and tells of it.
fn attend<H: Handle>(
    handle: &mut H,
    arguments: &Arguments,
    verb: &str,
    act: impl FnOnce(&mut H, &Selection, &mut Report) -> Result<(), Failure>,
) -> bool {
    let Some(selection) = selection(handle, arguments) else {
        return false;
    };
    let mut report = Report::default();
    let done = act(handle, selection, &mut report);
    let unified = report.unified;
    report.settle(done);
    report.tell(handle, arguments, verb);
    unified
}

/// What is selected, if anything is to be done by it.
fn selection<'a>(handle: &mut impl Handle, arguments: &'a Arguments) -> Option<&'a Selection> {
    match arguments.hierarchies.as_ref()? {
        Selection::Invalid { list, why } => {
            let list = list.escape_debug();
            let line = format!("-c “{list}” is ignored: {why}");
            handle.log(Level::Warning, &line);
            None
        }
        selection => arguments.delegate.then_some(selection),
    }
}

fn give_places<H: Host>(
    handle: &mut impl Handle,
    host: &H,
    arguments: &Arguments,
    selection: &Selection,
    report: &mut Report,
) -> Result<(), Failure> {
    let found = host.legacy_hierarchies()?;
    let selected: Vec<_> = found.iter().filter(|h| is_selected(h, selection)).collect();
    let version_2 = beside_version_1(handle, host, selection)?;
    if selected.is_empty() && version_2.is_none() {
        return Ok(());
    }
    let user = person(handle)?;
    check_name(&user)?;
    let clock = Clock::start(host, arguments.deadline);
    report.unified = version_2.is_some();

    let mut trees = Vec::new();
    for hierarchy in selected {
        clock.check()?;
        match place::of(hierarchy, user.uid) {
            Place::Ours => trees.push(Tree::legacy(hierarchy)),
            Place::Kept(why) => report.left.push(format!("{hierarchy} ({why})")),
            Place::Session => match take_over(hierarchy, &user) {
                Ok(true) => report.done.push(format!("{hierarchy}:{}", hierarchy.own())),
                Ok(false) => {
                    let why = "the session's scope, which systemd did not delegate";
                    report.left.push(format!("{hierarchy} ({why})"));
                }
                Err(error) => report.failed.push(format!("{hierarchy} ({error})")),
            },
        }
    }
    trees.extend(version_2.map(|(hierarchy, own)| Tree::unified(hierarchy, own)));

    let index = lowest_index(&trees, &user, &clock)?;
    for tree in &trees {
        match enter(tree, &user, index, host, &clock) {
            Ok(()) => report
                .done
                .push(format!("{tree}:/{TOP}/{}/{index}", user.name)),
            Err(Failure::Cgroup(error)) => report.failed.push(format!("{tree} ({error})")),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Gives a session's scope in systemd's own hierarchy to its user, if systemd delegated it.
fn take_over(hierarchy: &LegacyHierarchy, user: &Person) -> Result<bool, Error> {
    let scope = hierarchy.open(hierarchy.own())?;
    if !scope.is_marked_delegated()? {
        return Ok(false);
    }
    hierarchy.delegate(&scope, user.uid, user.gid)?;
    Ok(true)
}

fn take_places<H: Host>(
    handle: &mut impl Handle,
    host: &H,
    arguments: &Arguments,
    selection: &Selection,
    report: &mut Report,
) -> Result<(), Failure> {
    let found = host.legacy_hierarchies()?;
    let selected = found.iter().filter(|h| is_selected(h, selection));
    let mut trees: Vec<_> = selected.map(Tree::legacy).collect();
    let version_2 = beside_version_1(handle, host, selection)?;
    report.unified = version_2.is_some();
    trees.extend(version_2.map(|(hierarchy, own)| Tree::unified(hierarchy, own)));
    if trees.is_empty() {
        return Ok(());
    }
    let user = person(handle)?;
    check_name(&user)?;
    let clock = Clock::start(host, arguments.deadline);
    for tree in &trees {
        clock.check()?;
        match tree.leave(&user, host.process(), &clock) {
            Ok(true) => report.done.push(format!("{tree}:/{TOP}/{}", user.name)),
            Ok(false) => {}
            Err(Failure::Cgroup(error)) => report.failed.push(format!("{tree} ({error})")),
            Err(other) => return Err(other),
        }
    }
    for tree in &trees {
        tree.clear_up_after_others(&user, host, &clock);
    }
    Ok(())
}

fn is_selected(hierarchy: &LegacyHierarchy, selection: &Selection) -> bool {
    hierarchy.names().iter().any(|name| selection.has(name))
}

/// The hierarchy of version 2 and the process's place in it, if `-c` selects it, if it stands
/// beside version 1, and if no login manager has the session there. A host that has version 2
/// alone has better than this.
fn beside_version_1(
    handle: &mut impl Handle,
    host: &impl Host,
    selection: &Selection,
) -> Result<Option<(Hierarchy, CgroupPath)>, Failure> {
    if !selection.has("unified") {
        return Ok(None);
    }
    let hierarchy = match host.hierarchy() {
        Err(Error::NoHierarchy) => return Ok(None),
        other => other?,
    };
    if hierarchy.mount_point() == std::path::Path::new("/sys/fs/cgroup") {
        return Ok(None);
    }
    let own = match host.own_path(&hierarchy) {
        // In a place that cannot be named there is nothing to be done.
        Err(_) => return Ok(None),
        Ok(own) => own,
    };
    let id = session_id(handle);
    let is_ours = place::is_free(&hierarchy.init_root(), &own, id.as_deref());
    Ok(is_ours.then_some((hierarchy, own)))
}

/// A login name becomes a cgroup's name.
fn check_name(user: &Person) -> Result<(), Failure> {
    const LONGEST: usize = 255;
    let name = &user.name;
    let is_plain = name.len() <= LONGEST && !name.chars().any(char::is_control);
    let checked = CgroupPath::root().child(name).map(drop);
    match checked {
        Ok(()) if is_plain => Ok(()),
        Ok(()) => Err(Error::BadPath { path: name.into() }.into()),
        Err(error) => Err(error.into()),
    }
}

/// The first index that is the user's, or free, in every tree.
fn lowest_index<H: Host>(
    trees: &[Tree<'_>],
    user: &Person,
    clock: &Clock<'_, H>,
) -> Result<u32, Failure> {
    'index: for index in 0..MAX_INDEX {
        for tree in trees {
            clock.check()?;
            if !tree.is_usable(user, index) {
                continue 'index;
            }
        }
        return Ok(index);
    }
    let path = std::path::Path::new("/").join(TOP).join(&user.name);
    let why = "all of it belongs to others: remove what earlier users of the name left";
    Err(Error::Unusable { path, why }.into())
}

/// Makes the user's cgroup and moves the login there.
fn enter<H: Host>(
    tree: &Tree<'_>,
    user: &Person,
    index: u32,
    host: &H,
    clock: &Clock<'_, H>,
) -> Result<(), Failure> {
    for _ in 1..ROUNDS {
        match tree.enter(user, index, host.process(), clock) {
            Err(Failure::Cgroup(error)) if error.is_not_found() => {}
            other => return other,
        }
    }
    tree.enter(user, index, host.process(), clock)
}
