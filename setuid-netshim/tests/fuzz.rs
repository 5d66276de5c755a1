//! Bounded fuzzing on stable Rust: the corpus in `fuzz/corpus`, and mutations of it from a seed.
//! See `fuzz/README.md`.

use berth_common::Uid;
use berth_netlink::Link;
use berth_netlink::message::{self, Messages};
use berth_usernic::invocation::{self, Invocation, Misuse};
use berth_usernic::{alias, ledger, lint, usernet, view};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// So many mutations a target, unless `BERTH_FUZZ_RUNS` says otherwise.
const RUNS: u64 = 20_000;
const LONGEST: usize = 16 << 10;

/// xorshift64*: enough for choosing bytes, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // The order of a directory is nobody's promise; the seed must mean the same everywhere.
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn mutate(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    const INTERESTING: &[&[u8]] = &[
        b"\0",
        b"\n",
        b" ",
        b"\t",
        b"@",
        b"#",
        b"-",
        b"0",
        b"\xff\xff\xff\xff",
        b"\x7f",
        b"4294967295",
        b"../",
        b"/proc/",
        b"none",
        b"veth",
        b"%d",
        b"\xc3\x28",
        b"9223372036854775808",
        b"\0\0\0\0",
    ];
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(12)).min(input.len());
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 if at < end => drop(input.drain(at..end)),
            3 => {
                let piece = INTERESTING[random.below(INTERESTING.len())];
                input.splice(at..at, piece.iter().copied());
            }
            4 if at < end => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// Runs a target over its corpus and mutations; an input at which it panics is shown.
fn fuzz(target: &str, run: impl Fn(&[u8])) {
    let (runs, seed) = (
        number("BERTH_FUZZ_RUNS", RUNS),
        number("BERTH_FUZZ_SEED", 1),
    );
    let inputs = corpus(target);
    let mut random = Random(seed.max(1));
    let check = |input: &[u8], which: u64| {
        if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
            panic!("{target}, seed {seed}, run {which}: fails on {input:?}");
        }
    };
    inputs.iter().for_each(|input| check(input, 0));
    for which in 1..=runs {
        check(&mutate(&mut random, &inputs), which);
    }
}

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
    fuzz("usernet", |input| {
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
    fuzz("argv", |input| {
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
    fuzz("netlink", |input| {
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
    fuzz("view", |input| {
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
