//! The rules: containers leave under the host's address, and reach DHCP and DNS on the bridge.
//!
//! With nftables they stand in a table of our own; where the host uses iptables, they go to the head
//! of its chains. What other tables of nftables drop is another module's.

use crate::config::{Config, FirewallChoice, is_name, mark};
use crate::error::Error;
use crate::program;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The variants of iptables; the host's own choice first (update-alternatives(1)).
const IPTABLES: [&str; 3] = ["iptables", "iptables-legacy", "iptables-nft"];

/// What carries the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// nftables, a table of our own.
    Nft,
    /// iptables, rules in the host's chains.
    Iptables {
        /// Which of its variants.
        program: PathBuf,
    },
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nft => f.write_str("nftables"),
            Self::Iptables { program } => {
                let name = program.file_name().unwrap_or(program.as_os_str());
                f.write_str(&name.to_string_lossy())
            }
        }
    }
}

/// Which of the two protocols a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    #[default]
    Four,
    /// IPv6.
    Six,
}

impl Family {
    /// nftables' word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Four => "ip",
            Self::Six => "ip6",
        }
    }

    /// The tables of legacy iptables that are in use in this network namespace.
    fn legacy_tables(self) -> &'static str {
        match self {
            Self::Four => "/proc/net/ip_tables_names",
            Self::Six => "/proc/net/ip6_tables_names",
        }
    }

    /// The containers' network; none if there is no such.
    fn subnet(self, config: &Config) -> Option<String> {
        match self {
            Self::Four => Some(config.address.subnet.to_string()),
            Self::Six => config.ipv6.map(|six| six.subnet().to_string()),
        }
    }

    /// The variant of iptables for it.
    fn program(self, iptables: &Path) -> PathBuf {
        let name = iptables.file_name().unwrap_or_default().to_string_lossy();
        match (self, name.strip_prefix("ip")) {
            (Self::Six, Some(rest)) => iptables.with_file_name(format!("ip6{rest}")),
            _ => iptables.to_owned(),
        }
    }
}

/// What may work here, the best first; each is found out by trying. Without NAT there is nothing
/// to say but where iptables keeps what is sent to the host from it.
pub fn candidates(config: &Config, family: Family) -> Vec<Backend> {
    let choice = config.firewall;
    let iptables = |name: &str| program::find(name).map(|program| Backend::Iptables { program });
    let mut all = Vec::new();
    if choice == FirewallChoice::Auto {
        all.extend(iptables_in_use(family).map(|program| Backend::Iptables { program }));
    }
    if choice != FirewallChoice::Iptables && config.forwards() && program::find("nft").is_some() {
        all.push(Backend::Nft);
    }
    if choice == FirewallChoice::Iptables || (choice == FirewallChoice::Auto && config.forwards()) {
        all.extend(IPTABLES.into_iter().filter_map(iptables));
    }
    let mut seen: Vec<Backend> = Vec::new();
    for backend in all {
        if !seen.contains(&backend) {
            seen.push(backend);
        }
    }
    seen
}

/// The variant of iptables with which somebody restricts what the host takes or forwards. Only
/// tables that exist are looked at: the look itself would create them.
fn iptables_in_use(family: Family) -> Option<PathBuf> {
    let legacy = fs::read_to_string(family.legacy_tables())
        .is_ok_and(|names| names.lines().any(|name| name == "filter"));
    let nft = || {
        let list = ["list", "table", family.word(), "filter"];
        program::find("nft").is_some_and(|nft| program::run(&nft, &list, "").is_ok_and(|o| o.ok))
    };
    let variants = [("iptables-legacy", legacy), ("iptables-nft", nft())];
    variants
        .into_iter()
        .filter(|(_, exists)| *exists)
        .filter_map(|(name, _)| program::find(name))
        .find(|program| {
            program::run(&family.program(program), &["-w", "5", "-S"], "")
                .is_ok_and(|output| output.ok && restricts(&output.stdout))
        })
}

/// Whether a listing (`iptables -S`) has anything but open, empty chains; our own rules do not
/// count.
fn restricts(listing: &str) -> bool {
    listing.lines().any(|line| {
        let policy = line.starts_with("-P ") && !line.ends_with(" ACCEPT");
        policy || (line.starts_with("-A ") && !is_ours(line, is_mark))
    })
}

/// The whole table, in place of what was there, as one transaction.
fn nft_rules(config: &Config, family: Family) -> String {
    let (bridge, word) = (&config.bridge, family.word());
    let subnet = family.subnet(config).unwrap_or_default();
    let mark = mark(&config.name);
    // Without NAT there is nothing to say: a table of ours cannot let through what another drops.
    let masquerade = match config.nat {
        true => format!(
            "\t\t{word} saddr {subnet} {word} daddr != {subnet} oifname != \"{bridge}\" masquerade \
             comment \"{mark}\"\n"
        ),
        false => String::new(),
    };
    // 100 is srcnat; the word is unknown to nft before 0.9.1.
    format!(
        "table {word} {mark}\n\
         delete table {word} {mark}\n\
         table {word} {mark} {{\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority 100; policy accept;\n\
         {masquerade}\
         \t}}\n\
         }}\n"
    )
}

/// A rule of iptables: table, chain, what follows.
type Rule = (&'static str, &'static str, String);

fn iptables_rules(config: &Config, family: Family) -> Vec<Rule> {
    let bridge = &config.bridge;
    let Some(subnet) = family.subnet(config) else {
        return Vec::new();
    };
    let mut rules = Vec::new();
    if family == Family::Six {
        // Neighbours and routers are found by it.
        let rule = format!("-i {bridge} -p ipv6-icmp -j ACCEPT");
        rules.push(("filter", "INPUT", rule));
    }
    for (wanted, protocol, port) in [
        (config.dhcp.is_some() && family == Family::Four, "udp", 67),
        (config.dns, "udp", 53),
        (config.dns, "tcp", 53),
    ] {
        if wanted {
            let rule = format!("-i {bridge} -p {protocol} --dport {port} -j ACCEPT");
            rules.push(("filter", "INPUT", rule));
        }
    }
    if config.forwards() {
        rules.push(("filter", "FORWARD", format!("-i {bridge} -j ACCEPT")));
        // Who is routed is to be reached, too.
        let answers = match config.routed {
            true => "",
            false => "-m conntrack --ctstate RELATED,ESTABLISHED ",
        };
        rules.push((
            "filter",
            "FORWARD",
            format!("-o {bridge} {answers}-j ACCEPT"),
        ));
        if config.nat {
            let rule = format!("-s {subnet} ! -d {subnet} ! -o {bridge} -j MASQUERADE");
            rules.push(("nat", "POSTROUTING", rule));
        }
    }
    rules
}

fn iptables(
    program: &Path,
    action: &str,
    (table, chain, rule): &Rule,
    mark: &str,
) -> Result<program::Output, Error> {
    let mut arguments = vec!["-w", "5", "-t", table, action, chain];
    arguments.extend(["-m", "comment", "--comment", mark]);
    arguments.extend(rule.split(' '));
    program::run(program, &arguments, "")
}

fn nft() -> Result<PathBuf, Error> {
    program::find("nft").ok_or_else(|| Error::Refused("nft is not installed".to_owned()))
}

/// Whether the rules stand as the configuration asks for them.
pub fn is_installed(backend: &Backend, config: &Config, family: Family) -> Result<bool, Error> {
    match backend {
        Backend::Nft => {
            let list = program::run(
                &nft()?,
                &["list", "table", family.word(), &mark(&config.name)],
                "",
            )?;
            let subnet = family.subnet(config).unwrap_or_default();
            let is_rule = |line: &str| {
                [&subnet, config.bridge.as_str(), "masquerade"]
                    .iter()
                    .all(|word| line.contains(*word))
            };
            Ok(list.ok && (!config.nat || list.stdout.lines().any(is_rule)))
        }
        Backend::Iptables { program } => {
            let program = family.program(program);
            for rule in iptables_rules(config, family) {
                if !iptables(&program, "-C", &rule, &mark(&config.name))?.ok {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// Installs the rules; those that are there already stay.
pub fn install(backend: &Backend, config: &Config, family: Family) -> Result<(), Error> {
    let failed = |why: String| {
        let hint = missing_modules(backend, family, &why);
        Error::Refused(format!("{backend} does not take the rules: {why}{hint}"))
    };
    match backend {
        Backend::Nft => {
            let output = program::run(&nft()?, &["-f", "-"], &nft_rules(config, family))?;
            if output.ok {
                Ok(())
            } else {
                Err(failed(output.complaint))
            }
        }
        Backend::Iptables { program } => {
            let program = family.program(program);
            for rule in iptables_rules(config, family) {
                if iptables(&program, "-C", &rule, &mark(&config.name))?.ok {
                    continue;
                }
                let output = iptables(&program, "-I", &rule, &mark(&config.name))?;
                if !output.ok {
                    return Err(failed(output.complaint));
                }
            }
            Ok(())
        }
    }
}

/// What to look for where a tool's complaint is the one of a kernel that lacks a part; else nothing.
fn missing_modules(backend: &Backend, family: Family, complaint: &str) -> String {
    // The kernel's errno as nft tells it, and what iptables makes of it.
    let lacks = [
        "No such file or directory",
        "Operation not supported",
        "Protocol not supported",
        "does not exist",
        "No chain/target/match by that name",
        "Couldn't load target",
    ];
    if !lacks.iter().any(|words| complaint.contains(words)) {
        return String::new();
    }
    let modules = match (backend, family) {
        (Backend::Nft, _) => "nf_tables nft_chain_nat nft_masq",
        (_, Family::Four) => "iptable_nat ipt_MASQUERADE xt_comment xt_conntrack",
        (_, Family::Six) => "ip6table_nat ip6t_MASQUERADE xt_comment xt_conntrack",
    };
    format!(" (a part of the kernel may be missing: modprobe -a {modules} tells which)")
}

/// Removes every rule of ours, whichever configuration it was made for.
pub fn remove(backend: &Backend, family: Family, mark: &str) -> Result<(), Error> {
    match backend {
        Backend::Nft => {
            // Created first, so that the deletion finds it also where it is not there.
            let word = family.word();
            let text = format!("table {word} {mark}\ndelete table {word} {mark}\n");
            let output = program::run(&nft()?, &["-f", "-"], &text)?;
            if output.ok {
                return Ok(());
            }
            Err(Error::Refused(format!(
                "cannot delete the table {mark}: {}",
                output.complaint
            )))
        }
        Backend::Iptables { program } => {
            let program = family.program(program);
            let mut errors = Vec::new();
            for table in ["nat", "filter"] {
                if let Err(error) = remove_from(&program, table, mark) {
                    errors.push(error);
                }
            }
            Error::collect(errors)
        }
    }
}

fn remove_from(program: &Path, table: &str, mark: &str) -> Result<(), Error> {
    let list = program::run(program, &["-w", "5", "-t", table, "-S"], "")?;
    if !list.ok {
        let why = list.complaint;
        return Err(Error::Refused(format!(
            "cannot list the table {table} of iptables: {why}"
        )));
    }
    for line in list
        .stdout
        .lines()
        .filter(|line| is_ours(line, |word| word == mark))
    {
        let mut arguments = vec!["-w", "5", "-t", table, "-D"];
        arguments.extend(line.split_whitespace().skip(1));
        let output = program::run(program, &arguments, "")?;
        if !output.ok {
            let why = output.complaint;
            return Err(Error::Refused(format!(
                "cannot delete the rule {line}: {why}"
            )));
        }
    }
    Ok(())
}

/// Whether a word is the mark of any of our networks.
fn is_mark(word: &str) -> bool {
    let ours = mark("");
    word.strip_prefix(&ours)
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(is_name))
}

/// Whether a line of `iptables -S` is a rule with our mark. A comment of one word is not quoted;
/// a longer one is, and has a word before or behind its quotes.
fn is_ours(line: &str, is_mark: impl Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.first() == Some(&"-A")
        && words
            .windows(2)
            .any(|pair| pair[0] == "--comment" && is_mark(pair[1]))
        && !line.contains('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("net.toml")).unwrap()
    }

    #[test]
    fn every_rule_is_marked_and_of_the_bridge() {
        let config = config("bridge = \"br-x\"\naddress = \"10.1.2.1/24\"");
        let rules = nft_rules(&config, Family::Four);
        assert!(rules.contains(
            "ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 oifname != \"br-x\" masquerade \
             comment \"berth-net\""
        ));
        let rules = iptables_rules(&config, Family::Four);
        assert_eq!(rules.len(), 6);
        assert!(
            rules.iter().all(|(_, _, rule)| rule.contains("br-x")),
            "{rules:?}"
        );
    }

    #[test]
    fn each_protocol_has_its_own_tool_and_network() {
        let legacy = Path::new("/usr/sbin/iptables-legacy");
        let program = Family::Six.program(legacy);
        assert_eq!(program, Path::new("/usr/sbin/ip6tables-legacy"));
        assert_eq!(Family::Four.program(legacy), legacy);
        let config = config("ipv6 = \"fd12::1/64\"");
        let rules = nft_rules(&config, Family::Six);
        assert!(
            rules.contains("ip6 saddr fd12::/64 ip6 daddr != fd12::/64"),
            "{rules}"
        );
        let rules = iptables_rules(&config, Family::Six);
        assert!(!rules.iter().any(|(_, _, rule)| rule.contains("--dport 67")));
        assert!(rules.iter().any(|(_, _, rule)| rule.contains("ipv6-icmp")));
    }

    #[test]
    fn without_nat_nothing_is_forwarded() {
        let rules = iptables_rules(&config("nat = false\ndns = false"), Family::Four);
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].1, "INPUT");
    }

    #[test]
    fn complaints_of_a_kernel_that_lacks_a_part_name_the_part() {
        let iptables = Backend::Iptables {
            program: "/usr/sbin/iptables".into(),
        };
        for (backend, family, complaint, module) in [
            (
                &Backend::Nft,
                Family::Four,
                "Error: Could not process rule: No such file or directory",
                "nft_masq",
            ),
            (
                &iptables,
                Family::Four,
                "can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
                "iptable_nat",
            ),
            (
                &iptables,
                Family::Six,
                "iptables: No chain/target/match by that name.",
                "ip6table_nat",
            ),
        ] {
            let hint = missing_modules(backend, family, complaint);
            assert!(hint.contains("modprobe") && hint.contains(module), "{hint}");
        }
        let other = "Error: Could not process rule: Operation not permitted";
        assert_eq!(missing_modules(&Backend::Nft, Family::Four, other), "");
    }

    #[test]
    fn own_rules_are_told_from_others() {
        let ours = "-A FORWARD -i berthbr0 -m comment --comment berth-net -j ACCEPT";
        assert!(is_ours(ours, is_mark));
        for other in [
            "-A FORWARD -m comment --comment \"berth-net of ours\" -j ACCEPT",
            "-A FORWARD -m comment --comment \"x --comment berth-net y\" -j DROP",
            "-A FORWARD -m comment --comment berth-net2 -j ACCEPT",
            "-N berth-net",
            "-P FORWARD DROP",
            "",
        ] {
            assert!(!is_ours(other, is_mark), "{other}");
        }
        assert!(!restricts(&format!(
            "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n{ours}\n"
        )));
        assert!(restricts("-P INPUT ACCEPT\n-P FORWARD DROP\n"));
        assert!(restricts("-P FORWARD ACCEPT\n-A FORWARD -i x -j DROP\n"));
    }
}
