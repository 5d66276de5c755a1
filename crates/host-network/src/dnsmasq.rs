//! dnsmasq on the bridge: addresses and names.

use crate::config::Config;
use crate::error::Error;
use crate::journal::make_dir;
use crate::{program, resolver};
use berth_common::path::NET_RUN_DIR;
use berth_kernel::process::PidFd;
use berth_kernel::user::{User, group_name};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "dnsmasq";
/// Who it runs as once it has its sockets: the first of these that the host knows.
const USERS: [&str; 2] = ["dnsmasq", "nobody"];
/// Leases outlive stops and boots, so that containers keep their addresses.
const STATE_DIRS: [&str; 2] = ["/var/lib/berth", "/var/lib/berth/net"];
/// Short, so that addresses of containers that were destroyed come back soon.
const LEASE_TIME: &str = "1h";
/// What everybody takes for granted who is told nothing.
const USUAL_MTU: u32 = 1500;
/// How often [`stop`] looks at most.
const LOOKS: usize = 50;
/// How long it may take to end when asked to, before it is killed.
const END: Duration = Duration::from_secs(3);

fn pid_file(name: &str) -> PathBuf {
    let file = match name {
        "" => "dnsmasq.pid".to_owned(),
        name => format!("dnsmasq-{name}.pid"),
    };
    Path::new(NET_RUN_DIR).join(file)
}

/// Where it writes down who was given what.
pub fn lease_file(config: &Config) -> PathBuf {
    Path::new(STATE_DIRS[1]).join(format!("{}.leases", config.bridge))
}

/// Why no lease can be written down now, if none can. Addresses are given all the same; they are
/// forgotten when dnsmasq ends before there is room again.
pub fn no_room() -> Option<String> {
    // Before the first start there is nothing.
    let found = statvfs(STATE_DIRS[1]).ok()?;
    let why = if found.flags().contains(FsFlags::ST_RDONLY) {
        "can only be read"
    } else if found.blocks() > 0 && found.blocks_available() == 0 {
        "is full"
    } else {
        return None;
    };
    Some(format!("the file system of {} {why}", STATE_DIRS[1]))
}

/// The argument by which our dnsmasq is told from any other.
fn mark(name: &str) -> String {
    format!("--pid-file={}", pid_file(name).display())
}

/// Who serves names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// dnsmasq itself.
    Ours,
    /// Another server has port 53 of the bridge's address; containers are sent there.
    Other,
    /// Nobody here: containers are told the host's own servers.
    Elsewhere(Vec<Ipv4Addr>),
}

/// Whether the configuration wants a dnsmasq at all.
pub fn is_wanted(config: &Config) -> bool {
    config.dhcp.is_some() || config.dns
}

/// The program and the user it becomes.
pub struct Server {
    program: PathBuf,
    user: User,
    group: Option<String>,
}

impl Server {
    /// Looks for both; says what to install if there is none.
    pub fn find() -> Result<Self, Error> {
        let program = program::find(NAME).ok_or_else(|| {
            Error::Refused(
                "dnsmasq is not installed: install dnsmasq-base, or set dhcp and dns to false in \
                 /etc/berth/net.toml"
                    .to_owned(),
            )
        })?;
        let user = user()?.ok_or_else(|| {
            Error::Refused("there is neither a user dnsmasq nor nobody to run it as".to_owned())
        })?;
        let group = group_name(user.gid).ok().flatten();
        Ok(Self {
            program,
            user,
            group,
        })
    }

    /// It runs with the arguments that the configuration asks for.
    pub fn ensure(
        &self,
        config: &Config,
        done: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        if let (true, Some(why)) = (config.dhcp.is_some(), no_room()) {
            warnings.push(format!(
                "{why}: containers may get another address after the next restart of dnsmasq, and \
                 somebody else theirs"
            ));
        }
        if is_current(config, &running(&config.name)?, self) {
            return Ok(());
        }
        stop(&config.name)?;
        for dir in STATE_DIRS {
            make_dir(Path::new(dir))?;
        }
        let names = match config.dns {
            false => Names::Elsewhere(resolver::servers()),
            true if port_is_free(config.address.ip) => Names::Ours,
            true => {
                warnings.push(format!(
                    "another name server has port 53 of {}: containers are sent there; for names \
                     of containers have it leave that address, then restart berth-net",
                    config.address.ip
                ));
                Names::Other
            }
        };
        let arguments = arguments(config, &names, self);
        let output = program::run(&self.program, &arguments, "")?;
        if !output.ok {
            return Err(Error::Refused(format!(
                "dnsmasq does not start on {}: {}",
                config.bridge, output.complaint
            )));
        }
        done.push(format!("started dnsmasq on {}", config.bridge));
        Ok(())
    }
}

fn user() -> Result<Option<User>, Error> {
    for name in USERS {
        let found = User::by_name(name)
            .map_err(|error| Error::Refused(format!("cannot look up the user {name}: {error}")))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Whether nobody listens there. A server on all addresses counts: it gets what is sent there.
fn port_is_free(ip: Ipv4Addr) -> bool {
    let at = SocketAddrV4::new(ip, 53);
    let taken = |error: &io::Error| error.kind() == ErrorKind::AddrInUse;
    !UdpSocket::bind(at).is_err_and(|error| taken(&error))
        && !TcpListener::bind(at).is_err_and(|error| taken(&error))
}

/// dnsmasq(8). No file of the host's own dnsmasq is read; it binds to the bridge alone.
fn arguments(config: &Config, names: &Names, server: &Server) -> Vec<String> {
    let more = config.dnsmasq_conf.as_deref();
    let more = more.unwrap_or(Path::new("/dev/null"));
    let mut all = vec![
        format!("--conf-file={}", more.display()),
        mark(&config.name),
        format!("--user={}", server.user.name),
        "--bind-interfaces".to_owned(),
        format!("--interface={}", config.bridge),
        "--except-interface=lo".to_owned(),
        format!("--listen-address={}", config.address.ip),
        // /etc/hosts gives the host's own name a loopback address, which means another machine
        // in a container.
        "--no-hosts".to_owned(),
    ];
    all.extend(
        server
            .group
            .as_ref()
            .map(|group| format!("--group={group}")),
    );
    if let Some(six) = config.ipv6 {
        all.push(format!("--listen-address={}", six.ip));
    }
    if let Some((first, last)) = config.dhcp {
        let count = u64::from(last.to_bits()) - u64::from(first.to_bits()) + 1;
        let count = config.dhcp_max.map_or(count, u64::from);
        all.extend([
            format!("--dhcp-range={first},{last},{LEASE_TIME}"),
            format!("--dhcp-lease-max={count}"),
            "--dhcp-authoritative".to_owned(),
            "--dhcp-no-override".to_owned(),
            format!("--dhcp-leasefile={}", lease_file(config).display()),
            // A container of that name would be asked by browsers for proxies (VU#598349).
            "--dhcp-name-match=set:wpad-ignore,wpad".to_owned(),
            "--dhcp-ignore-names=tag:wpad-ignore".to_owned(),
        ]);
        if config.mtu != USUAL_MTU {
            // Berth's own containers have it from the bridge; those of which that is not true and
            // other machines on it are told. Advertisements of IPv6 say it by themselves.
            all.push(format!("--dhcp-option=option:mtu,{}", config.mtu));
        }
        if !config.dhcp_ping {
            all.push("--no-ping".to_owned());
        }
        for (name, ip) in &config.reservations {
            all.push(format!("--dhcp-host={name},{ip}"));
        }
        if let Some(six) = config.ipv6 {
            // Containers make their own addresses in the network that is advertised; those that also
            // have one of IPv4 are found by name at both.
            let network = six.subnet().network();
            all.push(format!(
                "--dhcp-range={network},ra-names,{},{LEASE_TIME}",
                six.prefix()
            ));
            if !config.forwards() {
                // Seconds between advertisements as usual, a default route for none.
                all.push(format!("--ra-param={},0,0", config.bridge));
            }
            if *names != Names::Ours {
                all.push("--dhcp-option=option6:dns-server".to_owned());
            }
        }
        if !config.forwards() {
            // No way out: no default route either.
            all.push("--dhcp-option=option:router".to_owned());
        }
    }
    if let Some(domain) = &config.domain {
        all.extend([format!("--domain={domain}"), format!("--local=/{domain}/")]);
    }
    match names {
        Names::Ours => {
            all.extend(["--domain-needed".to_owned(), "--bogus-priv".to_owned()]);
        }
        Names::Other => {
            all.push("--port=0".to_owned());
            all.push(format!(
                "--dhcp-option=option:dns-server,{}",
                config.address.ip
            ));
        }
        Names::Elsewhere(servers) => {
            all.push("--port=0".to_owned());
            if !servers.is_empty() {
                let list: Vec<String> = servers.iter().map(ToString::to_string).collect();
                all.push(format!(
                    "--dhcp-option=option:dns-server,{}",
                    list.join(",")
                ));
            }
        }
    }
    all
}

/// A dnsmasq of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    arguments: Vec<String>,
}

/// Whether what runs is what the configuration asks for. Who else serves names may have changed
/// since it was started; that alone is no reason to restart it.
fn is_current(config: &Config, processes: &[Process], server: &Server) -> bool {
    let wanted = match config.dns {
        true => vec![Names::Ours, Names::Other],
        false => vec![Names::Elsewhere(resolver::servers())],
    };
    let wanted: Vec<Vec<String>> = wanted
        .iter()
        .map(|names| arguments(config, names, server))
        .collect();
    !processes.is_empty()
        && processes
            .iter()
            .all(|process| wanted.contains(&process.arguments))
}

/// The processes of our dnsmasq: normally one, for a moment more when it answers over TCP.
///
/// The pid file is not believed: dnsmasq may write to it after it has given up root. A process is
/// ours if it has the mark among its arguments, runs in our network and as a user that we start
/// it as; no unprivileged user can bring such a one about.
pub fn running(name: &str) -> Result<Vec<Process>, Error> {
    let mut uids = vec![0];
    for name in USERS {
        uids.extend(
            User::by_name(name)
                .ok()
                .flatten()
                .map(|user| user.uid.raw()),
        );
    }
    let network =
        fs::read_link("/proc/self/ns/net").map_err(Error::file("read", "/proc/self/ns/net"))?;
    let mark = mark(name);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(Error::file("list", "/proc"))? {
        let entry = entry.map_err(Error::file("list", "/proc"))?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end between any two of these looks.
        let Ok(meta) = entry.metadata() else { continue };
        if !uids.contains(&meta.uid()) {
            continue;
        }
        let Ok(line) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let mut words = line
            .strip_suffix(b"\0")
            .unwrap_or(&line)
            .split(|&b| b == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned());
        if !words.next().is_some_and(|program| program.ends_with(NAME)) {
            continue;
        }
        let arguments: Vec<String> = words.collect();
        if arguments.contains(&mark)
            && fs::read_link(entry.path().join("ns/net")).is_ok_and(|other| other == network)
        {
            found.push(Process { pid, arguments });
        }
    }
    Ok(found)
}

/// Ends it, and removes the pid file. One that is just becoming a daemon has a child that the
/// first look may not have seen, so this looks until nothing is found twice.
pub fn stop(name: &str) -> Result<(), Error> {
    let mut errors = Vec::new();
    let mut empty_looks = 0;
    for _ in 0..LOOKS {
        let all = running(name)?;
        if all.is_empty() {
            empty_looks += 1;
            if empty_looks == 2 {
                break;
            }
            thread::sleep(Duration::from_millis(2));
            continue;
        }
        empty_looks = 0;
        for process in all {
            if let Err(source) = end(name, process.pid) {
                let pid = process.pid;
                errors.push(Error::Refused(format!(
                    "cannot end dnsmasq ({pid}): {source}"
                )));
            }
        }
        if !errors.is_empty() {
            break;
        }
    }
    match fs::remove_file(pid_file(name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            errors.push(Error::file("remove", pid_file(name))(error));
        }
        _ => {}
    }
    Error::collect(errors)
}

fn end(name: &str, pid: i32) -> io::Result<()> {
    const GONE: i32 = 3; // ESRCH
    const TERMINATE: i32 = 15;
    const KILL: i32 = 9;
    let process = match PidFd::open(pid) {
        Err(error) if error.raw_os_error() == Some(GONE) => return Ok(()),
        other => other?,
    };
    // The number may have been given to another process before it was opened.
    if !running(name).is_ok_and(|all| all.iter().any(|process| process.pid == pid)) {
        return Ok(());
    }
    for signal in [TERMINATE, KILL] {
        match process.signal(signal) {
            Err(error) if error.raw_os_error() == Some(GONE) => return Ok(()),
            other => other?,
        }
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if process.has_ended()? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        "still there after SIGKILL",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_common::{Gid, Uid};

    fn server() -> Server {
        Server {
            program: "/usr/sbin/dnsmasq".into(),
            user: User {
                name: "dnsmasq".to_owned(),
                uid: Uid::new(999).unwrap(),
                gid: Gid::new(65_534).unwrap(),
                home: "/".into(),
                shell: "/bin/false".into(),
            },
            group: Some("nogroup".to_owned()),
        }
    }

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("net.toml")).unwrap()
    }

    #[test]
    fn it_binds_to_the_bridge_alone_and_drops_root() {
        let all = arguments(&config("domain = \"c.example\""), &Names::Ours, &server());
        for wanted in [
            "--bind-interfaces",
            "--interface=berthbr0",
            "--except-interface=lo",
            "--listen-address=10.209.0.1",
            "--user=dnsmasq",
            "--group=nogroup",
            "--dhcp-range=10.209.0.2,10.209.0.254,1h",
            "--dhcp-lease-max=253",
            "--dhcp-authoritative",
            "--no-ping",
            "--dhcp-leasefile=/var/lib/berth/net/berthbr0.leases",
            "--domain=c.example",
            "--local=/c.example/",
            "--pid-file=/run/berth/net/dnsmasq.pid",
        ] {
            assert!(
                all.iter().any(|argument| argument == wanted),
                "{wanted} in {all:?}"
            );
        }
        assert!(
            !all.iter().any(|argument| argument.starts_with("--port")
                || argument.starts_with("--dhcp-option=option:mtu")),
            "{all:?}"
        );
        let large = arguments(&config("mtu = 9000"), &Names::Ours, &server());
        assert!(large.contains(&"--dhcp-option=option:mtu,9000".to_owned()));
    }

    #[test]
    fn containers_are_sent_to_who_serves_names() {
        let all = arguments(&config(""), &Names::Other, &server());
        assert!(all.contains(&"--port=0".to_owned()));
        assert!(all.contains(&"--dhcp-option=option:dns-server,10.209.0.1".to_owned()));
        let servers = vec!["9.9.9.9".parse().unwrap(), "1.1.1.1".parse().unwrap()];
        let all = arguments(
            &config("dns = false"),
            &Names::Elsewhere(servers),
            &server(),
        );
        assert!(all.contains(&"--dhcp-option=option:dns-server,9.9.9.9,1.1.1.1".to_owned()));
        let all = arguments(&config("dhcp = false"), &Names::Ours, &server());
        assert!(
            !all.iter().any(|argument| argument.contains("dhcp")),
            "{all:?}"
        );
    }
}
