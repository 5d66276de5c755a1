//! Copies, snapshots, other names.

use berth_common::ContainerName;
use clap::{Args, Subcommand};

use crate::transfer::{End, Ownership};

/// Arguments of copy.
#[derive(Debug, Args)]
pub struct Copy {
    /// Name of the container that is copied
    pub source: ContainerName,
    /// Name of the copy; with --ephemeral it may be left out (SOURCE_XXXXXX)
    #[arg(required_unless_present = "ephemeral")]
    pub name: Option<ContainerName>,
    /// Keep the changes only, as an overlay upon the files of the source, which cannot be destroyed
    /// as long as the copy is there
    #[arg(short, long)]
    pub snapshot: bool,
    /// The same, start it at once, and destroy it when it stops; prints its name
    #[arg(short, long)]
    pub ephemeral: bool,
    /// With --ephemeral: start it in this login session's cgroup, with which it ends
    #[arg(long, requires = "ephemeral")]
    pub here: bool,
    /// Copy it though it runs: it stands still meanwhile
    #[arg(short = 'a', long)]
    pub running: bool,
    /// Keep the hardware addresses of its interfaces
    #[arg(short = 'M', long)]
    pub keep_mac: bool,
    /// Keep its host name
    #[arg(short = 'K', long)]
    pub keep_name: bool,
}

/// Verbs of snapshot.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Keep what a container is now; prints the snapshot's name
    Create(SnapshotCreate),
    /// List a container's snapshots
    #[command(visible_alias = "ls")]
    List(SnapshotList),
    /// Make a container what it was at a snapshot, or make a new container of it
    Restore(SnapshotRestore),
    /// Remove a snapshot, or all
    Delete(SnapshotDelete),
}

/// Arguments of snapshot create.
#[derive(Debug, Args)]
pub struct SnapshotCreate {
    /// Name of the container
    pub name: ContainerName,
    /// What is to be said of the snapshot
    #[arg(short, long, value_name = "TEXT")]
    pub comment: Option<String>,
}

/// Arguments of snapshot list.
#[derive(Debug, Args)]
pub struct SnapshotList {
    /// Name of the container
    pub name: ContainerName,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of snapshot restore.
#[derive(Debug, Args)]
pub struct SnapshotRestore {
    /// Name of the container
    pub name: ContainerName,
    /// Name of the snapshot, as in snap0
    pub snapshot: String,
    /// Leave the container as it is, and make one of this name
    #[arg(long, value_name = "NAME")]
    pub to: Option<ContainerName>,
}

/// Arguments of snapshot delete.
#[derive(Debug, Args)]
pub struct SnapshotDelete {
    /// Name of the container
    pub name: ContainerName,
    /// Name of the snapshot, as in snap0
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub snapshot: Option<String>,
    /// Remove all
    #[arg(long)]
    pub all: bool,
}

/// Arguments of rename.
#[derive(Debug, Args)]
pub struct Rename {
    /// Its name
    pub old: ContainerName,
    /// The name that it is to have
    pub new: ContainerName,
}

/// Arguments of cp.
#[derive(Debug, Args)]
pub struct Cp {
    /// What is copied: NAME:/path in a container, a path on the host, or - for a tar archive on
    /// standard input
    #[arg(value_name = "SOURCE")]
    pub from: End,
    /// Where to: into a directory that is there, or under a name that is not, or - for a tar archive
    /// to standard output
    #[arg(value_name = "TARGET")]
    pub to: End,
    /// Whose the files in the container become, by its own ids (default: its root's)
    #[arg(short, long, value_name = "UID[:GID]")]
    pub owner: Option<Ownership>,
}
