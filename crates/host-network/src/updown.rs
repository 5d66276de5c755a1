//! Setting the network up and taking it down.

use crate::config::{Config, mark};
use crate::error::Error;
use crate::firewall::{self, Backend, Family};
use crate::journal::{self, Act, Journal};
use crate::{bridge, dnsmasq, forwarding, forwarding_six, neighbours, openings, routes};
use berth_kernel::cred::effective_uid;
use berth_netlink::{Link, Socket};

/// What was done, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// One line for each change; none if nothing had to be changed.
    pub changes: Vec<String>,
    /// What works less well than it could, and what helps.
    pub warnings: Vec<String>,
}

/// Sets up what the configuration describes and mends what is missing of it. What a failed
/// attempt did is undone; what was there before it stays.
pub fn start(config: &Config) -> Result<Done, Error> {
    require_root("start")?;
    let mut journal = Journal::open(&config.name)?;
    let mut socket = Socket::open()?;
    let mut done = Done::default();

    // Another bridge that comes or goes changes rules of this one only, which are told apart by
    // themselves.
    let alone = Config {
        others: (Vec::new(), Vec::new()),
        ..config.clone()
    };
    let settings = format!("{alone:?}");
    if !journal.state.acts.is_empty() && journal.state.settings != settings {
        done.changes
            .push("the configuration has changed: the former network goes first".into());
        undo(&mut journal, &mut socket, 0, &mut done)?;
    }
    journal.state.settings = settings;

    let here_before = journal.state.acts.len();
    let attempt = set_up(config, &mut journal, &mut socket, &mut done);
    if let Err(error) = attempt {
        return Err(
            match undo(&mut journal, &mut socket, here_before, &mut done) {
                Ok(()) => error,
                Err(undoing) => Error::Several(vec![error, undoing]),
            },
        );
    }
    journal.save()?;
    Ok(done)
}

fn set_up(
    config: &Config,
    journal: &mut Journal,
    socket: &mut Socket,
    done: &mut Done,
) -> Result<(), Error> {
    // Everything that can be refused is refused before anything is made.
    bridge::find(socket, config)?;
    let taken = routes::taken(socket, config.bridge.as_str())?;
    routes::refuse_taken(config.address.subnet, &taken, &config.file)?;
    let server = match dnsmasq::is_wanted(config) {
        true => Some(dnsmasq::Server::find()?),
        false => None,
    };
    let backends = firewall::candidates(config, Family::Four);
    if config.forwards() && backends.is_empty() {
        return Err(Error::Refused(format!(
            "neither nft nor iptables is installed: install nftables or iptables, or set nat to \
             false in {}",
            config.file.display()
        )));
    }

    let link = bridge::ensure(socket, config, journal, &mut done.changes)?;
    bridge::ensure_addresses(socket, config, &link, journal, &mut done.changes)?;
    // The rules first: nothing is to be forwarded in the clear, not even for a moment.
    ensure_firewall(config, &backends, Family::Four, journal, done)?;
    ensure_openings(config, journal, done)?;
    if config.isolate_users {
        ensure_neighbours(config, &link, journal, done)?;
    }
    if config.forwards() && !forwarding::is_on()? {
        journal.record(Act::Forwarding {
            before: forwarding::remember()?,
        })?;
        forwarding::switch_on()?;
        done.changes.push("switched IPv4 forwarding on".to_owned());
    }
    if config.ipv6.is_some() {
        ensure_six(config, journal, done)?;
    }
    if let Some(server) = server {
        journal.record(Act::Dnsmasq)?;
        server.ensure(config, &mut done.changes, &mut done.warnings)?;
    }
    Ok(())
}

/// What other programs' rules would drop gets through.
fn ensure_openings(config: &Config, journal: &mut Journal, done: &mut Done) -> Result<(), Error> {
    for chain in openings::wanted(config) {
        if chain.is_open(config) {
            continue;
        }
        journal.record(Act::Opening {
            chain: chain.clone(),
        })?;
        match chain.open(config) {
            Ok(()) => done
                .changes
                .push(format!("let containers through the chain {chain} of nftables")),
            Err(why) => done.warnings.push(format!(
                "the nftables chain {chain} drops what it does not know, packets of containers too, \
                 and takes no rule for {}: {why}",
                config.bridge
            )),
        }
    }
    Ok(())
}

/// The rules stand, in the first place that takes them.
fn ensure_firewall(
    config: &Config,
    backends: &[Backend],
    family: Family,
    journal: &mut Journal,
    done: &mut Done,
) -> Result<(), Error> {
    for backend in recorded_backends(journal, family) {
        // A tool that has gone since is as good as rules that have.
        if firewall::is_installed(&backend, config, family).is_ok_and(|installed| installed) {
            return Ok(());
        }
    }
    let mut errors = Vec::new();
    for backend in backends {
        let act = Act::Firewall {
            backend: backend.clone(),
            family,
        };
        journal.record(act.clone())?;
        match firewall::install(backend, config, family) {
            Ok(()) => {
                let of = match family {
                    Family::Four => "",
                    Family::Six => " for IPv6",
                };
                done.changes
                    .push(format!("installed the rules{of} with {backend}"));
                return Ok(());
            }
            Err(error) => {
                errors.push(error);
                // Some of the rules may stand; where none can, none can be removed either.
                let _ = firewall::remove(backend, family, &mark(&config.name));
                journal.forget(&act)?;
            }
        }
    }
    if config.forwards() {
        return Error::collect(errors);
    }
    done.warnings.extend(errors.iter().map(ToString::to_string));
    Ok(())
}

/// Users' containers are kept apart. Where that cannot be, they have a network all the same.
fn ensure_neighbours(
    config: &Config,
    link: &Link,
    journal: &mut Journal,
    done: &mut Done,
) -> Result<(), Error> {
    let Some(mac) = link.mac else {
        return Ok(());
    };
    if neighbours::is_installed(config, mac) {
        return Ok(());
    }
    journal.record(Act::Neighbours)?;
    match neighbours::install(config, mac) {
        Ok(()) => done
            .changes
            .push("containers of different users are kept apart".to_owned()),
        Err(why) => {
            journal.forget(&Act::Neighbours)?;
            done.warnings.push(format!(
                "containers of different users reach each other: the firewall of bridges does not \
                 take the rules ({why}); with isolate-users = false in {} that is agreed to",
                config.file.display()
            ));
        }
    }
    Ok(())
}

/// Containers have a way out over IPv6. Where the firewall cannot give it to them they reach the host
/// and each other: that is no reason to leave them without IPv4.
fn ensure_six(config: &Config, journal: &mut Journal, done: &mut Done) -> Result<(), Error> {
    let backends = firewall::candidates(config, Family::Six);
    if let Err(error) = ensure_firewall(config, &backends, Family::Six, journal, done) {
        done.warnings.push(format!(
            "containers reach nothing outside over IPv6: {error} (ipv6 = \"off\" in {} leaves it out)",
            config.file.display()
        ));
        return Ok(());
    }
    if config.forwards() && !forwarding_six::is_on()? {
        let before = forwarding_six::remember(config.bridge.as_str())?;
        journal.record(Act::ForwardingSix {
            before: before.clone(),
        })?;
        forwarding_six::switch_on(&before)?;
        done.changes.push("switched IPv6 forwarding on".to_owned());
    }
    Ok(())
}

fn recorded_backends(journal: &Journal, of: Family) -> Vec<Backend> {
    let backend = |act: &Act| match act {
        Act::Firewall { backend, family } if *family == of => Some(backend.clone()),
        _ => None,
    };
    journal.state.acts.iter().filter_map(backend).collect()
}

/// Undoes whatever is written down. A bridge that containers are attached to stays, and so does
/// its address.
///
/// Of all networks, whatever is configured by now.
pub fn stop() -> Result<Done, Error> {
    require_root("stop")?;
    let mut done = Done::default();
    let mut errors = Vec::new();
    for name in journal::recorded()? {
        errors.extend(stop_one(&name, &mut done).err());
    }
    Error::collect(errors).map(|()| done)
}

/// Undoes what was done for networks that are not configured any more.
pub fn stop_others(configs: &[Config]) -> Result<Done, Error> {
    require_root("start")?;
    let mut done = Done::default();
    for name in journal::recorded()? {
        if configs.iter().all(|config| config.name != name) {
            stop_one(&name, &mut done)?;
        }
    }
    Ok(done)
}

fn stop_one(name: &str, done: &mut Done) -> Result<(), Error> {
    let mut journal = Journal::open(name)?;
    match journal.state.acts.is_empty() {
        true => Ok(()),
        false => undo(&mut journal, &mut Socket::open()?, 0, done),
    }
}

/// Undoes all acts from the `from`-th on, the last first; goes on past failures and tells them
/// all. What fails or has to stay remains written down.
fn undo(
    journal: &mut Journal,
    socket: &mut Socket,
    from: usize,
    done: &mut Done,
) -> Result<(), Error> {
    let mut errors = Vec::new();
    let acts: Vec<Act> = journal.state.acts.iter().skip(from).cloned().collect();
    for act in acts.iter().rev() {
        match undo_one(act, socket, &journal.name) {
            Ok(Undone::Gone(what)) => {
                done.changes.push(what);
                errors.extend(journal.forget(act).err());
            }
            Ok(Undone::Stays(what)) => done.warnings.extend(what),
            Err(error) => errors.push(error),
        }
    }
    Error::collect(errors)
}

enum Undone {
    Gone(String),
    Stays(Option<String>),
}

/// `name` is the network's.
fn undo_one(act: &Act, socket: &mut Socket, name: &str) -> Result<Undone, Error> {
    let mark = mark(name);
    Ok(Undone::Gone(match act {
        Act::Bridge { name } => match bridge::remove(socket, name)? {
            ports if ports.is_empty() => format!("removed the bridge {name}"),
            ports => {
                let ports = ports.join(", ");
                return Ok(Undone::Stays(Some(format!(
                    "the bridge {name} stays until nothing is attached to it: {ports}"
                ))));
            }
        },
        Act::Address { bridge, address } => {
            if !bridge::remove_address(socket, bridge, address)?.is_empty() {
                return Ok(Undone::Stays(None));
            }
            format!("took {address} from {bridge}")
        }
        Act::Firewall { backend, family } => {
            firewall::remove(backend, *family, &mark)?;
            format!("removed the rules from {backend}")
        }
        Act::Opening { chain } => {
            chain.shut(&mark)?;
            format!("took our rules from the chain {chain} of nftables")
        }
        Act::Neighbours => {
            neighbours::remove(&mark)?;
            "containers of different users are no longer kept apart".to_owned()
        }
        Act::Forwarding { before } => {
            forwarding::put_back(before)?;
            "put IPv4 forwarding back".to_owned()
        }
        Act::ForwardingSix { before } => {
            forwarding_six::put_back(before)?;
            "put IPv6 forwarding back".to_owned()
        }
        Act::Dnsmasq => {
            dnsmasq::stop(name)?;
            "stopped dnsmasq".to_owned()
        }
    }))
}

fn require_root(what: &str) -> Result<(), Error> {
    if effective_uid().is_root() {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "berth-net {what} must be run by root"
    )))
}
