//! What all fuzz targets share: the corpus in `fuzz/corpus`, and mutations of it from a seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

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
        .ancestors()
        .map(|dir| dir.join("fuzz/corpus").join(target))
        .find(|dir| dir.is_dir())
        .unwrap_or_else(|| panic!("fuzz/corpus/{target} is missing"));
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
        b"lxc.",
        b"lxc.include = /",
        b" =",
        b"\"",
        b":",
        b"-1",
        b"\r\n",
        b"\xf4\x8f\x9f\xbf",
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

/// Runs a target over its corpus and so many mutations, unless `BERTH_FUZZ_RUNS` says otherwise; an
/// input at which it panics is shown.
pub fn fuzz(target: &str, runs: u64, run: impl Fn(&[u8])) {
    let (runs, seed) = (
        number("BERTH_FUZZ_RUNS", runs),
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
