//! What is said over a user's launch socket.
//!
//! The client sends [`Request::Launch`] with four descriptors (standard input, output, error,
//! working directory). The service answers [`Reply::Refused`], or [`Reply::Started`] and, when
//! the command has ended, [`Reply::Exited`]. In between the client may send signals. One command
//! a connection.
//!
//! Or it sends [`Request::Attach`] and hears [`Reply::Attached`] or a refusal: the client itself
//! is in the lasting cgroup then, with everything that it is and has.

use crate::{Error, Frame};
use berth_common::{Uid, path};
use berth_kernel::process::Exit;
use nix::sys::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const LAUNCH: u8 = 1;
const STARTED: u8 = 2;
const SIGNAL: u8 = 3;
const EXITED: u8 = 4;
const REFUSED: u8 = 5;
const ATTACH: u8 = 6;
const ATTACHED: u8 = 7;

/// How many descriptors come with a [`Launch`].
pub const LAUNCH_FDS: usize = 4;

/// The signals that a client forwards when it gets them, and the only ones it may ask for.
pub const FORWARDED: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// The launch socket of a user.
pub fn socket_path(uid: Uid) -> PathBuf {
    Path::new(path::LAUNCH_DIR).join(uid.to_string())
}

/// Whether a client's environment variable is passed on to the command. All others come from
/// the service: a command in the lasting cgroup must not depend on a login's leftovers
/// (`LD_*`, `XDG_SESSION_ID`, `DBUS_SESSION_BUS_ADDRESS`, agents that end with the login).
pub fn passes_environment(name: &OsStr) -> bool {
    const NAMES: [&str; 9] = [
        "LANG",
        "LANGUAGE",
        "TERM",
        "COLORTERM",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "TZ",
    ];
    const PREFIXES: [&str; 2] = ["LC_", "BERTH_"];
    let name = name.as_bytes();
    NAMES.iter().any(|known| known.as_bytes() == name)
        || PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// A command to launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The command's arguments, without the program's own name: the service knows what it runs.
    pub arguments: Vec<OsString>,
    /// Variables of the client's environment; only those that [`passes_environment`] names are
    /// sent and accepted.
    pub environment: Vec<(OsString, OsString)>,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Run this; the first request of a connection.
    Launch(Launch),
    /// Move me, the process that has connected, into the leaf of the lasting cgroup; instead of a
    /// launch.
    Attach,
    /// Send the command this signal, one of [`FORWARDED`].
    Signal(Signal),
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The command runs and has this process number.
    Started {
        /// In the service's process namespace.
        pid: i32,
    },
    /// The client is in the lasting cgroup.
    Attached,
    /// The command has ended.
    Exited(Exit),
    /// Nothing was started, for this reason.
    Refused(String),
}

impl Request {
    /// The request as a frame.
    pub fn to_frame(&self) -> Frame {
        match self {
            Self::Launch(launch) => {
                let count = u32::try_from(launch.arguments.len()).unwrap_or(u32::MAX);
                let mut fields = vec![count.to_le_bytes().to_vec()];
                fields.extend(launch.arguments.iter().map(|text| text.as_bytes().to_vec()));
                let passed = launch
                    .environment
                    .iter()
                    .filter(|(name, _)| passes_environment(name));
                fields.extend(
                    passed.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()),
                );
                Frame::new(LAUNCH, fields)
            }
            Self::Attach => Frame::new(ATTACH, Vec::new()),
            Self::Signal(signal) => Frame::new(SIGNAL, vec![number(*signal as i32)]),
        }
    }

    /// The request that a frame holds. Variables that do not pass are dropped; anything that an
    /// execve(2) would not take is refused.
    pub fn from_frame(frame: Frame) -> Result<Self, Error> {
        match frame.kind {
            LAUNCH => launch(frame.fields).map(Self::Launch),
            ATTACH if frame.fields.is_empty() => Ok(Self::Attach),
            SIGNAL => {
                let [field] = frame.fields.as_slice() else {
                    return Err(Error::Unexpected("a signal has one field"));
                };
                let wanted = to_number(field)?;
                FORWARDED
                    .into_iter()
                    .find(|signal| *signal as i32 == wanted)
                    .map(Self::Signal)
                    .ok_or(Error::Unexpected("this signal cannot be asked for"))
            }
            _ => Err(Error::Unexpected("no request has this kind")),
        }
    }
}

fn launch(fields: Vec<Vec<u8>>) -> Result<Launch, Error> {
    if fields.iter().skip(1).any(|field| field.contains(&0)) {
        return Err(Error::Unexpected(
            "an argument or variable holds a NUL byte",
        ));
    }
    let mut fields = fields.into_iter();
    let count = fields
        .next()
        .ok_or(Error::Unexpected("a launch has a count of arguments"))?;
    let count = usize::try_from(to_number(&count)?)
        .ok()
        .filter(|count| *count <= fields.len())
        .ok_or(Error::Unexpected("fewer arguments than announced"))?;
    let arguments = fields
        .by_ref()
        .take(count)
        .map(OsString::from_vec)
        .collect();
    let mut environment = Vec::new();
    for field in fields {
        let Some(at) = field.iter().position(|byte| *byte == b'=') else {
            return Err(Error::Unexpected("a variable has no value"));
        };
        let (name, value) = field.split_at(at);
        let name = OsStr::from_bytes(name);
        if passes_environment(name) {
            let value = OsStr::from_bytes(value.get(1..).unwrap_or_default());
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(Launch {
        arguments,
        environment,
    })
}

impl Reply {
    /// The reply as a frame.
    pub fn to_frame(&self) -> Frame {
        match self {
            Self::Started { pid } => Frame::new(STARTED, vec![number(*pid)]),
            Self::Attached => Frame::new(ATTACHED, Vec::new()),
            Self::Exited(Exit::Code(code)) => Frame::new(EXITED, vec![vec![0], number(*code)]),
            Self::Exited(Exit::Signal(signal)) => {
                Frame::new(EXITED, vec![vec![1], number(*signal)])
            }
            Self::Refused(reason) => Frame::new(REFUSED, vec![reason.as_bytes().to_vec()]),
        }
    }

    /// The reply that a frame holds.
    pub fn from_frame(frame: &Frame) -> Result<Self, Error> {
        match (frame.kind, frame.fields.as_slice()) {
            (STARTED, [pid]) => Ok(Self::Started {
                pid: to_number(pid)?,
            }),
            (ATTACHED, []) => Ok(Self::Attached),
            (EXITED, [how, value]) => match how.as_slice() {
                [0] => Ok(Self::Exited(Exit::Code(to_number(value)?))),
                [1] => Ok(Self::Exited(Exit::Signal(to_number(value)?))),
                _ => Err(Error::Unexpected("an end is a code or a signal")),
            },
            (REFUSED, [reason]) => {
                let reason = String::from_utf8_lossy(reason);
                Ok(Self::Refused(
                    reason.chars().filter(|c| !c.is_control()).collect(),
                ))
            }
            _ => Err(Error::Unexpected("no reply looks like this")),
        }
    }
}

fn number(value: i32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn to_number(field: &[u8]) -> Result<i32, Error> {
    match <[u8; 4]>::try_from(field).map(i32::from_le_bytes) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(Error::Unexpected("a number has four bytes and no sign")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(min: usize) -> impl Strategy<Value = OsString> {
        prop::collection::vec(1u8.., min..12).prop_map(OsString::from_vec)
    }

    proptest! {
        #[test]
        fn launches_arrive_as_they_were_sent(
            arguments in prop::collection::vec(words(0), 0..10),
            values in prop::collection::vec(words(0), 0..4),
        ) {
            let name = |i| OsString::from(format!("BERTH_{i}"));
            let environment = values.into_iter().enumerate().map(|(i, v)| (name(i), v)).collect();
            let request = Request::Launch(Launch { arguments, environment });
            prop_assert_eq!(Request::from_frame(request.to_frame()).unwrap(), request);
        }

        #[test]
        fn any_frame_is_understood_or_refused(
            kind in 0u8..9,
            count in 0u32..5,
            mut fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..6),
            counted: bool,
        ) {
            if counted && !fields.is_empty() {
                fields[0] = count.to_le_bytes().to_vec();
            }
            let frame = Frame { kind, fields };
            let _ = Reply::from_frame(&frame);
            if let Ok(Request::Launch(launch)) = Request::from_frame(frame) {
                prop_assert!(launch.arguments.iter().all(|text| !text.as_bytes().contains(&0)));
                prop_assert!(launch.environment.iter().all(|(name, _)| passes_environment(name)));
            }
        }
    }

    #[test]
    fn a_client_asks_to_be_moved() {
        let request = Request::from_frame(Request::Attach.to_frame()).unwrap();
        assert_eq!(request, Request::Attach);
    }

    #[test]
    fn replies_arrive_as_they_were_sent() {
        for reply in [
            Reply::Started { pid: 4711 },
            Reply::Attached,
            Reply::Exited(Exit::Code(3)),
            Reply::Exited(Exit::Signal(9)),
            Reply::Refused("no: because".into()),
        ] {
            assert_eq!(Reply::from_frame(&reply.to_frame()).unwrap(), reply);
        }
    }

    #[test]
    fn the_environment_is_filtered_on_both_ends() {
        let variable = |text: &str| (OsString::from(text), OsString::from("x"));
        let environment = [
            "LD_PRELOAD",
            "PATH",
            "LANG",
            "LC_ALL",
            "BERTH_X",
            "HOME",
            "LCX",
        ];
        let environment = environment.map(variable).to_vec();
        let sent = Request::Launch(Launch {
            arguments: vec![],
            environment,
        })
        .to_frame();
        assert_eq!(sent.fields.len(), 4);
        let mut forged = sent;
        forged
            .fields
            .extend([b"LD_PRELOAD=x".to_vec(), b"=".to_vec()]);
        let Ok(Request::Launch(got)) = Request::from_frame(forged) else {
            panic!("refused")
        };
        let names: Vec<_> = got
            .environment
            .iter()
            .map(|(name, _)| name.to_str().unwrap())
            .collect();
        assert_eq!(names, ["LANG", "LC_ALL", "BERTH_X"]);
    }

    #[test]
    fn nonsense_is_refused() {
        let count = |n: u32| n.to_le_bytes().to_vec();
        for (kind, fields) in [
            (LAUNCH, vec![]),
            (LAUNCH, vec![count(1)]),
            (LAUNCH, vec![count(u32::MAX)]),
            (LAUNCH, vec![count(1), b"a\0b".to_vec()]),
            (LAUNCH, vec![count(0), b"LANG".to_vec()]),
            (SIGNAL, vec![count(9)]),
            (SIGNAL, vec![count(0)]),
            (SIGNAL, vec![]),
            (ATTACH, vec![vec![]]),
            (STARTED, vec![count(1)]),
            (0, vec![]),
        ] {
            assert!(Request::from_frame(Frame { kind, fields }).is_err());
        }
    }
}
