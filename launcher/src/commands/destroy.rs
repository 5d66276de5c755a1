//! `berth destroy`: a container with its files, and nothing else at work on it meanwhile.

use berth_common::ContainerName;

use super::{VERB_PATIENCE, recover, stop};
use crate::destroy::{Destroyed, destroy_with};
use crate::error::{Error, Result};
use crate::lxc;
use crate::place::Place;
use crate::state::{Runtime, State, VerbLock};

/// What a destroy may do beside removing a container that does not run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permissions {
    /// Stop it first.
    pub stop: bool,
    /// Remove its snapshots along.
    pub snapshots: bool,
}

/// Destroys a container; one that runs only with `force`, which stops it first.
pub fn destroy(place: &Place, name: &ContainerName, force: bool) -> Result<Destroyed> {
    let may = Permissions {
        stop: force,
        ..Permissions::default()
    };
    destroy_permitted(place, name, may)
}

/// Destroys a container, with all that is permitted and need be.
pub fn destroy_permitted(
    place: &Place,
    name: &ContainerName,
    may: Permissions,
) -> Result<Destroyed> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    let done = remove(place, name, may, &runtime, &lock);
    // Also where it was gone before, or where some of its files could not be removed.
    if !place.exists(name) {
        runtime.remove(lock);
    }
    done
}

fn remove(
    place: &Place,
    name: &ContainerName,
    may: Permissions,
    runtime: &Runtime,
    lock: &VerbLock,
) -> Result<Destroyed> {
    place.require(name)?;
    if may.stop {
        match stop::stop_holding(runtime, name, Some(stop::grace(place, name, None)), lock) {
            Ok(_) | Err(Error::NotRunning { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    match lxc::find(place, name)? {
        Some(running) if may.stop => {
            let grace = Some(stop::grace(place, name, None));
            lxc::stop(place, name, running, grace, true)?;
        }
        Some(_) if runtime.monitor_pid()?.is_none() => return Err(Error::UnderLxc(name.clone())),
        _ => {}
    }
    let (owner, lxcpath) = (&place.owner, &place.lxcpath);
    destroy_with(owner, lxcpath, name, may.snapshots, || {
        match runtime.state()? {
            (State::Stopped, _) => stop::wait_for_monitor(runtime),
            (State::Aborted, Some(record)) => recover::recover(runtime, &record, lock),
            (state, _) => Err(Error::other(format!(
                "container “{name}” is {}: stop it first (berth stop {name}), or: berth destroy \
                 --force {name}",
                state.word()
            ))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_common::{Gid, Uid};
    use berth_kernel::process::{Exit, fork};
    use berth_kernel::user::User;
    use std::time::Duration;

    /// Needs root.
    #[test]
    fn a_container_that_another_command_works_on_is_waited_for() {
        let dir = std::env::temp_dir().join(format!("berth-destroy-{}", std::process::id()));
        let owner = User {
            name: "nobody-of-that-name".into(),
            uid: Uid::new(4_000_000).unwrap(),
            gid: Gid::new(4_000_000).unwrap(),
            home: dir.join("home"),
            shell: "/bin/sh".into(),
        };
        let place = Place::of(owner, Some(&dir.join("lxc"))).unwrap();
        let name: ContainerName = "web".parse().unwrap();
        std::fs::create_dir_all(place.container_dir(&name)).unwrap();
        let idmap = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";
        std::fs::write(place.config_file(&name), idmap).unwrap();
        let runtime = Runtime::new(place.runtime_dir(&name));
        let (locked, done) = (dir.join("locked"), dir.join("done"));
        let other = fork(|| {
            let Ok(_lock) = runtime.lock_for_verb(VERB_PATIENCE) else {
                return 1;
            };
            let _ = std::fs::write(&locked, "");
            std::thread::sleep(Duration::from_millis(400));
            let whole = place.exists(&name) && std::fs::write(&done, "").is_ok();
            u8::from(!whole)
        })
        .unwrap();
        while !locked.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        destroy(&place, &name, false).unwrap();
        assert!(done.exists());
        assert_eq!(other.pidfd.wait().unwrap(), Exit::Code(0));
        assert!(!place.container_dir(&name).exists() && !runtime.dir().exists());
        let again = destroy(&place, &name, false).unwrap_err();
        assert!(matches!(again, Error::NoSuchContainer { .. }), "{again}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
