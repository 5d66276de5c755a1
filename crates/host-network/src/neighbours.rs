//! Containers of different users on one bridge: frames pass between those of one user only, and no
//! user can pose as the gateway or as another one's container.
//!
//! Whose a port is its group says (`IFLA_GROUP`, ip-link(8)), which the set-uid helper makes its
//! user's uid. A port's group can be changed by the host's root alone. Group 0 is the host's own: an
//! uplink, virtual machines, root's containers; those are reached by everybody.
//!
//! The rules are written once and know no user and no port, so that neither a start nor a login
//! changes anything in the firewall. nftables before 1.1 cannot compare one property of a packet with
//! another, so groups are compared bit by bit, and pairs found equal are remembered by the kernel.

use std::fmt::Write;

use berth_common::hash::fnv1a;
use berth_netlink::Mac;

use crate::config::{self, Config};
use crate::error::Error;
use crate::program;

/// How many addresses are remembered at most. What does not find room is as good as unknown: it
/// passes, and what is known stays protected.
const MOST: u32 = 65_535;
/// How long somebody's address is his after he used it last.
const CLAIM: &str = "5m";
/// Who a frame of IPv4 says that it is from, and whose port it came in by.
const SOURCE: &str = "ether saddr . meta iifgroup . @nh,96,32";
/// How long frames from somebody who passed pass without another look; far less than [`CLAIM`], so
/// that what is in use stays claimed.
const SEEN: &str = "20s";
/// How long a pair of groups is remembered as equal.
const PAIR: &str = "1h";

/// Where the kernel cannot say which bridge a frame is on (`nft_meta_bridge` is missing), the rules
/// hold on all of the host's bridges, for users' ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Bridge,
    Host,
}

/// The whole table, in place of what was there, as one transaction.
fn rules(config: &Config, mac: Mac, scope: Scope) -> String {
    let bare = body(config, mac, scope, "");
    let mark = format!(" comment \"{}\"", mark(&bare));
    let body = body(config, mac, scope, &mark);
    let table = config::mark(&config.name);
    format!("table bridge {table}\ndelete table bridge {table}\n{body}")
}

/// Tells one version of the rules from another.
fn mark(text: &str) -> String {
    format!("berth-net {:016x}", fnv1a(text.bytes()))
}

fn body(config: &Config, mac: Mac, scope: Scope, mark: &str) -> String {
    let mut text = format!("table bridge {} {{\n", config::mark(&config.name));
    // Offsets are of what stands in the packet, not of what a header says about its form: the kernel
    // takes some forms that nft's own names for these fields do not match.
    for (name, key, timeout) in [
        ("pairs", "meta iifgroup . meta oifgroup", PAIR),
        ("seen", SOURCE, SEEN),
        ("mac", "ether saddr . meta iifgroup", CLAIM),
        ("mac_taken", "ether saddr", CLAIM),
        ("four", "@nh,96,32 . meta iifgroup", CLAIM),
        ("four_taken", "@nh,96,32", CLAIM),
        ("six", "@nh,64,128 . meta iifgroup", CLAIM),
        ("six_taken", "@nh,64,128", CLAIM),
    ] {
        let _ = writeln!(
            text,
            "\tset {name} {{\n\t\ttypeof {key}\n\t\tflags dynamic,timeout\n\t\tsize {MOST}\n\t\t\
             timeout {timeout}\n\t}}"
        );
    }
    let chain = |text: &mut String, head: &str, rules: &[String]| {
        let _ = writeln!(text, "\tchain {head}");
        for rule in rules {
            let _ = writeln!(text, "\t\t{rule}{mark}");
        }
        text.push_str("\t}\n");
    };
    let differ: Vec<String> = (0..32)
        .map(|bit| 1_u32 << bit)
        .flat_map(|bit| {
            [
                format!(
                    "meta iifgroup & {bit:#x} == 0x0 meta oifgroup & {bit:#x} == {bit:#x} drop"
                ),
                format!(
                    "meta iifgroup & {bit:#x} == {bit:#x} meta oifgroup & {bit:#x} == 0x0 drop"
                ),
            ]
        })
        .chain(["update @pairs { meta iifgroup . meta oifgroup }".to_owned()])
        .collect();
    chain(&mut text, "differ {", &differ);
    let elsewhere = |which: &str| match scope {
        Scope::Bridge => Some(format!("meta {which} != \"{}\" accept", config.bridge)),
        Scope::Host => None,
    };
    let mut forward: Vec<String> = elsewhere("ibrname").into_iter().collect();
    forward.extend(
        [
            "meta iifgroup 0 accept",
            "meta oifgroup 0 accept",
            "meta iifgroup . meta oifgroup @pairs accept",
            "jump differ",
        ]
        .map(str::to_owned),
    );
    chain(
        &mut text,
        "forward {\n\t\ttype filter hook forward priority 0; policy accept;",
        &forward,
    );
    for (name, source, claimed) in [
        ("claim_mac", "ether saddr", "mac"),
        ("claim_four", "@nh,96,32", "four"),
        ("claim_arp", "@nh,112,32", "four"),
        ("claim_six", "@nh,64,128", "six"),
        ("claim_target", "@th,64,128", "six"),
    ] {
        let mine = format!("{claimed} {{ {source} . meta iifgroup }}");
        let taken = format!("{claimed}_taken {{ {source} }}");
        chain(
            &mut text,
            &format!("{name} {{"),
            &[
                format!(
                    "{source} . meta iifgroup @{claimed} update @{mine} update @{taken} return"
                ),
                format!("{source} @{claimed}_taken drop"),
                format!("update @{mine} update @{taken}"),
            ],
        );
    }
    let mut arriving: Vec<String> = elsewhere("ibrname").into_iter().collect();
    arriving.extend(arriving_rules(config, mac));
    chain(
        &mut text,
        "arriving {\n\t\ttype filter hook prerouting priority -300; policy accept;",
        &arriving,
    );
    // Whom the host itself gives an address, that one's it is, whoever had it before.
    let mut given: Vec<String> = elsewhere("obrname").into_iter().collect();
    given.extend([
        "meta oifgroup 0 accept".to_owned(),
        "ether type ip udp sport 67 udp dport 68 update @four { @th,192,32 . meta oifgroup } \
         update @four_taken { @th,192,32 }"
            .to_owned(),
    ]);
    chain(
        &mut text,
        "given {\n\t\ttype filter hook output priority 0; policy accept;",
        &given,
    );
    text.push_str("}\n");
    text
}

fn arriving_rules(config: &Config, mac: Mac) -> Vec<String> {
    let (own, subnet) = (config.address.ip, config.address.subnet);
    let mut rules: Vec<String> = [
        "meta iifgroup 0 accept".to_owned(),
        // The host takes such a frame for one without a tag, after these rules have seen it.
        "ether type { 8021q, 8021ad } drop".to_owned(),
        format!("ether saddr {mac} drop"),
        format!("ether type arp @nh,112,32 {:#010x} drop", own.to_bits()),
        format!("ip saddr {own} drop"),
        // By way of the host.
        format!("ether daddr {mac} ip daddr {subnet} ip daddr != {own} drop"),
    ]
    .into();
    // Nor by way of the host to another of its bridges.
    let (others, others_six) = &config.others;
    for other in others {
        rules.push(format!("ether daddr {mac} ip daddr {other} drop"));
    }
    rules.extend([
        format!("ether type ip {SOURCE} @seen accept"),
        "jump claim_mac".to_owned(),
        "ether type arp @nh,112,32 != 0 jump claim_arp".to_owned(),
        format!("ip saddr {subnet} jump claim_four"),
    ]);
    for other in others_six {
        rules.push(format!("ether daddr {mac} ip6 daddr {other} drop"));
    }
    if let Some(six) = config.ipv6 {
        let (own, subnet) = (six.ip, six.subnet());
        rules.extend([
            format!("ip6 saddr {own} drop"),
            format!(
                "icmpv6 type nd-neighbor-advert @th,64,128 {:#x} drop",
                own.to_bits()
            ),
            format!("ether daddr {mac} ip6 daddr {subnet} ip6 daddr != {own} drop"),
        ]);
    }
    rules.extend([
        "ip6 saddr != :: jump claim_six".to_owned(),
        "icmpv6 type nd-neighbor-advert jump claim_target".to_owned(),
        format!("ether type ip update @seen {{ {SOURCE} }}"),
    ]);
    rules
}

fn run(text: &str) -> Result<(), String> {
    let nft = program::find("nft").ok_or_else(|| "nft is not installed".to_owned())?;
    match program::run(&nft, &["-f", "-"], text) {
        Ok(output) if output.ok => Ok(()),
        Ok(output) => Err(output.complaint),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the rules stand as the configuration asks for them.
pub fn is_installed(config: &Config, mac: Mac) -> bool {
    let Some(nft) = program::find("nft") else {
        return false;
    };
    let list = program::run(
        &nft,
        &["list", "table", "bridge", &config::mark(&config.name)],
        "",
    );
    let Ok(list) = list.map(|output| {
        if output.ok {
            output.stdout
        } else {
            String::new()
        }
    }) else {
        return false;
    };
    [Scope::Bridge, Scope::Host].iter().any(|scope| {
        let wanted = rules(config, mac, *scope);
        let mark = mark(&body(config, mac, *scope, ""));
        let count = |text: &str| text.matches(&mark).count();
        count(&list) == count(&wanted)
    })
}

/// Installs the rules; why they cannot be, if not.
pub fn install(config: &Config, mac: Mac) -> Result<(), String> {
    run(&rules(config, mac, Scope::Bridge)).or_else(|_| run(&rules(config, mac, Scope::Host)))
}

/// Removes those of the network with this mark.
pub fn remove(mark: &str) -> Result<(), Error> {
    if program::find("nft").is_none() {
        return Ok(());
    }
    // Created first, so that the deletion finds it also where it is not there.
    run(&format!(
        "table bridge {mark}\ndelete table bridge {mark}\n"
    ))
    .map_err(|why| Error::Refused(format!("cannot delete the table bridge {mark}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("net.toml")).unwrap()
    }

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn every_rule_is_marked_and_the_mark_tells_versions_apart() {
        let one = rules(&config(""), MAC, Scope::Bridge);
        let mark_of = |text: &str| {
            let from = text.find("comment \"").unwrap();
            text[from..from + 40].to_owned()
        };
        let other = rules(&config("address = \"10.1.2.1/24\""), MAC, Scope::Bridge);
        assert_ne!(mark_of(&one), mark_of(&other));
        let verdicts = one
            .lines()
            .filter(|line| {
                ["drop", "accept", "return", "update @", "jump"]
                    .iter()
                    .any(|word| line.contains(word))
            })
            .filter(|line| !line.contains("policy"));
        for line in verdicts {
            assert!(
                line.ends_with(&format!(
                    "{}\"",
                    mark(&body(&config(""), MAC, Scope::Bridge, ""))
                )),
                "{line}"
            );
        }
    }

    #[test]
    fn other_bridges_are_left_alone_where_they_can_be_told() {
        let rules_on = |scope| rules(&config("bridge = \"br-x\""), MAC, scope);
        assert_eq!(
            rules_on(Scope::Bridge)
                .matches("!= \"br-x\" accept")
                .count(),
            3
        );
        assert!(!rules_on(Scope::Host).contains("brname"));
    }

    #[test]
    fn all_bits_of_a_group_are_compared() {
        let text = rules(&config(""), MAC, Scope::Host);
        assert_eq!(text.matches("meta oifgroup & ").count(), 64);
        assert!(text.contains("& 0x80000000 == 0x80000000"));
    }
}
