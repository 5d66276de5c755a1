//! What the monitor and the container's first process tell each other during a start. Every
//! start goes through the messages in this order; anything else is an error.
//!
//! | from    | message     | meaning                                                     |
//! |---------|-------------|-------------------------------------------------------------|
//! | child   | `Isolated`  | its namespaces exist                                        |
//! | monitor | `Mounts`    | mounts that take root's rights on the host; any number      |
//! | monitor | `Go`        | ids are mapped, NICs exist (their names inside), go on      |
//! | child   | `SetUp`     | only where hooks run right before init; `Go` comes again        |
//! | child   | `Notify`    | only where init says when it is ready: the socket for that  |
//! | child   | `Terminals` | both ends of each of its terminals, the master's first      |
//! | child   | `Supervised`| only where system calls wait for a supervisor, from each process |
//! |         |             | that is under the filter: where they wait                   |
//! | child   | `Ready`     | exec of init is next; the end of the stream means it worked |
//! | child   | `Failed`    | instead of any of the above: why, and in which step         |

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use berth_kernel::mount::DetachedMount;
use berth_session_protocol::{Connection, Frame};

use super::host_mounts;
use super::step::Step;

const GO: u8 = 1;
const TERMINALS: u8 = 2;
const READY: u8 = 3;
const FAILED: u8 = 4;
const ISOLATED: u8 = 5;
const MOUNTS: u8 = 6;
const SET_UP: u8 = 7;
const NOTIFY: u8 = 8;
const SUPERVISED: u8 = 9;

/// How many descriptors one message carries: an even number.
pub const DESCRIPTORS_PER_FRAME: usize = 8;

/// What the child can say.
pub enum FromChild {
    /// Its namespaces exist.
    Isolated,
    /// All but its hooks and init itself is done.
    SetUp,
    /// The socket at which init says that it is ready.
    Notify(OwnedFd),
    /// Where system calls wait for a supervisor.
    Supervised(OwnedFd),
    /// Master, slave, master, slave … of terminals.
    Terminals(Vec<OwnedFd>),
    /// Exec of init is next.
    Ready,
    /// It failed: in which step, and why.
    Failed(Option<Step>, String),
}

/// The monitor's word to go on; `nics` are the names inside, in the configuration's order.
pub fn go(nics: &[String]) -> Frame {
    Frame::new(
        GO,
        nics.iter().map(|name| name.clone().into_bytes()).collect(),
    )
}

/// Hands over what [`host_mounts::make`] made.
pub fn send_mounts(
    child: &Connection,
    mounts: &[Option<DetachedMount>],
) -> Result<(), berth_session_protocol::Error> {
    for (there, fds) in host_mounts::packets(mounts, DESCRIPTORS_PER_FRAME) {
        let marks = there.iter().map(|there| vec![u8::from(*there)]).collect();
        child.send(&Frame::new(MOUNTS, marks), &fds)?;
    }
    Ok(())
}

/// What the monitor prepared before it said [`go`].
#[derive(Default)]
pub struct Prepared {
    /// Names of the NICs inside, in the configuration's order.
    pub nics: Vec<String>,
    /// The mounts of [`host_mounts::make`].
    pub mounts: VecDeque<Option<DetachedMount>>,
}

/// The child's namespaces exist.
pub fn isolated() -> Frame {
    Frame::new(ISOLATED, Vec::new())
}

/// All but hooks and init itself is done.
pub fn set_up() -> Frame {
    Frame::new(SET_UP, Vec::new())
}

/// The socket goes with this.
pub fn notify() -> Frame {
    Frame::new(NOTIFY, Vec::new())
}

/// Where system calls wait for a supervisor goes with this.
pub fn supervised() -> Frame {
    Frame::new(SUPERVISED, Vec::new())
}

/// Master and slave of each terminal go with this.
pub fn terminals() -> Frame {
    Frame::new(TERMINALS, Vec::new())
}

/// Exec of init is next.
pub fn ready() -> Frame {
    Frame::new(READY, Vec::new())
}

/// It failed in this step.
pub fn failed(step: Option<Step>, why: &str) -> Frame {
    Frame::new(FAILED, failure(step, why))
}

/// A failure as a message's fields: why, and the step's number if it is known.
pub fn failure(step: Option<Step>, why: &str) -> Vec<Vec<u8>> {
    let mut fields = vec![why.as_bytes().to_vec()];
    fields.extend(step.map(|step| vec![step.number()]));
    fields
}

/// The opposite of [`failure`]; `None` for a failure without a reason.
pub fn failure_of(fields: &[Vec<u8>]) -> (Option<Step>, Option<String>) {
    let why = fields
        .first()
        .map(|why| String::from_utf8_lossy(why).into_owned());
    let step = match fields.get(1).map(Vec::as_slice) {
        Some(&[number]) => Step::of_number(number),
        _ => None,
    };
    (step, why)
}

/// Waits for [`go`]; the end of the stream means that the monitor gave the start up or died.
pub fn wait_for_go(monitor: &Connection) -> Result<Prepared, String> {
    let mut prepared = Prepared::default();
    loop {
        match monitor.recv() {
            Ok(Some((frame, _))) if frame.kind == GO => {
                prepared.nics = frame
                    .fields
                    .iter()
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .collect();
                return Ok(prepared);
            }
            Ok(Some((frame, fds))) if frame.kind == MOUNTS => {
                let there = frame.fields.iter().map(|mark| mark == &[1]);
                prepared.mounts.extend(host_mounts::unpack(there, fds));
            }
            Ok(Some(_)) => return Err("the monitor broke the order of a start".to_owned()),
            Ok(None) => return Err("the monitor gave up".to_owned()),
            Err(error) => return Err(format!("cannot hear the monitor: {error}")),
        }
    }
}

/// The child's next message; `None` at the end of the stream.
pub fn from_child(child: &Connection) -> Result<Option<FromChild>, String> {
    let Some((frame, fds)) = child
        .recv()
        .map_err(|error| format!("cannot hear the container: {error}"))?
    else {
        return Ok(None);
    };
    Ok(Some(match frame.kind {
        ISOLATED => FromChild::Isolated,
        TERMINALS => FromChild::Terminals(fds),
        SET_UP => FromChild::SetUp,
        NOTIFY => match fds.into_iter().next() {
            Some(socket) => FromChild::Notify(socket),
            None => return Err("the container gave no socket for its readiness".to_owned()),
        },
        SUPERVISED => match fds.into_iter().next() {
            Some(listener) => FromChild::Supervised(listener),
            None => return Err("the container gave nothing to supervise".to_owned()),
        },
        READY => FromChild::Ready,
        FAILED => {
            let (step, why) = failure_of(&frame.fields);
            let silent = || "the container failed without saying why".to_owned();
            FromChild::Failed(step, why.unwrap_or_else(silent))
        }
        _ => return Err("the container broke the order of a start".to_owned()),
    }))
}
