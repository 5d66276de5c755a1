//! `lxc.prlimit.RESOURCE`

use super::{digits, expected};
use crate::error::printable;
use crate::key::Refusal;

/// Resources of setrlimit(2), in lower case and without `rlimit_`.
const RESOURCES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A resource and how much of it a process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    /// One of setrlimit(2), in lower case and without `rlimit_`.
    pub resource: &'static str,
    /// What counts; `None`: unlimited. In the unit that setrlimit(2) names.
    pub soft: Option<u64>,
    /// Up to where a process may lift it; `None`: unlimited. Never below `soft`.
    pub hard: Option<u64>,
}

/// The name of a resource.
pub fn resource(name: &str) -> Result<&'static str, Refusal> {
    let known = RESOURCES.iter().find(|known| **known == name);
    known.copied().ok_or_else(|| {
        Refusal::Other(format!(
            "“{}” is no resource that can be limited; expected one of {}",
            printable(name),
            RESOURCES.join(", ")
        ))
    })
}

/// `SOFT:HARD`, or one value for both; each a number or `unlimited`.
pub fn resource_limit(name: &str, text: &str) -> Result<ResourceLimit, Refusal> {
    let resource = resource(name)?;
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let (Some(soft), Some(hard)) = (amount(soft), amount(hard)) else {
        return expected("SOFT:HARD or one value for both, each a number or “unlimited”");
    };
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return expected("a soft limit that is not above the hard one (SOFT:HARD)");
    }
    Ok(ResourceLimit {
        resource,
        soft,
        hard,
    })
}

/// `Some(None)` for unlimited. The kernel's own number for that is no amount.
fn amount(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "unlimited" => Some(None),
        number => digits::<u64>(number)
            .filter(|number| *number < u64::MAX)
            .map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_pairs() {
        let is = |text: &str, soft, hard| {
            let limit = resource_limit("nofile", text).unwrap();
            assert_eq!((limit.soft, limit.hard), (soft, hard), "{text}");
        };
        is("1024", Some(1024), Some(1024));
        is("1024:4096", Some(1024), Some(4096));
        is("0 : unlimited", Some(0), None);
        is("unlimited", None, None);
        for wrong in [
            "2:1",
            "unlimited:1",
            "-1",
            "1k",
            "1:2:3",
            ":",
            "1:",
            "infinity",
            "18446744073709551615",
            "18446744073709551616",
        ] {
            assert!(resource_limit("nofile", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn resources_are_those_of_setrlimit() {
        assert_eq!(resource("nproc"), Ok("nproc"));
        for wrong in ["RLIMIT_NPROC", "NPROC", "files", "x"] {
            let message = resource(wrong).unwrap_err().message("");
            assert!(
                message.contains(wrong) && message.contains("nofile"),
                "{message}"
            );
        }
    }
}
