//! Policies of system calls, as `lxc.seccomp.profile` names them.
//!
//! Two grammars of LXC's: version 1 is a list of numbers that are allowed; version 2 has names,
//! actions and filters of arguments.

mod arguments;
mod parse;
mod section;

pub use parse::parse;
pub use section::Section;

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `kill`: the thread that makes it ends by SIGSYS.
    Kill,
    /// `trap`: the thread gets SIGSYS.
    Trap,
    /// `errno N`: it fails with this number, 0 to 4094.
    Errno(u16),
    /// `allow`: it is made.
    Allow,
    /// `log`: it is made, and the kernel logs that.
    Log,
    /// `notify`: a supervisor decides.
    Notify,
}

/// Which system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// By its number on this machine.
    Number(u32),
    /// By its name.
    Name(String),
    /// `reject_force_umount`: umount2 with `MNT_FORCE`.
    ForcedUmount,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// With what of the argument this mask leaves.
    MaskedEqual(u64),
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentFilter {
    /// Which, 0 to 5.
    pub index: u8,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// One line of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The line's number, from 1.
    pub line: u32,
    /// On which machines the rule counts.
    pub section: Section,
    /// The system call.
    pub call: Call,
    /// What happens to it.
    pub action: Action,
    /// Conditions, all of which hold; none: always. Each is of another argument.
    pub arguments: Vec<ArgumentFilter>,
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What happens to what no rule names.
    pub default: Action,
    /// The rules, in the order of their lines. It decides nothing: of rules for the same call a
    /// rule without conditions counts alone, and of equal ones the strictest.
    pub rules: Vec<Rule>,
    /// Whether programs of other architectures that the machine runs (32-bit ones on most) have
    /// no system call at all: version 1's numbers mean nothing for them.
    pub native_only: bool,
}

impl Policy {
    /// The line by which `sendmsg` would wait for a supervisor: with that call the first process
    /// hands the supervisor over.
    pub fn supervises_its_own_beginning(&self) -> Option<u32> {
        let sendmsg = Call::Name("sendmsg".to_owned());
        let mut own = self.rules.iter().filter(|rule| rule.call == sendmsg);
        if let Some(rule) = own.clone().find(|rule| rule.action == Action::Notify) {
            return Some(rule.line);
        }
        let spared = own.any(|rule| rule.arguments.is_empty());
        (self.default == Action::Notify && !spared).then_some(2)
    }

    /// Whether a supervisor is asked for anything.
    pub fn asks_a_supervisor(&self) -> Option<u32> {
        match self.default == Action::Notify {
            true => Some(2),
            false => self
                .rules
                .iter()
                .find(|rule| rule.action == Action::Notify)
                .map(|rule| rule.line),
        }
    }
}
