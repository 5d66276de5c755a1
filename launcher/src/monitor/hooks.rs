//! Hooks that run on the host, as the container's owner.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use berth_container_config::NamespaceKind;
use berth_container_config::value::HookKind;

use super::log;
use crate::error::{Error, Result};
use crate::hook::Told;
use crate::start::plan::StartPlan;

/// Namespaces of a container that stop hooks can enter after its end, by kind.
pub type Kept = Vec<(NamespaceKind, File)>;

/// Opens the namespaces of the container's first process for stop hooks, if there are any.
pub fn keep_namespaces(plan: &StartPlan, init: i32) -> Result<Kept> {
    if !plan.hooks.has(HookKind::Stop) {
        return Ok(Vec::new());
    }
    let open = |kind: NamespaceKind| {
        match File::open(format!("/proc/{init}/ns/{}", kind.name())) {
            Ok(file) => Some(Ok((kind, file))),
            // A kernel without this kind.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(Error::os("open the container's namespaces", error))),
        }
    };
    NamespaceKind::all().filter_map(open).collect()
}

/// Runs the hooks before anything is made.
pub fn pre_start(plan: &StartPlan, starter: Option<BorrowedFd<'_>>) -> Result<()> {
    run(plan, HookKind::PreStart, &Told::default(), starter)
}

/// Runs the hooks right before init is executed.
pub fn start_host(plan: &StartPlan, init: i32, starter: Option<BorrowedFd<'_>>) -> Result<()> {
    let told = Told {
        variables: vec![("LXC_PID".to_owned(), init.to_string())],
        ..Told::default()
    };
    run(plan, HookKind::StartHost, &told, starter)
}

fn run(
    plan: &StartPlan,
    kind: HookKind,
    told: &Told<'_>,
    starter: Option<BorrowedFd<'_>>,
) -> Result<()> {
    plan.hooks
        .run(kind, told, starter, |said| log_output(plan, kind, said))
        .map_err(Error::other)
}

fn log_output(plan: &StartPlan, kind: HookKind, said: &str) {
    for line in said.lines() {
        log::event(&plan.log, &format!("{}: {line}", kind.name()));
    }
}

/// Runs the hooks after the container's end. They cannot keep it from ending: what fails is
/// written down.
pub fn ended(plan: &StartPlan, kept: Kept, target: &str) {
    let mut variables = vec![("LXC_TARGET".to_owned(), target.to_owned())];
    let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let arguments = kept
        .iter()
        .map(|(kind, file)| format!("{kind}:{}", path(file)))
        .collect();
    if plan.hooks.tells_by_variables() {
        variables.extend(kept.iter().map(|(kind, file)| {
            let name = format!("LXC_{}_NS", kind.name().to_uppercase());
            (name, path(file))
        }));
    }
    let told = Told {
        variables,
        arguments,
        ..Told::default()
    };
    run_to_the_end(plan, HookKind::Stop, &told);
    drop(kept);
    let told = Told {
        variables: vec![("LXC_TARGET".to_owned(), target.to_owned())],
        ..Told::default()
    };
    run_to_the_end(plan, HookKind::PostStop, &told);
}

fn run_to_the_end(plan: &StartPlan, kind: HookKind, told: &Told<'_>) {
    if let Err(error) = run(plan, kind, told, None) {
        log::failure(&plan.log, &error.to_string());
    }
}
