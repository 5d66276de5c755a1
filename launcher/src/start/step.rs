//! The steps of a start, in their order: who takes each, what it leaves, and what undoes that.
//!
//! Three processes share a start: the command (`berth start`), the container's monitor, and the
//! container's first process. Each goes through its own steps in the order in which they stand
//! here ([`Progress`] lets no other be taken), and where a start fails, what is undone follows from
//! the step that was reached ([`Progress::left`]), not from where in the code it failed. The order
//! in which the processes wait for each other is that of [`super::sync`].

use std::fmt;

/// Which process of a start it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `berth start`.
    Starter,
    /// The container's monitor.
    Monitor,
    /// The container's first process.
    First,
}

/// A step of a start. It is reached when it begins: what it makes may then be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The starter loads an AppArmor profile that is made for this container, if it has one; the
    /// kernel has it then. Undone by removing it there.
    Profile,
    /// The starter makes the container's cgroup with its limits, whole or not at all. Undone by
    /// ending what is in it and removing it.
    Cgroup,
    /// The starter makes the command socket and the monitor, born in the cgroup; the monitor takes
    /// its lock. The socket's file is removed; the monitor ends by itself after a failure, and its
    /// lock goes with it.
    Monitor,
    /// The monitor runs the owner's hooks on the host. What they made is theirs to undo
    /// (`lxc.hook.post-stop`, which runs after a failure too).
    PreStart,
    /// The monitor opens the console's log and makes what an overlay needs. The log is closed; the
    /// directories of an overlay stay, empty, as part of the container.
    Prepare,
    /// The monitor makes the first process, with the container's user and pid namespaces, and
    /// writes down that it is starting. Undone by SIGKILL, which ends all in its pid namespace, and
    /// with the last of them the namespaces, mounts and interfaces that are in them.
    FirstProcess,
    /// The first process makes its other namespaces. They end with it.
    Namespaces,
    /// The first process, still its owner, takes hold of what is the owner's to reach: detached
    /// mounts, which end with it.
    Hold,
    /// The monitor has ids mapped and interfaces made. What of them outlives the first process is
    /// in the record before it is made, and is undone by that.
    Interfaces,
    /// The monitor makes mounts that take root's rights on the host, detached, and starts the
    /// program that serves an image. Undone by ending that; the mounts end with their holders.
    HostMounts,
    /// The monitor waits while the first process builds the container. Nothing is made.
    Handover,
    /// The first process becomes the container's root and sets up its network and its kernel
    /// parameters, which end with its namespaces.
    Root,
    /// The first process puts the container's mounts together, in its own mount namespace.
    Mounts,
    /// The first process makes them its root directory and takes its confinement on.
    Confine,
    /// The monitor runs the owner's hooks on the host right before init, if there are any.
    StartHost,
    /// The first process runs the container's own hooks, opens its console and executes init.
    Init,
    /// The monitor writes down that init runs. From here on an end is a container's, not a start's.
    Running,
}

/// What a start can leave, in the order in which it is undone: the first process may wait for the
/// program that serves its files, and cannot end before it; its interfaces are undone after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leftover {
    /// The program that serves an image.
    Server,
    /// The first process, and with it all that is in its namespaces.
    FirstProcess,
    /// What of interfaces outlives it.
    Interfaces,
    /// Terminals, and the console's log.
    Terminals,
    /// The command socket's file.
    Socket,
    /// The container's cgroup.
    Cgroup,
    /// The container's AppArmor profile in the kernel.
    Profile,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::Profile,
        Self::Cgroup,
        Self::Monitor,
        Self::PreStart,
        Self::Prepare,
        Self::FirstProcess,
        Self::Namespaces,
        Self::Hold,
        Self::Interfaces,
        Self::HostMounts,
        Self::Handover,
        Self::Root,
        Self::Mounts,
        Self::Confine,
        Self::StartHost,
        Self::Init,
        Self::Running,
    ];

    /// Who takes it.
    pub const fn role(self) -> Role {
        match self {
            Self::Profile | Self::Cgroup | Self::Monitor => Role::Starter,
            Self::PreStart
            | Self::Prepare
            | Self::FirstProcess
            | Self::Interfaces
            | Self::HostMounts
            | Self::Handover
            | Self::StartHost
            | Self::Running => Role::Monitor,
            Self::Namespaces
            | Self::Hold
            | Self::Root
            | Self::Mounts
            | Self::Confine
            | Self::Init => Role::First,
        }
    }

    /// Whether a start may do without it.
    const fn is_optional(self) -> bool {
        matches!(self, Self::StartHost)
    }

    /// What may be there once it has begun.
    const fn leaves(self) -> Option<Leftover> {
        match self {
            Self::Profile => Some(Leftover::Profile),
            Self::Cgroup => Some(Leftover::Cgroup),
            Self::Monitor => Some(Leftover::Socket),
            Self::Prepare => Some(Leftover::Terminals),
            Self::FirstProcess => Some(Leftover::FirstProcess),
            Self::Interfaces => Some(Leftover::Interfaces),
            Self::HostMounts => Some(Leftover::Server),
            _ => None,
        }
    }

    /// What is being done, as in "while …".
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Profile => "loading the container's AppArmor profile",
            Self::Cgroup => "making the container's cgroup",
            Self::Monitor => "making the container's monitor",
            Self::PreStart => "running hooks before the start",
            Self::Prepare => "preparing terminals and the root file system",
            Self::FirstProcess => "making the container's first process",
            Self::Namespaces => "making the container's namespaces",
            Self::Hold => "opening what the container's owner can reach",
            Self::Interfaces => "mapping ids and making network interfaces",
            Self::HostMounts => "making mounts with the host's rights",
            Self::Handover => "building the container",
            Self::Root => "becoming the container's root",
            Self::Mounts => "mounting the container's files",
            Self::Confine => "confining the container",
            Self::StartHost => "running hooks right before init",
            Self::Init => "executing init",
            Self::Running => "writing down that the container runs",
        }
    }

    /// What it is done to: [`Step::doing`] without its verb.
    pub fn object(self) -> &'static str {
        self.doing()
            .split_once(' ')
            .map_or("", |(_, object)| object)
    }

    /// Its place in the order, to be told to another process.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The step with this place.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.doing())
    }
}

/// How far one process of a start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    role: Role,
    reached: Option<Step>,
}

impl Progress {
    /// At the beginning.
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            reached: None,
        }
    }

    /// The step that was reached.
    pub const fn reached(&self) -> Option<Step> {
        self.reached
    }

    /// Begins `step`: one of this process's own, and the next one.
    pub fn enter(&mut self, step: Step) -> Result<(), String> {
        let next = Step::ALL
            .into_iter()
            .filter(|next| next.role() == self.role)
            .filter(|next| self.reached.is_none_or(|reached| *next > reached))
            .find(|next| *next == step || !next.is_optional());
        if next != Some(step) {
            let before = self.reached.map_or("the beginning", Step::doing);
            return Err(format!(
                "the order of a start is broken: after {before} comes not {step}"
            ));
        }
        self.reached = Some(step);
        Ok(())
    }

    /// What this process may have left so far, in the order in which it is to be undone.
    pub fn left(&self) -> Vec<Leftover> {
        let mut left: Vec<Leftover> = Step::ALL
            .into_iter()
            .filter(|step| step.role() == self.role)
            .filter(|step| self.reached.is_some_and(|reached| *step <= reached))
            .filter_map(Step::leaves)
            .collect();
        left.sort_unstable();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: Step) -> Progress {
        Progress {
            role: step.role(),
            reached: Some(step),
        }
    }

    #[test]
    fn steps_keep_their_places() {
        assert!(Step::ALL.is_sorted());
        for (place, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(step.number()), place);
            assert_eq!(Step::of_number(step.number()), Some(step));
        }
        assert_eq!(Step::of_number(17), None);
    }

    #[test]
    fn no_step_is_left_out_or_taken_twice_or_by_another() {
        let mut progress = Progress::new(Role::Monitor);
        assert!(progress.enter(Step::Prepare).is_err());
        assert!(progress.enter(Step::Cgroup).is_err());
        for step in Step::ALL {
            let taken = progress.enter(step);
            assert_eq!(taken.is_ok(), step.role() == Role::Monitor, "{step:?}");
            assert!(progress.enter(step).is_err(), "{step:?} twice");
        }
        assert_eq!(progress.reached(), Some(Step::Running));
        assert!(at(Step::Handover).enter(Step::Running).is_ok());
        assert!(at(Step::HostMounts).enter(Step::StartHost).is_err());
    }

    #[test]
    fn what_is_undone_follows_from_the_step() {
        use Leftover::{Cgroup, FirstProcess, Interfaces, Profile, Server, Socket, Terminals};
        assert_eq!(Progress::new(Role::Monitor).left(), []);
        assert_eq!(at(Step::PreStart).left(), []);
        assert_eq!(at(Step::FirstProcess).left(), [FirstProcess, Terminals]);
        let all = [Server, FirstProcess, Interfaces, Terminals];
        assert_eq!(at(Step::Running).left(), all);
        assert_eq!(at(Step::Cgroup).left(), [Cgroup, Profile]);
        assert_eq!(at(Step::Monitor).left(), [Socket, Cgroup, Profile]);
        assert_eq!(at(Step::Init).left(), []);
    }
}
