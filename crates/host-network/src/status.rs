//! What is there of the network, piece by piece, by looking.

use crate::config::Config;
use crate::error::Error;
use crate::firewall::{self, Family};
use crate::journal::{Act, State};
use crate::{bridge, dnsmasq, forwarding, forwarding_six, neighbours, openings};
use berth_kernel::cred::effective_uid;
use berth_netlink::Socket;
use serde::Serialize;

/// One piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// `bridge`, `address`, `opening`, `neighbours`, `firewall`, `forwarding`, `dnsmasq`; `leases` where
    /// they cannot be written.
    pub name: &'static str,
    /// Whether it is there; nothing if the caller may not know.
    pub present: Option<bool>,
    /// More about it.
    pub detail: String,
}

/// The network as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whole {
    /// Every piece that can be seen is there.
    Up,
    /// Some are there.
    Partial,
    /// None is there.
    Down,
}

/// What [`status`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The sum.
    pub state: Whole,
    /// The bridge's name.
    pub bridge: String,
    /// Names of the bridge's ports.
    pub ports: Vec<String>,
    /// The pieces that the configuration asks for.
    pub pieces: Vec<Piece>,
}

/// Looks at each piece that the configuration asks for. Whoever is not root cannot see rules.
pub fn status(config: &Config) -> Result<Status, Error> {
    let mut socket = Socket::open()?;
    let mut pieces = Vec::new();
    let link = bridge::find(&mut socket, config)?;
    let ports = match &link {
        Some(link) => socket
            .ports(link.index)?
            .into_iter()
            .map(|port| port.name)
            .collect(),
        None => Vec::new(),
    };
    pieces.push(Piece {
        name: "bridge",
        present: Some(link.as_ref().is_some_and(|link| link.is_up())),
        detail: match &link {
            Some(link) if link.is_up() => format!("{}, {} ports", link.name, ports.len()),
            Some(link) => format!("{} is down", link.name),
            None => config.bridge.to_string(),
        },
    });
    for (ip, prefix) in bridge::wanted_addresses(config) {
        let present = match &link {
            Some(link) => bridge::has_address(&mut socket, link, (ip, prefix))?,
            None => false,
        };
        pieces.push(Piece {
            name: "address",
            present: Some(present),
            detail: format!("{ip}/{prefix}"),
        });
    }
    for chain in openings::wanted(config) {
        pieces.push(Piece {
            name: "opening",
            present: Some(chain.is_open(config)),
            detail: chain.to_string(),
        });
    }
    if config.isolate_users {
        let mac = link.as_ref().and_then(|link| link.mac);
        let is_root = effective_uid().is_root();
        pieces.push(Piece {
            name: "neighbours",
            present: is_root.then(|| mac.is_some_and(|mac| neighbours::is_installed(config, mac))),
            detail: match is_root {
                true => "users kept apart".to_owned(),
                false => "only root can see rules".to_owned(),
            },
        });
    }
    if config.forwards() {
        let families = [
            (Family::Four, "IPv4", forwarding::is_on()?),
            (Family::Six, "IPv6", forwarding_six::is_on()?),
        ];
        let wanted = |family: &Family| *family == Family::Four || config.ipv6.is_some();
        for (family, name, forwards) in families {
            if wanted(&family) {
                pieces.push(rules(config, family)?);
                pieces.push(Piece {
                    name: "forwarding",
                    present: Some(forwards),
                    detail: name.to_owned(),
                });
            }
        }
    }
    if dnsmasq::is_wanted(config) {
        let first = dnsmasq::running(&config.name)?.into_iter().next();
        pieces.push(Piece {
            name: "dnsmasq",
            present: Some(first.is_some()),
            detail: first.map_or_else(String::new, |process| format!("process {}", process.pid)),
        });
    }
    if config.dhcp.is_some()
        && let Some(why) = dnsmasq::no_room()
    {
        pieces.push(Piece {
            name: "leases",
            present: Some(false),
            detail: format!("cannot be written: {why}"),
        });
    }
    let state = sum(&pieces);
    Ok(Status {
        state,
        bridge: config.bridge.to_string(),
        ports,
        pieces,
    })
}

/// A host may forward for reasons of its own, so that piece alone does not make the network
/// partly up.
fn sum(pieces: &[Piece]) -> Whole {
    let mut own = pieces.iter().filter(|piece| piece.name != "forwarding");
    if pieces.iter().all(|piece| piece.present != Some(false)) {
        Whole::Up
    } else if own.any(|piece| piece.present == Some(true)) {
        Whole::Partial
    } else {
        Whole::Down
    }
}

fn rules(config: &Config, of: Family) -> Result<Piece, Error> {
    let piece = |present, detail| Piece {
        name: "firewall",
        present,
        detail,
    };
    if !effective_uid().is_root() {
        return Ok(piece(None, "only root can see rules".to_owned()));
    }
    let acts = State::read(&config.name)?.unwrap_or_default().acts;
    for act in acts {
        if let Act::Firewall { backend, family } = act
            && family == of
        {
            let present = firewall::is_installed(&backend, config, family)?;
            let detail = match of {
                Family::Four => backend.to_string(),
                Family::Six => format!("{backend}, IPv6"),
            };
            return Ok(piece(Some(present), detail));
        }
    }
    Ok(piece(Some(false), String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[(&'static str, Option<bool>)]) -> Whole {
        let piece = |&(name, present)| Piece {
            name,
            present,
            detail: String::new(),
        };
        sum(&pieces.iter().map(piece).collect::<Vec<_>>())
    }

    #[test]
    fn the_sum_of_the_pieces() {
        assert_eq!(of(&[("bridge", Some(true)), ("firewall", None)]), Whole::Up);
        assert_eq!(
            of(&[("bridge", Some(true)), ("dnsmasq", Some(false))]),
            Whole::Partial
        );
        assert_eq!(
            of(&[("bridge", Some(false)), ("forwarding", Some(true))]),
            Whole::Down
        );
        assert_eq!(
            of(&[("bridge", Some(false)), ("firewall", None)]),
            Whole::Down
        );
    }
}
