//! The measurement of published ports: bytes and connections through one, beside the container's
//! own address.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use berth_kernel::process::{self, Child};
use berth_test_private_host::Host;
use nix::sched::{CloneFlags, setns};

use crate::contender::Build;
use crate::report::machine;
use crate::within::within;
use crate::{Ports, binaries};

/// The container's own address, on the host's bridge.
const OWN: &str = "10.233.0.2";
/// The port inside.
const INSIDE: u16 = 80;
/// The port of the host that leads there.
const PUBLISHED: u16 = 8080;
const NAME: &str = "web";
const PIECE: usize = 128 * 1024;

/// Measures and prints.
pub fn run(options: &Ports) -> Result<()> {
    let programs = binaries::find(options.bin_dir.as_deref())?;
    within(vec![(Build::Measured, programs)], |host| {
        measure(host, options)
    })
}

fn berth(host: &Host, words: &[&str]) -> Result<String> {
    let mut command = host.as_user(Build::Measured.dir().join("berth"));
    let output = command.args(words).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => bail!(
            "berth {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

fn measure(host: &Host, options: &Ports) -> Result<()> {
    berth(host, &["create", NAME])?;
    let config = host.lxcpath().join(NAME).join("config");
    let mut text = fs::read_to_string(&config)?;
    text += &format!("lxc.net.0.ipv4.address = {OWN}/24\n");
    fs::write(&config, text)?;
    berth(host, &["publish", NAME, &format!("{PUBLISHED}:{INSIDE}")])?;
    berth(host, &["start", "--here", NAME])?;
    let server = serve(host)?;
    let direct = format!("{OWN}:{INSIDE}");
    let published = format!("127.0.0.1:{PUBLISHED}");
    for address in [&direct, &published] {
        wait_for(address)?;
    }
    println!(
        "{}\n{} samples each, medians.\n",
        machine(),
        options.samples
    );
    println!("{:<12} {:>14} {:>22}", "", "MiB/s", "connections/s");
    for (what, address) in [("direct", &direct), ("published", &published)] {
        let bytes = median(options, || throughput(address, options.mib))?;
        let connections = median(options, || connections(address, options.connections))?;
        println!("{what:<12} {bytes:>14.0} {connections:>22.0}");
    }
    let _ = server.pidfd.signal(9);
    let _ = server.pidfd.wait();
    berth(host, &["stop", "-k", NAME]).map(drop)
}

fn median(options: &Ports, mut sample: impl FnMut() -> Result<f64>) -> Result<f64> {
    let samples = (0..options.samples).map(|_| sample());
    let mut samples: Vec<f64> = samples.collect::<Result<_>>()?;
    samples.sort_by(f64::total_cmp);
    samples
        .get(samples.len() / 2)
        .copied()
        .context("no samples")
}

/// A process in the container's network that reads each connection to its end and then says a byte.
fn serve(host: &Host) -> Result<Child> {
    let info = berth(host, &["info", NAME])?;
    let line = info.lines().find_map(|line| line.strip_prefix("PID:"));
    let init = line.context("it has no init")?.trim().to_owned();
    let child = process::fork(|| {
        let enter = || -> Result<TcpListener> {
            setns(
                File::open(format!("/proc/{init}/ns/net"))?,
                CloneFlags::CLONE_NEWNET,
            )?;
            Ok(TcpListener::bind(("0.0.0.0", INSIDE))?)
        };
        let Ok(listener) = enter() else { return 1 };
        let mut buffer = vec![0; PIECE];
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            while let Ok(1..) = stream.read(&mut buffer) {}
            let _ = stream.write_all(b"!");
        }
        0
    });
    child.context("cannot start the server")
}

fn wait_for(address: &str) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(20);
    while transfer(address, 1).is_err() {
        if Instant::now() > limit {
            bail!("nobody answers at {address}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Sends so much and waits until the other side has all of it.
fn transfer(address: &str, bytes: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let piece = vec![7; PIECE.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let count = stream.write(&piece[..left.min(PIECE)])?;
        left -= count;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(stream.read_exact(&mut [0])?)
}

fn throughput(address: &str, mib: u32) -> Result<f64> {
    let begun = Instant::now();
    transfer(address, mib as usize * 1024 * 1024)?;
    Ok(f64::from(mib) / begun.elapsed().as_secs_f64())
}

fn connections(address: &str, count: u32) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..count {
        transfer(address, 1)?;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
