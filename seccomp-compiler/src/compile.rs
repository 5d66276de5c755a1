//! From a policy to libseccomp's filter.

use std::collections::BTreeSet;

use berth_container_config::seccomp::{Action, Call, Comparison, Policy, Rule};
use libseccomp::error::SeccompErrno;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};

/// A filter and what it could not take in.
pub struct Compiled {
    /// Whole.
    pub filter: ScmpFilterContext,
    /// Names that libseccomp does not know on any architecture: of newer kernels, or mistyped.
    pub unknown: BTreeSet<String>,
}

/// `MNT_FORCE` (mount.h)
const MNT_FORCE: u64 = 1;

/// Compiles for programs of this machine and of all architectures that it runs beside its own;
/// system calls of any other end the thread.
pub fn compile(policy: &Policy, machine: &str) -> Result<Compiled, String> {
    let whole = |error| format!("libseccomp cannot begin a filter: {error}");
    let mut filter = ScmpFilterContext::new(action(policy.default)).map_err(whole)?;
    // Who may load it without no_new_privs is the kernel's to say, and whether it is set the
    // container's configuration's.
    filter.set_ctl_nnp(false).map_err(whole)?;
    // The kernel tries a new filter on every number: a tree is searched faster than a list. Before
    // libseccomp 2.5 there are lists only.
    let _ = filter.set_ctl_optimize(2);
    if !policy.native_only {
        for arch in beside(machine) {
            filter.add_arch(*arch).map_err(whole)?;
        }
    }
    let mut unknown = BTreeSet::new();
    let rules: Vec<&Rule> = strictest(policy, machine);
    for rule in &rules {
        let Some(call) = number(&rule.call) else {
            if let Call::Name(name) = &rule.call {
                unknown.insert(name.clone());
            }
            continue;
        };
        if rule.action == policy.default {
            not_an_exception(rule, &rules)?;
            continue;
        }
        let conditions = conditions(rule);
        let added = filter.add_rule_conditional(action(rule.action), call, &conditions);
        added.map_err(|error| {
            let line = rule.line;
            match error.errno() {
                Some(SeccompErrno::ENOMEM) => format!("policy:{line}: the policy is too long"),
                _ => format!("policy:{line}: libseccomp does not take the rule: {error}"),
            }
        })?;
    }
    Ok(Compiled { filter, unknown })
}

/// Rules that count on this machine, one for each call and set of conditions.
fn strictest<'p>(policy: &'p Policy, machine: &str) -> Vec<&'p Rule> {
    let mut rules: Vec<&Rule> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    let counting = policy
        .rules
        .iter()
        .filter(|rule| rule.section.counts_on(machine));
    for rule in counting {
        let key = (format!("{:?}", rule.call), format!("{:?}", rule.arguments));
        match seen.get(&key) {
            None => {
                seen.insert(key, rules.len());
                rules.push(rule);
            }
            Some(&at) if strictness(rule.action) > strictness(rules[at].action) => {
                rules[at] = rule;
            }
            Some(_) => {}
        }
    }
    rules
}

/// The kernel's order where several filters disagree (seccomp(2)).
fn strictness(action: Action) -> u8 {
    match action {
        Action::Kill => 5,
        Action::Trap => 4,
        Action::Errno(_) => 3,
        Action::Notify => 2,
        Action::Log => 1,
        Action::Allow => 0,
    }
}

/// What a rule does that says the same as the policy as a whole: nothing, unless it was meant as an
/// exception from another one, which a filter cannot have.
fn not_an_exception(rule: &Rule, rules: &[&Rule]) -> Result<(), String> {
    let other = rules
        .iter()
        .find(|other| other.call == rule.call && other.action != rule.action);
    match other {
        None => Ok(()),
        Some(other) => Err(format!(
            "policy:{}: the rule does what the policy does with all that it does not name, and \
             cannot be an exception from line {}: turn the condition of line {} around instead",
            rule.line, other.line, other.line
        )),
    }
}

fn number(call: &Call) -> Option<ScmpSyscall> {
    match call {
        Call::Number(number) => i32::try_from(*number).ok().map(ScmpSyscall::from),
        Call::Name(name) => ScmpSyscall::from_name(name).ok(),
        Call::ForcedUmount => ScmpSyscall::from_name("umount2").ok(),
    }
}

fn conditions(rule: &Rule) -> Vec<ScmpArgCompare> {
    if rule.call == Call::ForcedUmount {
        let flags = ScmpCompareOp::MaskedEqual(MNT_FORCE);
        return vec![ScmpArgCompare::new(1, flags, MNT_FORCE)];
    }
    let condition = |filter: &berth_container_config::seccomp::ArgumentFilter| {
        let op = match filter.comparison {
            Comparison::NotEqual => ScmpCompareOp::NotEqual,
            Comparison::Less => ScmpCompareOp::Less,
            Comparison::LessOrEqual => ScmpCompareOp::LessOrEqual,
            Comparison::Equal => ScmpCompareOp::Equal,
            Comparison::GreaterOrEqual => ScmpCompareOp::GreaterEqual,
            Comparison::Greater => ScmpCompareOp::Greater,
            Comparison::MaskedEqual(mask) => ScmpCompareOp::MaskedEqual(mask),
        };
        ScmpArgCompare::new(filter.index.into(), op, filter.value)
    };
    rule.arguments.iter().map(condition).collect()
}

fn action(action: Action) -> ScmpAction {
    match action {
        Action::Kill => ScmpAction::KillThread,
        Action::Trap => ScmpAction::Trap,
        Action::Errno(number) => ScmpAction::Errno(number.into()),
        Action::Allow => ScmpAction::Allow,
        Action::Log => ScmpAction::Log,
        Action::Notify => ScmpAction::Notify,
    }
}

/// Architectures whose programs a machine runs beside its own.
fn beside(machine: &str) -> &'static [ScmpArch] {
    let little = cfg!(target_endian = "little");
    match machine {
        "x86_64" => &[ScmpArch::X86, ScmpArch::X32],
        "aarch64" => &[ScmpArch::Arm],
        "mips64" if little => &[ScmpArch::Mipsel, ScmpArch::Mipsel64N32],
        "mips64" => &[ScmpArch::Mips, ScmpArch::Mips64N32],
        "s390x" => &[ScmpArch::S390],
        _ => &[],
    }
}
