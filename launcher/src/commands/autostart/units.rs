//! Containers that have a unit of their own, `berth@NAME.service`: the service manager starts and
//! stops them, and `berth autostart` leaves them to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_common::ContainerName;
use berth_kernel::user::User;

use crate::error::{Error, Result};

const PREFIX: &str = "berth@";
const SUFFIX: &str = ".service";

/// The unit's name.
pub fn unit(name: &ContainerName) -> String {
    format!("{PREFIX}{name}{SUFFIX}")
}

/// The container whose unit this is.
fn container(unit: &str) -> Option<ContainerName> {
    let name = unit.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    name.parse().ok()
}

/// Whether a cgroup is that of such a unit, or below it.
pub fn is_of_a_unit(path: &str) -> bool {
    path.split('/').any(|part| container(part).is_some())
}

/// The owner's containers whose unit is enabled: a link in a `.wants` or `.requires` directory where
/// administrators (and for a user's, he himself) have theirs.
pub fn enabled(owner: &User) -> BTreeSet<ContainerName> {
    let directories = match owner.uid.is_root() {
        true => vec![PathBuf::from("/etc/systemd/system")],
        false => vec![
            owner.home.join(".config/systemd/user"),
            PathBuf::from("/etc/systemd/user"),
        ],
    };
    let mut enabled = BTreeSet::new();
    for directory in directories {
        enabled.extend(linked(&directory));
    }
    enabled
}

fn linked(directory: &Path) -> BTreeSet<ContainerName> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let wanted = entries.filter(|entry| {
        let name = entry.file_name();
        let extension = Path::new(&name).extension();
        extension.is_some_and(|extension| extension == "wants" || extension == "requires")
    });
    let links = wanted.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten());
    let names = links.filter_map(|link| link.ok()?.file_name().into_string().ok());
    names.filter_map(|name| container(&name)).collect()
}

/// Has the service manager start the unit, and waits until the container is ready.
pub fn start(owner: &User, name: &ContainerName) -> Result<()> {
    let unit = unit(name);
    let mut command = Command::new("systemctl");
    if !owner.uid.is_root() {
        command.arg("--user");
    }
    command.args(["--no-ask-password", "start", &unit]);
    let output =
        crate::output::run(&mut command).map_err(|error| Error::os("execute systemctl", error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::other(format!(
            "its unit {unit} does not start: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_of_its_own_is_told_by_its_name() {
        for (path, is) in [
            (
                "/system.slice/system-berth.slice/berth@web.service/web",
                true,
            ),
            (
                "/user.slice/user-1000.slice/berth-user@1000.service/web",
                false,
            ),
            ("/machine.slice/berth-root-12-ab.scope/web", false),
            ("/system.slice/berth@.service", false),
        ] {
            assert_eq!(is_of_a_unit(path), is, "{path}");
        }
    }

    #[test]
    fn enabled_units_are_links_in_the_directories_of_targets() {
        let dir = std::env::temp_dir().join(format!("berth-units-{}", std::process::id()));
        let wants = dir.join("multi-user.target.wants");
        std::fs::create_dir_all(&wants).unwrap();
        std::fs::create_dir_all(dir.join("berth@no.service.d")).unwrap();
        for name in ["berth@web.service", "berth@a-b.service", "other.service"] {
            std::os::unix::fs::symlink("/nowhere", wants.join(name)).unwrap();
        }
        let found = linked(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        let names: Vec<&str> = found.iter().map(ContainerName::as_str).collect();
        assert_eq!(names, ["a-b", "web"]);
    }
}
