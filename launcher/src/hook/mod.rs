//! Hooks: the owner's programs at certain points of a container's life, told what they are for as
//! LXC's are (lxc.container.conf(5), CONTAINER HOOKS).

pub(crate) mod program;

use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use berth_common::ContainerName;
use berth_container_config::value::HookKind;
use berth_container_config::{Config, HookVersion};

use crate::error::{Error, Plain, Result};
use program::Program;

/// How long one hook may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The same after the container's end: a host that shuts down waits for it.
pub const LIMIT_AT_END: Duration = Duration::from_secs(30);

/// A container's hooks.
#[derive(Clone, Debug)]
pub struct Hooks {
    name: ContainerName,
    version: HookVersion,
    commands: Vec<Command>,
    /// What every hook finds in its environment.
    variables: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Command {
    kind: HookKind,
    /// File, line and key, for errors.
    at: String,
    text: String,
}

/// What one kind of hooks is told beside what all are told.
#[derive(Default)]
pub struct Told<'a> {
    /// Variables.
    pub variables: Vec<(String, String)>,
    /// In version 0 arguments.
    pub arguments: Vec<String>,
    /// What else is in the environment; `None`: what this process has in its own.
    pub environment: Option<&'a [CString]>,
    /// What the hook's process does to itself before it executes the program.
    pub confinement: Option<Confinement<'a>>,
}

/// What a hook's process does to itself before it executes the program.
pub struct Confinement<'a> {
    /// Does it.
    pub apply: &'a dyn Fn() -> std::result::Result<(), String>,
    /// Close-on-exec, and not closed until then.
    pub keep: BorrowedFd<'a>,
}

/// Where a container and its root file system are, for hooks.
pub struct Paths<'a> {
    /// Its configuration.
    pub config: &'a Path,
    /// What `lxc.rootfs.path` says.
    pub rootfs: String,
    /// Where that is mounted during a start.
    pub mount_point: &'a Path,
}

impl Hooks {
    /// What a configuration says. A program on the host that is not there, or is none, is refused.
    pub fn of(name: &ContainerName, config: &Config, paths: &Paths<'_>) -> Result<Self> {
        let commands = config.hooks.commands.iter().map(|(kind, text)| {
            let at = format!("{}: lxc.hook.{}", text.at, kind.name());
            require_program(*kind, text, &at)?;
            Ok(Command {
                kind: *kind,
                at,
                text: text.value.clone(),
            })
        });
        let version = config.hooks.version.as_ref().map(|version| version.value);
        let version = version.unwrap_or_default();
        let commands: Vec<Command> = commands.collect::<Result<_>>()?;
        let has_scripts = |net: &berth_container_config::Net| {
            net.script_up.is_some() || net.script_down.is_some()
        };
        let variables = match commands.is_empty() && !config.nets.values().any(has_scripts) {
            true => Vec::new(),
            false => variables(name, config, paths, version)?,
        };
        Ok(Self {
            name: name.clone(),
            version,
            commands,
            variables,
        })
    }

    /// Whether hooks are told by variables what version 0 tells by arguments.
    pub fn tells_by_variables(&self) -> bool {
        self.version == HookVersion::Variables
    }

    /// What every command of the owner's on the host finds in its environment, scripts of
    /// interfaces too.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Whether a configuration has one of this kind.
    pub fn any(config: &Config, kind: HookKind) -> bool {
        config
            .hooks
            .commands
            .iter()
            .any(|(other, _)| *other == kind)
    }

    /// Whether there is one of this kind.
    pub fn has(&self, kind: HookKind) -> bool {
        self.commands.iter().any(|command| command.kind == kind)
    }

    /// Runs all of a kind, one after the other; the first that fails is the last. Something to
    /// read from `given_up` ends a hook early. What each printed is handed to `printed`.
    pub fn run(
        &self,
        kind: HookKind,
        told: &Told<'_>,
        given_up: Option<BorrowedFd<'_>>,
        mut printed: impl FnMut(&str),
    ) -> std::result::Result<(), String> {
        let limit = match kind {
            HookKind::Stop | HookKind::PostStop => LIMIT_AT_END,
            _ => LIMIT,
        };
        for command in self.commands.iter().filter(|command| command.kind == kind) {
            let program = self.program(command, told);
            let (end, said) = program
                .run(limit, given_up, told.confinement.as_ref())
                .map_err(|error| {
                    format!("{}: cannot run the hook: {}", command.at, Plain(&error))
                })?;
            if end.is_success() {
                printed(&said);
                continue;
            }
            let said = match said.trim() {
                "" => "it said nothing".to_owned(),
                said => format!("it said: {said}"),
            };
            return Err(format!(
                "{}: the hook “{}” {end}; {said}",
                command.at,
                crate::printable::cell(&command.text)
            ));
        }
        Ok(())
    }

    fn program(&self, command: &Command, told: &Told<'_>) -> Program {
        let kind = command.kind.name();
        let mut arguments = Vec::new();
        if self.version == HookVersion::Arguments {
            arguments.extend([self.name.to_string(), "lxc".to_owned(), kind.to_owned()]);
            arguments.extend(told.arguments.iter().cloned());
        }
        let mut program = Program::new(&command.text, arguments, told.environment);
        for (name, value) in self.variables.iter().chain(&told.variables) {
            program.set(name, value);
        }
        if self.version == HookVersion::Variables {
            program.set("LXC_HOOK_TYPE", kind);
            program.set("LXC_HOOK_SECTION", "lxc");
        }
        program
    }
}

/// Whether a command that names a program by its path on the host can be executed. A hook for
/// copies may have gone with the LXC that installed it.
fn require_program(kind: HookKind, text: &str, at: &str) -> Result<()> {
    match kind {
        HookKind::Start | HookKind::Clone => Ok(()),
        _ => require_executable(text, at),
    }
}

/// The same for any command of the owner's on the host.
pub(crate) fn require_executable(text: &str, at: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Some(program) = program::only_program(text).filter(|path| path.starts_with('/')) else {
        return Ok(());
    };
    let why = match std::fs::metadata(program) {
        Err(error) => crate::error::Plain(&error).to_string(),
        Ok(found) if !found.is_file() => "it is not a file".to_owned(),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            "it is not executable (chmod +x)".to_owned()
        }
        Ok(_) => return Ok(()),
    };
    Err(Error::other(format!(
        "{at}: the program {program} cannot be run: {why}"
    )))
}

fn variables(
    name: &ContainerName,
    config: &Config,
    paths: &Paths<'_>,
    version: HookVersion,
) -> Result<Vec<(String, String)>> {
    let mut all = crate::start::build::hook_environment(config)?;
    let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
    set("LXC_NAME", name.to_string());
    set("LXC_CONFIG_FILE", paths.config.display().to_string());
    set("LXC_ROOTFS_PATH", paths.rootfs.clone());
    set("LXC_ROOTFS_MOUNT", paths.mount_point.display().to_string());
    set("LXC_CGNS_AWARE", "1".to_owned());
    let level = config.log_level.as_ref().map(|level| level.value);
    set(
        "LXC_LOG_LEVEL",
        level.map_or("ERROR", |level| level.name()).to_owned(),
    );
    let version = match version {
        HookVersion::Arguments => "0",
        HookVersion::Variables => "1",
    };
    set("LXC_HOOK_VERSION", version.to_owned());
    if let Some(log) = &config.console.log_file {
        set("LXC_CONSOLE_LOGPATH", log.value.display().to_string());
    }
    Ok(all)
}
