//! Who may be started at boot: an entry in `/etc/berth/boot.d`, named like the user.

use berth_common::path;
use berth_kernel::fs;
use berth_kernel::user::User;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// More entries than this are not looked at.
const MAX_ENTRIES: usize = 4096;

/// The users that the administrator lists, and a line for people about each entry that is none.
pub fn users() -> (Vec<User>, Vec<String>) {
    let dir = Path::new(path::BOOT_DIR);
    let mut problems = Vec::new();
    let names = match list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            problems.push(format!(
                "cannot list {}: {}",
                dir.display(),
                berth_kernel::Plain(&error)
            ));
            Vec::new()
        }
    };
    let mut users: Vec<User> = Vec::new();
    for name in names {
        match judge(dir, &name) {
            Ok(user) if users.iter().all(|known| known.uid != user.uid) => users.push(user),
            Ok(_) => {}
            Err(why) => problems.push(format!("{}: {why}", dir.join(name).display())),
        }
    }
    (users, problems)
}

/// One of them, by name.
pub fn user(name: &str) -> Result<User, String> {
    judge(Path::new(path::BOOT_DIR), name)
}

fn list(dir: &Path) -> std::io::Result<Vec<String>> {
    let dir = fs::open_dir(dir)?;
    let entries = fs::entries(dir.as_fd(), MAX_ENTRIES)?;
    let mut names: Vec<String> = entries
        .into_iter()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| !is_residue(name))
        .collect();
    names.sort();
    Ok(names)
}

/// What editors and package managers leave beside a file.
fn is_residue(name: &str) -> bool {
    let ends = ["~", ".new", ".bak", ".dpkg-old", ".dpkg-dist", ".rpmnew"];
    name.starts_with('.') || ends.iter().any(|end| name.ends_with(end))
}

fn judge(dir: &Path, name: &str) -> Result<User, String> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err("a user's name is needed".to_owned());
    }
    let forbidden = Path::new(path::NO_BOOT_DIR).join(name);
    if forbidden.symlink_metadata().is_ok() {
        return Err(format!(
            "{} keeps {name} from the boot",
            forbidden.display()
        ));
    }
    let path = dir.join(name);
    let found = std::fs::symlink_metadata(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "{name} is not listed for the boot (to allow it, as root: touch {})",
            path.display()
        ),
        _ => berth_kernel::Plain(&error).to_string(),
    })?;
    if found.uid() != 0 {
        return Err("it must be root's".to_owned());
    }
    let user = User::by_name(name)
        .map_err(|error| format!("cannot look {name} up: {}", berth_kernel::Plain(&error)))?
        .ok_or_else(|| format!("there is no user {name}"))?;
    if !user.uid.is_person() {
        return Err(format!(
            "{name} (user id {}) is no person; root's containers need no entry, and system users \
             have none",
            user.uid
        ));
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_user_of_the_boot_says_why() {
        let dir = std::env::temp_dir().join(format!("berth-boot.d-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for name in ["root", "no-such-user-of-berth", "kept~", ".hidden"] {
            std::fs::write(dir.join(name), "").unwrap();
        }
        assert_eq!(list(&dir).unwrap(), ["no-such-user-of-berth", "root"]);
        let why = |name: &str| judge(&dir, name).unwrap_err();
        assert!(why("root").contains("is no person"), "{}", why("root"));
        assert!(why("no-such-user-of-berth").contains("there is no user"));
        assert!(why("bob").contains("not listed for the boot"));
        assert!(why("bob").contains("touch "));
        for bad in ["", "..", "a/b", ".x"] {
            assert!(why(bad).contains("a user's name"), "{bad}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn somebody_elses_entry_allows_nothing() {
        let dir = std::env::temp_dir().join(format!("berth-boot.e-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let entry = dir.join("no-such-user-of-berth");
        std::fs::write(&entry, "").unwrap();
        // Tests run as root; as anybody else the file is somebody else's anyway.
        let _ = std::os::unix::fs::chown(&entry, Some(1000), None);
        let why = judge(&dir, "no-such-user-of-berth").unwrap_err();
        assert!(why.contains("must be root's"), "{why}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
