//! A lasting cgroup that no login keeps ends when nothing is in it any more.
//!
//! `berthd` starts one for users without a session where policy allows it. logind knows nothing of
//! it, so nobody but its holder can tell when it is over. The holder looks now and then, and asks
//! `berthd` to stop the units, which it has no right to do itself.

use crate::ask::ask;
use berth_cgroups::{DelegatedBase, Hierarchy};
use berth_common::{Uid, path, unit};
use berth_kernel::process::{self, Child};
use berth_systemd_bus::Wish;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(10);
/// How long nothing must have been in it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after `berthd` refused or did not answer.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// The watch over a lasting cgroup that no login keeps.
pub struct IdleWatch {
    hierarchy: Hierarchy,
    uid: Uid,
    lingers: bool,
    idle_since: Option<Instant>,
    next: Instant,
    asking: Option<Child>,
}

impl IdleWatch {
    /// A watch; `None` if the user's service manager runs or he lingers, since then logind says
    /// when it is over.
    pub fn new(hierarchy: Hierarchy, uid: Uid, lingers: bool) -> Option<Self> {
        let watch = Self {
            hierarchy,
            uid,
            lingers,
            idle_since: None,
            next: Instant::now() + PERIOD,
            asking: None,
        };
        (!watch.is_kept()).then_some(watch)
    }

    /// When to look again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Looks. `false` when there is nothing more to watch: the user has logged in meanwhile, and
    /// from then on the cgroup ends with his service manager.
    pub fn look(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next {
            return true;
        }
        self.next = now + PERIOD;
        if let Some(child) = &self.asking {
            match child.pidfd.try_wait() {
                Ok(None) => return true,
                _ => {
                    // It was not granted, or this process would be gone.
                    self.asking = None;
                    self.idle_since = None;
                    self.next = now + AFTER_REFUSAL;
                    return true;
                }
            }
        }
        if self.is_kept() {
            return false;
        }
        if !self.is_idle() {
            self.idle_since = None;
            return true;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now.duration_since(since) >= PATIENCE {
            self.ask_for_release();
        }
        true
    }

    /// Whether logind keeps the cgroup.
    fn is_kept(&self) -> bool {
        let manager = [
            unit::USER_SLICE,
            &unit::user_slice(self.uid),
            &unit::service_manager(self.uid),
        ]
        .iter()
        .try_fold(self.hierarchy.init_root(), |path, name| path.child(name));
        self.lingers || manager.and_then(|path| self.hierarchy.open(&path)).is_ok()
    }

    fn is_idle(&self) -> bool {
        DelegatedBase::lasting_of(&self.hierarchy, self.uid)
            .and_then(|base| base.map_or(Ok(false), |base| base.is_idle(is_helper)))
            .unwrap_or(false)
    }

    /// In a child: D-Bus takes its time and a thread.
    fn ask_for_release(&mut self) {
        tracing::info!("nothing runs here and nobody is logged in: asking for an end");
        let child = process::fork(|| match ask(Wish::Release) {
            Ok(_) => 0,
            Err(why) => {
                tracing::warn!("the cgroup stays: {why}");
                1
            }
        });
        match child {
            Ok(child) => self.asking = Some(child),
            Err(error) => {
                tracing::warn!("cannot ask for an end: {error}");
                self.next = Instant::now() + AFTER_REFUSAL;
            }
        }
    }
}

/// Whether a process is one of this program's: the holder, the launch service, or what they fork.
/// It may have been replaced on disk since. So is the one that keeps the holder's PAM session.
fn is_helper(pid: i32) -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if process::parent_and_name(pid).is_ok_and(|it| it == (own, unit::PAM_KEEPER.to_owned())) {
        return true;
    }
    let Ok(link) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
        // Gone, or not ours to look at: newuidmap, say.
        return !Path::new(&format!("/proc/{pid}")).exists();
    };
    let link = link.to_string_lossy();
    link.strip_suffix(" (deleted)").unwrap_or(&link) == path::SESSION_HELPER
}
