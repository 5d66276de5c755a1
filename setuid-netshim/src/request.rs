//! A request from the command line to the answer, in the order of its acts: parse, prove, look
//! up, then, under the caller's own lock, count and create. Nothing is made before everything is
//! proven, and nothing under the lock waits for anybody.

use crate::invocation::{AnswerForm, Create, Invocation, Link};
use crate::usernet::{self, Quota};
use crate::{Refusal, invocation, ledger, ports, target};
use berth_common::{InterfaceName, Uid, path};
use berth_kernel::fs::{self, OpenFlags, Resolve};
use berth_kernel::ns::Namespace;
use berth_kernel::{cred, random, user};
use berth_netlink::{self as netlink, LinkChange, Mac, Peer, PeerName, Socket, Veth};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a NIC whose container just ended may take to disappear: the kernel dismantles network
/// namespaces in the background.
const GOING_AWAY: Duration = Duration::from_millis(500);
/// Pause between two looks at what is going away.
const PAUSE: Duration = Duration::from_millis(10);
/// How long other requests of the same user are waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often a random host name may turn out to be taken.
const NAME_TRIES: usize = 16;
/// A quota file of a million lines is a mistake.
const MAX_USERNET: usize = 16 << 20;
/// The MTU of a NIC without a bridge (LXC's).
const DEFAULT_MTU: u32 = 1500;
/// find_portno() of the kernel's bridge: no number is free.
const EXFULL: i32 = 54;

/// A NIC that was created.
#[derive(Debug)]
pub struct Granted {
    /// Name of the caller.
    pub user: String,
    /// As asked for: the bridge or `none`.
    pub link: String,
    /// The host's end.
    pub host: InterfaceName,
    /// Name of the container's end.
    pub inside: String,
    /// The line for the caller, with its newline.
    pub answer: String,
    socket: Socket,
    index: u32,
}

impl Granted {
    /// Takes the NIC back, for a caller whom the answer did not reach.
    pub fn undo(mut self) {
        // A NIC that is gone already is what is wanted.
        let _ = self.socket.delete_link(self.index);
    }
}

/// Serves a request of the user `caller`; the arguments are those behind the program's name.
pub fn serve(caller: Uid, arguments: &[&str]) -> Result<Granted, Refusal> {
    let request = match invocation::parse(arguments).map_err(Refusal::Misuse)? {
        Invocation::Create(request) => request,
        Invocation::Delete => return Err(Refusal::Delete),
    };
    let namespace = target::prove(request.pid, caller)?;
    let (user, quota) = look_up(caller, &request.link)?;
    let mut socket = Socket::open()?;
    let bridge = find_bridge(&mut socket, &request.link)?;
    let mut plan = Plan {
        caller,
        request: &request,
        namespace: &namespace,
        bridge,
        socket: &mut socket,
    };
    let host = plan.create_within(&user, &quota)?;
    let (index, inside_index, inside) = plan.describe(&host)?;
    let answer = match request.answer {
        AnswerForm::Names => format!("{inside}:{host}\n"),
        AnswerForm::NamesAndIndexes => format!("{inside}:{inside_index}:{host}:{index}\n"),
    };
    let link = request.link.as_str().to_owned();
    Ok(Granted {
        user,
        link,
        host,
        inside,
        answer,
        socket,
        index,
    })
}

/// The caller's name and what the quota file grants him there.
fn look_up(caller: Uid, link: &Link) -> Result<(String, Quota), Refusal> {
    let name = user::User::by_uid(caller)
        .map_err(|source| Refusal::System {
            operation: format!("look up uid {caller}"),
            source,
        })?
        .ok_or(Refusal::UnknownUser(caller))?
        .name;
    let text = read_usernet()?;
    let mut groups: Option<Vec<String>> = None;
    let quota = usernet::quota(
        &text,
        &name,
        |group| {
            groups
                .get_or_insert_with(group_names)
                .iter()
                .any(|name| name == group)
        },
        "veth",
        link.as_str(),
    );
    quota
        .map(|quota| (name.clone(), quota))
        .ok_or(Refusal::NoLine {
            user: name,
            bridge: link.as_str().to_owned(),
        })
}

/// Names of the caller's groups, his primary one included. One without a name matches no line.
fn group_names() -> Vec<String> {
    let mut groups = user::own_groups().unwrap_or_default();
    groups.push(cred::real_gid());
    groups
        .into_iter()
        .filter_map(|gid| user::group_name(gid).ok().flatten())
        .collect()
}

fn read_usernet() -> Result<String, Refusal> {
    let refuse = |why: String| Refusal::Usernet { why };
    let file = match std::fs::File::open(path::USERNET) {
        Ok(file) => file,
        // No file, no line: the user hears what to ask for.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let status = fs::status(file.as_fd()).map_err(|error| refuse(error.to_string()))?;
    if !status.is_file() {
        return Err(refuse("it is no regular file".to_owned()));
    }
    if status.uid != 0 || status.mode & 0o002 != 0 {
        return Err(refuse("others than root may write to it".to_owned()));
    }
    let bytes = fs::read_bounded(file, MAX_USERNET).map_err(|error| refuse(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find_bridge(socket: &mut Socket, link: &Link) -> Result<Option<netlink::Link>, Refusal> {
    let Link::Bridge(name) = link else {
        return Ok(None);
    };
    let bridge = socket
        .find_link(name)?
        .ok_or_else(|| Refusal::NoBridge(name.as_str().to_owned()))?;
    if bridge.kind.as_deref() != Some("bridge") {
        return Err(Refusal::NotABridge {
            name: bridge.name,
            kind: bridge.kind,
        });
    }
    Ok(Some(bridge))
}

/// What is to be made, once everything about it is proven.
struct Plan<'a> {
    caller: Uid,
    request: &'a Create,
    namespace: &'a Namespace,
    bridge: Option<netlink::Link>,
    socket: &'a mut Socket,
}

impl Plan<'_> {
    /// Creates the NIC if fewer than the quota's limit count, waiting a little for one that is
    /// going away. The wait is outside of the lock.
    fn create_within(&mut self, user: &str, quota: &Quota) -> Result<InterfaceName, Refusal> {
        let lock_dir = lock_dir()?;
        let deadline = Instant::now() + GOING_AWAY;
        loop {
            let lock = lock(&lock_dir, self.caller)?;
            let nics = self.count()?;
            if (nics.len() as u64) < quota.limit {
                return self.create();
            }
            drop(lock);
            if quota.limit == 0 || Instant::now() >= deadline {
                return Err(Refusal::UsedUp {
                    user: user.to_owned(),
                    bridge: self.request.link.as_str().to_owned(),
                    nics,
                    quota: quota.clone(),
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Names of the caller's NICs that count. Under his lock, one that was created and never set
    /// up is left from a request that was killed; it is removed.
    fn count(&mut self) -> Result<Vec<String>, Refusal> {
        let mut counting = Vec::new();
        for nic in self.own_nics()? {
            if ports::is_up(&nic) == Some(true) || !self.remove_if_left_over(&nic)? {
                counting.push(nic);
            }
        }
        Ok(counting)
    }

    fn own_nics(&mut self) -> Result<Vec<String>, Refusal> {
        if let (Some(bridge), Link::Bridge(name)) = (&self.bridge, &self.request.link) {
            // sysfs may show another network namespace, or be missing: then the slow way.
            if ports::index(name).is_ok_and(|index| index == bridge.index)
                && let Ok(nics) = ports::of_user(name, self.caller)
            {
                return Ok(nics);
            }
        }
        let all = match &self.bridge {
            Some(bridge) => self.socket.ports(bridge.index)?,
            None => self.socket.links()?,
        };
        let master = self.bridge.as_ref().map(|bridge| bridge.index);
        let names = all
            .iter()
            .filter(|link| link.master == master && link.kind.as_deref() == Some("veth"))
            .map(|link| link.name.as_str());
        Ok(ledger::of_user(names, self.caller)
            .into_iter()
            .map(Into::into)
            .collect())
    }

    /// Whether the NIC was a left-over and is gone now. One that an administrator set down has
    /// the alias that comes with setting it up, and stays.
    fn remove_if_left_over(&mut self, nic: &str) -> Result<bool, Refusal> {
        let Ok(name) = nic.parse() else {
            return Ok(false);
        };
        let Some(link) = self.socket.find_link(&name)? else {
            return Ok(true);
        };
        if link.is_up() || link.alias.is_some() {
            return Ok(false);
        }
        match self.socket.delete_link(link.index) {
            Err(error) if !error.is_missing() => Err(error.into()),
            _ => Ok(true),
        }
    }

    /// Two messages: the first creates the pair, down, as a port of the bridge; the second sets
    /// the host's end up and thereby makes it valid.
    fn create(&mut self) -> Result<InterfaceName, Refusal> {
        let host = self.create_down()?;
        let alias = match &self.request.container {
            Some(container) => format!("berth uid={} container={container}", self.caller),
            None => format!("berth uid={}", self.caller),
        };
        let link = self.socket.link(&host)?;
        let change = LinkChange::new().alias(&alias).up(true);
        if let Err(error) = self.socket.change_link(link.index, &change) {
            // The first error is the one to tell.
            let _ = self.socket.delete_link(link.index);
            return Err(error.into());
        }
        Ok(host)
    }

    fn create_down(&mut self) -> Result<InterfaceName, Refusal> {
        let mtu = self
            .bridge
            .as_ref()
            .map_or(DEFAULT_MTU, |bridge| bridge.mtu);
        let peer_name = match &self.request.name {
            Some(name) => PeerName::Exact(name),
            None => PeerName::NextEth,
        };
        let peer = Peer {
            name: peer_name,
            namespace: Some(self.namespace.as_fd()),
            mtu: Some(mtu),
            mac: None,
        };
        for _ in 0..NAME_TRIES {
            let [a, b, c, d, mac @ ..] =
                random::bytes::<9>().map_err(|source| Refusal::System {
                    operation: "get random bytes".to_owned(),
                    source,
                })?;
            let host =
                ledger::host_name(self.caller, [a, b, c, d]).map_err(|error| Refusal::System {
                    operation: "name the interface".to_owned(),
                    source: io::Error::other(error),
                })?;
            let veth = Veth {
                name: &host,
                mac: Some(Mac::for_bridge_port(mac)),
                mtu: Some(mtu),
                group: Some(self.caller.raw()),
                master: self.bridge.as_ref().map(|bridge| bridge.index),
                peer,
            };
            match self.socket.create_veth(&veth) {
                Ok(()) => return Ok(host),
                Err(error) if error.is_exists() => {
                    // Which of the two names is taken, the errno does not say.
                    if self.socket.find_link(&host)?.is_none() {
                        return Err(match &self.request.name {
                            Some(name) => Refusal::NameTaken(name.as_str().to_owned()),
                            None => error.into(),
                        });
                    }
                }
                Err(error) if error.errno() == Some(EXFULL) => {
                    return Err(Refusal::BridgeFull(self.request.link.as_str().to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy)
    }

    /// Index of the host's end, index and name of the container's end.
    fn describe(&mut self, host: &InterfaceName) -> Result<(u32, u32, String), Refusal> {
        // The container may end while its NIC is made, and takes it along.
        let vanished = || Refusal::NotYourNamespace {
            pid: self.request.pid,
        };
        let link = self.socket.find_link(host)?.ok_or_else(vanished)?;
        let inside = link.peer.ok_or_else(vanished)?;
        let name = match &self.request.name {
            Some(name) => name.as_str().to_owned(),
            None => match self.socket.link_at_peer(inside, link.peer_namespace) {
                Ok(peer) => peer.name,
                Err(error) => {
                    // The first error is the one to tell.
                    let _ = self.socket.delete_link(link.index);
                    return Err(error.into());
                }
            },
        };
        Ok((link.index, inside, name))
    }
}

/// The directory of the locks. Only root may enter it, so only helpers can hold a lock.
fn lock_dir() -> Result<OwnedFd, Refusal> {
    let make = || -> io::Result<OwnedFd> {
        let mut dir = fs::open_dir(Path::new("/"))?;
        let mut parts = Path::new(path::USERNIC_RUN_DIR)
            .components()
            .skip(1)
            .peekable();
        while let Some(part) = parts.next() {
            let mode = if parts.peek().is_some() { 0o755 } else { 0o700 };
            dir = match fs::open_dir_beneath(dir.as_fd(), Path::new(part.as_os_str())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::make_dir_at(dir.as_fd(), part.as_os_str(), mode)?.0
                }
                other => other?,
            };
        }
        let status = fs::status(dir.as_fd())?;
        if status.uid != 0 || status.permissions() & 0o077 != 0 {
            return Err(io::Error::other("others than root may enter it"));
        }
        Ok(dir)
    };
    make().map_err(|source| Refusal::System {
        operation: format!("use the lock directory {}", path::USERNIC_RUN_DIR),
        source,
    })
}

/// Takes the lock of one user; it ends when the descriptor is closed. Whoever stops, starves or
/// kills his helper holds up himself alone.
fn lock(dir: &OwnedFd, uid: Uid) -> Result<OwnedFd, Refusal> {
    let name = uid.to_string();
    let system = |source| Refusal::System {
        operation: format!("lock {}/{name}", path::USERNIC_RUN_DIR),
        source,
    };
    let flags = OpenFlags::O_RDWR | OpenFlags::O_CREAT;
    let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
    let file = fs::openat2(
        dir.as_fd(),
        Path::new(OsStr::new(&name)),
        flags,
        0o600,
        resolve,
    )
    .map_err(system)?;
    if fs::flock_exclusive(file.as_fd(), LOCK_PATIENCE).map_err(system)? {
        Ok(file)
    } else {
        Err(Refusal::Busy)
    }
}
