//! Network interfaces of the host's that move into a running container and back, as root's alone.

use std::os::fd::AsFd;

use berth_common::InterfaceName;
use berth_kernel::ns::{Kind, Namespace};
use berth_kernel::{cred, ns};
use berth_netlink::{LinkChange, Socket};

use super::container::Running;
use crate::error::{Error, Result};
use crate::mapped;
use crate::start::build::net::link::is_wireless;

/// Moves the host's interface into the container. One with hardware behind it comes back by itself
/// when the container ends; others end with it.
pub fn give(container: &Running, host: &InterfaceName, inside: &InterfaceName) -> Result<()> {
    let (own, theirs) = networks(container)?;
    drop(own);
    let wrong = |why: String| Error::other(format!("cannot give {host} to the container: {why}"));
    let mut socket = open()?;
    let Some(link) = socket.find_link(host).map_err(fail)? else {
        return Err(wrong("the host has no such interface".to_owned()));
    };
    if host.as_str() == "lo" {
        return Err(wrong("each network has its own loopback".to_owned()));
    }
    if is_wireless(host) {
        return Err(wrong("it is a radio, which Berth does not move".to_owned()));
    }
    refuse_taken(&theirs, inside, &format!("“{}”", container.name))?;
    let change = LinkChange::new().name(inside).namespace(theirs.as_fd());
    socket
        .change_link(link.index, &change)
        .map_err(|error| wrong(error.to_string()))
}

/// Moves it back.
pub fn take(container: &Running, inside: &InterfaceName, host: &InterfaceName) -> Result<()> {
    let (own, theirs) = networks(container)?;
    refuse_taken(&own, host, "the host")?;
    let wrong = |why: String| Error::other(format!("cannot take {inside} back: {why}"));
    if inside.as_str() == "lo" {
        return Err(wrong("each network has its own loopback".to_owned()));
    }
    mapped::run(&[], || {
        theirs
            .enter()
            .map_err(|error| Error::os("enter the container's network", error))?;
        let mut socket = open()?;
        let Some(link) = socket.find_link(inside).map_err(fail)? else {
            return Err(wrong(format!("“{}” has no such interface", container.name)));
        };
        let change = LinkChange::new().name(host).namespace(own.as_fd());
        socket
            .change_link(link.index, &change)
            .map_err(|error| wrong(error.to_string()))
    })
}

/// The host's network and the container's.
fn networks(container: &Running) -> Result<(Namespace, Namespace)> {
    if !(cred::effective_uid().is_root() && ns::in_first_user_namespace()) {
        return Err(Error::other(
            "network interfaces of the host are root's to give away (with a device's file it is \
             enough to have the right to use it)",
        ));
    }
    let failed = |error| Error::os("look at a network namespace", error);
    let own = Namespace::own(Kind::Net).map_err(failed)?;
    let theirs = Namespace::of_process(container.proc.as_fd(), Kind::Net).map_err(failed)?;
    match own.is(&theirs).map_err(failed)? {
        true => Err(Error::other(format!(
            "“{}” is in the host's network: it has all its interfaces",
            container.name
        ))),
        false => Ok((own, theirs)),
    }
}

fn refuse_taken(network: &Namespace, name: &InterfaceName, whose: &str) -> Result<()> {
    let taken = mapped::run_returning(&[], || {
        network
            .enter()
            .map_err(|error| Error::os("enter a network namespace", error))?;
        let found = open()?.find_link(name).map_err(fail)?;
        Ok(vec![u8::from(found.is_some())])
    })?;
    match taken == [1] {
        true => Err(Error::other(format!(
            "{whose} has an interface {name} already; say another name behind it"
        ))),
        false => Ok(()),
    }
}

fn open() -> Result<Socket> {
    Socket::open().map_err(fail)
}

fn fail(error: berth_netlink::Error) -> Error {
    Error::other(error.to_string())
}
