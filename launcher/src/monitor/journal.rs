//! The journal of systemd, in its own form, so that a line carries its container and that one's
//! owner as fields: `journalctl BERTH_CONTAINER=web`. Whoever may write to the journal may claim such
//! fields; `_UID` beside them is the journal's own knowledge.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::printable::cell;
use crate::start::plan::LogPlan;

/// Where it listens (systemd's JOURNAL_NATIVE_PROTOCOL).
const SOCKET: &str = "/run/systemd/journal/socket";
/// LOG_INFO of syslog(3).
const INFO: u8 = 6;
/// A longer line of a console is several, in bytes.
const LONGEST_LINE: usize = 2048;
/// So many lines of a console within [`WINDOW`]: the journal is shared, and bounded by unit only.
const MOST_LINES: u32 = 2000;
const WINDOW: Duration = Duration::from_secs(30);

/// Writes a line of a monitor's.
pub fn line(log: &LogPlan, priority: u8, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let entry = entry(log, "berth-monitor", priority, text);
    socket.send_to(&entry, SOCKET).map(drop)
}

/// Fields of one line, which names the container for those who see several. No value has an end of
/// line in it, so each is a line by itself.
fn entry(log: &LogPlan, program: &str, priority: u8, text: &str) -> Vec<u8> {
    let pid = std::process::id();
    let mut entry = format!(
        "MESSAGE={}: {}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER={program}\nSYSLOG_PID={pid}\n\
         BERTH_CONTAINER={}\nBERTH_OWNER={}\nBERTH_OWNER_UID={}\n",
        cell(&log.name),
        cell(text),
        cell(&log.name),
        cell(&log.owner.0),
        log.owner.1
    );
    if let Some(facility) = log.syslog {
        entry.push_str(&format!("SYSLOG_FACILITY={}\n", facility.number()));
    }
    entry.into_bytes()
}

/// What a console prints, line by line.
pub struct Console {
    log: LogPlan,
    socket: UnixDatagram,
    /// The beginning of a line.
    line: Vec<u8>,
    budget: Budget,
}

impl Console {
    /// `None` where there is no journal.
    pub fn open(log: &LogPlan) -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.connect(SOCKET).ok()?;
        Some(Self {
            log: log.clone(),
            socket,
            line: Vec::new(),
            budget: Budget::new(Instant::now()),
        })
    }

    /// Takes output; whole lines are written.
    pub fn push(&mut self, output: &[u8]) {
        for byte in output {
            match byte {
                b'\n' => self.end_line(),
                b'\r' => {}
                byte => {
                    self.line.push(*byte);
                    if self.line.len() >= LONGEST_LINE {
                        self.end_line();
                    }
                }
            }
        }
    }

    /// Writes what is there of a line that does not end.
    pub fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        match self.budget.take(Instant::now()) {
            Verdict::Write => {}
            Verdict::LeaveOut => return,
            Verdict::WriteAfter(lost) => {
                self.write(&format!("{lost} lines of the console are left out here"));
            }
        }
        self.write(text);
    }

    /// A journal that is slow or gone misses something, and holds up nobody.
    fn write(&self, text: &str) {
        let _ = self
            .socket
            .send(&entry(&self.log, "berth-console", INFO, text));
    }
}

/// Counts lines.
struct Budget {
    begun: Instant,
    written: u32,
    lost: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Write,
    LeaveOut,
    /// So many were left out before.
    WriteAfter(u32),
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self {
            begun: now,
            written: 0,
            lost: 0,
        }
    }

    fn take(&mut self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.begun) >= WINDOW {
            let lost = self.lost;
            *self = Self::new(now);
            self.written = 1;
            return match lost {
                0 => Verdict::Write,
                lost => Verdict::WriteAfter(lost),
            };
        }
        if self.written >= MOST_LINES {
            self.lost = self.lost.saturating_add(1);
            return Verdict::LeaveOut;
        }
        self.written += 1;
        Verdict::Write
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_container_config::LogLevel;

    fn log() -> LogPlan {
        LogPlan {
            name: "web".to_owned(),
            owner: ("alice".to_owned(), 1000),
            file: "/nowhere".into(),
            level: LogLevel::Notice,
            syslog: None,
        }
    }

    #[test]
    fn what_a_container_prints_is_one_field_whatever_it_is() {
        let text = "x\nBERTH_OWNER=root\n_UID=0\u{1b}[2J";
        let entry = String::from_utf8(entry(&log(), "berth-console", 6, text)).unwrap();
        let lines: Vec<&str> = entry.lines().collect();
        assert_eq!(
            lines[0],
            "MESSAGE=web: x\\nBERTH_OWNER=root\\n_UID=0\\u{1b}[2J"
        );
        let pid = format!("SYSLOG_PID={}", std::process::id());
        assert_eq!(
            lines[1..],
            [
                "PRIORITY=6",
                "SYSLOG_IDENTIFIER=berth-console",
                &pid,
                "BERTH_CONTAINER=web",
                "BERTH_OWNER=alice",
                "BERTH_OWNER_UID=1000",
            ]
        );
    }

    #[test]
    fn lines_are_put_together_and_long_ones_divided() {
        let (socket, journal) = UnixDatagram::pair().unwrap();
        journal.set_nonblocking(true).unwrap();
        let mut console = Console {
            log: log(),
            socket,
            line: Vec::new(),
            budget: Budget::new(Instant::now()),
        };
        console.push(b"Wel");
        console.push(b"come\r\n\r\n  \nlogin: ");
        console.push(&[b'a'; LONGEST_LINE]);
        console.end_line();
        let mut buffer = [0; 8192];
        let mut heard = Vec::new();
        while let Ok(length) = journal.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let message = text.lines().next().unwrap_or_default();
            heard.push(message.trim_start_matches("MESSAGE=web: ").to_owned());
        }
        assert_eq!(heard.len(), 3, "{heard:?}");
        assert_eq!(heard[0], "Welcome");
        assert_eq!(heard[1].len(), LONGEST_LINE);
        assert_eq!(heard[2], "a".repeat("login: ".len()));
    }

    #[test]
    fn a_flood_is_left_out_and_told() {
        let begin = Instant::now();
        let mut budget = Budget::new(begin);
        for _ in 0..MOST_LINES {
            assert_eq!(budget.take(begin), Verdict::Write);
        }
        for _ in 0..7 {
            assert_eq!(budget.take(begin), Verdict::LeaveOut);
        }
        assert_eq!(budget.take(begin + WINDOW), Verdict::WriteAfter(7));
        assert_eq!(budget.take(begin + WINDOW), Verdict::Write);
    }
}
