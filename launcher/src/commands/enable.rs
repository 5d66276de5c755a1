//! `berth enable` and `berth disable`: whether a container comes back after a reboot.

use std::path::Path;
use std::process::Command;

use berth_common::{ContainerName, boot, path, unit};
use berth_container_config::edit;

use super::autostart::units;
use crate::config_file::ConfigFile;
use crate::error::{Plain, Result};
use crate::place::Place;
use crate::systemd::has_systemd;

const AUTO: &str = "lxc.start.auto";
/// Where `systemctl enable` puts what multi-user.target starts.
const WANTED_BY_HOST: &str = "/etc/systemd/system/multi-user.target.wants";

/// What was changed, and what is left to be done by somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// Lines for standard output.
    pub done: Vec<String>,
    /// What an administrator still has to do.
    pub missing: Option<String>,
}

/// Lets a container start at boot: `lxc.start.auto = 1`, and linger for its owner, without which
/// nothing of a user's starts at boot.
pub fn enable(place: &Place, name: &ContainerName) -> Result<Enabled> {
    place.require(name)?;
    let mut enabled = Enabled::default();
    if set_auto(place, name, "1")? {
        enabled
            .done
            .push(format!("{name} starts at boot ({AUTO} = 1)"));
    } else {
        enabled.done.push(format!("{name} starts at boot already"));
    }
    if units::enabled(&place.owner).contains(name) {
        let unit = units::unit(name);
        enabled.done.push(format!(
            "{unit} is enabled and starts it; {AUTO} has no say then"
        ));
        return Ok(enabled);
    }
    if !has_systemd() {
        enabled.missing = missing_without_systemd(place);
        return Ok(enabled);
    }
    if place.owner.uid.is_root() {
        enabled.missing = missing_for_root();
        return Ok(enabled);
    }
    let user = &place.owner.name;
    if let Some(file) = boot::refusal(user, |path| Path::new(path).exists()) {
        enabled.missing = Some(format!(
            "an administrator keeps containers of {user} from starting at boot ({file})"
        ));
        return Ok(enabled);
    }
    if lingers(user) {
        return Ok(enabled);
    }
    match ask_for_linger() {
        Ok(()) if lingers(user) => enabled.done.push(format!(
            "{user} lingers now: containers run without a login, from boot to shutdown"
        )),
        Ok(()) => enabled.missing = Some(linger_hint(user, "it was accepted but did not last")),
        Err(why) => enabled.missing = Some(linger_hint(user, &why)),
    }
    Ok(enabled)
}

/// Where the host's own init starts containers: root's always, and those of whom the administrator
/// lists.
fn missing_without_systemd(place: &Place) -> Option<String> {
    let user = &place.owner.name;
    let listed = Path::new(path::BOOT_DIR).join(user);
    if place.owner.uid.is_root() || listed.exists() {
        return None;
    }
    Some(format!(
        "{user} is not in {}, so nothing of {user}'s starts at boot; ask an administrator to run: \
         touch {}",
        path::BOOT_DIR,
        listed.display()
    ))
}

/// What root's containers need to start at boot.
fn missing_for_root() -> Option<String> {
    let enabled = Path::new(WANTED_BY_HOST).join(unit::ROOT_BOOT);
    // What is there and cannot be looked at is there.
    match std::fs::symlink_metadata(enabled) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(format!(
            "{} is not enabled, so nothing of root's starts at boot; run: systemctl enable {}",
            unit::ROOT_BOOT,
            unit::ROOT_BOOT
        )),
        _ => None,
    }
}

/// Takes the start at boot back. Linger stays: other things may need it.
pub fn disable(place: &Place, name: &ContainerName) -> Result<Enabled> {
    place.require(name)?;
    let own_unit = units::enabled(&place.owner).contains(name).then(|| {
        let unit = units::unit(name);
        let user = if place.owner.uid.is_root() {
            ""
        } else {
            "--user "
        };
        format!("its unit starts it at boot; run: systemctl {user}disable {unit}")
    });
    let line = if set_auto(place, name, "0")? {
        format!("{name} does not start at boot any more ({AUTO} = 0)")
    } else {
        format!("{name} does not start at boot")
    };
    Ok(Enabled {
        done: vec![line],
        missing: own_unit,
    })
}

/// Sets the key in the container's own file, which keeps its mode and its owner; whether that
/// changed anything.
fn set_auto(place: &Place, name: &ContainerName, value: &str) -> Result<bool> {
    let mut file = ConfigFile::open(&place.config_file(name))?;
    let now = edit::get(file.text(), AUTO);
    if now == Some(value) || (now.is_none() && value == "0") {
        return Ok(false);
    }
    let changed = edit::set(file.text(), AUTO, value);
    file.replace(changed)?;
    Ok(true)
}

/// Whether logind starts the user's service manager at boot.
pub fn lingers(user: &str) -> bool {
    Path::new(path::LINGER_DIR).join(user).exists()
}

/// Asks logind; polkit lets a user do so for himself unless an administrator said otherwise.
fn ask_for_linger() -> std::result::Result<(), String> {
    let mut command = Command::new("loginctl");
    command.args(["--no-ask-password", "enable-linger"]);
    let output = crate::output::run(&mut command).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "this host has no loginctl".to_owned(),
        _ => format!("loginctl cannot be run: {}", Plain(&error)),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .trim()
        .lines()
        .last()
        .unwrap_or("loginctl refused")
        .to_owned())
}

fn linger_hint(user: &str, why: &str) -> String {
    format!(
        "{user} does not linger, so nothing of {user}'s starts at boot ({why}); ask an \
         administrator to run: loginctl enable-linger {user}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_common::{Gid, Uid};
    use berth_kernel::user::User;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn the_configuration_keeps_its_mode_and_links_are_left_alone() {
        let dir = std::env::temp_dir().join(format!("berth-enable-{}", std::process::id()));
        let owner = User {
            name: "alice".into(),
            uid: Uid::new(1000).unwrap(),
            gid: Gid::new(1000).unwrap(),
            home: dir.clone(),
            shell: "/bin/sh".into(),
        };
        let place = Place::of(owner, Some(&dir)).unwrap();
        let name: ContainerName = "web".parse().unwrap();
        let file = place.config_file(&name);
        std::fs::create_dir_all(place.container_dir(&name)).unwrap();
        std::fs::write(&file, "lxc.uts.name = web\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(set_auto(&place, &name, "1").unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(edit::get(&text, AUTO), Some("1"));

        let elsewhere = dir.join("shared");
        std::fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        let error = set_auto(&place, &name, "0").unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), text);
        assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
