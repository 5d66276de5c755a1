//! What init is and runs with: architecture, command, environment, capabilities.

use super::{digits, expected};
use crate::error::printable;
use crate::key::Refusal;
use berth_common::capability::CAPABILITIES;
use std::fmt;

/// Which processor uname(2) is to tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// The machine's own.
    Linux,
    /// Its 32-bit mode (PER_LINUX32).
    Linux32,
}

/// `lxc.arch`: a name and the personality(2) that it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arch {
    /// As written.
    pub name: String,
    /// What it means.
    pub personality: Personality,
}

/// Names of 32-bit processors, then of 64-bit ones (those of LXC's parser).
const ARCH_32: [&str; 26] = [
    "arm", "armel", "armhf", "armv7", "armv7l", "armv7a", "armv6l", "armv8l", "athlon", "i386",
    "i486", "i586", "i686", "linux32", "mips", "mipsel", "pentium", "pentium2", "pentium3",
    "pentium4", "powerpc", "ppc", "s390", "x86", "mipseb", "riscv32",
];
const ARCH_64: [&str; 18] = [
    "aarch64",
    "amd64",
    "arm64",
    "linux64",
    "loongarch64",
    "mips64",
    "mips64el",
    "mipsel64",
    "powerpc64",
    "powerpc64el",
    "powerpc64le",
    "ppc64",
    "ppc64el",
    "ppc64le",
    "riscv64",
    "s390x",
    "x86_64",
    "mips64eb",
];

/// The name of a processor.
pub fn arch(text: &str) -> Result<Arch, Refusal> {
    let personality = match () {
        () if ARCH_64.contains(&text) => Personality::Linux,
        () if ARCH_32.contains(&text) => Personality::Linux32,
        () => return expected("the name of an architecture (x86_64, i686, aarch64, armhf, …)"),
    };
    Ok(Arch {
        name: text.to_owned(),
        personality,
    })
}

/// A command: an absolute path, then arguments, separated by blanks; '…' and "…" hold blanks
/// together.
pub fn command(text: &str) -> Result<Vec<String>, Refusal> {
    let Some(words) = split_quoted(text) else {
        return expected("a closing quote for each opening one");
    };
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(words),
        _ => expected("the absolute path of a program and its arguments"),
    }
}

/// Splits at blanks outside quotes; `None` if a quote is not closed.
fn split_quoted(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A user or group id of the container.
pub fn id(text: &str) -> Result<u32, Refusal> {
    match digits(text) {
        Some(id) if id < u32::MAX => Ok(id),
        _ => expected("an id from 0 to 4294967294"),
    }
}

/// Group ids separated by commas.
pub fn ids(text: &str) -> Result<Vec<u32>, Refusal> {
    let ids = text.split(',').map(|part| id(part.trim()));
    ids.collect::<Result<_, _>>()
        .or_else(|_| expected("group ids separated by commas, as in 20,44"))
}

/// A variable of init's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentEntry {
    /// The name: not empty, without `=`.
    pub name: String,
    /// The value; `None`: the caller's, whose absence is an error at the start.
    pub value: Option<String>,
}

/// `NAME=VALUE` or `NAME`.
pub fn environment(text: &str) -> Result<EnvironmentEntry, Refusal> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return expected("NAME=VALUE, or NAME to take the caller's value");
    }
    Ok(EnvironmentEntry {
        name: name.to_owned(),
        value,
    })
}

/// A capability by its number in capability.h; at most 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CAPABILITIES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// Names in lower case without `cap_`, or numbers, separated by blanks.
pub fn capabilities(text: &str) -> Result<Vec<Capability>, Refusal> {
    text.split_whitespace().map(capability).collect()
}

/// As [`capabilities`]; `None` for the word `none` alone.
pub fn kept_capabilities(text: &str) -> Result<Option<Vec<Capability>>, Refusal> {
    match text {
        "none" => Ok(None),
        _ => capabilities(text).map(Some),
    }
}

fn capability(word: &str) -> Result<Capability, Refusal> {
    let by_name = CAPABILITIES.iter().position(|name| *name == word);
    let number = by_name
        .and_then(|at| u8::try_from(at).ok())
        .or_else(|| digits(word));
    number
        .filter(|number| *number < 64)
        .map(Capability)
        .ok_or_else(|| {
            Refusal::Other(format!(
                "“{}” is no capability; expected names in lower case without “cap_” \
             (sys_module mac_admin), separated by blanks",
                printable(word)
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures() {
        assert_eq!(arch("amd64").unwrap().personality, Personality::Linux);
        assert_eq!(arch("i686").unwrap().personality, Personality::Linux32);
        assert!(arch("pdp11").is_err());
        for name in ARCH_32 {
            assert!(!ARCH_64.contains(&name), "{name}");
        }
    }

    #[test]
    fn commands_are_split() {
        let words = |text| command(text).unwrap();
        assert_eq!(words("/sbin/init"), ["/sbin/init"]);
        assert_eq!(
            words("/bin/sh -c 'echo  a \"b\"' \"\""),
            ["/bin/sh", "-c", "echo  a \"b\"", ""]
        );
        assert_eq!(words("/bin/a'b c'd"), ["/bin/ab cd"]);
        for wrong in ["sh", "-c", "/bin/sh -c 'echo", "''", "init /bin/sh"] {
            assert!(command(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_are_numbers() {
        assert_eq!(id("1000"), Ok(1000));
        assert_eq!(ids("20, 44,0"), Ok(vec![20, 44, 0]));
        for wrong in ["alice", "-1", "4294967295", "1,2"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
        for wrong in ["audio", "1 2", "1,,2", ","] {
            assert!(ids(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables() {
        let is = |text: &str, name: &str, value: Option<&str>| {
            let entry = environment(text).unwrap();
            assert_eq!(
                (entry.name.as_str(), entry.value.as_deref()),
                (name, value),
                "{text}"
            );
        };
        is("A=b c", "A", Some("b c"));
        is("A=", "A", Some(""));
        is("A=b=c", "A", Some("b=c"));
        is("LANG", "LANG", None);
        for wrong in ["=b", "A B=c", "A B"] {
            assert!(environment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn capability_names() {
        let numbers: Vec<u8> = capabilities("chown  sys_admin 40 bpf")
            .unwrap()
            .iter()
            .map(|c| c.number())
            .collect();
        assert_eq!(numbers, [0, 21, 40, 39]);
        assert_eq!(kept_capabilities("none"), Ok(None));
        for wrong in ["cap_chown", "CHOWN", "64", "none chown", "-1"] {
            assert!(capabilities(wrong).is_err(), "{wrong}");
        }
        for (number, name) in CAPABILITIES.iter().enumerate() {
            let cap = capabilities(name).unwrap()[0];
            assert_eq!(usize::from(cap.number()), number);
            assert_eq!(cap.to_string(), *name);
        }
    }
}
