//! `berth`, the command that people type.
#![forbid(unsafe_code)]

mod verbs;

use std::io::Write;
use std::process::ExitCode;

use berth::cli::{Cli, Verb};
use berth::commands::enable;
use berth::error::Result;
use berth::grant;
use berth::place::Place;
use berth::printable::printable;

use verbs::print::tell;
use verbs::{
    boot, config, copies, devices, host, inside, keep, list, lives, look, ports, print, top,
};

fn main() -> ExitCode {
    let cli = match Cli::of(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            // Where to print, and with which code to end, is clap's to know.
            let _ = error.print();
            if let Some(meant) = berth::cli::tip(&error) {
                tell(&format!("\n  tip: what you look for is: {meant}"));
            }
            return u8::try_from(error.exit_code()).unwrap_or(1).into();
        }
    };
    let arguments = || std::env::args_os().skip(1).collect::<Vec<_>>();
    let result = match &cli.owner {
        None => run(cli),
        Some(owner) if berth::owner::is_to_become() => {
            let only_looks = cli.verb.only_looks();
            berth::owner::become_user(owner, &arguments(), only_looks).and_then(|()| run(cli))
        }
        Some(owner) => berth::owner::run(owner, &arguments(), cli.verb.only_looks()),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            // Nobody may be listening; the code says it all the same.
            let text = error.to_string();
            let _ = writeln!(std::io::stderr(), "berth: {}", printable(&text));
            error.exit_code().into()
        }
    }
}

fn run(cli: Cli) -> Result<u8> {
    let place = || Place::own(cli.lxcpath.as_deref());
    match &cli.verb {
        Verb::Create(options) => keep::create(&place()?, options),
        Verb::Start(options) => lives::start_verb(&cli, &place()?, options),
        Verb::Stop(options) => lives::stop_verb(&place()?, options),
        Verb::Restart(options) => lives::restart(&cli, &place()?, options),
        Verb::Attach(options) => inside::attach_verb(&place()?, options),
        Verb::Freeze(options) => lives::freeze_verb(&place()?, &options.names),
        Verb::Unfreeze(options) => lives::unfreeze_verb(&place()?, &options.names),
        Verb::Events(options) => look::events_verb(&place()?, options),
        Verb::Logs(options) => look::logs_verb(&place()?, options),
        Verb::Device(verb) => devices::run(&place()?, verb),
        Verb::Publish(options) => ports::publish(&place()?, options),
        Verb::Unpublish(options) => ports::unpublish(&place()?, options),
        Verb::Wait(options) => lives::wait_verb(&place()?, options),
        Verb::Console(options) => inside::console_verb(&place()?, options),
        Verb::Exec(options) => inside::exec_verb(&place()?, options),
        Verb::Ls(options) if options.disk => copies::disk_verb(&place()?, options.json),
        Verb::Ls(options) => list::list_verb(place, options),
        Verb::Info(options) => look::info_verb(&place()?, options),
        Verb::Top(options) => top::top_verb(&place()?, options),
        Verb::Copy(options) => copies::copy_verb(&cli, &place()?, options),
        Verb::Snapshot(verb) => copies::snapshot_verb(&place()?, verb),
        Verb::Rename(options) => copies::rename_verb(&place()?, options),
        Verb::Cp(options) => copies::cp_verb(&place()?, options),
        Verb::Destroy(options) => keep::destroy_verb(&place()?, options),
        Verb::Enable(options) => keep::report_enabled(enable::enable(&place()?, &options.name)?),
        Verb::Disable(options) => keep::report_enabled(enable::disable(&place()?, &options.name)?),
        Verb::Autostart(options) => boot::autostart_verb(place, options),
        Verb::Grant(options) => print::report(&grant::grant(&grant::Request {
            user: options.user.clone(),
            nics: options.nics,
            bridge: options.bridge.clone(),
            boot: options.boot,
        })?),
        Verb::Grants(options) => host::grants(options.json),
        Verb::Revoke(options) => print::report(&grant::revoke(
            &options.user,
            options.bridge.as_ref(),
            options.force,
        )?),
        Verb::Config(verb) => config::run(&place()?, verb),
        Verb::Nic(verb) => host::nic_verb(verb),
        Verb::Net(verb) => host::net_verb(verb),
        Verb::Cgroup(verb) => host::cgroup_verb(verb),
        Verb::Doctor(options) => host::doctor_verb(options),
        Verb::Complete(options) => host::complete_verb(&options.words),
    }
}
