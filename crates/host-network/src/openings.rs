//! Openings in other programs' nftables chains that drop what they do not know.
//!
//! An accept in one table cannot override a drop in another (nft(8), “chains”), so what containers
//! need is accepted at the head of those chains: firewalld's, a hand-written /etc/nftables.conf's. Each
//! rule bears our mark and is taken away by it. Chains of iptables are opened by iptables.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{Config, mark};
use crate::error::Error;
use crate::program;

/// What passes a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// What is for the host.
    Input,
    /// What the host passes on.
    Forward,
}

/// A base chain of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Family and name, as `inet firewalld`.
    table: String,
    name: String,
    hook: Hook,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.name)
    }
}

impl Chain {
    /// What containers need of it.
    fn rules(&self, config: &Config) -> Vec<String> {
        let bridge = &config.bridge;
        let (four, six) = match self.table.split(' ').next() {
            Some("ip") => (true, false),
            Some("ip6") => (false, true),
            _ => (true, true),
        };
        let six = six && config.ipv6.is_some();
        let mut rules = Vec::new();
        match self.hook {
            Hook::Forward if config.forwards() && (four || six) => {
                rules.push(format!("iifname \"{bridge}\" accept"));
                // Who is routed is to be reached, too.
                let answers = match config.routed {
                    true => "",
                    false => "ct state established,related ",
                };
                rules.push(format!("oifname \"{bridge}\" {answers}accept"));
            }
            Hook::Forward => {}
            Hook::Input => {
                if config.dhcp.is_some() && four {
                    rules.push(format!("iifname \"{bridge}\" udp dport 67 accept"));
                }
                if six {
                    // Neighbours and routers are found by it.
                    rules.push(format!(
                        "iifname \"{bridge}\" meta l4proto ipv6-icmp accept"
                    ));
                }
                if config.dns && (four || six) {
                    for protocol in ["udp", "tcp"] {
                        rules.push(format!("iifname \"{bridge}\" {protocol} dport 53 accept"));
                    }
                }
            }
        }
        rules
    }

    /// Whether it lets containers through, as the configuration asks for.
    pub fn is_open(&self, config: &Config) -> bool {
        let list = format!("list chain {self}\n");
        let comment = comment(&mark(&config.name));
        let marked = run(&list).map(|text| text.matches(&comment).count());
        marked.is_ok_and(|marked| marked == self.rules(config).len())
    }

    /// Lets containers through.
    pub fn open(&self, config: &Config) -> Result<(), String> {
        let (rules, mark) = (self.rules(config), mark(&config.name));
        let comment = comment(&mark);
        let text: String = rules
            .iter()
            .rev()
            .map(|rule| format!("insert rule {self} {rule} {comment}\n"))
            .collect();
        self.shut(&mark).map_err(|error| error.to_string())?;
        run(&text).map(drop)
    }

    /// Takes our rules away. A chain that has gone has none.
    pub fn shut(&self, mark: &str) -> Result<(), Error> {
        let Ok(list) = run(&format!("list chain {self}\n")) else {
            return Ok(());
        };
        let comment = comment(mark);
        let handles = list
            .lines()
            .filter(|line| line.contains(&comment))
            .filter_map(|line| line.rsplit_once("# handle "))
            .map(|(_, handle)| format!("delete rule {self} handle {}\n", handle.trim()));
        let text: String = handles.collect();
        run(&text)
            .map(drop)
            .map_err(|why| Error::Refused(format!("cannot take our rules from {self}: {why}")))
    }
}

fn comment(mark: &str) -> String {
    format!("comment \"{mark}\"")
}

/// The chains that drop what containers send, or what is sent to them. Nothing where there is no nft.
pub fn wanted(config: &Config) -> Vec<Chain> {
    let Ok(ruleset) = run("list ruleset\n") else {
        return Vec::new();
    };
    let mut all = restrictive(&ruleset);
    all.retain(|chain| !chain.rules(config).is_empty());
    all
}

fn restrictive(ruleset: &str) -> Vec<Chain> {
    let mut found = Vec::new();
    let mut table = "";
    let (mut name, mut hook, mut drops) = ("", None, false);
    for line in ruleset.lines() {
        let bare = line.split(" # handle ").next().unwrap_or(line).trim();
        if let Some(head) = line.strip_prefix("table ") {
            table = head.split(" {").next().unwrap_or(head);
        } else if let Some(head) = bare.strip_prefix("chain ") {
            name = head.split(" {").next().unwrap_or(head);
            (hook, drops) = (None, false);
        } else if bare.starts_with("type filter hook ") {
            let hooks = [("input", Hook::Input), ("forward", Hook::Forward)];
            let is_this = |word: &str| bare.contains(&format!(" hook {word} "));
            hook = hooks.into_iter().find(|(word, _)| is_this(word));
            drops = bare.contains("policy drop");
        } else if bare == "}" {
            // iptables-nft's own chains are opened by iptables.
            let is_iptables =
                matches!(table, "ip filter" | "ip6 filter") && matches!(name, "INPUT" | "FORWARD");
            let family = table.split(' ').next().unwrap_or_default();
            let is_known = ["ip", "ip6", "inet"].contains(&family);
            if let (Some((_, hook)), true) = (hook, drops && is_known && !is_iptables) {
                found.push(Chain {
                    table: table.to_owned(),
                    name: name.to_owned(),
                    hook,
                });
            }
            (hook, drops) = (None, false);
        } else if hook.is_some() && !bare.is_empty() {
            // The last rule is what becomes of everything else.
            let word = |word: &str| bare == word || bare.starts_with(&format!("{word} "));
            drops = (drops && !word("accept")) || word("drop") || word("reject");
            let counted = bare.starts_with("counter ");
            drops |= counted && (bare.ends_with(" drop") || bare.contains(" reject"));
        }
    }
    found
}

fn run(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let nft = program::find("nft").ok_or_else(|| "nft is not installed".to_owned())?;
    match program::run(&nft, &["-a", "-f", "-"], text) {
        Ok(output) if output.ok => Ok(output.stdout),
        Ok(output) => Err(output.complaint),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const RULESET: &str = "\
table inet filter { # handle 1
\tset x {
\t\ttype ipv4_addr
\t}

\tchain input { # handle 1
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established accept # handle 3
\t}

\tchain output {
\t\ttype filter hook output priority filter; policy drop;
\t}

\tchain helper {
\t\tdrop
\t}
}
table inet firewalld {
\tchain filter_FORWARD { # handle 8
\t\ttype filter hook forward priority filter + 10; policy accept;
\t\tct state { established, related } accept
\t\treject with icmpx admin-prohibited # handle 9
\t}

\tchain nat_POST {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t}
}
table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table ip6 mine {
\tchain open {
\t\ttype filter hook input priority filter; policy accept;
\t\tudp dport 9 drop
\t\tip6 saddr ::1 accept
\t}

\tchain all {
\t\ttype filter hook input priority filter; policy drop;
\t\taccept
\t}

\tchain counted {
\t\ttype filter hook input priority filter; policy accept;
\t\tcounter packets 0 bytes 0 drop
\t}
}
table bridge berth-net {
\tchain forward {
\t\ttype filter hook forward priority 0; policy drop;
\t}
}
";

    #[test]
    fn chains_that_drop_what_they_do_not_know_are_found() {
        let found: Vec<String> = restrictive(RULESET)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "inet filter input",
                "inet firewalld filter_FORWARD",
                "ip6 mine counted"
            ]
        );
        assert!(restrictive("").is_empty());
    }

    #[test]
    fn what_is_opened_is_the_bridges_and_what_the_configuration_serves() {
        let config = |text: &str| Config::parse(text, Path::new("net.toml")).unwrap();
        let chain = |table: &str, hook| Chain {
            table: table.to_owned(),
            name: "c".to_owned(),
            hook,
        };
        let rules = chain("inet t", Hook::Input).rules(&config(""));
        assert_eq!(rules.len(), 4);
        assert!(
            rules
                .iter()
                .all(|rule| rule.starts_with("iifname \"berthbr0\" "))
        );
        assert_eq!(chain("ip t", Hook::Input).rules(&config("")).len(), 3);
        assert_eq!(
            chain("ip6 t", Hook::Input)
                .rules(&config("ipv6 = \"off\""))
                .len(),
            0
        );
        assert_eq!(
            chain("inet t", Hook::Forward)
                .rules(&config("nat = false"))
                .len(),
            0
        );
        assert_eq!(chain("inet t", Hook::Forward).rules(&config("")).len(), 2);
    }
}
