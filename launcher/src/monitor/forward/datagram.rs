//! Datagrams with the host's address to which they were sent: on a host with several, a client takes
//! answers from that one only, and the kernel would choose by the way back.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};

/// An address of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Local {
    V4(Ipv4Addr),
    /// With the interface's number if it has the address only there.
    V6(Ipv6Addr, u32),
}

/// A datagram that came.
pub(super) struct Received {
    pub(super) length: usize,
    pub(super) client: SocketAddr,
    /// To where it was sent; `None` if the socket has one address only, or it was sent to many.
    pub(super) to: Option<Local>,
}

/// Takes the next datagram.
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut room = nix::cmsg_space!(in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_raw_fd();
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut room), flags)?;
    let client = message.address.as_ref().and_then(address_of);
    Ok(Received {
        length: message.bytes,
        client: client.ok_or(io::ErrorKind::InvalidData)?,
        to: message.cmsgs()?.find_map(local_of),
    })
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let four = storage
        .as_sockaddr_in()
        .map(|address| SocketAddrV4::from(*address).into());
    let six = || {
        let address = storage.as_sockaddr_in6()?;
        Some(SocketAddrV6::from(*address).into())
    };
    four.or_else(six)
}

fn local_of(message: ControlMessageOwned) -> Option<Local> {
    match message {
        // Of a broadcast this is the address of the interface by which it came.
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(Ipv4Addr::from(
            info.ipi_spec_dst.s_addr.to_ne_bytes(),
        ))),
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = match address.is_unicast_link_local() {
                true => info.ipi6_ifindex,
                false => 0,
            };
            (!address.is_multicast()).then_some(Local::V6(address, interface))
        }
        _ => None,
    }
}

/// Sends an answer from the address to which the client spoke. What cannot be sent is lost, as the
/// network may lose it.
pub(super) fn answer(socket: &UdpSocket, datagram: &[u8], client: SocketAddr, from: Option<Local>) {
    let (four, six);
    let from = match from {
        None => None,
        Some(Local::V4(address)) => {
            four = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr {
                    s_addr: u32::from_ne_bytes(address.octets()),
                },
                ipi_addr: in_addr { s_addr: 0 },
            };
            Some(ControlMessage::Ipv4PacketInfo(&four))
        }
        Some(Local::V6(address, interface)) => {
            six = in6_pktinfo {
                ipi6_addr: in6_addr {
                    s6_addr: address.octets(),
                },
                ipi6_ifindex: interface,
            };
            Some(ControlMessage::Ipv6PacketInfo(&six))
        }
    };
    let from: Vec<ControlMessage> = from.into_iter().collect();
    let to = SockaddrStorage::from(client);
    let parts = [IoSlice::new(datagram)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let _ = sendmsg(socket.as_raw_fd(), &parts, &from, flags, Some(&to));
}
