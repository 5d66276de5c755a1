//! An ordinary user's interfaces: asked of the setuid helper.

use std::process::{Child, Command, Stdio};

use berth_common::{InterfaceName, path};

use super::Undo;
use crate::error::{Error, Result};
use crate::start::plan::{LinkPlan, NetPlan, StartPlan};
use crate::state::Nic;

/// An interface on its way; without a child it is none.
pub struct Request<'plan> {
    net: &'plan NetPlan,
    helper: Option<Child>,
}

/// Starts a helper for every interface of the plan.
pub fn request(plan: &StartPlan, init: i32) -> Result<Vec<Request<'_>>> {
    plan.nets
        .iter()
        .map(|net| {
            let helper = match &net.link {
                LinkPlan::Veth(veth) => Some(start(plan, init, net, veth.link.as_ref())?),
                _ => None,
            };
            Ok(Request { net, helper })
        })
        .collect()
}

fn start(
    plan: &StartPlan,
    init: i32,
    net: &NetPlan,
    bridge: Option<&InterfaceName>,
) -> Result<Child> {
    let mut command = Command::new(program());
    command
        .arg("create")
        .arg(&plan.lxcpath)
        .arg(plan.name.as_str())
        .arg(init.to_string())
        .arg("veth")
        .arg(bridge.map_or("none", InterfaceName::as_str));
    command.args(net.name.as_ref().map(InterfaceName::as_str));
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::file("run the NIC helper", std::path::Path::new(program()), error))
}

/// The helper's path; tests on a machine where Berth is not installed name another one. That
/// gives nobody rights: the helper has those of its file.
fn program() -> &'static str {
    static HELPER: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HELPER
        .get_or_init(|| std::env::var("BERTH_USERNIC").unwrap_or_else(|_| path::USERNIC.to_owned()))
}

/// Refuses a plan whose interfaces nobody could make.
pub fn refuse_without_helper(net: &NetPlan) -> Result<()> {
    match std::path::Path::new(program()).exists() {
        true => Ok(()),
        false => Err(Error::other(format!(
            "{}: no network interface: the NIC helper {} is missing (an administrator installs \
             Berth's packages, or the container has lxc.net.0.type = empty)",
            net.at,
            program()
        ))),
    }
}

impl Request<'_> {
    /// Waits for the helper's answer.
    pub fn finish(self) -> Result<Nic> {
        let net = self.net;
        let mut nic = Nic {
            name: String::new(),
            host: String::new(),
            bridge: net
                .link
                .parent()
                .map(ToString::to_string)
                .unwrap_or_default(),
            kind: String::new(),
            undo: Undo::default(),
        };
        let Some(helper) = self.helper else {
            nic.kind = net.link.word().to_owned();
            return Ok(nic);
        };
        let output = crate::output::collect(helper)
            .map_err(|error| Error::os("hear the NIC helper", error))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let reason = said.trim().lines().last().map_or_else(
                || format!("the NIC helper did not say why ({})", output.status),
                |said| {
                    said.strip_prefix("berth-usernic: ")
                        .unwrap_or(said)
                        .to_owned()
                },
            );
            return Err(Error::other(format!(
                "{}: no network interface: {reason}",
                net.at
            )));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let mut fields = answer.trim_end().split(':');
        match (fields.next(), fields.next(), fields.next()) {
            (Some(name), Some(_), Some(host)) if !name.is_empty() => {
                nic.name = name.to_owned();
                nic.host = host.to_owned();
                Ok(nic)
            }
            _ => Err(Error::other(format!(
                "{}: the NIC helper gave an answer that makes no sense: {:?}",
                net.at,
                answer.trim_end()
            ))),
        }
    }
}
