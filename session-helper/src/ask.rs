//! Asking `berthd` on a user's behalf, for programs that do not speak D-Bus themselves.

use berth_systemd_bus::Wish;
use std::sync::mpsc;
use std::time::Duration;

/// How long `berthd` may take. Starting a cgroup is given 10 seconds there.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);
/// For all of it: connecting to the bus has no limit of its own, and an answer may be asked for
/// twice.
const LIMIT: Duration = Duration::from_secs(15);

/// What the command line calls the wishes.
pub const WORDS: [(&str, Wish); 3] = [
    ("start", Wish::Start),
    ("release", Wish::Release),
    ("repair", Wish::Repair),
];

/// Asks, and waits at most 15 seconds; a line for people either way. Starts a thread, so programs
/// that fork do it in a child.
pub fn ask(wish: Wish) -> Result<String, String> {
    let (answer, inbox) = mpsc::channel();
    std::thread::spawn(move || {
        let asked = berth_systemd_bus::ask(wish, ANSWER_LIMIT);
        let _ = answer.send(asked.map_err(|error| error.to_string()));
    });
    inbox.recv_timeout(LIMIT).unwrap_or_else(|_| {
        Err(format!(
            "berthd did not answer within {} seconds (see: systemctl status {})",
            LIMIT.as_secs(),
            berth_common::unit::BERTHD
        ))
    })
}
