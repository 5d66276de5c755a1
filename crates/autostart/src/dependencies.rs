//! What must be ready before what, laid over the ranks.

use crate::plan::{Container, Direction, Plan};
use berth_common::ContainerName;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Edges = BTreeMap<ContainerName, Vec<ContainerName>>;

/// Draws containers into earlier ranks so that none stands before one that it waits for. What cannot
/// be obeyed is refused at a start; a shutdown goes on without it.
pub(crate) fn arrange(
    ranks: Vec<Vec<&Container>>,
    all: &[Container],
    direction: Direction,
) -> Plan {
    let known: BTreeMap<&ContainerName, &Container> = all.iter().map(|c| (&c.name, c)).collect();
    // Rank and place in it.
    let mut places: BTreeMap<&ContainerName, (usize, usize)> = BTreeMap::new();
    for (rank, containers) in ranks.iter().enumerate() {
        for (place, container) in containers.iter().enumerate() {
            places.insert(&container.name, (rank, place));
        }
    }
    let mut refused = BTreeMap::new();
    if direction == Direction::Start {
        draw_in(&known, &mut places, &mut refused);
    }
    let mut first = edges(&known, &places, direction);
    untie(&mut first, direction, &mut refused);
    draw_forward(&first, &mut places);

    let mut by_rank: BTreeMap<usize, Vec<(usize, &Container)>> = BTreeMap::new();
    for (name, (rank, place)) in places {
        if let Some(container) = known.get(name) {
            by_rank.entry(rank).or_default().push((place, container));
        }
    }
    let ranks = by_rank.into_values().map(|mut rank| {
        rank.sort_by_key(|&(place, container)| (place, &container.name));
        in_order(
            rank.into_iter().map(|(_, container)| container).collect(),
            &first,
        )
    });
    Plan {
        direction,
        ranks: ranks.collect(),
        first,
        refused,
    }
}

/// Adds what those that are to be started need, and what that needs.
fn draw_in<'c>(
    known: &BTreeMap<&'c ContainerName, &'c Container>,
    places: &mut BTreeMap<&'c ContainerName, (usize, usize)>,
    refused: &mut BTreeMap<ContainerName, String>,
) {
    let mut look: VecDeque<&Container> = places
        .keys()
        .filter_map(|n| known.get(*n))
        .copied()
        .collect();
    while let Some(container) = look.pop_front() {
        if container.running {
            continue;
        }
        let Some(&(rank, _)) = places.get(&container.name) else {
            continue;
        };
        for needed in &container.after {
            let Some(&needed) = known.get(needed) else {
                let why = format!(
                    "it needs “{needed}” first (start.after), which does not exist or cannot be read"
                );
                refused.entry(container.name.clone()).or_insert(why);
                continue;
            };
            if !places.contains_key(&needed.name) {
                places.insert(&needed.name, (rank, 0));
                look.push_back(needed);
            }
        }
    }
}

/// For each container what has to be done before it.
fn edges(
    known: &BTreeMap<&ContainerName, &Container>,
    places: &BTreeMap<&ContainerName, (usize, usize)>,
    direction: Direction,
) -> Edges {
    let mut first = Edges::new();
    for name in places.keys() {
        let Some(container) = known.get(*name) else {
            continue;
        };
        // One that is not touched waits for nobody.
        if direction.is_done(container) {
            continue;
        }
        for needed in container.after.iter().filter(|n| places.contains_key(*n)) {
            let (later, earlier) = match direction {
                Direction::Start | Direction::Reboot => (&container.name, needed),
                Direction::Shutdown => (needed, &container.name),
            };
            first
                .entry(later.clone())
                .or_default()
                .push(earlier.clone());
        }
    }
    first
}

/// Takes circles out.
fn untie(first: &mut Edges, direction: Direction, refused: &mut BTreeMap<ContainerName, String>) {
    let names: Vec<ContainerName> = first.keys().cloned().collect();
    let circles: BTreeMap<ContainerName, Vec<ContainerName>> = names
        .into_iter()
        .filter_map(|name| Some((name.clone(), circle(&name, first)?)))
        .collect();
    for (name, circle) in &circles {
        if let Some(waits) = first.get_mut(name) {
            waits.retain(|other| !circles.contains_key(other));
        }
        if direction == Direction::Start {
            let way: Vec<&str> = circle.iter().map(ContainerName::as_str).collect();
            let way = way.join(" → ");
            let why = format!("a container cannot wait for itself: {way} (start.after)");
            refused.insert(name.clone(), why);
        }
    }
}

/// The shortest way from a container back to itself.
fn circle(from: &ContainerName, first: &Edges) -> Option<Vec<ContainerName>> {
    let mut came: BTreeMap<&ContainerName, &ContainerName> = BTreeMap::new();
    let mut look = VecDeque::from([from]);
    while let Some(here) = look.pop_front() {
        for next in first.get(here).into_iter().flatten() {
            if next == from {
                let mut way = vec![from.clone()];
                let mut at = here;
                while at != from {
                    way.push(at.clone());
                    at = came.get(at)?;
                }
                way.push(from.clone());
                way.reverse();
                return Some(way);
            }
            if !came.contains_key(next) {
                came.insert(next, here);
                look.push_back(next);
            }
        }
    }
    None
}

/// Nothing stands in a later rank than what waits for it.
fn draw_forward(first: &Edges, places: &mut BTreeMap<&ContainerName, (usize, usize)>) {
    let mut look: VecDeque<&ContainerName> = first.keys().collect();
    while let Some(name) = look.pop_front() {
        let Some(&(rank, _)) = places.get(name) else {
            continue;
        };
        for needed in first.get(name).into_iter().flatten() {
            if let Some(place) = places.get_mut(needed)
                && place.0 > rank
            {
                place.0 = rank;
                look.push_back(needed);
            }
        }
    }
}

/// As they stand, but each behind what it waits for.
fn in_order(mut rank: Vec<&Container>, first: &Edges) -> Vec<Container> {
    let mut left: BTreeSet<&ContainerName> = rank.iter().map(|c| &c.name).collect();
    let mut ordered = Vec::with_capacity(rank.len());
    while !rank.is_empty() {
        let is_free = |c: &&Container| {
            let mut waits = first.get(&c.name).into_iter().flatten();
            !waits.any(|other| left.contains(other))
        };
        // There is always one: circles are taken out.
        let next = rank.iter().position(is_free).unwrap_or(0);
        let container = rank.remove(next);
        left.remove(&container.name);
        ordered.push(container.clone());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use crate::{Container, Direction, Plan, Selection, plan};

    fn container(name: &str, order: i32, after: &[&str]) -> Container {
        Container {
            auto: true,
            order,
            after: after.iter().map(|name| name.parse().unwrap()).collect(),
            ..Container::new(name.parse().unwrap())
        }
    }

    fn names(plan: &Plan) -> Vec<Vec<&str>> {
        let ranks = plan.ranks.iter();
        ranks
            .map(|rank| rank.iter().map(|c| c.name.as_str()).collect())
            .collect()
    }

    fn start(all: &[Container]) -> Plan {
        plan(all, &Selection::default(), Direction::Start)
    }

    fn refusal<'p>(plan: &'p Plan, name: &str) -> Option<&'p str> {
        plan.refused.get(&name.parse().unwrap()).map(String::as_str)
    }

    #[test]
    fn what_is_needed_is_drawn_into_an_earlier_rank() {
        let all = [
            container("web", 0, &["db"]),
            container("db", 5, &["disk"]),
            container("disk", 9, &[]),
            container("other", 5, &[]),
        ];
        assert_eq!(
            names(&start(&all)),
            [vec!["disk", "db", "web"], vec!["other"]]
        );
    }

    #[test]
    fn shutdown_stops_what_needs_another_one_first() {
        let mut all = [
            container("web", 0, &["db"]),
            container("db", 5, &[]),
            container("other", 5, &[]),
        ];
        all.iter_mut().for_each(|c| c.running = true);
        let down = plan(&all, &Selection::default(), Direction::Shutdown);
        assert_eq!(names(&down), [["other", "web", "db"]]);
        assert_eq!(down.first[&"db".parse().unwrap()], ["web".parse().unwrap()]);
        // One that does not run holds up nobody.
        all[0].running = false;
        let down = plan(&all, &Selection::default(), Direction::Shutdown);
        assert_eq!(names(&down), [vec!["other", "db"], vec!["web"]]);
        assert!(down.first.is_empty());
    }

    #[test]
    fn what_was_not_selected_is_drawn_in_at_a_start_only() {
        let mut all = [
            container("web", 0, &["db"]),
            container("db", 0, &["disk"]),
            container("disk", 3, &[]),
        ];
        all[1].auto = false;
        all[2].managed = true;
        assert_eq!(names(&start(&all)), [["disk", "db", "web"]]);
        let down = plan(&all, &Selection::default(), Direction::Shutdown);
        assert_eq!(names(&down), [["web"]]);
    }

    #[test]
    fn circles_and_what_is_missing_are_refused_by_name() {
        let all = [
            container("a", 0, &["b"]),
            container("b", 0, &["c"]),
            container("c", 0, &["a"]),
            container("on-it", 0, &["a"]),
            container("alone", 0, &["alone"]),
            container("lost", 0, &["nowhere"]),
            container("fine", 0, &[]),
        ];
        let plan = start(&all);
        assert_eq!(
            refusal(&plan, "a"),
            Some("a container cannot wait for itself: a → b → c → a (start.after)")
        );
        assert_eq!(
            refusal(&plan, "alone"),
            Some("a container cannot wait for itself: alone → alone (start.after)")
        );
        assert!(refusal(&plan, "lost").is_some_and(|why| why.contains("“nowhere”")));
        for innocent in ["fine", "on-it"] {
            assert_eq!(refusal(&plan, innocent), None);
        }
        assert_eq!(plan.ranks.len(), 1);
    }

    #[test]
    fn a_circle_does_not_keep_a_shutdown_from_anything() {
        let mut all = [container("a", 0, &["b"]), container("b", 1, &["a"])];
        all.iter_mut().for_each(|c| c.running = true);
        let down = plan(&all, &Selection::default(), Direction::Shutdown);
        assert_eq!(names(&down), [["b"], ["a"]]);
        assert!(down.refused.is_empty());
    }
}
