//! The bridge of `berth-net` beside LXC's and a bare one: how long a container waits for its address,
//! and how fast it talks.
//!
//!     cargo build --release -p berth-host-network
//!     cargo run --release -p berth-benches --example network    (as root)
//!
//! Everything is in namespaces that end with the run.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "BERTH_BENCH_INSIDE";
const LEASES: usize = 15;
const STREAMS: usize = 11;
const STREAM: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_millis(200);
const PORT: u16 = 5001;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [role, address] = words.as_slice() {
        return match role.as_str() {
            "send" => send(address),
            "receive" => receive(address),
            "ask" => ask(address),
            _ => bail!("not called by a measurement"),
        };
    }
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["--propagation", "private", "--"])
            .arg(std::env::current_exe()?)
            .env(INSIDE, "1")
            .status()?;
        ensure!(status.success(), "unshare: {status}");
        return Ok(());
    }
    sh(
        "mount -t tmpfs none /run && mkdir /run/netns /run/lxc /run/o /run/o/up /run/o/work
        mount -t overlay -o lowerdir=/etc,upperdir=/run/o/up,workdir=/run/o/work none /etc
        mount -t tmpfs none /var/lib && mkdir -p /var/lib/misc
        echo 'USE_LXC_BRIDGE=true' >/etc/default/lxc-net; rm -rf /etc/berth; ip link set lo up",
    )?;
    let berth = std::env::current_exe()?;
    let berth = berth
        .ancestors()
        .nth(2)
        .context("no directory")?
        .join("berth-net");
    ensure!(
        berth.exists(),
        "build it first: cargo build --release -p berth-host-network"
    );
    sh(&format!(
        "{} start >/dev/null && /usr/libexec/lxc/lxc-net start && ip link add bare0 type bridge &&
         ip addr add 10.90.0.1/24 dev bare0 && ip link set bare0 up",
        berth.display()
    ))?;
    for (name, bridge, group) in [
        ("b", "berthbr0", 1000),
        ("b2", "berthbr0", 1000),
        ("l", "lxcbr0", 0),
        ("p", "bare0", 0),
        ("p2", "bare0", 0),
    ] {
        sh(&format!(
            "ip netns add {name} && ip link add v{name} group {group} type veth peer name eth0 netns {name}
             ip link set v{name} master {bridge} up
             ip -n {name} link set lo up && ip -n {name} link set eth0 up"
        ))?;
    }
    addresses()?;
    answers()?;
    sh(
        "for name in b l; do ip -n $name route del 255.255.255.255 dev eth0; done
        ip -n b addr add 10.209.0.200/24 dev eth0; ip -n b2 addr add 10.209.0.201/24 dev eth0
        ip -n p addr add 10.90.0.200/24 dev eth0; ip -n p2 addr add 10.90.0.201/24 dev eth0",
    )?;
    streams(
        "container to host",
        "b",
        "10.209.0.1",
        None,
        "p",
        "10.90.0.1",
    )?;
    streams(
        "container to container",
        "b",
        "10.209.0.201",
        Some(("b2", "p2")),
        "p",
        "10.90.0.201",
    )?;
    sh("/usr/libexec/lxc/lxc-net stop")?;
    sh(&format!("{} stop >/dev/null", berth.display()))
}

/// From the client's start to its end with an address, a new client each time.
fn addresses() -> Result<()> {
    let mut samples: [Vec<f64>; 2] = Default::default();
    for round in 0..LEASES {
        for (at, (name, bridge)) in [("b", "berth"), ("l", "lxc")].into_iter().enumerate() {
            // Another hardware address is another client.
            sh(&format!(
                "ip -n {name} link set eth0 address 02:00:00:00:{at:02x}:{round:02x}"
            ))?;
            std::thread::sleep(IDLE);
            let start = Instant::now();
            sh(&format!(
                "ip netns exec {name} busybox udhcpc -i eth0 -n -q -f -t 20 -T 1 -s /bin/true \
                 >/dev/null 2>&1"
            ))
            .with_context(|| format!("no address from {bridge}"))?;
            samples[at].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [berth, lxc] = samples.map(median);
    println!(
        "address by udhcpc, its start included, median of {LEASES}: berth-net {berth:.1} ms, lxc-net {lxc:.1} ms \
         ({:.2} of it)",
        berth / lxc
    );
    Ok(())
}

/// From a client's first packet to the packet that says the address is its own, a new client each time.
fn answers() -> Result<()> {
    sh("for name in b l; do ip -n $name route add 255.255.255.255 dev eth0; done")?;
    let exe = std::env::current_exe()?;
    let mut samples: [Vec<f64>; 2] = Default::default();
    for round in 0..LEASES {
        for (at, name) in ["b", "l"].into_iter().enumerate() {
            let mac = format!("02:00:00:01:{at:02x}:{round:02x}");
            sh(&format!("ip -n {name} link set eth0 address {mac}"))?;
            std::thread::sleep(IDLE);
            let mut client = Command::new("ip");
            client.args(["netns", "exec", name]).arg(&exe);
            let output = client.args(["ask", &mac]).output()?;
            let text = String::from_utf8(output.stdout)?;
            samples[at].push(text.trim().parse().context("no answer")?);
        }
    }
    let [berth, lxc] = samples.map(median);
    println!(
        "first request to acknowledgement, median of {LEASES}: berth-net {berth:.2} ms, lxc-net {lxc:.2} ms \
         ({:.2} of it)",
        berth / lxc
    );
    Ok(())
}

/// Asks for an address as RFC 2131 says and prints the milliseconds that it took.
fn ask(mac: &str) -> Result<()> {
    const COOKIE: [u8; 4] = [99, 130, 83, 99];
    const DISCOVER: u8 = 1;
    const OFFER: u8 = 2;
    const REQUEST: u8 = 3;
    const ACK: u8 = 5;
    let mac: Vec<u8> = mac
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()?;
    let socket = UdpSocket::bind("0.0.0.0:68")?;
    socket.set_broadcast(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let exchange = |kind: u8, wanted: u8, more: &[u8]| -> Result<Vec<u8>> {
        // A request over Ethernet, to be answered to everybody.
        let mut packet = vec![0; 236];
        packet[..3].copy_from_slice(&[1, 1, 6]);
        packet[4..8].copy_from_slice(&mac[2..]);
        packet[10] = 0x80;
        packet[28..34].copy_from_slice(&mac);
        packet.extend(COOKIE);
        packet.extend([53, 1, kind]);
        packet.extend(more);
        packet.push(255);
        packet.resize(300, 0);
        socket.send_to(&packet, "255.255.255.255:67")?;
        loop {
            let mut answer = vec![0; 1500];
            let size = socket.recv(&mut answer)?;
            answer.truncate(size);
            if size > 240 && answer[4..8] == mac[2..] && option(&answer, 53) == Some(&[wanted]) {
                return Ok(answer);
            }
        }
    };
    let start = Instant::now();
    let offer = exchange(DISCOVER, OFFER, &[])?;
    let mut more = vec![50, 4];
    more.extend(&offer[16..20]);
    more.extend([54, 4]);
    more.extend(option(&offer, 54).context("an offer of nobody")?);
    exchange(REQUEST, ACK, &more)?;
    println!("{}", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// What a packet of DHCP says under that number.
fn option(packet: &[u8], number: u8) -> Option<&[u8]> {
    let mut rest = packet.get(240..)?;
    loop {
        match rest {
            [0, more @ ..] => rest = more,
            [found, length, more @ ..] => {
                let (value, after) = more.split_at_checked(usize::from(*length))?;
                if *found == number {
                    return Some(value);
                }
                rest = after;
            }
            _ => return None,
        }
    }
}

/// Bytes a second over TCP, turn by turn.
fn streams(
    what: &str,
    ours: &str,
    our_address: &str,
    inside: Option<(&str, &str)>,
    bare: &str,
    bare_address: &str,
) -> Result<()> {
    let mut ratios = Vec::new();
    let mut samples: [Vec<f64>; 2] = Default::default();
    for _ in 0..STREAMS {
        let mut pair = [0.0; 2];
        for (at, (from, to, receiver)) in [
            (ours, our_address, inside.map(|(ours, _)| ours)),
            (bare, bare_address, inside.map(|(_, bare)| bare)),
        ]
        .into_iter()
        .enumerate()
        {
            std::thread::sleep(IDLE);
            pair[at] = stream(from, to, receiver)?;
            samples[at].push(pair[at]);
        }
        ratios.push(pair[0] / pair[1]);
    }
    let [ours, bare] = samples.map(median);
    println!(
        "{what}, TCP, median of {STREAMS}: berth-net {ours:.2} GB/s, bare bridge {bare:.2} GB/s; ratio of pairs \
         {:.3}",
        median(ratios)
    );
    Ok(())
}

fn stream(from: &str, to: &str, receiver: Option<&str>) -> Result<f64> {
    let exe = std::env::current_exe()?;
    let exe = exe.to_str().context("a path")?;
    let address = format!("{to}:{PORT}");
    let spawn = |namespace: Option<&str>, role: &str| {
        let mut command = match namespace {
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, exe]);
                command
            }
            None => Command::new(exe),
        };
        command
            .args([role, &address])
            .stdout(Stdio::piped())
            .spawn()
    };
    let receiver = spawn(receiver, "receive")?;
    let mut sender = spawn(Some(from), "send")?;
    let output = receiver.wait_with_output()?;
    sender.wait()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().context("no rate")
}

fn send(address: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > end => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let bytes = vec![7; 256 << 10];
    let end = Instant::now() + STREAM;
    while Instant::now() < end {
        stream.write_all(&bytes)?;
    }
    Ok(())
}

/// Prints gigabytes a second.
fn receive(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    let (mut stream, _) = listener.accept()?;
    let mut bytes = vec![0; 256 << 10];
    let start = Instant::now();
    let mut all = 0;
    loop {
        match stream.read(&mut bytes)? {
            0 => break,
            count => all += count,
        }
    }
    println!("{}", all as f64 / 1e9 / start.elapsed().as_secs_f64());
    Ok(())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn sh(script: &str) -> Result<()> {
    let status = Command::new(Path::new("/bin/sh"))
        .args(["-ec", script])
        .status()?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}
