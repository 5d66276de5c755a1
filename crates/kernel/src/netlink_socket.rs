//! A NETLINK_ROUTE socket (netlink(7)): the system calls that carry messages, not the messages.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Opens a route socket of the calling thread's network namespace: close-on-exec, with strict
/// checking of requests (Linux 4.20), extended acknowledgements (4.12) and acknowledgements that
/// do not repeat the request (4.3). A kernel without one of the three options serves without it.
///
/// A receive that finds nothing gives up after `timeout_ms` milliseconds with `EAGAIN`.
pub fn open_route(timeout_ms: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call without pointers.
    let raw = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        )
    };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    for option in [
        libc::NETLINK_GET_STRICT_CHK,
        libc::NETLINK_EXT_ACK,
        libc::NETLINK_CAP_ACK,
    ] {
        match set_option(&socket, libc::SOL_NETLINK, option, &1i32) {
            Err(error) if error.raw_os_error() != Some(libc::ENOPROTOOPT) => return Err(error),
            _ => {}
        }
    }
    let patience = libc::timeval {
        tv_sec: libc::time_t::from(timeout_ms as i32 / 1000),
        tv_usec: libc::suseconds_t::from(timeout_ms as i32 % 1000 * 1000),
    };
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
    Ok(socket)
}

/// `T` must be a plain C value without padding, as the option expects it.
fn set_option<T: Copy>(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the kernel reads size_of::<T>() bytes from a live reference to a T.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends one datagram to the kernel.
pub fn send_to_kernel(socket: impl AsFd, message: &[u8]) -> io::Result<()> {
    // SAFETY: an all-zero sockaddr_nl is valid: it addresses the kernel once the family is set.
    let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    loop {
        // SAFETY: buffer and address are live and their lengths are right.
        let sent = unsafe {
            libc::sendto(
                socket.as_fd().as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                0,
                std::ptr::from_ref(&kernel).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        if sent >= 0 && sent as usize == message.len() {
            return Ok(());
        }
        if sent >= 0 {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Receives one datagram that the kernel sent; what other processes sent is thrown away.
/// A datagram longer than the buffer is an error (`EMSGSIZE`), never a silently cut one.
pub fn receive_from_kernel(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: an all-zero sockaddr_nl is a valid value for the kernel to overwrite.
        let mut sender: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut sender_len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: buffer and address are live, writable and their lengths are right.
        let received = unsafe {
            libc::recvfrom(
                socket.as_fd().as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_TRUNC,
                std::ptr::from_mut(&mut sender).cast(),
                &mut sender_len,
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        if sender.nl_pid != 0 {
            continue;
        }
        let received = received as usize;
        if received > buffer.len() {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        return Ok(received);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonsense_request_is_answered_with_an_error_message() {
        let socket = open_route(2000).unwrap();
        // A header of 16 bytes with an unknown type 0x7f0, NLM_F_REQUEST | NLM_F_ACK, seq 7.
        let mut message = Vec::new();
        message.extend_from_slice(&16u32.to_ne_bytes());
        message.extend_from_slice(&0x7f0u16.to_ne_bytes());
        message.extend_from_slice(&5u16.to_ne_bytes());
        message.extend_from_slice(&7u32.to_ne_bytes());
        message.extend_from_slice(&0u32.to_ne_bytes());
        send_to_kernel(&socket, &message).unwrap();
        let mut buffer = [0; 4096];
        let length = receive_from_kernel(&socket, &mut buffer).unwrap();
        assert!(length >= 36, "{length}");
        assert_eq!(
            u16::from_ne_bytes([buffer[4], buffer[5]]),
            libc::NLMSG_ERROR as u16
        );
        assert_eq!(&buffer[8..12], &7u32.to_ne_bytes());
    }

    #[test]
    fn a_silent_kernel_is_not_waited_for() {
        let socket = open_route(20).unwrap();
        let error = receive_from_kernel(&socket, &mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
