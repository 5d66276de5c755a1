//! The caller's end of `berthd`.

use crate::{BusError, SystemBus};
use berth_common::bus;
use std::fmt;
use std::time::Duration;
use zbus::fdo;

/// What `berthd` does for the user who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Start his lasting cgroup.
    Start,
    /// End it, if it was started without a session and nothing is in it any more.
    Release,
    /// Hand the session that he calls from over to him.
    Repair,
}

impl Wish {
    /// The method's name on the bus.
    pub fn method(self) -> &'static str {
        match self {
            Self::Start => bus::START,
            Self::Release => bus::RELEASE,
            Self::Repair => bus::REPAIR,
        }
    }
}

/// Why it was not done.
#[derive(Debug)]
pub enum AskError {
    /// `berthd` says why.
    Refused(String),
    /// `berthd` is not installed, or the bus cannot start it.
    Missing(BusError),
    /// No bus, no answer in time, or one that is not understood.
    Bus(BusError),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Missing(error) => write!(f, "berthd is not there: {error}"),
            Self::Bus(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::Missing(error) | Self::Bus(error) => Some(error),
        }
    }
}

/// Asks `berthd`; the answer is a line for people. Waits at most `limit` for each answer, and at
/// most twice: a `berthd` that was just ending is asked again.
pub fn ask(wish: Wish, limit: Duration) -> Result<String, AskError> {
    let bus = SystemBus::connect(limit).map_err(AskError::Bus)?;
    match ask_once(&bus, wish) {
        Err(zbus::Error::FDO(error)) if matches!(*error, fdo::Error::NoReply(_)) => {
            ask_once(&bus, wish)
        }
        answer => answer,
    }
    .map_err(|error| {
        let refused = match &error {
            zbus::Error::MethodError(name, Some(why), _)
                if [bus::REFUSED, bus::BUSY, bus::FAILED].contains(&name.as_str()) =>
            {
                Some(why.clone())
            }
            _ => None,
        };
        let missing = matches!(&error, zbus::Error::FDO(error)
            if matches!(**error, fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_)));
        let error = BusError::new("ask berthd", error);
        match refused {
            Some(why) => AskError::Refused(why),
            None if missing => AskError::Missing(error),
            None => AskError::Bus(error),
        }
    })
}

fn ask_once(bus: &SystemBus, wish: Wish) -> zbus::Result<String> {
    zbus::block_on(async {
        let answer = bus
            .connection
            .call_method(
                Some(bus::NAME),
                bus::PATH,
                Some(bus::INTERFACE),
                wish.method(),
                &(),
            )
            .await?;
        answer.body().deserialize()
    })
}
