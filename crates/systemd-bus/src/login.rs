//! The login manager on the system bus (org.freedesktop.login1(5)).

use crate::{BusError, SystemBus};
use berth_common::Uid;
use zbus::proxy::CacheProperties;
use zbus::wire::OwnedObjectPath;

/// What logind answers for a user of whom it holds nothing.
const NO_USER: &str = "org.freedesktop.login1.NoSuchUser";
/// What logind answers for a process that is in no session.
const NO_SESSION: &str = "org.freedesktop.login1.NoSessionForPID";

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait LoginManager {
    #[zbus(name = "GetSessionByPID")]
    async fn get_session_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;

    async fn get_user(&self, uid: u32) -> zbus::Result<OwnedObjectPath>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.User",
    default_service = "org.freedesktop.login1"
)]
trait LoginUser {
    #[zbus(property(emits_changed_signal = "false"))]
    fn sessions(&self) -> zbus::Result<Vec<(String, OwnedObjectPath)>>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Session",
    default_service = "org.freedesktop.login1"
)]
trait LoginSession {
    #[zbus(property(emits_changed_signal = "false"))]
    fn id(&self) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn user(&self) -> zbus::Result<(u32, OwnedObjectPath)>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn name(&self) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn class(&self) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn service(&self) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn scope(&self) -> zbus::Result<String>;
}

/// A login session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub uid: Uid,
    /// His name.
    pub user: String,
    /// `user`, `greeter` …
    pub class: String,
    /// The PAM service that it came by.
    pub service: String,
    /// Its unit.
    pub scope: String,
}

impl SystemBus {
    /// The session that a process is in; `None` if it is in none.
    pub fn session_of(&self, pid: i32) -> Result<Option<Session>, BusError> {
        let operation = "ask for the caller's session";
        let pid = u32::try_from(pid).unwrap_or(0);
        let asked = self.call(operation, async {
            let manager = LoginManagerProxy::new(&self.connection).await?;
            let path = manager.get_session_by_pid(pid).await?;
            let session = LoginSessionProxy::builder(&self.connection)
                .path(path)
                .cache_properties(CacheProperties::No);
            let session = session.build().await?;
            let (uid, _) = session.user().await?;
            Ok(Session {
                id: session.id().await?,
                uid: Uid::new(uid).ok_or(zbus::Error::InvalidReply)?,
                user: session.name().await?,
                class: session.class().await?,
                service: session.service().await?,
                scope: session.scope().await?,
            })
        });
        match asked {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.name() == Some(NO_SESSION) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a user has a login session.
    pub fn has_session(&self, uid: Uid) -> Result<bool, BusError> {
        let asked = self.call(format!("ask for the sessions of user {uid}"), async {
            let manager = LoginManagerProxy::new(&self.connection).await?;
            let path = manager.get_user(uid.raw()).await?;
            let user = LoginUserProxy::builder(&self.connection)
                .path(path)
                .cache_properties(CacheProperties::No);
            user.build().await?.sessions().await
        });
        match asked {
            Ok(sessions) => Ok(!sessions.is_empty()),
            Err(error) if error.name() == Some(NO_USER) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
