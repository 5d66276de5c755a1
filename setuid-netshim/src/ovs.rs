//! Open vSwitch bridges: their ports are records of a database, which ovs-vsctl(8) changes.

use crate::Refusal;
use berth_common::InterfaceName;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs of the host are looked for, as LXC does; nobody but root may write there.
const DIRS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// ovs-vsctl waits for the switch; whoever waits holds up no other user.
const PATIENCE: &str = "--timeout=5";

/// ovs-vsctl(8) of this host.
#[derive(Clone, Debug)]
pub struct Ovs {
    program: PathBuf,
}

impl Ovs {
    /// The installed one, if there is one.
    pub fn find() -> Option<Self> {
        let candidates = DIRS.iter().map(|dir| Path::new(dir).join("ovs-vsctl"));
        candidates
            .into_iter()
            .find(|path| path.is_file())
            .map(|program| Self { program })
    }

    /// Whether there is such a bridge.
    pub fn is_bridge(&self, bridge: &InterfaceName) -> Result<bool, Refusal> {
        let operation = || format!("ask Open vSwitch about {bridge}");
        match self.run(&["br-exists", bridge.as_str()], &operation)? {
            (0, _) => Ok(true),
            // ovs-vsctl(8): 2 means that it does not exist.
            (2, _) => Ok(false),
            (_, why) => Err(Refusal::Ovs {
                operation: operation(),
                why,
            }),
        }
    }

    /// Names of the bridge's ports.
    pub fn ports(&self, bridge: &InterfaceName) -> Result<Vec<String>, Refusal> {
        let operation = || format!("list the ports of {bridge}");
        let text = self.must(&["list-ports", bridge.as_str()], &operation)?;
        Ok(text.lines().map(Into::into).collect())
    }

    /// Makes an interface a port of the bridge.
    pub fn add(&self, bridge: &InterfaceName, port: &InterfaceName) -> Result<(), Refusal> {
        self.add_with(bridge, port, &[])
    }

    /// As [`Ovs::add`], with columns of the port's record (`tag=5`).
    pub fn add_with(
        &self,
        bridge: &InterfaceName,
        port: &InterfaceName,
        columns: &[String],
    ) -> Result<(), Refusal> {
        let operation = || format!("make {port} a port of {bridge}");
        let mut words = vec!["add-port", bridge.as_str(), port.as_str()];
        words.extend(columns.iter().map(String::as_str));
        self.must(&words, &operation).map(drop)
    }

    /// Removes a port from the bridge; one that is gone already is no error.
    pub fn delete(&self, bridge: &InterfaceName, port: &InterfaceName) -> Result<(), Refusal> {
        let operation = || format!("remove the port {port} from {bridge}");
        let words = ["--if-exists", "del-port", bridge.as_str(), port.as_str()];
        self.must(&words, &operation).map(drop)
    }

    fn must(&self, words: &[&str], operation: &dyn Fn() -> String) -> Result<String, Refusal> {
        match self.run(words, operation)? {
            (0, text) => Ok(text),
            (_, why) => Err(Refusal::Ovs {
                operation: operation(),
                why,
            }),
        }
    }

    /// Its exit code, with its output if that is 0 and its complaints otherwise.
    fn run(
        &self,
        words: &[&str],
        operation: &dyn Fn() -> String,
    ) -> Result<(i32, String), Refusal> {
        let output = Command::new(&self.program)
            .arg(PATIENCE)
            .arg("--")
            .args(words)
            .env_clear()
            .env("PATH", DIRS.join(":"))
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Refusal::System {
                operation: format!("{}: run {}", operation(), self.program.display()),
                source,
            })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match output.status.code() {
            Some(0) => (0, text(&output.stdout)),
            Some(code) => {
                let why = text(&output.stderr)
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                (code, format!("ovs-vsctl ended with code {code}: {why}"))
            }
            None => (-1, format!("ovs-vsctl: {}", output.status)),
        })
    }
}
