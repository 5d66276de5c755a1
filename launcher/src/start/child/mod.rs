//! A container from inside: from its first process to init, top to bottom.
//!
//! The first process is born with the container's user and pid namespaces. It still has its
//! owner's uid, so his files (homes of mode 0700 too) can be reached, and all capabilities in its
//! own user namespace. While its ids are being mapped, which takes two programs and milliseconds,
//! it makes the other namespaces and takes hold of everything that is the owner's to reach; then
//! it becomes the container's root, which can reach nothing of his.

pub(crate) mod beneath;
mod confine;
mod dev;
mod entries;
mod held;
mod hooks;
mod init;
mod own_cgroup;
mod root;
mod system;
mod terminals;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use berth_cgroups::CgroupDir;
use berth_common::{Gid, Uid};
use berth_kernel::mount;
use berth_kernel::ns::{Kind, Namespace};
use berth_kernel::{cred, process, signal};
use berth_session_protocol::Connection;

use super::label::Requests;
use super::network;
use super::plan::StartPlan;
use super::step::{Progress, Role, Step};
use super::sync;
use crate::mapped::explain_no_user_namespace;
use crate::monitor::protocol::Spared;
use beneath::{Failure, because, because_of};
use held::Held;
use own_cgroup::OwnCgroup;

pub use confine::{confine, filter};
pub use init::{become_ids, become_user, limit_resources};

/// The first process of a container, born in `cgroup`. Returns only if something failed, after having told so.
///
/// `joined` is a cgroup namespace of others that it is to be in.
pub fn run(
    plan: &StartPlan,
    cgroup: Option<&CgroupDir>,
    joined: Option<&Namespace>,
    monitor: Connection,
) -> u8 {
    let mut progress = Progress::new(Role::First);
    let failure = match set_up(plan, cgroup, joined, &monitor, &mut progress) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // If the monitor is gone there is nobody to tell.
    let _ = monitor.send(&sync::failed(progress.reached(), &failure), &[]);
    1
}

fn set_up(
    plan: &StartPlan,
    cgroup: Option<&CgroupDir>,
    joined: Option<&Namespace>,
    monitor: &Connection,
    progress: &mut Progress,
) -> Result<std::convert::Infallible, Failure> {
    progress.enter(Step::Namespaces)?;
    let cgroup = cgroup
        .filter(|_| !plan.idmap.is_empty())
        .map(CgroupDir::try_clone)
        .transpose()
        .map_err(|error| error.to_string())?;
    // The monitor's descriptors lead to the host, and paths of the container are going to be
    // followed: /proc/self/fd/N must lead nowhere (CVE-2024-21626).
    let mut keep = vec![monitor.as_fd()];
    keep.extend(cgroup.as_ref().map(AsFd::as_fd));
    if let Some(joined) = joined {
        joined
            .enter()
            .map_err(because("enter the shared cgroup namespace"))?;
    }
    process::close_others(&keep).map_err(because("close descriptors"))?;
    isolate(plan)?;
    init::set_clocks(&plan.process)?;
    init::separate_cores(&plan.process)?;
    monitor
        .send(&sync::isolated(), &[])
        .map_err(|error| format!("cannot reach the monitor: {error}"))?;
    progress.enter(Step::Hold)?;
    let requests = open_label_requests(plan)?;
    let held = Held::take(plan)?;
    if plan.owns(Kind::Uts) {
        nix::unistd::sethostname(OsStr::new(&*plan.hostname.to_string_lossy()))
            .map_err(|errno| because("set the host name")(errno.into()))?;
    }
    let mut network = match plan.owns(Kind::Net) {
        true => Some(network::set_up_loopback()?),
        false => None,
    };
    let own_cgroup = cgroup.map(OwnCgroup::new).transpose()?;

    let sync::Prepared { nics, mut mounts } = sync::wait_for_go(monitor)?;
    progress.enter(Step::Root)?;
    become_root(plan, own_cgroup)?;
    ask_for_parent_death(plan)?;
    if let Some(network) = &mut network {
        network::configure(network, &plan.nets, &nics)?;
    }
    init::write_sysctls(&plan.process)?;
    let environment = init::environment(plan, monitor)?;

    progress.enter(Step::Mounts)?;
    let root = held.root.finish(plan, &mut mounts)?;
    let mounted_root = hooks::pre_mount(plan)?.unwrap_or(root);
    let root = mounted_root.as_fd();
    system::mount_proc(plan, root)?;
    system::mount_sys(plan, root, held.host_sys.as_ref())?;
    dev::mount_dev(plan, root, &held.devices)?;
    for (entry, bind) in plan.mounts.iter().zip(held.binds) {
        let bind = match entry.idmap {
            Some(_) => mounts.pop_front().flatten(),
            None => bind,
        };
        entries::mount_entry(entry, bind, root)?;
    }
    let terminals = terminals::mount_terminals(plan, root)?;
    hooks::mounted(plan, &mounted_root)?;

    progress.enter(Step::Confine)?;
    mount::pivot_into(root).map_err(because("make the root directory the root"))?;
    confine(plan, requests, Spared::default())?;
    hooks::start_host(plan, monitor)?;

    progress.enter(Step::Init)?;
    hooks::start(plan, monitor)?;
    terminals::open_console(terminals, monitor)?;
    nix::unistd::chdir(&plan.cwd)
        .map_err(|errno| because_of("change to directory", &plan.cwd)(errno.into()))?;
    init::become_user(&plan.process)?;
    ask_for_parent_death(plan)?;
    signal::reset().map_err(because("reset signals"))?;
    process::mark_close_on_exec(3).map_err(because("close descriptors"))?;
    let program = Path::new(OsStr::new(
        plan.init
            .first()
            .ok_or("lxc.init.cmd names no program")?
            .to_str()
            .map_err(|_| "init's path is not UTF-8".to_owned())?,
    ));
    init::limit_resources(&plan.process)?;
    filter(plan, |listener| supervise(monitor, listener.as_fd()))?;
    let error = process::exec(program, &plan.init, &environment);
    Err(init::why_not_executed(plan, program, &error))
}

/// Makes the namespaces that the process was not born with. They belong to its user namespace; its
/// cgroup, where it was born, is the root of its cgroup namespace.
fn isolate(plan: &StartPlan) -> Result<(), Failure> {
    process::unshare(plan.own_namespaces()).map_err(|error| match error.raw_os_error() {
        // A user namespace without rights in it is what AppArmor leaves of a forbidden one.
        Some(nix::libc::EPERM | nix::libc::EACCES) if !plan.idmap.is_empty() => {
            explain_no_user_namespace(error).to_string()
        }
        Some(nix::libc::ENOSPC) => "cannot make the container's namespaces: one of the limits \
             user.max_…_namespaces is reached (sysctl user)"
            .to_owned(),
        _ => because("make the container's namespaces")(error),
    })
}

/// Hands on where system calls wait for their supervisor.
fn supervise(monitor: &Connection, listener: BorrowedFd<'_>) -> Result<(), Failure> {
    monitor
        .send(&sync::supervised(), &[listener])
        .map_err(|error| format!("cannot reach the monitor: {error}"))
}

/// The kernel forgets it at every change of ids.
fn ask_for_parent_death(plan: &StartPlan) -> Result<(), Failure> {
    process::set_parent_death_signal(plan.pdeath_signal)
        .map_err(because("ask for a signal at the monitor's end"))
}

/// The files by which this process asks for its labels, while no path of the container has been
/// followed yet and `/proc` is the host's.
fn open_label_requests(plan: &StartPlan) -> Result<Requests, Failure> {
    let labels = &plan.confinement.labels;
    let Some(proc) = labels.proc().map_err(because("open /proc"))? else {
        return Ok(Requests::default());
    };
    labels
        .open(proc.as_fd())
        .map_err(because("open /proc/thread-self/attr"))
}

fn become_root(plan: &StartPlan, own_cgroup: Option<OwnCgroup>) -> Result<(), Failure> {
    if plan.idmap.is_empty() {
        return Ok(());
    }
    cred::set_groups(&[]).map_err(because("clear supplementary groups"))?;
    cred::set_all_gids(Gid::ROOT).map_err(because("become group 0 of the container"))?;
    own_cgroup.map_or(Ok(()), OwnCgroup::share)?;
    cred::set_all_uids(Uid::ROOT).map_err(because("become root of the container"))?;
    // Until exec nobody in the container may look into this process. (Not earlier: newuidmap
    // serves only a process whose /proc entry is its caller's.)
    process::set_dumpable(false).map_err(because("protect the process"))
}
