//! The bus: takes calls, finds out who calls, keeps to the limits, answers.
//!
//! One thread reads the connection and never waits for anything else, since answers to our own
//! calls come the same way. The main thread asks the bus who called and gives each request that
//! the limits allow to a thread of its own.

use crate::error::Refusal;
use crate::limit::{Busy, Limiter};
use crate::{repair, start};
use berth_common::bus;
use berth_kernel::ready::Readiness;
use berth_systemd_bus::{BusError, Caller, SystemBus, Wish, notify};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zbus::export::futures_core::Stream;
use zbus::fdo::RequestNameFlags;
use zbus::message::{Message, Type};
use zbus::{MatchRule, MessageStream};

/// When nobody has asked for so long, the program ends.
pub const IDLE: Duration = Duration::from_secs(30);
/// How long the bus, systemd and logind may take for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Calls that wait for the main thread, of all senders.
const MAX_QUEUED: usize = 1024;
/// Calls of one sender that wait.
const MAX_QUEUED_PER_SENDER: usize = 4;
/// What was sent before the name was given back has arrived by then.
const LAST_CALLS: Duration = Duration::from_millis(100);
/// The service is about to end (sd_notify(3)): systemd does not take the name's going for a failure.
const STOPPING: &str = "STOPPING=1";

const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// A connection on which calls arrive one at a time.
pub type Calls = Receiver<Call>;

/// A call that waits for its turn.
#[derive(Debug)]
pub struct Call {
    message: Message,
    queue: Queue,
}

/// How many calls of each sender wait.
#[derive(Clone, Debug, Default)]
struct Queue(Arc<Mutex<HashMap<String, usize>>>);

impl Queue {
    /// Counts a call; `None` if its sender has too many waiting.
    fn enter(&self, message: Message) -> Option<Call> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(sender(&message)).or_default();
        if *count >= MAX_QUEUED_PER_SENDER {
            return None;
        }
        *count += 1;
        let queue = self.clone();
        Some(Call { message, queue })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender(&self.message);
        if let Some(count) = waiting.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&sender);
            }
        }
    }
}

/// The sender's unique name, which the bus writes into each message; it is never given twice.
fn sender(message: &Message) -> String {
    let header = message.header();
    header.sender().map(ToString::to_string).unwrap_or_default()
}

/// Serves the bus until nobody has asked for `idle`, or the bus is gone. `ready` is told when the
/// name on the bus is taken.
pub fn run(idle: Option<Duration>, ready: Readiness) -> Result<(), BusError> {
    let bus = SystemBus::connect(ANSWER_LIMIT)?;
    let calls = read_calls(&bus)?;
    // Nobody can take the name away, and it is taken from nobody.
    let flags = RequestNameFlags::DO_NOT_QUEUE;
    zbus::block_on(bus.connection().request_name_with_flags(bus::NAME, flags))
        .map_err(|error| BusError::new(format!("take the name {}", bus::NAME), error))?;
    if let Err(error) = ready.tell() {
        tracing::warn!("cannot say that it is ready: {error}");
    }
    let server = Server {
        bus,
        limiter: Arc::default(),
    };
    server.serve(&calls, idle);
    Ok(())
}

/// Starts the thread that reads.
fn read_calls(bus: &SystemBus) -> Result<Calls, BusError> {
    let (calls, inbox) = sync_channel(MAX_QUEUED);
    let connection = bus.connection().clone();
    let rule = MatchRule::builder().msg_type(Type::MethodCall).build();
    let mut stream = rule
        .and_then(|rule| zbus::block_on(MessageStream::for_match_rule(rule, &connection, None)))
        .map_err(|error| BusError::new("read calls", error))?;
    std::thread::spawn(move || {
        let queue = Queue::default();
        while let Some(message) =
            zbus::block_on(poll_fn(|context| Pin::new(&mut stream).poll_next(context)))
        {
            if let Ok(message) = message
                && !take(&calls, &queue, &message)
            {
                let full = Refusal::Busy("too many requests wait for berthd".to_owned());
                answer(&connection, &message, Err(full));
            }
        }
    });
    Ok(inbox)
}

/// Puts a call into the queue, if there is room.
fn take(calls: &SyncSender<Call>, queue: &Queue, message: &Message) -> bool {
    let call = queue.enter(message.clone());
    call.is_some_and(|call| !matches!(calls.try_send(call), Err(TrySendError::Full(_))))
}

struct Server {
    bus: SystemBus,
    limiter: Arc<Mutex<Limiter>>,
}

impl Server {
    fn serve(&self, calls: &Calls, idle: Option<Duration>) {
        loop {
            match calls.recv_timeout(idle.unwrap_or(IDLE)) {
                Ok(call) => self.hear(call),
                Err(RecvTimeoutError::Timeout) if idle.is_some() && self.is_idle() => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let _ = notify(STOPPING);
        let _ = zbus::block_on(self.bus.connection().release_name(bus::NAME));
        while let Ok(call) = calls.recv_timeout(LAST_CALLS) {
            self.hear(call);
        }
        while !self.is_idle() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_idle(&self) -> bool {
        lock(&self.limiter).is_idle()
    }

    fn hear(&self, call: Call) {
        let header = call.message.header();
        let interface = header.interface().map(|name| name.as_str());
        let member = header.member().map_or("", |name| name.as_str());
        let connection = self.bus.connection();
        let wish = [Wish::Start, Wish::Release, Wish::Repair]
            .into_iter()
            .find(|wish| wish.method() == member);
        match (interface, wish) {
            (None | Some(bus::INTERFACE), Some(wish)) => {
                if let Err(refusal) = self.begin(&call, wish) {
                    answer(connection, &call.message, Err(refusal));
                }
            }
            (Some("org.freedesktop.DBus.Introspectable"), _) if member == "Introspect" => {
                answer(connection, &call.message, Ok(introspection()));
            }
            (Some("org.freedesktop.DBus.Peer"), _) if member == "Ping" => {
                let _ = zbus::block_on(connection.reply(&header, &()));
            }
            _ => {
                let text = format!("berthd has no method “{}”", member.escape_debug());
                let _ = zbus::block_on(connection.reply_error(&header, UNKNOWN_METHOD, &text));
            }
        }
    }

    /// Finds out who calls and begins what he wishes, in a thread of its own.
    fn begin(&self, call: &Call, wish: Wish) -> Result<(), Refusal> {
        let message = call.message.clone();
        let header = message.header();
        if header.path().map(|path| path.as_str()) != Some(bus::PATH) {
            return Err(Refusal::Refused(format!("the object is {}", bus::PATH)));
        }
        if !header.signature().to_string().is_empty() {
            return Err(Refusal::Refused("no arguments are taken".to_owned()));
        }
        let sender = header.sender().ok_or_else(unknown_caller)?;
        let caller = self.bus.caller(sender).map_err(Refusal::failed)?;
        let caller = caller.ok_or_else(unknown_caller)?;
        let uid = caller.uid;
        lock(&self.limiter)
            .begin(uid, Instant::now())
            .map_err(|busy| too_much(&caller, busy))?;
        let (bus, limiter) = (self.bus.clone(), Arc::clone(&self.limiter));
        let work = {
            let message = message.clone();
            move || {
                // Also when the work panics.
                let _running = Running {
                    limiter,
                    caller: uid,
                };
                let done = fulfil(&bus, caller, wish);
                answer(bus.connection(), &message, done);
            }
        };
        match std::thread::Builder::new().spawn(work) {
            Ok(_) => Ok(()),
            Err(error) => {
                lock(&self.limiter).end(uid);
                Err(Refusal::Failed(format!("cannot start a thread: {error}")))
            }
        }
    }
}

/// A request under way.
struct Running {
    limiter: Arc<Mutex<Limiter>>,
    caller: berth_common::Uid,
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.limiter).end(self.caller);
    }
}

fn lock(limiter: &Mutex<Limiter>) -> std::sync::MutexGuard<'_, Limiter> {
    limiter.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fulfil(bus: &SystemBus, mut caller: Caller, wish: Wish) -> Result<String, Refusal> {
    let (uid, pid) = (caller.uid, caller.pid);
    let done = match wish {
        Wish::Start => start::start(bus, &caller),
        Wish::Release => start::release(bus, &caller),
        Wish::Repair => repair::repair(bus, &mut caller),
    };
    if let Err(refusal) = &done {
        let name = wish.method();
        match refusal {
            Refusal::Failed(why) => tracing::warn!("user {uid}, process {pid}: {name}: {why}"),
            _ => tracing::info!("refused user {uid}, process {pid}: {name}: {refusal}"),
        }
    }
    done
}

fn too_much(caller: &Caller, busy: Busy) -> Refusal {
    let why = match busy {
        Busy::OwnRequest => "another request of yours is under way: try again when it is over",
        Busy::TooOften { first } => {
            if first {
                tracing::info!(
                    "user {}, process {}: asks too often, refused from now on",
                    caller.uid,
                    caller.pid
                );
            }
            "you ask too often: try again in a few seconds"
        }
        Busy::Full => "too many users ask at a time: try again in a few seconds",
    };
    Refusal::Busy(why.to_owned())
}

fn unknown_caller() -> Refusal {
    Refusal::Failed("the bus does not say who you are".to_owned())
}

/// Answers a call; a caller that has gone gets none.
fn answer(connection: &zbus::Connection, call: &Message, answer: Result<String, Refusal>) {
    let header = call.header();
    let _ = match answer {
        Ok(line) => zbus::block_on(connection.reply(&header, &line)),
        Err(refusal) => {
            zbus::block_on(connection.reply_error(&header, refusal.name(), &refusal.to_string()))
        }
    };
}

fn introspection() -> String {
    let methods: String = [Wish::Start, Wish::Release, Wish::Repair]
        .iter()
        .map(|wish| {
            format!(
                "  <method name=\"{}\"><arg type=\"s\" direction=\"out\"/></method>\n",
                wish.method()
            )
        })
        .collect();
    format!(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\" \
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n \
         <interface name=\"{}\">\n{methods} </interface>\n</node>\n",
        bus::INTERFACE
    )
}
