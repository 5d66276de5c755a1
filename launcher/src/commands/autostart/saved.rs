//! What came of the last run: written down while it goes on, so that it is told exactly also where a
//! power cut ended it.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use berth_autostart::{Direction, Entry, Report};
use berth_common::ContainerName;
use berth_kernel::process;
use berth_kernel::{cred, fs};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::now;

/// The longest report that is read, in bytes.
const MAX_FILE: usize = 4 << 20;
/// The longest reason that is written down, in bytes.
const MAX_WHY: usize = 2048;

/// Which of the two reports: each has its file beside the containers, as their owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the last start.
    Start,
    /// Of the last stop.
    Stop,
}

impl Kind {
    /// Of a run in this direction. A reboot is neither: it changes nothing of what was started.
    pub fn of(direction: Direction) -> Option<Self> {
        match direction {
            Direction::Start => Some(Self::Start),
            Direction::Shutdown => Some(Self::Stop),
            Direction::Reboot => None,
        }
    }

    /// No container's name begins with a dot.
    const fn file(self) -> &'static str {
        match self {
            Self::Start => ".berth-last-start.json",
            Self::Stop => ".berth-last-stop.json",
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `start` or `stop`.
    pub run: String,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// When it ended; `None`: it goes on, or was cut off.
    pub ended: Option<u64>,
    /// `running`, `done`, or `interrupted`: it was killed, or the host went down.
    #[serde(default)]
    pub state: String,
    /// Its exit code.
    pub exit_code: Option<u8>,
    /// The kernel's number of the boot that it was in (proc_sys_kernel(5), boot_id).
    pub boot: String,
    /// Its process.
    pub process: i32,
    /// Every container of it.
    pub containers: Vec<Line>,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// `started`, `stopped`, `killed`, `already`, `failed`, `timeout`, `unreadable`, or `waiting`
    /// while nothing is known yet.
    pub outcome: String,
    /// Why it is not where it was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// How long that took, in seconds.
    pub seconds: f64,
}

impl Line {
    fn new(name: &ContainerName, outcome: &str) -> Self {
        Self {
            name: name.to_string(),
            outcome: outcome.to_owned(),
            why: None,
            tries: 0,
            seconds: 0.0,
        }
    }

    /// Whether it is not where it was to be.
    pub fn is_bad(&self) -> bool {
        matches!(&*self.outcome, "failed" | "timeout" | "unreadable")
    }
}

impl Run {
    /// One that begins now.
    pub fn begin<'c>(
        kind: Kind,
        names: impl Iterator<Item = &'c ContainerName>,
        broken: &[(ContainerName, String)],
    ) -> Self {
        let unreadable = broken.iter().map(|(name, why)| Line {
            why: Some(shortened(why)),
            ..Line::new(name, "unreadable")
        });
        let waiting = names.map(|name| Line::new(name, "waiting"));
        Self {
            run: match kind {
                Kind::Start => "start",
                Kind::Stop => "stop",
            }
            .to_owned(),
            began: now(),
            ended: None,
            state: "running".to_owned(),
            exit_code: None,
            boot: boot(),
            process: i32::try_from(std::process::id()).unwrap_or_default(),
            containers: unreadable.chain(waiting).collect(),
        }
    }

    /// One container's outcome is known.
    pub fn note(&mut self, entry: &Entry) {
        let mut lines = self.containers.iter_mut();
        let waiting =
            |line: &&mut Line| line.name == entry.name.as_str() && line.outcome == "waiting";
        if let Some(line) = lines.find(waiting) {
            line.outcome = entry.outcome.word().to_owned();
            line.why = entry.outcome.why().map(shortened);
            line.tries = entry.tries;
            line.seconds = (entry.took.as_secs_f64() * 1000.0).round() / 1000.0;
        }
    }

    /// It is over.
    pub fn end(&mut self, exit_code: u8) {
        self.ended = Some(now());
        self.state = "done".to_owned();
        self.exit_code = Some(exit_code);
    }

    /// Writes it down; readers see the former one or this one, whole.
    pub fn write(&self, place: &Place, kind: Kind) -> Result<()> {
        let path = place.lxcpath.join(kind.file());
        let failed = |error| Error::file("write", &path, error);
        let dir = match fs::open_dir(&place.lxcpath) {
            // Where no container is, nothing came of any.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed)?,
        };
        let status = fs::status(dir.as_fd()).map_err(failed)?;
        if status.uid != cred::effective_uid().raw() {
            return Err(Error::other(format!(
                "{} is another user's, no report is written there",
                place.lxcpath.display()
            )));
        }
        let mut bytes = serde_json::to_vec(self)
            .map_err(|error| Error::other(format!("cannot write the report down: {error}")))?;
        bytes.push(b'\n');
        let name = OsStr::new(kind.file());
        fs::write_atomically(dir.as_fd(), name, &bytes, 0o600, fs::Durability::Content)
            .map_err(failed)
    }
}

/// The last run of a kind, if there was one.
pub fn read(place: &Place, kind: Kind) -> Result<Option<Run>> {
    let path = place.lxcpath.join(kind.file());
    let failed = |error| Error::file("read", &path, error);
    let file = match fs::open_regular(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let bytes = fs::read_bounded(file, MAX_FILE).map_err(failed)?;
    let mut run: Run = serde_json::from_slice(&bytes).map_err(|error| {
        Error::other(format!(
            "{}: is no report of berth's ({error}); it can be removed",
            path.display()
        ))
    })?;
    if run.ended.is_none() && !lives(&run) {
        run.state = "interrupted".to_owned();
    }
    Ok(Some(run))
}

/// Whether the run goes on: its process is there, in the boot in which it was.
fn lives(run: &Run) -> bool {
    let is_berth = |(_, name): (i32, String)| name.starts_with("berth");
    run.boot == boot() && process::parent_and_name(run.process).is_ok_and(is_berth)
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// Whether a run was in this boot of the host.
pub fn is_of_this_boot(run: &Run) -> bool {
    run.boot == boot()
}

fn shortened(why: &str) -> String {
    why.chars().take(MAX_WHY).collect()
}

/// The exit code of a run, with what could not even be judged: 0, 1 where nothing is well, or 2.
pub fn exit_code(report: &Report, broken: usize) -> u8 {
    let bad = report.failures() + broken;
    match (bad, report.entries.len() + broken) {
        (0, _) => 0,
        (bad, all) if bad == all => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_autostart::Outcome;
    use berth_kernel::user::User;
    use std::time::Duration;

    fn place(dir: &std::path::Path) -> Place {
        let uid = cred::effective_uid();
        let owner = User::by_uid(uid).unwrap().unwrap();
        Place::of(owner, Some(dir)).unwrap()
    }

    #[test]
    fn a_run_is_read_as_it_was_written_and_told_apart_when_it_was_cut_off() {
        let dir = std::env::temp_dir().join(format!("berth-saved-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let place = place(&dir);
        assert_eq!(read(&place, Kind::Start).unwrap(), None);
        let names: Vec<ContainerName> = vec!["web".parse().unwrap(), "db".parse().unwrap()];
        let broken = vec![("bad".parse().unwrap(), "line 3: what is that".to_owned())];
        let mut run = Run::begin(Kind::Start, names.iter(), &broken);
        run.note(&Entry {
            name: names[0].clone(),
            outcome: Outcome::Failed("no rootfs".to_owned()),
            tries: 2,
            took: Duration::from_millis(1500),
        });
        run.write(&place, Kind::Start).unwrap();
        assert_eq!(read(&place, Kind::Start).unwrap().unwrap(), run);
        let outcomes: Vec<(&str, &str, u32)> = run
            .containers
            .iter()
            .map(|line| (&*line.name, &*line.outcome, line.tries))
            .collect();
        let expected = [
            ("bad", "unreadable", 0),
            ("web", "failed", 2),
            ("db", "waiting", 0),
        ];
        assert_eq!(outcomes, expected);
        // Another boot's, and one whose process is no more.
        for change in [
            &|run: &mut Run| run.boot = "0".to_owned(),
            &|run: &mut Run| run.process = i32::MAX,
        ] as [&dyn Fn(&mut Run); 2]
        {
            let mut cut = run.clone();
            change(&mut cut);
            cut.write(&place, Kind::Start).unwrap();
            let read = read(&place, Kind::Start).unwrap().unwrap();
            assert_eq!(read.state, "interrupted");
        }
        run.end(2);
        run.write(&place, Kind::Start).unwrap();
        assert_eq!(read(&place, Kind::Start).unwrap().unwrap().state, "done");
        assert_eq!(read(&place, Kind::Stop).unwrap(), None);
        // Neither a link nor anything else in its place is followed or waited for.
        let path = dir.join(Kind::Stop.file());
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(read(&place, Kind::Stop).is_err());
        run.write(&place, Kind::Stop).unwrap();
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
        std::fs::write(&path, "{}").unwrap();
        let error = read(&place, Kind::Stop).unwrap_err().to_string();
        assert!(error.contains("no report of berth's"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
