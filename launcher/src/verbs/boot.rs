//! `berth autostart`

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use berth::cli;
use berth::commands::autostart::{self, Found, Told, saved};
use berth::commands::start::{Where, needs_launch, through_launch_socket};
use berth::commands::stop;
use berth::error::Result;
use berth::owner;
use berth::place::Place;
use berth::printable::cell;
use berth::progress::has_changing_line;
use berth::time;
use berth_autostart::{Container, Direction, Group, Limits, Plan, Selection, plan, run};
use berth_common::{ContainerName, exit};
use berth_kernel::notify;

use super::print::{dash, json, out, print_table, tell};

/// How a configuration is refused that is older than LXC 2.1.
const OLD_NAMES: &str = "name of LXC before 2.1";
/// Stopping is waiting; starting is work.
const STOPS_AT_ONCE: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

pub fn autostart_verb(place: impl Fn() -> Result<Place>, options: &cli::Autostart) -> Result<u8> {
    if let Some(cli::AutostartVerb::Status(asked)) = &options.verb {
        return match asked.all_users {
            true => status_of_all(asked.json),
            false => status(&place()?, asked.json),
        };
    }
    let place = &place()?;
    let direction = match (options.shutdown || options.kill, options.reboot) {
        (true, _) => Direction::Shutdown,
        (false, true) => Direction::Reboot,
        (false, false) => Direction::Start,
    };
    let starts = direction == Direction::Start && !options.list;
    if starts && needs_launch(Where::Lasting)? {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        return through_launch_socket(&arguments);
    }
    let Found { mut known, broken } = autostart::containers(place, direction)?;
    for (name, why) in &broken {
        tell(&format!("berth: {name} cannot be judged: {why}"));
    }
    if starts && !options.descending {
        warn_of_old_order(&broken);
    }
    hasten(&mut known, options.timeout);
    let plan = plan(&known, &selection(options), direction);
    if options.list {
        for line in plan.list() {
            out(&line)?;
        }
        return Ok(exit::OK);
    }
    if starts {
        // A broken container must not hold up whatever the init system has behind this.
        say(notify::READY);
        autostart::prepare_cgroup()?;
    }
    // What cannot be read cannot be started, but it is stopped all the same.
    let unjudged = if starts { broken.len() } else { 0 };
    let mut watch = Watch::new(place, &plan, &broken[..unjudged]);
    let managed: BTreeSet<ContainerName> = known
        .iter()
        .filter(|container| container.managed)
        .map(|container| container.name.clone())
        .collect();
    let mut look = |told: Told<'_>| watch.look(told);
    let mut jobs = autostart::Jobs::new(place, managed, &mut look);
    let report = run(&plan, &limits(options, direction), &mut jobs);
    drop(jobs);
    let code = saved::exit_code(&report, unjudged);
    watch.end(code);
    Ok(code)
}

/// Their order may be the other way round; what they would do is not known before they can be read.
fn warn_of_old_order(broken: &[(ContainerName, String)]) {
    let old = broken.iter().filter(|(_, why)| why.contains(OLD_NAMES));
    let old: Vec<&str> = old.map(|(name, _)| name.as_str()).collect();
    if !old.is_empty() {
        let old = some_of(old.into_iter());
        tell(&format!(
            "berth: {old}: of a time when LXC (1.0, 1.1) started the highest lxc.start.order first; \
             here the lowest is, or --descending turns it round"
        ));
    }
}

fn selection(options: &cli::Autostart) -> Selection {
    let lists = options.groups.iter();
    Selection {
        groups: lists.flat_map(|list| Group::parse_list(list)).collect(),
        all: options.all,
        ignore_auto: options.ignore_auto,
        descending: options.descending,
    }
}

/// What was asked for counts for each of them, whatever its own files say.
fn hasten(known: &mut [Container], asked: Option<cli::Grace>) {
    let Some(asked) = asked else { return };
    for container in known {
        container.stop_timeout = match asked {
            cli::Grace::Within(time) => Some(time),
            cli::Grace::Unbounded => None,
        };
    }
}

fn limits(options: &cli::Autostart, direction: Direction) -> Limits {
    let mut limits = Limits {
        stop_timeout: match options.timeout {
            Some(cli::Grace::Unbounded) => None,
            _ => Some(stop::DEFAULT_GRACE),
        },
        total: options.total.map(Duration::from_secs),
        ..Limits::default()
    };
    if direction == Direction::Shutdown {
        limits.parallel = STOPS_AT_ONCE;
    }
    limits.parallel = options.parallel.unwrap_or(limits.parallel);
    limits
}

/// Tells the init system, if it wants to know. Nothing depends on what it hears of progress.
fn say(state: &str) {
    if let Err(error) = notify::notify(state)
        && state == notify::READY
    {
        tell(&format!("berth: {error}"));
    }
}

/// Who looks on: a person at a terminal, the journal, the init system, and the report.
struct Watch<'a> {
    place: &'a Place,
    direction: Direction,
    kind: Option<saved::Kind>,
    run: Option<saved::Run>,
    all: usize,
    well: usize,
    bad: Vec<String>,
    /// What is under way.
    busy: Vec<ContainerName>,
    at_terminal: bool,
}

impl<'a> Watch<'a> {
    fn new(place: &'a Place, plan: &Plan, broken: &[(ContainerName, String)]) -> Self {
        let kind = saved::Kind::of(plan.direction);
        let names = plan.ranks.iter().flatten().map(|container| &container.name);
        let mut new = Self {
            place,
            direction: plan.direction,
            kind,
            run: kind.map(|kind| saved::Run::begin(kind, names.clone(), broken)),
            all: names.count() + broken.len(),
            well: 0,
            bad: broken.iter().map(|(name, _)| name.to_string()).collect(),
            busy: Vec::new(),
            at_terminal: has_changing_line(),
        };
        new.write_down();
        new.say_status();
        new
    }

    fn look(&mut self, told: Told<'_>) {
        match told {
            Told::Begins(name) => self.busy.push(name.clone()),
            Told::Again(name, why, pause) => {
                self.busy.retain(|busy| busy != name);
                let pause = pause.as_secs_f64();
                self.line(&format!("{name}: {why}; tried again in {pause} s"));
            }
            Told::Finished(entry) => {
                self.busy.retain(|busy| *busy != entry.name);
                match entry.outcome.is_ok() {
                    true => self.well += 1,
                    false => self.bad.push(entry.name.to_string()),
                }
                if let Some(run) = &mut self.run {
                    run.note(entry);
                }
                self.line(&format!("{}: {}", entry.name, entry.outcome));
                self.write_down();
                self.say_status();
            }
        }
        self.show();
    }

    fn end(&mut self, code: u8) {
        self.clear();
        if let Some(run) = &mut self.run {
            run.end(code);
        }
        self.write_down();
        self.say_status();
    }

    fn write_down(&mut self) {
        let (Some(kind), Some(run)) = (self.kind, &self.run) else {
            return;
        };
        if let Err(error) = run.write(self.place, kind) {
            // Once: it will not be better with the next one.
            self.run = None;
            self.line(&format!("berth: no report of this run: {error}"));
        }
    }

    fn say_status(&self) {
        say(&format!("STATUS={}", self.summary()));
    }

    /// `3 of 7 containers started; not well: web, db (berth autostart status)`
    fn summary(&self) -> String {
        let word = match self.direction {
            Direction::Start => "started",
            Direction::Reboot => "rebooted",
            Direction::Shutdown => "stopped",
        };
        let mut text = format!("{} of {} containers {word}", self.well, self.all);
        if !self.bad.is_empty() {
            let names = some_of(self.bad.iter().map(String::as_str));
            text.push_str(&format!("; not well: {names} (berth autostart status)"));
        }
        text
    }

    /// A line for good.
    fn line(&self, text: &str) {
        self.clear();
        tell(text);
    }

    /// The line that a terminal shows while it goes on.
    fn show(&self) {
        if !self.at_terminal || self.busy.is_empty() {
            return;
        }
        let busy = some_of(self.busy.iter().map(ContainerName::as_str));
        let line = format!("{}; at work: {busy}", self.summary());
        let line: String = line.chars().take(100).collect();
        let _ = write!(std::io::stderr(), "\r{}\x1b[K", cell(&line));
    }

    fn clear(&self) {
        if self.at_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The first few, and how many more there are.
fn some_of<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    const MOST: usize = 5;
    let more = names.len().saturating_sub(MOST);
    let mut text = names.take(MOST).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn runs(place: &Place) -> Result<Vec<saved::Run>> {
    let kinds = [saved::Kind::Start, saved::Kind::Stop].into_iter();
    kinds
        .filter_map(|kind| saved::read(place, kind).transpose())
        .collect()
}

/// That of the last start: whoever asks wants to know whether all is well.
fn code_of(runs: &[saved::Run]) -> u8 {
    let start = runs.iter().find(|run| run.run == "start");
    start.map_or(exit::OK, |run| match &*run.state {
        "interrupted" => exit::FAILED,
        _ => run.exit_code.unwrap_or(exit::OK),
    })
}

fn status(place: &Place, as_json: bool) -> Result<u8> {
    let runs = runs(place)?;
    if as_json {
        json(&runs)?;
        return Ok(exit::OK);
    }
    if runs.is_empty() {
        tell("nothing of yours was started or stopped by berth autostart yet");
    }
    runs.iter().try_for_each(show_run)?;
    Ok(code_of(&runs))
}

fn show_run(run: &saved::Run) -> Result<()> {
    let bad = run.containers.iter().filter(|line| line.is_bad()).count();
    let how = match (&*run.state, run.ended) {
        ("interrupted", _) => "cut off".to_owned(),
        (_, None) => "goes on".to_owned(),
        (_, Some(ended)) => format!("took {}", time::duration(ended.saturating_sub(run.began))),
    };
    let boot = match saved::is_of_this_boot(run) {
        true => "",
        false => ", in an earlier boot",
    };
    out(&format!(
        "last {}: {}{boot}, {how}; {} containers, {bad} not well",
        run.run,
        time::utc(run.began),
        run.containers.len()
    ))?;
    let head = ["  NAME", "OUTCOME", "TOOK", "TRIES", "WHY"].map(str::to_owned);
    let rows = run.containers.iter().map(|line| {
        [
            format!("  {}", line.name),
            line.outcome.clone(),
            format!("{:.1} s", line.seconds),
            line.tries.to_string(),
            line.why.clone().unwrap_or_else(dash),
        ]
    });
    let rows: Vec<[String; 5]> = [head].into_iter().chain(rows).collect();
    if rows.len() > 1 {
        print_table(&rows)?;
    }
    Ok(())
}

/// One line a container of all users, or JSON with the owner in each run.
fn status_of_all(as_json: bool) -> Result<u8> {
    let mut code = exit::OK;
    let mut found = Vec::new();
    for list in owner::all(&["autostart", "status", "--json"])? {
        match list.list {
            Ok(runs) => found.extend(runs.into_iter().map(|run| (list.user.clone(), run))),
            Err(why) => {
                tell(&format!("berth: {}: {why}", list.user));
                code = exit::FAILED;
            }
        }
    }
    if as_json {
        let with_owner = found.into_iter().map(|(user, mut run)| {
            if let Some(fields) = run.as_object_mut() {
                fields.insert("owner".to_owned(), user.into());
            }
            run
        });
        json(&with_owner.collect::<Vec<_>>())?;
        return Ok(code);
    }
    let head = ["OWNER", "RUN", "NAME", "OUTCOME", "WHY"].map(str::to_owned);
    let mut rows = vec![head];
    for (user, run) in found {
        let Ok(run) = serde_json::from_value::<saved::Run>(run) else {
            tell(&format!("berth: {user}: his report makes no sense"));
            code = exit::FAILED;
            continue;
        };
        let state = match &*run.state {
            "done" => String::new(),
            state => format!(" ({state})"),
        };
        rows.extend(run.containers.iter().map(|line| {
            [
                user.clone(),
                format!("{}{state}", run.run),
                line.name.clone(),
                line.outcome.clone(),
                line.why.clone().unwrap_or_else(dash),
            ]
        }));
    }
    print_table(&rows)?;
    Ok(code)
}
