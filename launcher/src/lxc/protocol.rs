//! What liblxc's tools and monitors say to each other on a container's command socket (LXC 2.0 and
//! later, 64-bit): a request of command, length and a pointer's room, then so many bytes; a
//! response of result, length and a value in a pointer's room.

use std::path::Path;

use berth_common::ContainerName;
use berth_common::hash::fnv1a;

use crate::state::State;

/// The bytes of a request before its data.
pub const REQUEST_LEN: usize = 16;
/// The bytes of a response before its data.
pub const RESPONSE_LEN: usize = 16;
/// How many states LXC tells apart.
pub const STATES: usize = 8;
/// The longest name of an abstract socket that LXC makes, in bytes; longer ones are hashed.
const LONGEST_NAME: usize = 105;
/// A file name's greatest length, and a zero: the room for a name in a message.
const NAME_ROOM: usize = 256;

/// The commands that Berth knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "LXC's own names")]
pub enum Command {
    Stop,
    GetState,
    GetInitPid,
    AddStateClient,
}

impl Command {
    const ALL: [(Self, i32); 4] = [
        (Self::Stop, 2),
        (Self::GetState, 3),
        (Self::GetInitPid, 4),
        (Self::AddStateClient, 10),
    ];

    fn number(self) -> i32 {
        let mut all = Self::ALL.iter();
        all.find(|(command, _)| *command == self)
            .map_or(-1, |(_, number)| *number)
    }

    /// The command with this number; `None` for others of LXC's.
    pub fn of(number: i32) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, other)| *other == number)
            .map(|(command, _)| *command)
    }
}

/// A request without data.
pub fn request(command: Command) -> [u8; REQUEST_LEN] {
    let mut bytes = [0; REQUEST_LEN];
    bytes[..4].copy_from_slice(&command.number().to_ne_bytes());
    bytes
}

/// The number and the length of the data of a request; `None` without all of its head.
pub fn head_of(bytes: &[u8]) -> Option<(i32, usize)> {
    let number = i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let len = i32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
    bytes.get(..REQUEST_LEN)?;
    Some((number, usize::try_from(len).unwrap_or_default()))
}

/// A response without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// 0, a positive result, or a negative error number.
    pub result: i32,
    /// What a command's answer is, where it is a number.
    pub value: u64,
}

impl Response {
    /// As it is sent.
    pub fn bytes(self) -> [u8; RESPONSE_LEN] {
        let mut bytes = [0; RESPONSE_LEN];
        bytes[..4].copy_from_slice(&self.result.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }

    /// As it was received.
    pub fn of(bytes: &[u8; RESPONSE_LEN]) -> Self {
        let (mut result, mut value) = ([0; 4], [0; 8]);
        result.copy_from_slice(&bytes[..4]);
        value.copy_from_slice(&bytes[8..]);
        Self {
            result: i32::from_ne_bytes(result),
            value: u64::from_ne_bytes(value),
        }
    }
}

/// What LXC calls `STOPPED`, `STARTING` and so on, by number.
pub fn state_of(number: u64) -> State {
    match number {
        1 => State::Starting,
        2 | 5 | 7 => State::Running,
        3 | 4 => State::Stopping,
        6 => State::Frozen,
        _ => State::Stopped,
    }
}

/// LXC's number for a state.
pub fn number_of(state: State) -> u8 {
    match state {
        State::Starting | State::Restarting => 1,
        State::Running => 2,
        State::Stopping => 3,
        State::Frozen => 6,
        State::Stopped | State::Aborted | State::Unknown => 0,
    }
}

/// The message to one who waits for a state.
pub fn state_message(name: &ContainerName, state: State) -> Vec<u8> {
    let mut message = vec![0; 4 + NAME_ROOM];
    let name = name.as_str().as_bytes();
    message[4..4 + name.len()].copy_from_slice(name);
    message.extend(i32::from(number_of(state)).to_ne_bytes());
    message
}

/// The name of a container's abstract socket.
pub fn socket_name(lxcpath: &Path, name: &ContainerName) -> Vec<u8> {
    let path = lxcpath.as_os_str().as_encoded_bytes();
    let container = [path, b"/", name.as_str().as_bytes()].concat();
    let plain = [&container[..], b"/command"].concat();
    match plain.len() <= LONGEST_NAME {
        true => plain,
        false => format!("lxc/{:016x}/command", fnv1a(container)).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_hashed() {
        let name: ContainerName = "web".parse().unwrap();
        let plain = socket_name(Path::new("/var/lib/lxc"), &name);
        assert_eq!(plain, b"/var/lib/lxc/web/command");
        let path = format!("/{}", "x".repeat(120));
        let hashed = String::from_utf8(socket_name(Path::new(&path), &name)).unwrap();
        assert!(hashed.starts_with("lxc/") && hashed.len() == 28, "{hashed}");
    }

    #[test]
    fn requests_and_responses_keep_their_numbers() {
        assert_eq!(head_of(&request(Command::GetInitPid)), Some((4, 0)));
        assert_eq!(head_of(&[0; 15]), None);
        assert_eq!(Command::of(10), Some(Command::AddStateClient));
        assert_eq!(Command::of(6), None);
        let response = Response {
            result: -38,
            value: 7,
        };
        assert_eq!(Response::of(&response.bytes()), response);
        for state in [State::Running, State::Frozen, State::Stopping] {
            assert_eq!(state_of(number_of(state).into()), state);
        }
    }

    #[test]
    fn a_message_has_lxcs_size() {
        let message = state_message(&"web".parse().unwrap(), State::Stopped);
        assert_eq!(message.len(), 264);
    }
}
