//! How long the NIC helper takes for a create, beside LXC's own: after rests and hot, on a bridge
//! with 0, 100 and 1,000 ports. On a host of its own, in namespaces; needs root.
//!
//!     cargo run --release -p berth-benches --example nic -- [SAMPLES] [HELPER…]
//!
//! Several helpers, builds of ours before and after a change, are measured in turns.
#![forbid(unsafe_code)]

#[path = "../src/idle.rs"]
mod idle;

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ALICE: u32 = 1000;
const LXC: &str = "/usr/libexec/lxc/lxc-user-nic";
/// Where the private host has those that are measured.
const HELPERS: &str = "helpers";
const PORTS: [usize; 3] = [0, 100, 1000];
/// A rest before a sample; what the kernel only does after a pause shows from 100 ms on.
const REST: Duration = Duration::from_millis(150);
const HOT: Duration = Duration::from_millis(1);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [inside, dir, samples] if inside == "--inside" => measure(Path::new(dir), samples.parse()?),
        _ => outside(&arguments),
    }
}

/// Makes the directory that the private host is built from, and goes there.
fn outside(arguments: &[String]) -> Result<()> {
    let samples = arguments.first().map_or("40", String::as_str);
    let mut helpers: Vec<PathBuf> = arguments.iter().skip(1).map(PathBuf::from).collect();
    if helpers.is_empty() {
        let built = std::env::current_exe()?;
        let built = built.ancestors().nth(2).context("no build directory")?;
        helpers = vec![built.join("berth-usernic"), built.join("examples/nic_bare")];
    }
    // Not the place for temporary files, which may be mounted nosuid.
    let dir = PathBuf::from(format!("/var/lib/berth-bench-nic-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("etc/lxc")).context("this needs root")?;
    let done = install(&helpers, &dir).and_then(|()| enter(&dir, samples));
    std::fs::remove_dir_all(&dir)?;
    done
}

fn install(helpers: &[PathBuf], dir: &Path) -> Result<()> {
    std::fs::create_dir(dir.join(HELPERS))?;
    for (number, helper) in helpers.iter().enumerate() {
        let name = helper.file_name().unwrap_or_default().to_string_lossy();
        let program = dir.join(HELPERS).join(format!("{}-{name}", number + 1));
        std::fs::copy(helper, &program)
            .with_context(|| format!("{}: build it first", helper.display()))?;
        chown(&program, Some(0), Some(0))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755))?;
    }
    let etc = |name: &str, text: &str| std::fs::write(dir.join("etc").join(name), text);
    etc(
        "passwd",
        "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n",
    )?;
    etc("group", "root:x:0:\nalice:x:1000:\n")?;
    etc("nsswitch.conf", "passwd: files\ngroup: files\n")?;
    etc("lxc/lxc-usernet", "alice veth br0 1000\n")?;
    std::fs::copy("/etc/ld.so.cache", dir.join("etc/ld.so.cache"))?;
    Ok(())
}

fn enter(dir: &Path, samples: &str) -> Result<()> {
    let script = "set -e; mount -t sysfs sysfs /sys; mount --bind \"$1/etc\" /etc
        mount -t tmpfs tmpfs /run; ip link add br0 type bridge; ip link set br0 up
        exec \"$2\" --inside \"$1\" \"$3\"";
    let status = Command::new("unshare")
        .args([
            "-m",
            "-n",
            "-p",
            "-f",
            "--mount-proc",
            "--propagation",
            "private",
        ])
        .args(["--kill-child", "sh", "-c", script, "sh"])
        .arg(dir)
        .arg(std::env::current_exe()?)
        .arg(samples)
        .status()?;
    ensure!(status.success(), "the measurement failed");
    Ok(())
}

fn measure(dir: &Path, samples: usize) -> Result<()> {
    let mut helpers = Vec::new();
    for entry in std::fs::read_dir(dir.join(HELPERS))? {
        helpers.push(entry?.path());
    }
    helpers.sort();
    if Path::new(LXC).exists() {
        helpers.push(PathBuf::from(LXC));
    }
    let names: Vec<String> = helpers
        .iter()
        .map(|path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into()
        })
        .collect();
    println!("| ports | before a sample | helper | median ms | p10 | p90 | rested |");
    println!("|---|---|---|---|---|---|---|");
    let mut ports = 0;
    for wanted in PORTS {
        fill(ports, wanted)?;
        ports = wanted;
        for (label, rest) in [("150 ms rest", REST), ("hot", HOT)] {
            let mut times = vec![Vec::new(); helpers.len()];
            let mut rested = 0;
            for _ in 0..samples {
                // In turns, so that what else the machine does hits all alike.
                for (helper, times) in helpers.iter().zip(&mut times) {
                    let (time, idle) = sample(helper, rest)?;
                    times.push(time.as_secs_f64() * 1e3);
                    rested += usize::from(idle);
                }
            }
            for (name, times) in names.iter().zip(&mut times) {
                times.sort_by(f64::total_cmp);
                let at = |percent: usize| times[(times.len() - 1) * percent / 100];
                let share = 100 * rested / (samples * helpers.len());
                println!(
                    "| {wanted} | {label} | {name} | {:.2} | {:.2} | {:.2} | {share} % |",
                    at(50),
                    at(10),
                    at(90)
                );
            }
        }
    }
    Ok(())
}

/// Ports that are not alice's.
fn fill(from: usize, to: usize) -> Result<()> {
    let mut batch = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    let lines: String = (from..to)
        .map(|n| format!("link add p{n} master br0 up type veth peer name q{n}\n"))
        .collect();
    let mut input = batch.stdin.take().context("no pipe")?;
    std::io::Write::write_all(&mut input, lines.as_bytes())?;
    drop(input);
    ensure!(batch.wait()?.success(), "cannot make {to} ports");
    Ok(())
}

/// From the call to the answer, and whether the machine rested before.
fn sample(helper: &Path, rest: Duration) -> Result<(Duration, bool)> {
    let mut container = Container::start()?;
    let idle = idle::rest(rest, 5)?;
    let mut command = Command::new(helper);
    command.args(["create", "/p", "web", &container.pid, "veth", "br0", "eth0"]);
    command
        .uid(ALICE)
        .gid(ALICE)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn()?;
    let mut answer = String::new();
    BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut answer)?;
    let time = start.elapsed();
    if !child.wait()?.success() {
        let mut why = String::new();
        child
            .stderr
            .take()
            .context("no pipe")?
            .read_to_string(&mut why)?;
        bail!("{}: {why}", helper.display());
    }
    container.end()?;
    Ok((time, idle))
}

struct Container {
    process: Child,
    pid: String,
}

impl Container {
    fn start() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["-U", "-r", "-n", "sh", "-c", "echo $$; exec sleep 600"]);
        let mut process = command
            .uid(ALICE)
            .gid(ALICE)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut pid = String::new();
        BufReader::new(process.stdout.take().context("no pipe")?).read_line(&mut pid)?;
        let pid = pid.trim().to_owned();
        Ok(Self { process, pid })
    }

    /// Ends it and waits until its NIC has gone, so that samples do not meet.
    fn end(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        for _ in 0..500 {
            let left = std::fs::read_dir("/sys/class/net/br0/brif")?
                .filter_map(|port| port.ok()?.file_name().into_string().ok())
                .any(|port| port.starts_with("veth1000_"));
            if !left {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("a NIC stays although its container has ended")
    }
}
