//! Selection and order: containers in, ranks out.

use crate::dependencies;
use berth_common::ContainerName;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// What the engine needs to know of a container; keys that begin with `lxc` are those of
/// lxc.container.conf(5), the others those of berth.toml(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: ContainerName,
    /// `lxc.start.auto`.
    pub auto: bool,
    /// `lxc.start.order`: lower starts first (LXC 2.0 and later), and stops last.
    pub order: i32,
    /// `lxc.start.delay`, in whole seconds in the configuration: how long to wait after this
    /// container was started before the next rank is.
    pub delay: Duration,
    /// `lxc.group`, every name of it; empty means that the container is in the NULL group.
    pub groups: Vec<String>,
    /// `start.after`: what must be ready before this one is started, and stops after it.
    pub after: Vec<ContainerName>,
    /// How long its start may take; `None`: what [`crate::Limits`] says.
    pub start_timeout: Option<Duration>,
    /// How long it has to stop; `None`: what [`crate::Limits`] says.
    pub stop_timeout: Option<Duration>,
    /// `start.retries`: how often a start that failed is tried again.
    pub retries: u32,
    /// `start.retry-delay`: how long the first of them waits, each further one twice as long.
    pub retry_delay: Duration,
    /// Whether it ran when the list was made. Such a container is not started again, nor is one
    /// that does not run stopped.
    pub running: bool,
    /// Whether a unit of its own starts and stops it: it is taken only where another one needs it.
    pub managed: bool,
}

impl Container {
    /// One that does not run, with everything else as it is where no file says otherwise.
    pub fn new(name: ContainerName) -> Self {
        Self {
            name,
            auto: false,
            order: 0,
            delay: Duration::ZERO,
            groups: Vec::new(),
            after: Vec::new(),
            start_timeout: None,
            stop_timeout: None,
            retries: 0,
            retry_delay: Duration::from_secs(1),
            running: false,
            managed: false,
        }
    }
}

/// Which way the plan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those that do not run are started, in ascending order.
    Start,
    /// Those that run reboot, in ascending order.
    Reboot,
    /// Those that run are stopped, in descending order.
    Shutdown,
}

impl Direction {
    /// Whether a container is where it is to be, or not meant, as it is.
    pub(crate) fn is_done(self, container: &Container) -> bool {
        container.running == (self == Self::Start)
    }
}

/// An element of the group list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// Containers that name no group at all.
    Null,
    /// Containers that name exactly this group.
    Named(String),
}

impl Group {
    /// Parses one value of `-g`: names divided by commas, an empty element being the NULL group
    /// (lxc-autostart(1)), wherever it stands. Blanks around a name do not count.
    pub fn parse_list(text: &str) -> Vec<Self> {
        text.split(',')
            .map(str::trim)
            .map(|name| {
                if name.is_empty() {
                    Self::Null
                } else {
                    Self::Named(name.to_owned())
                }
            })
            .collect()
    }

    fn holds(&self, container: &Container) -> bool {
        match self {
            Self::Null => container.groups.is_empty(),
            Self::Named(name) => container.groups.iter().any(|group| group == name),
        }
    }
}

/// Which containers are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The groups, handled one after the other in this order in either direction, as
    /// lxc-autostart does; a container of several is handled with the first. No group at all
    /// means the NULL group.
    pub groups: Vec<Group>,
    /// Disregard groups; wins over `groups`.
    pub all: bool,
    /// Disregard `lxc.start.auto`.
    pub ignore_auto: bool,
    /// Higher orders start first and stop last, as LXC 1.0 and 1.1 had it.
    pub descending: bool,
}

/// The work, in the order in which it is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which way it goes.
    pub direction: Direction,
    /// Containers of one rank are handled at the same time, and a rank after the one before it
    /// has finished. No rank is empty and no container occurs twice.
    pub ranks: Vec<Vec<Container>>,
    /// What of the plan must have finished before a container is begun; it stands in the same rank
    /// or in an earlier one, and never in a circle.
    pub first: BTreeMap<ContainerName, Vec<ContainerName>>,
    /// Containers that cannot be started, and why.
    pub refused: BTreeMap<ContainerName, String>,
}

impl Plan {
    /// The containers that would change, in processing order: at a start those that do not run, else
    /// those that do. This is what `--list` shows.
    pub fn affected(&self) -> impl Iterator<Item = &Container> {
        let all = self.ranks.iter().flatten();
        all.filter(|container| !self.direction.is_done(container))
    }

    /// The lines of `--list`, as lxc-autostart prints them: `NAME DELAY` (seconds) at a start or a
    /// reboot, `NAME` at a shutdown.
    pub fn list(&self) -> Vec<String> {
        self.affected()
            .map(|container| match self.direction {
                Direction::Start | Direction::Reboot => {
                    format!("{} {}", container.name, container.delay.as_secs())
                }
                Direction::Shutdown => container.name.to_string(),
            })
            .collect()
    }
}

/// Selects, sorts and ranks. Equal `lxc.start.order` within one group is one rank; inside a rank
/// containers stand by name, and what another one waits for before that.
///
/// A container whose `start.after` names one of a later rank draws that one into its own; at a start
/// it draws in one that was not selected at all, too.
pub fn plan(containers: &[Container], selection: &Selection, direction: Direction) -> Plan {
    dependencies::arrange(
        select(containers, selection, direction),
        containers,
        direction,
    )
}

/// The ranks by group and order alone.
fn select<'c>(
    containers: &'c [Container],
    selection: &Selection,
    direction: Direction,
) -> Vec<Vec<&'c Container>> {
    let mut sorted: Vec<&Container> = containers
        .iter()
        .filter(|c| (c.auto || selection.ignore_auto) && !c.managed)
        .collect();
    sorted.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    if (direction == Direction::Shutdown) != selection.descending {
        sorted.reverse();
    }

    let null = [Group::Null];
    let passes: Vec<Option<&Group>> = if selection.all {
        vec![None]
    } else if selection.groups.is_empty() {
        null.iter().map(Some).collect()
    } else {
        selection.groups.iter().map(Some).collect()
    };

    let mut seen = HashSet::new();
    let mut ranks: Vec<Vec<&Container>> = Vec::new();
    for pass in passes {
        let mut order_of_last = None;
        for &container in &sorted {
            if !pass.is_none_or(|group| group.holds(container)) || !seen.insert(&container.name) {
                continue;
            }
            match ranks.last_mut() {
                Some(rank) if order_of_last == Some(container.order) => rank.push(container),
                _ => ranks.push(vec![container]),
            }
            order_of_last = Some(container.order);
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, order: i32, groups: &[&str]) -> Container {
        Container {
            auto: true,
            order,
            groups: groups.iter().map(|&g| g.to_owned()).collect(),
            ..Container::new(name.parse().expect("a name"))
        }
    }

    fn names(plan: &Plan) -> Vec<Vec<&str>> {
        plan.ranks
            .iter()
            .map(|rank| rank.iter().map(|c| c.name.as_str()).collect())
            .collect()
    }

    fn by_groups(list: &str) -> Selection {
        Selection {
            groups: Group::parse_list(list),
            ..Selection::default()
        }
    }

    #[test]
    fn equal_order_is_one_rank_and_lower_goes_first() {
        let all = [
            container("b", 0, &[]),
            container("late", 10, &[]),
            container("a", 0, &[]),
            container("early", -5, &[]),
        ];
        let up = plan(&all, &Selection::default(), Direction::Start);
        assert_eq!(names(&up), [vec!["early"], vec!["a", "b"], vec!["late"]]);
        let down = plan(&all, &Selection::default(), Direction::Shutdown);
        assert_eq!(names(&down), [vec!["late"], vec!["b", "a"], vec!["early"]]);
    }

    #[test]
    fn a_host_that_comes_from_lxc_1_starts_the_highest_first() {
        let all = [container("b", 0, &[]), container("a", 9, &[])];
        let selection = Selection {
            descending: true,
            ..Selection::default()
        };
        let up = plan(&all, &selection, Direction::Start);
        assert_eq!(names(&up), [["a"], ["b"]]);
        let down = plan(&all, &selection, Direction::Shutdown);
        assert_eq!(names(&down), [["b"], ["a"]]);
    }

    #[test]
    fn a_group_matches_its_whole_name_only() {
        let all = [
            container("one", 0, &["web"]),
            container("two", 0, &["webfarm"]),
        ];
        assert_eq!(
            names(&plan(&all, &by_groups("webfarm"), Direction::Start)),
            [["two"]]
        );
        assert_eq!(
            names(&plan(&all, &by_groups("web"), Direction::Start)),
            [["one"]]
        );
        let both = plan(&all, &by_groups("web,webfarm"), Direction::Start);
        assert_eq!(names(&both), [["one"], ["two"]]);
    }

    #[test]
    fn the_null_group_may_stand_anywhere() {
        let all = [
            container("plain", 0, &[]),
            container("boot", 0, &["onboot"]),
            container("dns", 0, &["dns"]),
            container("other", 0, &["other"]),
        ];
        let pick = |list| plan(&all, &by_groups(list), Direction::Start);
        assert_eq!(names(&pick(",onboot")), [["plain"], ["boot"]]);
        assert_eq!(names(&pick("onboot,")), [["boot"], ["plain"]]);
        assert_eq!(
            names(&pick("dns,web,,onboot")),
            [["dns"], ["plain"], ["boot"]]
        );
        assert_eq!(names(&pick("")), [["plain"]]);
        assert_eq!(
            names(&plan(&all, &Selection::default(), Direction::Start)),
            [["plain"]]
        );
    }

    #[test]
    fn a_container_of_two_groups_goes_with_the_first_named() {
        let all = [container("both", 0, &["b", "a"]), container("x", 5, &["a"])];
        assert_eq!(
            names(&plan(&all, &by_groups("a,b,a"), Direction::Start)),
            [["both"], ["x"]]
        );
    }

    #[test]
    fn all_wins_over_groups_and_auto_may_be_disregarded() {
        let mut manual = container("manual", 0, &["z"]);
        manual.auto = false;
        let all = [manual, container("auto", 0, &["y"])];
        let mut selection = by_groups("nothing");
        assert!(plan(&all, &selection, Direction::Start).ranks.is_empty());
        selection.all = true;
        assert_eq!(names(&plan(&all, &selection, Direction::Start)), [["auto"]]);
        selection.ignore_auto = true;
        assert_eq!(
            names(&plan(&all, &selection, Direction::Start)),
            [["auto", "manual"]]
        );
    }

    #[test]
    fn the_list_shows_what_would_change() {
        let mut up = container("up", 0, &[]);
        up.running = true;
        let mut down = container("down", 1, &[]);
        down.delay = Duration::from_secs(3);
        let all = [up, down];
        assert_eq!(
            plan(&all, &Selection::default(), Direction::Start).list(),
            ["down 3"]
        );
        assert_eq!(
            plan(&all, &Selection::default(), Direction::Shutdown).list(),
            ["up"]
        );
    }
}
