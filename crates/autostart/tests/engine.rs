//! The engine against a virtual clock: single cases, then random sets of containers.

use berth_autostart::*;
use berth_common::ContainerName;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a container does when it is started or stopped.
#[derive(Clone, Debug)]
enum Behaviour {
    /// Takes this long, then is up (down). A stop that takes longer than its grace is a kill.
    Takes(Duration),
    /// Fails after this long.
    Fails(Duration),
    /// Fails so many times, each after this long, and comes up then as fast.
    FailsAtFirst(u32, Duration),
    /// Cannot even begin.
    Refuses,
    /// Never answers, not even to a kill.
    Hangs,
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Begin(String, Work),
    Abandon(String),
    End(String),
}

/// A world whose clock jumps to whatever happens next.
struct World {
    now: Duration,
    behaviour: HashMap<String, Behaviour>,
    under_way: BTreeMap<JobId, (String, Option<Duration>, Finish)>,
    log: Vec<(Duration, Event)>,
    most_at_once: usize,
    told: Vec<Entry>,
    /// Which run from the beginning.
    up: BTreeSet<String>,
    tries: HashMap<String, u32>,
    /// Container, and how long it pauses.
    pauses: Vec<(String, Duration)>,
}

impl World {
    fn new(set: &[(Container, Behaviour)]) -> Self {
        let up = set.iter().filter(|(c, _)| c.running);
        Self {
            now: s(1_000_000),
            up: up.map(|(c, _)| c.name.to_string()).collect(),
            tries: HashMap::new(),
            pauses: Vec::new(),
            behaviour: set
                .iter()
                .map(|(c, b)| (c.name.to_string(), b.clone()))
                .collect(),
            under_way: BTreeMap::new(),
            log: Vec::new(),
            most_at_once: 0,
            told: Vec::new(),
        }
    }

    fn since(&self, begun: Duration, name: &str) -> (Duration, Duration) {
        let find = |wanted: &dyn Fn(&Event) -> bool| {
            self.log
                .iter()
                .find(|(_, event)| wanted(event))
                .map(|(at, _)| *at - begun)
        };
        let begin = find(&|event| matches!(event, Event::Begin(n, _) if n == name));
        let end = find(&|event| matches!(event, Event::End(n) if n == name));
        (begin.expect("begun"), end.expect("ended"))
    }
}

impl Actions for World {
    fn begin(&mut self, job: JobId, name: &ContainerName, work: Work) -> Result<(), String> {
        let name = name.to_string();
        self.log.push((self.now, Event::Begin(name.clone(), work)));
        let tries = self.tries.entry(name.clone()).or_default();
        *tries += 1;
        let (after, finish) = match (&self.behaviour[&name], work) {
            (_, Work::Start) if self.up.contains(&name) => (Some(Duration::ZERO), Finish::Already),
            (Behaviour::FailsAtFirst(times, after), Work::Start) if *tries <= *times => {
                (Some(*after), Finish::Failed("not yet".to_owned()))
            }
            (Behaviour::FailsAtFirst(_, after), _) => (Some(*after), Finish::Done),
            (Behaviour::Refuses, _) => return Err("no such container".to_owned()),
            (Behaviour::Hangs, _) => (None, Finish::Done),
            (Behaviour::Fails(after), _) => (Some(*after), Finish::Failed("broken".to_owned())),
            (Behaviour::Takes(_), Work::Kill) => (Some(Duration::ZERO), Finish::Done),
            (Behaviour::Takes(takes), Work::Stop(Some(grace))) if *takes > grace => {
                (Some(grace), Finish::Killed)
            }
            (Behaviour::Takes(takes), _) => (Some(*takes), Finish::Done),
        };
        self.under_way
            .insert(job, (name, after.map(|after| self.now + after), finish));
        self.most_at_once = self.most_at_once.max(self.under_way.len());
        Ok(())
    }

    fn wait(&mut self, until: Option<Duration>) -> Vec<(JobId, Finish)> {
        let next = self.under_way.values().filter_map(|(_, at, _)| *at).min();
        self.now = next
            .into_iter()
            .chain(until)
            .min()
            .expect("the engine must not wait for what never happens")
            .max(self.now);
        let due: Vec<JobId> = self
            .under_way
            .iter()
            .filter(|(_, (_, at, _))| at.is_some_and(|at| at <= self.now))
            .map(|(&job, _)| job)
            .collect();
        due.into_iter()
            .map(|job| {
                let (name, _, finish) = self.under_way.remove(&job).expect("listed");
                self.log.push((self.now, Event::End(name)));
                (job, finish)
            })
            .collect()
    }

    fn abandon(&mut self, job: JobId) {
        let (name, ..) = self
            .under_way
            .remove(&job)
            .expect("only work under way is abandoned");
        self.log.push((self.now, Event::Abandon(name)));
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn finished(&mut self, entry: &Entry) {
        self.told.push(entry.clone());
    }

    fn tries_again(&mut self, name: &ContainerName, _: &str, pause: Duration) {
        self.pauses.push((name.to_string(), pause));
    }
}

fn container(name: &str, order: i32, delay: u64, running: bool) -> Container {
    Container {
        auto: true,
        order,
        delay: s(delay),
        running,
        ..Container::new(name.parse().expect("a name"))
    }
}

fn play(
    containers: &[(Container, Behaviour)],
    direction: Direction,
    limits: &Limits,
) -> (World, Report, Duration) {
    let list: Vec<Container> = containers.iter().map(|(c, _)| c.clone()).collect();
    let plan = plan(&list, &Selection::default(), direction);
    let mut world = World::new(containers);
    let begun = world.now;
    let report = run(&plan, limits, &mut world);
    assert_eq!(
        world.told, report.entries,
        "progress tells what the report does"
    );
    assert!(world.under_way.is_empty(), "nothing is left behind");
    (world, report, begun)
}

fn outcome<'r>(report: &'r Report, name: &str) -> &'r Outcome {
    &report
        .entries
        .iter()
        .find(|e| e.name.as_str() == name)
        .expect("reported")
        .outcome
}

#[test]
fn a_rank_runs_at_once_and_the_next_waits_for_it() {
    use Behaviour::Takes;
    let set = [
        (container("a", 0, 0, false), Takes(s(5))),
        (container("b", 0, 0, false), Takes(s(2))),
        (container("c", 1, 0, false), Takes(s(1))),
    ];
    let (world, report, begun) = play(&set, Direction::Start, &Limits::default());
    assert_eq!(world.since(begun, "a"), (s(0), s(5)));
    assert_eq!(world.since(begun, "b"), (s(0), s(2)));
    assert_eq!(world.since(begun, "c"), (s(5), s(6)));
    assert_eq!(report.exit_status(), 0);
}

#[test]
fn no_more_than_the_bound_at_once_and_a_free_place_is_used() {
    let set: Vec<_> = (1..=4)
        .map(|i| {
            (
                container(&format!("c{i}"), 0, 0, false),
                Behaviour::Takes(s(i)),
            )
        })
        .collect();
    let two = Limits {
        parallel: NonZeroUsize::new(2).unwrap(),
        ..Limits::default()
    };
    let (world, _, begun) = play(&set, Direction::Start, &two);
    assert_eq!(world.most_at_once, 2);
    assert_eq!(world.since(begun, "c3"), (s(1), s(4)));
    assert_eq!(world.since(begun, "c4"), (s(2), s(6)));
}

#[test]
fn the_longest_delay_of_a_rank_passes_before_the_next_start() {
    use Behaviour::{Fails, Takes};
    let set = [
        (container("a", 0, 7, false), Takes(s(1))),
        (container("b", 0, 3, false), Takes(s(2))),
        (container("broken", 0, 100, false), Fails(s(2))),
        (container("there", 0, 100, true), Takes(s(0))),
        (container("c", 1, 50, false), Takes(s(1))),
    ];
    let (world, report, begun) = play(&set, Direction::Start, &Limits::default());
    assert_eq!(
        world.since(begun, "c").0,
        s(2 + 7),
        "only what was started counts"
    );
    assert_eq!(
        world.now - begun,
        s(10),
        "nothing comes after the last delay"
    );
    assert_eq!(outcome(&report, "there"), &Outcome::Already);
    assert_eq!(
        outcome(&report, "broken"),
        &Outcome::Failed("broken".to_owned())
    );
    assert_eq!(report.exit_status(), 2);
}

#[test]
fn no_delay_where_nothing_is_left_to_start() {
    let set = [
        (container("a", 0, 30, false), Behaviour::Takes(s(1))),
        (container("there", 1, 0, true), Behaviour::Takes(s(0))),
    ];
    let (world, _, begun) = play(&set, Direction::Start, &Limits::default());
    assert_eq!(world.now - begun, s(1));
}

#[test]
fn neither_a_failure_nor_one_that_hangs_keeps_the_rest_from_running() {
    let set = [
        (container("refuses", 0, 0, false), Behaviour::Refuses),
        (container("hangs", 0, 0, false), Behaviour::Hangs),
        (container("after", 1, 0, false), Behaviour::Takes(s(1))),
    ];
    let limits = Limits {
        start_timeout: Some(s(20)),
        ..Limits::default()
    };
    let (world, report, begun) = play(&set, Direction::Start, &limits);
    assert_eq!(world.since(begun, "after").0, s(20));
    assert_eq!(
        outcome(&report, "refuses"),
        &Outcome::Failed("no such container".to_owned())
    );
    let Outcome::TimedOut(why) = outcome(&report, "hangs") else {
        panic!("{report:?}")
    };
    assert!(why.contains("20 s"), "{why}");
    assert!(
        world
            .log
            .contains(&(begun + s(20), Event::Abandon("hangs".to_owned())))
    );
    assert_eq!(report.exit_status(), 2);
}

#[test]
fn every_attempt_failed_is_status_one() {
    let set = [(container("a", 0, 0, false), Behaviour::Refuses)];
    assert_eq!(
        play(&set, Direction::Start, &Limits::default())
            .1
            .exit_status(),
        1
    );
    assert_eq!(
        play(&[], Direction::Start, &Limits::default())
            .1
            .exit_status(),
        0
    );
}

#[test]
fn shutdown_goes_backwards_and_skips_what_does_not_run() {
    use Behaviour::Takes;
    let set = [
        (container("db", 0, 9, true), Takes(s(2))),
        (container("web", 5, 9, true), Takes(s(1))),
        (container("off", 9, 9, false), Takes(s(50))),
    ];
    let (world, report, begun) = play(&set, Direction::Shutdown, &Limits::default());
    assert_eq!(world.since(begun, "web"), (s(0), s(1)));
    assert_eq!(
        world.since(begun, "db"),
        (s(1), s(3)),
        "delays are of starts alone"
    );
    assert_eq!(outcome(&report, "off"), &Outcome::Already);
    assert_eq!(outcome(&report, "db"), &Outcome::Stopped);
}

#[test]
fn one_that_does_not_stop_is_killed_after_its_grace() {
    let set = [(container("slow", 0, 0, true), Behaviour::Takes(s(500)))];
    let (world, report, begun) = play(&set, Direction::Shutdown, &Limits::default());
    assert_eq!(world.since(begun, "slow"), (s(0), s(60)));
    assert_eq!(outcome(&report, "slow"), &Outcome::Killed);
    assert_eq!(report.exit_status(), 0);
}

#[test]
fn a_shutdown_ends_within_its_total() {
    use Behaviour::{Hangs, Takes};
    let mut set: Vec<_> = (0..5)
        .map(|i| (container(&format!("slow{i}"), i, 0, true), Takes(s(500))))
        .collect();
    set.push((container("stuck", 2, 0, true), Hangs));
    let limits = Limits {
        total: Some(s(100)),
        stop_timeout: None,
        ..Limits::default()
    };
    let (world, report, begun) = play(&set, Direction::Shutdown, &limits);
    assert!(world.now - begun <= s(100), "{:?}", world.now - begun);
    assert_eq!(
        world.since(begun, "slow4"),
        (s(0), s(90)),
        "its grace ends before the total"
    );
    assert_eq!(outcome(&report, "slow3"), &Outcome::Killed);
    assert!(matches!(outcome(&report, "stuck"), Outcome::TimedOut(_)));
    assert_eq!(report.entries.len(), 6);
}

#[test]
fn without_any_bound_a_stop_waits() {
    let set = [(container("slow", 0, 0, true), Behaviour::Takes(s(5000)))];
    let limits = Limits {
        stop_timeout: None,
        ..Limits::default()
    };
    let (_, report, _) = play(&set, Direction::Shutdown, &limits);
    assert_eq!(outcome(&report, "slow"), &Outcome::Stopped);
}

fn after(mut container: Container, names: &[&str]) -> Container {
    container.after = names.iter().map(|name| name.parse().unwrap()).collect();
    container
}

#[test]
fn one_waits_for_another_within_its_rank_and_across_ranks() {
    use Behaviour::Takes;
    let set = [
        (after(container("web", 0, 0, false), &["db"]), Takes(s(1))),
        (container("free", 0, 0, false), Takes(s(9))),
        (after(container("db", 7, 0, false), &["disk"]), Takes(s(2))),
        (container("disk", 7, 0, false), Takes(s(3))),
        (container("late", 7, 0, false), Takes(s(1))),
    ];
    let (world, report, begun) = play(&set, Direction::Start, &Limits::default());
    assert_eq!(world.since(begun, "disk"), (s(0), s(3)));
    assert_eq!(world.since(begun, "db"), (s(3), s(5)));
    assert_eq!(world.since(begun, "web"), (s(5), s(6)));
    assert_eq!(world.since(begun, "free"), (s(0), s(9)));
    assert_eq!(world.since(begun, "late"), (s(9), s(10)));
    assert_eq!(report.exit_status(), 0);
}

#[test]
fn what_needs_a_failed_one_is_not_tried_and_the_rest_is() {
    use Behaviour::{Fails, Takes};
    let set = [
        (container("db", 0, 0, false), Fails(s(1))),
        (after(container("web", 0, 0, false), &["db"]), Takes(s(1))),
        (after(container("top", 3, 0, false), &["web"]), Takes(s(1))),
        (
            after(container("lost", 0, 0, false), &["gone"]),
            Takes(s(1)),
        ),
        (after(container("a", 0, 0, false), &["b"]), Takes(s(1))),
        (after(container("b", 5, 0, false), &["a"]), Takes(s(1))),
        (container("fine", 9, 0, false), Takes(s(1))),
    ];
    let (world, report, _) = play(&set, Direction::Start, &Limits::default());
    for (name, word) in [
        ("web", "“db”"),
        ("top", "“web”"),
        ("lost", "“gone”"),
        ("a", "a → b → a"),
        ("b", "b → a → b"),
    ] {
        let why = outcome(&report, name).why().expect("failed");
        assert!(why.contains(word), "{name}: {why}");
        assert!(!world.tries.contains_key(name), "{name} was tried");
    }
    assert_eq!(outcome(&report, "fine"), &Outcome::Started);
    assert_eq!(report.exit_status(), 2);
}

#[test]
fn one_that_runs_and_is_needed_is_waited_for() {
    use Behaviour::Takes;
    let set = [
        (after(container("web", 0, 0, false), &["db"]), Takes(s(1))),
        (container("db", 0, 0, true), Takes(s(1))),
        (container("other", 0, 0, true), Takes(s(1))),
    ];
    let (world, report, _) = play(&set, Direction::Start, &Limits::default());
    assert!(world.tries.contains_key("db") && !world.tries.contains_key("other"));
    assert_eq!(outcome(&report, "db"), &Outcome::Already);
    assert_eq!(outcome(&report, "web"), &Outcome::Started);
}

#[test]
fn shutdown_stops_what_needs_another_one_before_that() {
    use Behaviour::{Hangs, Takes};
    let set = [
        (after(container("web", 0, 0, true), &["db"]), Takes(s(4))),
        (after(container("stuck", 0, 0, true), &["cache"]), Hangs),
        (container("db", 9, 0, true), Takes(s(2))),
        (container("cache", 9, 0, true), Takes(s(2))),
    ];
    let limits = Limits {
        stop_timeout: Some(s(5)),
        ..Limits::default()
    };
    let (world, report, begun) = play(&set, Direction::Shutdown, &limits);
    assert_eq!(world.since(begun, "web"), (s(0), s(4)));
    assert_eq!(world.since(begun, "db"), (s(4), s(6)));
    // One that cannot be stopped keeps nobody from being stopped.
    assert_eq!(world.since(begun, "cache"), (s(15), s(17)));
    assert_eq!(outcome(&report, "cache"), &Outcome::Stopped);
}

#[test]
fn a_start_that_failed_is_tried_again_after_longer_and_longer_pauses() {
    use Behaviour::{Fails, FailsAtFirst, Takes};
    let again = |name: &str, retries| {
        let mut one = container(name, 0, 0, false);
        one.retries = retries;
        one.retry_delay = s(20);
        one
    };
    let set = [
        (again("slow", 4), FailsAtFirst(3, s(1))),
        (again("broken", 1), Fails(s(1))),
        (container("beside", 0, 0, false), Takes(s(2))),
        (container("next", 1, 0, false), Takes(s(1))),
    ];
    let (world, report, begun) = play(&set, Direction::Start, &Limits::default());
    let pauses: Vec<_> = world.pauses.iter().filter(|(n, _)| n == "slow").collect();
    let lengths: Vec<_> = pauses.iter().map(|(_, pause)| *pause).collect();
    assert_eq!(lengths, [s(20), s(40), s(60)]);
    assert_eq!(world.tries["slow"], 4);
    assert_eq!(world.tries["broken"], 2);
    assert_eq!(world.since(begun, "next").0, s(4 + 20 + 40 + 60));
    let of = |name: &str| report.entries.iter().find(|e| e.name.as_str() == name);
    let slow = of("slow").unwrap();
    assert_eq!((slow.tries, slow.took), (4, s(4 + 20 + 40 + 60)));
    assert_eq!(slow.outcome, Outcome::Started);
    assert_eq!(of("broken").unwrap().tries, 2);
}

#[test]
fn a_pause_lasts_no_longer_than_the_run() {
    let mut one = container("broken", 0, 0, false);
    one.retries = 9;
    one.retry_delay = s(50);
    let set = [(one, Behaviour::Fails(s(1)))];
    let limits = Limits {
        total: Some(s(30)),
        ..Limits::default()
    };
    let (world, report, begun) = play(&set, Direction::Start, &limits);
    assert_eq!(world.now - begun, s(30));
    let why = outcome(&report, "broken").why().unwrap();
    assert!(why.contains("not tried again"), "{why}");
}

#[test]
fn a_container_has_its_own_times() {
    use Behaviour::{Hangs, Takes};
    let mut slow = container("slow", 0, 0, false);
    slow.start_timeout = Some(s(300));
    let mut quick = container("quick", 0, 0, false);
    quick.start_timeout = Some(s(7));
    let set = [(slow, Takes(s(250))), (quick, Hangs)];
    let (world, report, begun) = play(&set, Direction::Start, &Limits::default());
    assert_eq!(world.since(begun, "slow"), (s(0), s(250)));
    let why = outcome(&report, "quick").why().unwrap();
    assert!(why.contains("7 s"), "{why}");

    let mut patient = container("patient", 0, 0, true);
    patient.stop_timeout = Some(s(300));
    let set = [(patient, Takes(s(250)))];
    let (_, report, _) = play(&set, Direction::Shutdown, &Limits::default());
    assert_eq!(outcome(&report, "patient"), &Outcome::Stopped);
}

#[test]
fn what_runs_reboots_in_ascending_order() {
    use Behaviour::Takes;
    let set = [
        (container("b", 1, 0, true), Takes(s(1))),
        (container("a", 0, 3, true), Takes(s(2))),
        (container("off", 0, 0, false), Takes(s(1))),
    ];
    let (world, report, begun) = play(&set, Direction::Reboot, &Limits::default());
    assert_eq!(world.since(begun, "a"), (s(0), s(2)));
    assert_eq!(world.since(begun, "b").0, s(2));
    assert_eq!(outcome(&report, "a"), &Outcome::Rebooted);
    assert_eq!(outcome(&report, "off"), &Outcome::Already);
}

fn behaviours() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        6 => (0u64..200).prop_map(|t| Behaviour::Takes(s(t))),
        2 => (0u64..50).prop_map(|t| Behaviour::Fails(s(t))),
        1 => Just(Behaviour::Refuses),
        1 => (0u32..4, 0u64..30).prop_map(|(n, t)| Behaviour::FailsAtFirst(n, s(t))),
        1 => Just(Behaviour::Hangs),
    ]
}

/// As [`containers`], where each names some others that it waits for, and one that is not there.
fn graphs() -> impl Strategy<Value = Vec<(Container, Behaviour)>> {
    let edges = prop::collection::vec((0usize..40, 0usize..42), 0..60);
    (containers(), edges, any::<u8>()).prop_map(|(mut set, edges, acyclic)| {
        let count = set.len();
        for (from, to) in edges {
            // In most of the graphs only upwards, so that there is no circle.
            let circles = acyclic < 80;
            if from < count && (circles || from < to) && (to < count || acyclic < 20) {
                let name: ContainerName = format!("c{to}").parse().unwrap();
                if !set[from].0.after.contains(&name) {
                    set[from].0.after.push(name);
                }
            }
        }
        for (i, (one, _)) in set.iter_mut().enumerate() {
            one.retries = (i % 3) as u32;
            one.managed = acyclic % 7 == 0 && i % 5 == 0;
        }
        set
    })
}

fn groups() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(vec!["a", "ab", "b", "onboot"]), 0..3)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn containers() -> impl Strategy<Value = Vec<(Container, Behaviour)>> {
    let one = (
        any::<bool>(),
        -3..4i32,
        0u64..20,
        groups(),
        any::<bool>(),
        behaviours(),
    );
    prop::collection::vec(one, 0..40).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(i, (auto, order, delay, groups, running, behaviour))| {
                let mut c = container(&format!("c{i}"), order, delay, running);
                c.auto = auto;
                c.groups = groups;
                (c, behaviour)
            })
            .collect()
    })
}

fn selections() -> impl Strategy<Value = Selection> {
    let list = prop::collection::vec(
        prop::sample::select(vec!["", "a", "ab", "onboot", "x"]),
        0..5,
    );
    (list, any::<bool>(), any::<bool>()).prop_map(|(list, all, ignore_auto)| {
        let groups = match list.is_empty() {
            true => Vec::new(),
            false => Group::parse_list(&list.join(",")),
        };
        Selection {
            groups,
            all,
            ignore_auto,
            descending: false,
        }
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    (1usize..6, prop::option::of(1u64..300)).prop_map(|(parallel, total)| Limits {
        parallel: NonZeroUsize::new(parallel).unwrap(),
        start_timeout: Some(s(40)),
        stop_timeout: Some(s(30)),
        total: total.map(s),
    })
}

/// Whether the selection means the container, said in another way than the engine says it.
fn is_meant(container: &Container, selection: &Selection) -> bool {
    let null = Group::Null;
    let in_group = |group: &Group| match group {
        Group::Null => container.groups.is_empty(),
        Group::Named(name) => container.groups.contains(name),
    };
    (container.auto || selection.ignore_auto)
        && (selection.all
            || selection.groups.iter().any(in_group)
            || (selection.groups.is_empty() && in_group(&null)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn random_sets_keep_the_rules(
        set in containers(),
        selection in selections(),
        shutdown in any::<bool>(),
        limits in limits(),
    ) {
        let direction = if shutdown { Direction::Shutdown } else { Direction::Start };
        let list: Vec<Container> = set.iter().map(|(c, _)| c.clone()).collect();
        let plan = plan(&list, &selection, direction);

        let planned: Vec<&str> = plan.ranks.iter().flatten().map(|c| c.name.as_str()).collect();
        let unique: BTreeSet<&str> = planned.iter().copied().collect();
        prop_assert_eq!(planned.len(), unique.len(), "each container once");
        let meant: BTreeSet<&str> = list
            .iter()
            .filter(|c| is_meant(c, &selection))
            .map(|c| c.name.as_str())
            .collect();
        prop_assert_eq!(&unique, &meant);
        for rank in &plan.ranks {
            prop_assert!(!rank.is_empty());
            prop_assert!(rank.iter().all(|c| c.order == rank[0].order));
        }
        if selection.all || selection.groups.len() < 2 {
            for pair in plan.ranks.windows(2) {
                prop_assert_eq!(pair[0][0].order < pair[1][0].order, !shutdown);
            }
        }

        let mut world = World::new(&set);
        let begun = world.now;
        let report = run(&plan, &limits, &mut world);

        let mut reported: Vec<&str> = report.entries.iter().map(|e| e.name.as_str()).collect();
        reported.sort_unstable();
        let mut planned_sorted = planned.clone();
        planned_sorted.sort_unstable();
        prop_assert_eq!(reported, planned_sorted, "each outcome is told once");
        prop_assert!(world.under_way.is_empty());
        prop_assert!(world.most_at_once <= limits.parallel.get());
        if let Some(total) = limits.total {
            prop_assert!(world.now - begun <= total);
        }

        // A rank begins after the last of the ranks before it has ended, one way or another.
        let rank_of: HashMap<&str, usize> = plan
            .ranks
            .iter()
            .enumerate()
            .flat_map(|(i, rank)| rank.iter().map(move |c| (c.name.as_str(), i)))
            .collect();
        let mut highest_begun = 0;
        for (_, event) in &world.log {
            match event {
                Event::Begin(name, _) => {
                    prop_assert!(rank_of[name.as_str()] >= highest_begun);
                    highest_begun = rank_of[name.as_str()];
                }
                Event::End(name) | Event::Abandon(name) => {
                    prop_assert_eq!(rank_of[name.as_str()], highest_begun);
                }
            }
        }

        for entry in &report.entries {
            let (container, behaviour) =
                set.iter().find(|(c, _)| c.name == entry.name).expect("known");
            let there = container.running != shutdown;
            prop_assert_eq!(entry.outcome == Outcome::Already, there);
            if limits.total.is_none() && !there {
                let expected = match behaviour {
                    Behaviour::Refuses | Behaviour::Fails(_) => {
                        matches!(entry.outcome, Outcome::Failed(_) | Outcome::TimedOut(_))
                    }
                    Behaviour::Hangs => matches!(entry.outcome, Outcome::TimedOut(_)),
                    Behaviour::Takes(t) if shutdown && *t <= s(30) => {
                        entry.outcome == Outcome::Stopped
                    }
                    Behaviour::Takes(_) if shutdown => entry.outcome == Outcome::Killed,
                    Behaviour::Takes(t) if *t <= s(40) => entry.outcome == Outcome::Started,
                    Behaviour::Takes(_) => matches!(entry.outcome, Outcome::TimedOut(_)),
                    Behaviour::FailsAtFirst(..) if shutdown => entry.outcome.is_ok(),
                    Behaviour::FailsAtFirst(times, _) => entry.outcome.is_ok() == (*times == 0),
                };
                prop_assert!(expected, "{:?} {:?}", behaviour, entry);
            }
        }
        let failed = report.entries.iter().filter(|e| !e.outcome.is_ok()).count();
        let status = match failed {
            0 => 0,
            all if all == report.entries.len() => 1,
            _ => 2,
        };
        prop_assert_eq!(report.exit_status(), status);
    }

    #[test]
    fn random_graphs_keep_the_rules(
        set in graphs(),
        selection in selections(),
        which in 0..3u8,
        limits in limits(),
    ) {
        let direction = [Direction::Start, Direction::Reboot, Direction::Shutdown][which as usize];
        let list: Vec<Container> = set.iter().map(|(c, _)| c.clone()).collect();
        let by_name: HashMap<&str, &Container> =
            list.iter().map(|c| (c.name.as_str(), c)).collect();
        let plan = plan(&list, &selection, direction);
        let planned: Vec<&str> = plan.ranks.iter().flatten().map(|c| c.name.as_str()).collect();
        let unique: BTreeSet<&str> = planned.iter().copied().collect();
        prop_assert_eq!(planned.len(), unique.len(), "each container once");
        prop_assert!(plan.ranks.iter().all(|rank| !rank.is_empty()));
        for c in list.iter().filter(|c| is_meant(c, &selection) && !c.managed) {
            prop_assert!(unique.contains(c.name.as_str()));
        }
        // Who is there without being meant is needed.
        for name in &unique {
            let c = by_name[name];
            let is_needed = planned.iter().any(|other| by_name[other].after.contains(&c.name));
            prop_assert!(
                (is_meant(c, &selection) && !c.managed)
                    || (direction == Direction::Start && is_needed)
            );
        }

        let mut world = World::new(&set);
        let begun = world.now;
        let report = run(&plan, &limits, &mut world);
        let mut reported: Vec<&str> = report.entries.iter().map(|e| e.name.as_str()).collect();
        reported.sort_unstable();
        prop_assert_eq!(reported, unique.iter().copied().collect::<Vec<_>>());
        prop_assert!(world.under_way.is_empty());
        prop_assert!(world.most_at_once <= limits.parallel.get());
        if let Some(total) = limits.total {
            prop_assert!(world.now - begun <= total);
        }
        if direction == Direction::Shutdown {
            prop_assert!(plan.refused.is_empty());
        }

        let outcomes: HashMap<&str, &Outcome> =
            report.entries.iter().map(|e| (e.name.as_str(), &e.outcome)).collect();
        let moment = |name: &str, wanted: &dyn Fn(&Event) -> bool| {
            let mut all = world.log.iter().enumerate();
            all.find(|(_, (_, event))| wanted(event)).map(|(i, _)| (name.to_owned(), i))
        };
        let begin = |name: &str| moment(name, &|e| matches!(e, Event::Begin(n, _) if n == name));
        let last = |name: &str| {
            world.log.iter().rposition(|(_, e)| match e {
                Event::End(n) | Event::Abandon(n) => n == name,
                Event::Begin(..) => false,
            })
        };
        for name in &unique {
            let c = by_name[name];
            let refused = plan.refused.contains_key(&c.name);
            if refused {
                prop_assert!(matches!(outcomes[name], Outcome::Failed(_)));
                prop_assert!(begin(name).is_none(), "a refused one was begun");
            }
            for needed in &c.after {
                let needed = needed.as_str();
                if !by_name.contains_key(needed) {
                    let is_told = refused || c.running || direction != Direction::Start;
                    prop_assert!(is_told, "{} needs {}", name, needed);
                    continue;
                }
                if direction == Direction::Start && !c.running && !refused {
                    prop_assert!(unique.contains(needed));
                    // Begun only when what it needs is ready, and not at all when it is not.
                    if let Some((_, at)) = begin(name) {
                        prop_assert!(outcomes[needed].is_ok());
                        prop_assert!(last(needed).is_none_or(|end| end < at));
                    }
                }
                // Stopped only when what needs it has stopped, unless that is a circle.
                let obeyed = plan.first.get(&by_name[needed].name);
                if direction == Direction::Shutdown
                    && obeyed.is_some_and(|first| first.contains(&c.name))
                    && let (Some((_, at)), Some(end)) = (begin(needed), last(name))
                {
                    prop_assert!(end < at);
                }
            }
        }
        for (name, tries) in &world.tries {
            let most = if direction == Direction::Start { by_name[name.as_str()].retries } else { 0 };
            prop_assert!(*tries <= 1 + most);
        }
    }
}
