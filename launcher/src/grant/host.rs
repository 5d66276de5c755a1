//! What a grant changes through the host's own programs: usermod(8) for subordinate ids, logind
//! for linger.

use std::path::Path;
use std::process::Command;

use berth_common::InterfaceName;
use berth_container_config::IdKind;
use berth_kernel::user::User;

use super::record::Range;
use super::{Paths, subids};
use crate::error::{Error, Result};

/// The seam to the host's programs.
pub trait Host {
    /// All subordinate ids of the user, those of a directory among them.
    fn ranges(&self, user: &User, kind: IdKind) -> Result<Vec<Range>>;
    /// Gives the user a range.
    fn add_range(&self, user: &User, kind: IdKind, range: Range) -> Result<()>;
    /// Takes a range from the user.
    fn remove_range(&self, user: &User, kind: IdKind, range: Range) -> Result<()>;
    /// A process of the user's: usermod(8) takes no ids from one who is at work.
    fn process_of(&self, user: &User) -> Option<i32>;
    /// Whether systemd is process 1.
    fn has_systemd(&self) -> bool;
    /// Lets the user's services run without a login, or not any more.
    fn set_linger(&self, user: &User, on: bool) -> Result<()>;
    /// Whether there is such a bridge.
    fn bridge_exists(&self, bridge: &InterfaceName) -> bool;
}

/// The real host.
#[derive(Debug)]
pub struct System<'a> {
    paths: &'a Paths,
}

impl<'a> System<'a> {
    /// The host whose files these are.
    pub fn new(paths: &'a Paths) -> Self {
        Self { paths }
    }
}

/// Runs a program of the administrator's; its complaint becomes the error.
fn run(program: &str, arguments: &[&str], what: impl Fn() -> String) -> Result<()> {
    let output = crate::output::run(Command::new(program).args(arguments))
        .map_err(|error| Error::os(format!("{}: run {program}", what()), error))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!(
        "cannot {}: {}",
        what(),
        complaint.trim()
    )))
}

impl System<'_> {
    fn change_ranges(&self, user: &User, option: &str, range: Range, what: &str) -> Result<()> {
        run(
            "/usr/sbin/usermod",
            &[option, &range.to_string(), "--", &user.name],
            || format!("{what} {} the subordinate ids {range}", user.name),
        )
    }

    /// getsubids(1) asks the directory that nsswitch.conf names; silent if there is none.
    fn directory_ranges(&self, user: &User, kind: IdKind) -> Vec<Range> {
        let mut command = Command::new("/usr/bin/getsubids");
        if kind == IdKind::Group {
            command.arg("-g");
        }
        let output = crate::output::run(command.arg(&user.name));
        output.map_or_else(
            |_| Vec::new(),
            |output| parse(&String::from_utf8_lossy(&output.stdout), &user.name),
        )
    }
}

/// Lines `INDEX: OWNER FIRST COUNT`.
fn parse(text: &str, name: &str) -> Vec<Range> {
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, owner, first, count] if owner == name => Some(Range {
            first: first.parse().ok()?,
            count: count.parse().ok()?,
        }),
        _ => None,
    };
    text.lines().filter_map(line).collect()
}

impl Host for System<'_> {
    fn ranges(&self, user: &User, kind: IdKind) -> Result<Vec<Range>> {
        let mut ranges = subids::in_file(self.paths, kind, user)?;
        // The name is its argument: one that begins with a dash would be an option.
        if !user.name.starts_with('-') {
            for range in self.directory_ranges(user, kind) {
                if !ranges.contains(&range) {
                    ranges.push(range);
                }
            }
        }
        Ok(ranges)
    }

    fn add_range(&self, user: &User, kind: IdKind, range: Range) -> Result<()> {
        let option = match kind {
            IdKind::User => "--add-subuids",
            IdKind::Group => "--add-subgids",
        };
        self.change_ranges(user, option, range, "give")
            .map_err(|error| {
                // usermod knows the users of /etc/passwd only, not those of a directory.
                Error::other(format!(
                    "{error} (add a line to {} by hand: {}:{}:{})",
                    self.paths.subids(kind).display(),
                    user.name,
                    range.first,
                    range.count
                ))
            })
    }

    fn remove_range(&self, user: &User, kind: IdKind, range: Range) -> Result<()> {
        let option = match kind {
            IdKind::User => "--del-subuids",
            IdKind::Group => "--del-subgids",
        };
        self.change_ranges(user, option, range, "take from")
    }

    fn process_of(&self, user: &User) -> Option<i32> {
        use std::os::unix::fs::MetadataExt;
        let entries = std::fs::read_dir("/proc").ok()?;
        entries.flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (entry.metadata().ok()?.uid() == user.uid.raw()).then_some(pid)
        })
    }

    fn has_systemd(&self) -> bool {
        // sd_booted(3)
        Path::new("/run/systemd/system").is_dir()
    }

    fn set_linger(&self, user: &User, on: bool) -> Result<()> {
        let verb = if on {
            "enable-linger"
        } else {
            "disable-linger"
        };
        run("/usr/bin/loginctl", &[verb, "--", &user.name], || {
            format!("{verb} for {}", user.name)
        })
    }

    fn bridge_exists(&self, bridge: &InterfaceName) -> bool {
        Path::new("/sys/class/net")
            .join(bridge)
            .join("bridge")
            .is_dir()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn getsubids_answers() {
        let text = "0: alice 100000 65536\n1: alice 300000 10\n0: bob 1 2\nError\n";
        let range = |first, count| Range { first, count };
        assert_eq!(
            parse(text, "alice"),
            [range(100_000, 65_536), range(300_000, 10)]
        );
    }
}
