//! Signals by name and number.

use super::{digits, expected};
use crate::key::Refusal;
use std::fmt;

/// A signal, 1 to 64, by the numbers of Linux on x86, Arm, RISC-V, PowerPC, s390 and LoongArch
/// (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(i32);

const NAMES: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
/// The first and the last real-time signal that programs may use (the C library keeps 32 and 33).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// The kernel's own default for ending by force.
    pub const KILL: Self = Self(9);
    /// LXC's default for asking init to halt.
    pub const PWR: Self = Self(30);
    /// LXC's default for asking init to reboot.
    pub const INT: Self = Self(2);

    /// A signal by its number.
    pub fn new(number: i32) -> Option<Self> {
        (1..=RTMAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 >= RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => self.0.fmt(f),
        }
    }
}

/// `SIGPWR`, `SIGRTMIN+3`, `SIGRTMAX-1` or a number.
pub fn signal(text: &str) -> Result<Signal, Refusal> {
    named(text).map_or_else(
        || expected("a signal (SIGPWR, SIGRTMIN+3, SIGRTMAX-1, or a number from 1 to 64)"),
        Ok,
    )
}

/// As [`signal`]; 0 means none.
pub fn signal_or_none(text: &str) -> Result<Option<Signal>, Refusal> {
    match text {
        "0" => Ok(None),
        _ => signal(text).map(Some),
    }
}

fn named(text: &str) -> Option<Signal> {
    if let Some(number) = digits(text) {
        return Signal::new(number);
    }
    let name = text.strip_prefix("SIG")?;
    let offset = |text: &str| digits::<i32>(text).filter(|n| *n <= RTMAX - RTMIN);
    let number = match name.strip_prefix("RTM") {
        Some("IN") => RTMIN,
        Some("AX") => RTMAX,
        Some(rest) => match (rest.strip_prefix("IN+"), rest.strip_prefix("AX-")) {
            (Some(n), _) => RTMIN + offset(n)?,
            (_, Some(n)) => RTMAX - offset(n)?,
            _ => return None,
        },
        None => NAMES.iter().find(|(known, _)| *known == name)?.1,
    };
    Signal::new(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for (text, number) in [
            ("SIGPWR", 30),
            ("SIGUSR1", 10),
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("SIGRTMAX", 64),
            ("SIGRTMAX-1", 63),
            ("SIGRTMIN+30", 64),
            ("15", 15),
            ("64", 64),
        ] {
            assert_eq!(signal(text).map(Signal::number), Ok(number), "{text}");
        }
        for wrong in [
            "PWR",
            "sigpwr",
            "SIG",
            "SIGFOO",
            "0",
            "65",
            "-1",
            "SIGRTMIN+31",
            "SIGRTMIN-1",
            "SIGRTMAX+1",
            "SIGRTMIN+",
            "SIGRTM",
            "SIGRTMIN3",
            "99999999999",
        ] {
            assert!(signal(wrong).is_err(), "{wrong}");
        }
        assert_eq!(signal_or_none("0"), Ok(None));
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for number in 1..=64 {
            let it = Signal::new(number).unwrap();
            assert_eq!(signal(&it.to_string()), Ok(it), "{number}");
        }
    }
}
