//! Commands of the owner's on the host, when an interface comes and goes.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Desk;
use crate::error::{Error, Plain, Result};
use crate::hook::Hooks;
use crate::hook::program::Program;
use crate::start::plan::NetPlan;
use crate::state::Nic;

/// How long a command has.
pub const TIME: Duration = Duration::from_secs(10);

/// A command with everything that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptCall {
    /// File, line and key.
    pub at: String,
    /// The command as it is written: a shell's words.
    pub command: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Environment variables beside the monitor's own.
    pub environment: Vec<(String, String)>,
}

/// Notes down what undoes an interface's script, then runs the script.
pub fn up(desk: &mut Desk<'_>, index: usize, net: &NetPlan) -> Result<()> {
    let (name, hooks) = (desk.plan.name.as_str(), &desk.plan.hooks);
    let Some(nic) = desk.record.nics.get_mut(index) else {
        return Ok(());
    };
    let up = call(name, hooks, net, nic, "up", net.scripts.up.as_ref());
    nic.undo.down = call(name, hooks, net, nic, "down", net.scripts.down.as_ref());
    if nic.undo.down.is_some() {
        desk.note()?;
    }
    match up {
        None => Ok(()),
        Some(up) => up.run(TIME, desk.given_up).map_err(Error::other),
    }
}

/// LXC's arguments (`NAME net up TYPE [LINK] [NAME ON THE HOST]`) or its environment.
fn call(
    container: &str,
    hooks: &Hooks,
    net: &NetPlan,
    nic: &Nic,
    word: &str,
    script: Option<&(String, String)>,
) -> Option<ScriptCall> {
    let (at, command) = script?;
    let kind = net.link.word();
    let link = net.link.parent().map(ToString::to_string);
    let host = Some(nic.host.clone()).filter(|host| !host.is_empty());
    let mut environment = hooks.variables().to_vec();
    let mut arguments = Vec::new();
    if hooks.tells_by_variables() {
        let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
        set("LXC_HOOK_TYPE", word.to_owned());
        set("LXC_HOOK_SECTION", "net".to_owned());
        set("LXC_NET_TYPE", kind.to_owned());
        if let Some(link) = link {
            set("LXC_NET_PARENT", link);
        }
        if let Some(host) = host {
            set("LXC_NET_PEER", host);
        }
    } else {
        arguments = [container, "net", word, kind]
            .map(ToOwned::to_owned)
            .to_vec();
        arguments.extend(link);
        arguments.extend(host);
    }
    Some(ScriptCall {
        at: at.clone(),
        command: command.clone(),
        arguments,
        environment,
    })
}

impl ScriptCall {
    /// Runs it, as its owner; what it started ends with it if it takes too long, or if there is
    /// something to read from `given_up`.
    pub fn run(
        &self,
        time: Duration,
        given_up: Option<BorrowedFd<'_>>,
    ) -> std::result::Result<(), String> {
        let mut program = Program::new(&self.command, self.arguments.clone(), None);
        for (name, value) in &self.environment {
            program.set(name, value);
        }
        let (end, said) = program
            .run(time, given_up, None)
            .map_err(|error| format!("{}: cannot run the script: {}", self.at, Plain(&error)))?;
        if end.is_success() {
            return Ok(());
        }
        let said = match said.trim() {
            "" => "it said nothing".to_owned(),
            said => format!("it said: {said}"),
        };
        Err(format!(
            "{}: the script “{}” {end}; {said}",
            self.at,
            crate::printable::cell(&self.command)
        ))
    }
}
