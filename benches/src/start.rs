//! The measurement of starts: all contenders in turn, again and again, each after a rest.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use berth_test_private_host::{Host, ID, SUBID};
use nix::sys::stat::Mode;

use crate::contender::{self, ALL, Build, By, CONTAINERS, Contender, PAYLOAD, Stop};
use crate::report::{Absent, Entry, Report};
use crate::sample::{self, Mark};
use crate::within::within;
use crate::{Options, binaries, idle, oci, plot};

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mark"));

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    let mut builds = vec![(Build::Measured, binaries::find(options.bin_dir.as_deref())?)];
    if let Some(dir) = &options.against {
        builds.push((Build::Against, binaries::find(Some(dir))?));
    }
    // Opened out here: inside, its directory may look different.
    let json = options.json.as_deref().map(create).transpose()?;
    let plot = options.plot.as_deref().map(create).transpose()?;
    within(builds, |host| {
        let report = measure(host, options)?;
        report.tell(json.as_ref())?;
        match &plot {
            None => Ok(()),
            Some(file) => plot::write(&report, file),
        }
    })
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot make {}", path.display()))
}

fn measure(host: &Host, options: &Options) -> Result<Report> {
    let rootfs = furnish(host)?;
    let stage = Stage {
        host,
        options,
        mark: Mark::open(&rootfs.join("mark"))?,
        rootfs,
        said: host.home().join("said"),
    };
    let mut report = Report::new(options);
    for contender in ALL.into_iter().filter(|one| is_wanted(*one, options)) {
        match stage.try_out(contender) {
            Ok(by) => report.entries.push(Entry::new(contender, by)),
            Err(error) if matches!(contender, Contender::Berth(..)) => return Err(error),
            Err(error) => report.absent.push(Absent {
                name: contender.name(),
                why: format!("{error:#}"),
            }),
        }
    }
    for round in 0..options.samples {
        eprint!("\rround {} of {}", round + 1, options.samples);
        for entry in &mut report.entries {
            stage
                .take_samples(entry)
                .with_context(|| format!("in round {}, {}", round + 1, entry.contender.name()))?;
        }
    }
    eprintln!();
    Ok(report)
}

fn is_wanted(contender: Contender, options: &Options) -> bool {
    let name = contender.name();
    (options.against.is_some() || !matches!(contender, Contender::Berth(Build::Against, _)))
        && (options.only.is_empty() || options.only.iter().any(|part| name.contains(part)))
}

/// The containers and crun's bundle, all with one root directory. Returns that.
pub fn furnish(host: &Host) -> Result<PathBuf> {
    let [plain, nic] = CONTAINERS;
    let said = host.home().join("said");
    let mut create = host.as_user(Build::Measured.dir().join("berth"));
    sample::run(create.args(["create", nic, "-t", "busybox"]), &said)?;
    let dir = host.lxcpath();
    let rootfs = dir.join(nic).join("rootfs");
    let config = dir.join(nic).join("config");
    let text = fs::read_to_string(&config).context("cannot read the configuration")?;
    ensure!(
        text.contains("lxc.net.0.type"),
        "berth create wrote no NIC although the quota file grants one"
    );
    // Asked to stop, the payload ends at once, so that a stop's time is what ends it.
    let with_init =
        |text: &str| format!("{text}\nlxc.init.cmd = {PAYLOAD} stay\nlxc.signal.halt = SIGKILL\n");
    fs::write(&config, with_init(&text))?;

    let other = dir.join(plain);
    fs::create_dir(&other)?;
    let without_nic: String = text
        .lines()
        .filter(|line| !line.starts_with("lxc.net."))
        .map(|line| format!("{line}\n"))
        .collect();
    let without_nic = format!("{without_nic}lxc.net.0.type = empty\n");
    fs::write(other.join("config"), with_init(&without_nic))?;
    chown(&other, Some(ID), Some(ID))?;

    let payload = rootfs.join(PAYLOAD.trim_start_matches('/'));
    fs::write(&payload, PROGRAM)?;
    fs::set_permissions(&payload, fs::Permissions::from_mode(0o755))?;
    let mark = rootfs.join("mark");
    nix::unistd::mkfifo(&mark, Mode::from_bits_truncate(0o600))?;
    fs::set_permissions(&mark, fs::Permissions::from_mode(0o666))?;
    for file in [&payload, &mark] {
        chown(file, Some(SUBID), Some(SUBID))?;
    }
    // The directory is closed to others by default; LXC and crun must pass.
    for closed in [rootfs.parent(), Some(other.as_path())]
        .into_iter()
        .flatten()
    {
        fs::set_permissions(closed, fs::Permissions::from_mode(0o755))?;
    }
    write_bundle(host, &rootfs)?;
    Ok(rootfs)
}

fn write_bundle(host: &Host, rootfs: &Path) -> Result<()> {
    let bundle = contender::bundle(host);
    fs::create_dir(&bundle)?;
    let config = oci::config(rootfs, &[PAYLOAD], &contender::crun_cgroup());
    fs::write(
        bundle.join("config.json"),
        serde_json::to_vec_pretty(&config)?,
    )?;
    Ok(())
}

/// Where samples are taken.
struct Stage<'a> {
    host: &'a Host,
    options: &'a Options,
    rootfs: PathBuf,
    mark: Mark,
    said: PathBuf,
}

impl Stage<'_> {
    /// Who can run this contender here; otherwise why nobody can.
    fn try_out(&self, contender: Contender) -> Result<By> {
        if let Some((program, package)) = contender.package() {
            let found = ["/usr/bin", "/bin"]
                .iter()
                .any(|dir| Path::new(dir).join(program).is_file());
            ensure!(found, "not installed (Debian: apt install {package})");
        }
        let mut whys = Vec::new();
        for &by in contender.possible() {
            let tried = sample::time(
                &mut contender.start(self.host, by, &self.rootfs),
                Some(&self.mark),
                &self.said,
            );
            let ended = match contender.stop(self.host, by, Stop::Killed) {
                Some(mut stop) => sample::run(&mut stop, &self.said),
                None => Ok(()),
            };
            match tried.map(drop).and(ended) {
                Ok(()) => return Ok(by),
                Err(error) => whys.push(format!("as {}: {error:#}", by.word())),
            }
        }
        bail!(whys.join("; "))
    }

    fn take_samples(&self, entry: &mut Entry) -> Result<()> {
        let (contender, by) = (entry.contender, entry.by);
        self.rest(entry)?;
        let mut start = contender.start(self.host, by, &self.rootfs);
        let times = sample::time(&mut start, Some(&self.mark), &self.said)?;
        entry.payload.push(times.payload.context("no payload ran")?);
        entry.command.push(times.command);
        if let Some(mut exec) = contender.exec(self.host, by) {
            self.rest(entry)?;
            let times = sample::time(&mut exec, None, &self.said)?;
            entry.exec.push(times.command);
        }
        if let Some(mut stop) = contender.stop(self.host, by, Stop::Killed) {
            self.rest(entry)?;
            let times = sample::time(&mut stop, None, &self.said)?;
            entry.stop.push(times.command);
        }
        // At once again: what waits for something of the kernel's is not seen here.
        let mut start = contender.start(self.host, by, &self.rootfs);
        let times = sample::time(&mut start, Some(&self.mark), &self.said)?;
        entry.hot.push(times.payload.context("no payload ran")?);
        if let Some(mut stop) = contender.stop(self.host, by, Stop::Ordered) {
            self.rest(entry)?;
            let times = sample::time(&mut stop, None, &self.said)?;
            entry.ordered.push(times.command);
        }
        Ok(())
    }

    fn rest(&self, entry: &mut Entry) -> Result<()> {
        if !idle::rest(self.options.idle(), self.options.patience)? {
            entry.busy += 1;
        }
        Ok(())
    }
}
