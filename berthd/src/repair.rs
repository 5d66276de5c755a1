//! A login session that was not handed over to its user when it opened: it is older than the
//! installation, or its PAM stack lacks `pam_berth`.

use crate::error::Refusal;
use crate::policy;
use berth_cgroups::session::{
    class_has_person, hand_over, is_session_id, service_has_person, session_owner,
};
use berth_cgroups::slice::{self, Attach};
use berth_cgroups::{CgroupDir, CgroupPath, DelegatedBase, Error, Hierarchy};
use berth_common::{Gid, Uid, cgroup, path, unit};
use berth_kernel::fs;
use berth_kernel::process::PidFd;
use berth_systemd_bus::{Caller, Session, SystemBus};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// No step of a hand-over is begun later than this. Nobody's login waits for it.
const LIMIT: Duration = Duration::from_secs(3);
/// PAM has a few dozen services, and their files are short.
const MAX_PAM_FILES: usize = 1000;
const MAX_PAM_FILE: usize = 256 * 1024;

/// Hands the session that the caller is in over to him; a line for him.
pub fn repair(bus: &SystemBus, caller: &mut Caller) -> Result<String, Refusal> {
    let user = policy::person(caller.uid)?;
    if !policy::read_config()?.repair_sessions {
        return Err(Refusal::Refused(format!(
            "an administrator does not want sessions to be repaired (repair-sessions in {})",
            path::BERTHD_CONF
        )));
    }
    let pam = Path::new(path::PAM_DIR);
    if let Some(file) = service_that_says(pam, "session", "none") {
        return Err(Refusal::Refused(format!(
            "an administrator does not want sessions to be delegated (session=none in {file})"
        )));
    }
    // From here on the number means this process or, once it has ended, perhaps another one; the
    // look at the descriptor after the last use of the number tells.
    let process = match caller.process.take() {
        Some(fd) => PidFd::from_owned(fd),
        None => PidFd::open(caller.pid).map_err(|_| gone())?,
    };
    let session = session_of(bus, caller)?;
    let hierarchy = Hierarchy::detect().map_err(Refusal::failed)?;
    let path = scope_path(&hierarchy, &session)?;
    let own = hierarchy.path_of_pid(caller.pid).map_err(Refusal::failed)?;
    if path.suffix_of(&own).is_none() {
        return Err(Refusal::Refused(format!(
            "the process that asks is in {own}, not in its session's {path}"
        )));
    }
    let again = session_of(bus, caller)?;
    if process.has_ended().unwrap_or(true) || again != session {
        return Err(gone());
    }
    let scope = hierarchy.open(&path).map_err(Refusal::failed)?;
    if is_handed_over(&hierarchy, &scope, &path, user.uid) {
        return Ok(format!("session {} is delegated already", session.id));
    }
    check_scope(&scope, &session)?;
    let deadline = Instant::now() + LIMIT;
    match hand_over(&scope, user.uid, user.gid, || Instant::now() < deadline) {
        Ok(controllers) => {
            let without = controllers.refused.iter().map(|(name, _)| name.as_str());
            let without = without.collect::<Vec<_>>().join(" ");
            if service_that_says(pam, "attach", "session").is_none() {
                open_slice(&hierarchy, &path, user.uid, user.gid);
            }
            tracing::info!(
                "user {} ({}), process {}: delegated {path}{}",
                user.uid,
                user.name,
                caller.pid,
                without_words(&without)
            );
            Ok(format!(
                "session {} is delegated now{}",
                session.id,
                without_words(&without)
            ))
        }
        Err(Error::OutOfTime { .. } | Error::NotDrained { .. }) => Err(Refusal::Failed(format!(
            "session {} was not delegated: its processes could not all be moved within {} \
             seconds; try again when fewer are being started",
            session.id,
            LIMIT.as_secs()
        ))),
        Err(error) => Err(Refusal::Failed(format!(
            "session {} was not delegated: {error}",
            session.id
        ))),
    }
}

/// Lets the user move processes between his sessions, as a login would have. The session is his
/// whether or not that can be had.
fn open_slice(hierarchy: &Hierarchy, session: &CgroupPath, uid: Uid, gid: Gid) {
    let slice = session.parent().unwrap_or_else(CgroupPath::root);
    match hierarchy
        .open(&slice)
        .and_then(|slice| slice::open_to_user(&slice, uid, gid))
    {
        Ok(Attach::Any) => {}
        Ok(Attach::NoControllers) => tracing::debug!("{slice} has no controller on"),
        Ok(Attach::Undelegated(scope)) => {
            tracing::debug!("{} in {slice} is not delegated", scope.display());
        }
        Err(error) => tracing::warn!("no attaching from session to session: {error}"),
    }
}

fn without_words(without: &str) -> String {
    if without.is_empty() {
        String::new()
    } else {
        format!(", but without {without}")
    }
}

fn gone() -> Refusal {
    Refusal::Refused("the process that asks has ended or changed its session".to_owned())
}

/// The caller's session, if it is his own and one in which somebody works.
fn session_of(bus: &SystemBus, caller: &Caller) -> Result<Session, Refusal> {
    let session = bus.session_of(caller.pid).map_err(Refusal::failed)?;
    let session = session.ok_or_else(|| {
        Refusal::Refused(
            "the process that asks is in no login session, so there is none to delegate (services, \
             cron and at have none)"
                .to_owned(),
        )
    })?;
    if session.uid != caller.uid {
        return Err(Refusal::Refused(format!(
            "session {} is {}'s: su and sudo stay in the session that they are called in, and it \
             is left alone. For a session of your own: ssh localhost, machinectl shell USER@",
            session.id, session.user
        )));
    }
    if !class_has_person(&session.class) || !service_has_person(&session.service) {
        return Err(Refusal::Refused(format!(
            "session {} is of class {} and came by {}: nobody works in such a session",
            session.id, session.class, session.service
        )));
    }
    Ok(session)
}

/// Where the session's scope is; its id and name come from logind and are checked all the same.
fn scope_path(hierarchy: &Hierarchy, session: &Session) -> Result<CgroupPath, Refusal> {
    let strange = || {
        Refusal::Failed(format!(
            "logind calls the session's unit {}, which is no session's scope",
            session.scope.escape_debug()
        ))
    };
    if !is_session_id(&session.id) || session.scope != unit::session_scope(&session.id) {
        return Err(strange());
    }
    let root = hierarchy.init_root();
    let slice = unit::user_slice(session.uid);
    let path = [unit::USER_SLICE, &slice, &session.scope]
        .iter()
        .try_fold(root.clone(), |path, name| path.child(name))
        .map_err(Refusal::failed)?;
    match session_owner(&root, &path, &session.id) {
        Some(owner) if owner == session.uid => Ok(path),
        _ => Err(strange()),
    }
}

/// Whether the scope is the user's, which comes last, and has its leaf: nothing is left to do.
fn is_handed_over(hierarchy: &Hierarchy, scope: &CgroupDir, path: &CgroupPath, uid: Uid) -> bool {
    let base = DelegatedBase::around(hierarchy, path.clone(), uid);
    let is_base = base.is_ok_and(|base| base.is_some_and(|base| base.path() == path));
    is_base
        && scope.child(cgroup::LEAF).is_ok()
        && scope.processes().is_ok_and(|here| here.is_empty())
}

/// An error unless the scope may change hands.
fn check_scope(scope: &CgroupDir, session: &Session) -> Result<(), Refusal> {
    if !scope.is_marked_delegated().map_err(Refusal::failed)? {
        return Err(Refusal::Refused(format!(
            "systemd has not marked session {} as delegated: it is older than Berth on this host, \
             or session-.scope.d/50-berth.conf is missing or systemd older than 252. Log out and \
             in again (an administrator: systemctl daemon-reload, once, before that)",
            session.id
        )));
    }
    let owner = scope.owner().map_err(Refusal::failed)?.0;
    if owner != session.uid.raw() && owner != Uid::ROOT.raw() {
        return Err(Refusal::Refused(format!(
            "the scope of session {} belongs to uid {owner}",
            session.id
        )));
    }
    Ok(())
}

/// The first file of PAM's configuration in which `KEY=VALUE` stands in a line of `pam_berth`:
/// whoever wrote it wants that for sessions that are handed over after the fact, too.
fn service_that_says(dir: &Path, key: &str, value: &str) -> Option<String> {
    let names = fs::open_dir(dir)
        .and_then(|dir| fs::entries(dir.as_fd(), MAX_PAM_FILES))
        .unwrap_or_default();
    names.into_iter().find_map(|(name, _)| {
        let file = dir.join(&name);
        let bytes = fs::open_regular(&file)
            .and_then(|open| fs::read_bounded(open, MAX_PAM_FILE))
            .ok()?;
        says(&String::from_utf8_lossy(&bytes), key, value).then(|| file.display().to_string())
    })
}

fn says(text: &str, key: &str, value: &str) -> bool {
    text.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut last = None;
        let mut words = line.split_whitespace();
        if !words.any(|word| word.rsplit('/').next() == Some("pam_berth.so")) {
            return false;
        }
        for word in words {
            if let Some((_, said)) = word.split_once('=').filter(|(name, _)| *name == key) {
                last = Some(said);
            }
        }
        last == Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_none_is_found_where_pam_would_find_it() {
        for (text, is_none) in [
            ("session optional pam_berth.so session=none\n", true),
            (
                "-session\toptional\t/lib/security/pam_berth.so debug session=none",
                true,
            ),
            ("session optional pam_berth.so\n", false),
            ("session optional pam_berth.so session=delegate\n", false),
            (
                "session optional pam_berth.so session=none session=delegate\n",
                false,
            ),
            ("# session optional pam_berth.so session=none\n", false),
            ("session optional pam_berth.so # session=none\n", false),
            ("session optional pam_other.so session=none\n", false),
            ("", false),
        ] {
            assert_eq!(says(text, "session", "none"), is_none, "{text:?}");
        }
        let both = "session optional pam_berth.so attach=session session=delegate";
        assert!(says(both, "attach", "session") && !says(both, "session", "none"));
    }

    #[test]
    fn only_a_sessions_own_scope_is_believed() {
        let hierarchy = Hierarchy::detect().expect("these tests need a mounted cgroup v2");
        let session = |id: &str, scope: &str| Session {
            id: id.into(),
            uid: Uid::new(1000).unwrap(),
            user: "alice".into(),
            class: "user".into(),
            service: "sshd".into(),
            scope: scope.into(),
        };
        let path = scope_path(&hierarchy, &session("3", "session-3.scope")).unwrap();
        assert!(
            path.as_path()
                .ends_with("user.slice/user-1000.slice/session-3.scope")
        );
        for (id, scope) in [
            ("3", "session-4.scope"),
            ("../3", "session-../3.scope"),
            ("3", "init.scope"),
            ("", "session-.scope"),
            ("3", ""),
        ] {
            assert!(
                scope_path(&hierarchy, &session(id, scope)).is_err(),
                "{id} {scope}"
            );
        }
    }
}
