//! Bounded fuzzing on stable Rust: the corpus in `fuzz/corpus`, and mutations of it from a seed.
//! See `fuzz/README.md`.

use berth_common::Uid;
use berth_netlink::Link;
use berth_netlink::message::{self, Messages};
use berth_usernic::invocation::{self, Invocation, Misuse};
use berth_usernic::{alias, ledger, lint, usernet, view};

#[path = "../../fuzz/driver.rs"]
mod driver;

use driver::fuzz;

const RUNS: u64 = 20_000;

struct Nobody;

impl lint::Host for Nobody {
    fn has_user(&self, name: &str) -> bool {
        name.len().is_multiple_of(2)
    }
    fn has_group(&self, name: &str) -> bool {
        !name.len().is_multiple_of(2)
    }
    fn has_bridge(&self, _: &str) -> bool {
        false
    }
}

#[test]
fn usernet_grammar() {
    fuzz("usernet", RUNS, |input| {
        let text = String::from_utf8_lossy(input);
        let granted: u64 = usernet::entries(&text)
            .filter(|entry| entry.who == usernet::Who::User("alice"))
            .filter(|entry| entry.kind == "veth" && entry.bridge == "br0")
            .fold(0, |sum: u64, entry| {
                sum.saturating_add(u64::try_from(entry.count).unwrap_or(0))
            });
        let quota = usernet::quota(&text, "alice", |_| false, "veth", "br0");
        assert_eq!(quota.map_or(0, |quota| quota.limit), granted);
        for finding in lint::lint(&text, &Nobody) {
            assert!(!finding.what.to_string().contains(char::is_control));
        }
    });
}

#[test]
fn command_line() {
    fuzz("argv", RUNS, |input| {
        let text = String::from_utf8_lossy(input);
        let words: Vec<&str> = text.split('\0').collect();
        match invocation::parse(&words) {
            Ok(Invocation::Create(create)) => assert!(create.pid > 0),
            Ok(Invocation::Delete(delete)) => assert!(delete.host.as_str().len() < 16),
            Err(Misuse::Part(why)) => assert!(!why.contains(char::is_control), "{why}"),
            Err(Misuse::Form) => {}
        }
    });
}

#[test]
fn netlink_replies() {
    fuzz("netlink", RUNS, |input| {
        if let Ok(links) = Link::all_in(input) {
            assert!(
                links
                    .iter()
                    .all(|link| link.index != 0 && !link.name.is_empty())
            );
        }
        for message in Messages::new(input).flatten() {
            let _ = message::answer(&message);
        }
    });
}

#[test]
fn ledger_and_view() {
    fuzz("view", RUNS, |input| {
        let text = String::from_utf8_lossy(input);
        let lines = view::parse(&text);
        assert_eq!(view::parse(&view::render(&lines)), lines);
        for line in &lines {
            if let Some(owner) = ledger::owner(&line.host) {
                let counts = |uid| ledger::of_user([line.host.as_str()].into_iter(), uid).len();
                assert_eq!(counts(owner), 1);
                assert_eq!(counts(Uid::new(owner.raw() ^ 1).unwrap_or(Uid::ROOT)), 0);
            }
            let _ = alias::parse(&line.owner);
        }
        let _ = alias::parse(&text);
    });
}
