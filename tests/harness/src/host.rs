//! A host: a disk that lasts, and a kernel that runs on it now and then.

use crate::command::Output;
use crate::dirs::{self, Slot};
use crate::guest::{Guest, Machine};
use crate::image::{Cgroups, Image, Init};
use crate::ssh::{Connection, Login, Port};
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// From power on to the end of the boot. A boot takes 8 to 20 s where nothing else runs.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// For a login.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);
/// From the order to power off until the kernel is gone. OpenRC reads its scripts several times over,
/// which takes minutes where other things run.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(360);
/// For a free place among the guests that run at once.
const SLOT_LIMIT: Duration = Duration::from_secs(1800);

/// A booted Debian host with a disk of its own.
#[derive(Debug)]
pub struct Host {
    machine: Machine,
    image: Image,
    cgroups: Mutex<Cgroups>,
    key: PathBuf,
    running: Mutex<Option<Running>>,
    logins: AtomicUsize,
    slot: Mutex<Option<Slot>>,
}

#[derive(Debug)]
struct Running {
    // Dropped in this order: root's connection first.
    root: Arc<Connection>,
    guest: Guest,
}

/// How a host is made, where the defaults do not fit.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Memory in MiB.
    pub memory: u32,
    /// How control groups are mounted.
    pub cgroups: Cgroups,
    /// More words for the kernel's command line.
    pub arguments: Vec<String>,
    /// The name of its directory below `target/booted`; by default the running test's.
    pub name: Option<String>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            memory: 1024,
            cgroups: Cgroups::V2,
            arguments: Vec::new(),
            name: None,
        }
    }
}

impl Host {
    /// Boots a fresh copy of `image` and waits until its init says that the boot is over.
    pub fn boot(image: Image) -> Result<Self> {
        Self::boot_with(image, HostOptions::default())
    }

    /// The same with other options.
    pub fn boot_with(image: Image, options: HostOptions) -> Result<Self> {
        let files = image.dir()?;
        let slot = Slot::wait(SLOT_LIMIT)?;
        let dir = dirs::fresh_run_dir(options.name.as_deref())?;
        let machine = Machine {
            dir,
            base: files.join("disk.img"),
            memory: options.memory,
            processor: slot.processor()?,
            arguments: options.arguments,
        };
        let host = Self {
            machine,
            image,
            cgroups: Mutex::new(options.cgroups),
            key: files.join("key"),
            running: Mutex::new(None),
            logins: AtomicUsize::new(0),
            slot: Mutex::new(Some(slot)),
        };
        host.boot_again()?;
        Ok(host)
    }

    /// Turns a host on that is off: the same disk, the next boot.
    pub fn boot_again(&self) -> Result<()> {
        let mut running = self.lock()?;
        let guest = self.turn_on(running.as_ref())?;
        let who = ("root", Port::Root);
        let dir = &self.machine.dir;
        let root = Connection::open(guest.namespaces(), dir, &self.key, who, "root", BOOT_LIMIT)
            .with_context(|| format!("the host did not boot\n{}", self.console_tail()))?;
        root.run(self.init().booted, "", BOOT_LIMIT)?;
        *running = Some(Running {
            root: Arc::new(root),
            guest,
        });
        Ok(())
    }

    fn turn_on(&self, running: Option<&Running>) -> Result<Guest> {
        if running.is_some() {
            bail!("the host is on already");
        }
        let cgroups = *self.cgroups.lock().map_err(|_| panicked())?;
        Guest::start(&self.machine, self.image.cgroup_arguments(cgroups))
    }

    /// Turns a host on that is off, and cuts its power as soon as console or journal have `text` once
    /// more than before: in the middle of a boot.
    pub fn boot_and_cut_at(&self, text: &str) -> Result<()> {
        let running = self.lock()?;
        let count = || -> Result<usize> { Ok(self.console()?.matches(text).count()) };
        let before = count()?;
        let mut guest = self.turn_on(running.as_ref())?;
        let end = Instant::now() + BOOT_LIMIT;
        while count()? == before {
            if Instant::now() > end {
                bail!("no “{text}” during the boot\n{}", self.console_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        guest.power_cut()
    }

    /// Runs a shell command as root, outside any login session.
    pub fn root(&self, command: &str) -> Result<Output> {
        self.root_for(command, Duration::from_secs(60))
    }

    /// The same with another time limit.
    pub fn root_for(&self, command: &str, limit: Duration) -> Result<Output> {
        self.root_connection()?
            .run(command, "", limit)
            .context("as root on the host")
    }

    /// The same with something on standard input.
    pub fn root_with_input(&self, command: &str, input: &str) -> Result<Output> {
        let limit = Duration::from_secs(60);
        self.root_connection()?
            .run(command, input, limit)
            .context("as root on the host")
    }

    /// Writes a file on the host as root, `content` and a final newline; mode 0644 when it is new.
    pub fn write(&self, path: &str, content: &str) -> Result<()> {
        let quoted = path.replace('\'', r"'\''");
        self.root_with_input(&format!("cat > '{quoted}'"), &format!("{content}\n"))?
            .ok()?;
        Ok(())
    }

    /// Logs in through sshd and PAM with a key.
    pub fn login(&self, user: &str) -> Result<Login> {
        let n = self.logins.fetch_add(1, Ordering::Relaxed) + 1;
        let namespaces = self
            .lock()?
            .as_ref()
            .context("the host is off")?
            .guest
            .namespaces();
        let connection = Connection::open(
            namespaces,
            &self.machine.dir,
            &self.key,
            (user, Port::Login),
            &format!("{user}-{n}"),
            LOGIN_LIMIT,
        )?;
        Ok(Login {
            connection,
            user: user.to_owned(),
        })
    }

    /// Polls a shell command as root until it succeeds, at most `limit`.
    pub fn wait_until(&self, command: &str, limit: Duration) -> Result<Output> {
        let end = Instant::now() + limit;
        loop {
            let output = self.root(command)?;
            if output.success() {
                return Ok(output);
            }
            if Instant::now() > end {
                bail!("not within {limit:?}: {output}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Shuts down in order and boots again on the same disk.
    pub fn reboot(&self) -> Result<()> {
        self.shut_down(self.init().reboot)?;
        self.boot_again()
    }

    /// The same, with control groups mounted in another way from now on.
    pub fn reboot_with(&self, cgroups: Cgroups) -> Result<()> {
        *self.cgroups.lock().map_err(|_| panicked())? = cgroups;
        self.reboot()
    }

    /// Shuts down in order.
    pub fn poweroff(&self) -> Result<()> {
        self.shut_down(self.init().poweroff)
    }

    /// Kills the kernel at once. [`Host::boot_again`] boots what is on the disk then.
    pub fn power_cut(&self) -> Result<()> {
        let mut running = self.lock()?.take().context("the host is off")?;
        running.guest.power_cut()
    }

    /// The journal of the current boot; without systemd, what went to syslog.
    pub fn journal(&self) -> Result<String> {
        self.root(self.init().journal)?.ok()
    }

    /// Everything that the console and the journal have shown since the first boot, for looking
    /// at messages of a shutdown.
    pub fn console(&self) -> Result<String> {
        let mut text = String::new();
        for file in ["console.log", "journal.log"] {
            let path = self.machine.dir.join(file);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        Ok(text)
    }

    /// Where console, journal and disk are.
    pub fn dir(&self) -> &Path {
        &self.machine.dir
    }

    fn shut_down(&self, order: &str) -> Result<()> {
        let mut running = self.lock()?.take().context("the host is off")?;
        // The connection may be closed before the answer is out.
        drop(running.root.run(order, "", Duration::from_secs(30)));
        running
            .guest
            .wait_off(SHUTDOWN_LIMIT)
            .with_context(|| format!("after `{order}`\n{}", self.console_tail()))
    }

    fn root_connection(&self) -> Result<Arc<Connection>> {
        Ok(Arc::clone(
            &self.lock()?.as_ref().context("the host is off")?.root,
        ))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Running>>> {
        self.running.lock().map_err(|_| panicked())
    }

    fn init(&self) -> &'static Init {
        self.image.init()
    }

    fn console_tail(&self) -> String {
        let read = |name| fs::read(self.machine.dir.join(name)).unwrap_or_default();
        let console = read("console.log");
        let text = String::from_utf8_lossy(&console);
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(30)..].join("\n");
        let supervisor = read("supervisor.log");
        let supervisor = String::from_utf8_lossy(&supervisor);
        format!(
            "{supervisor}--- end of {}/console.log\n{tail}",
            self.machine.dir.display()
        )
    }

    /// Leaves the journal beside the console's log; returns its path.
    pub fn keep_journal(&self) -> Result<String> {
        let journal = self.root_for(self.init().journal_of_all_boots, Duration::from_secs(20))?;
        let path = self.machine.dir.join("journal.txt");
        fs::write(&path, journal.stdout)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }
}

fn panicked() -> anyhow::Error {
    anyhow!("another test of this host panicked")
}

impl Drop for Host {
    fn drop(&mut self) {
        let on = self
            .running
            .lock()
            .map_or_else(|e| e.into_inner().is_some(), |r| r.is_some());
        if on {
            // Whether the test failed by an error is not known here: always. Without an answer
            // there are still the console's log and what the journal sent to it.
            drop(self.keep_journal());
        }
        let running = match self.running.get_mut() {
            Ok(running) => running.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        if let Some(mut running) = running {
            drop(running.guest.power_cut());
        }
        if !std::thread::panicking() {
            // The disk is evidence only of what failed.
            drop(fs::remove_file(self.machine.dir.join("disk.cow")));
        }
        drop(self.slot.lock().map(|mut slot| slot.take()));
    }
}

/// One host for all tests of a program, booted by the first that asks. Tests that share it must
/// not mind each other: own container names, no reboot.
pub fn shared(image: Image) -> Result<&'static Host> {
    type Place = OnceLock<std::result::Result<Host, String>>;
    static PLACES: [Place; Image::ALL.len()] = [const { Place::new() }; Image::ALL.len()];
    let host = PLACES[image as usize].get_or_init(|| {
        let name = std::env::current_exe().ok().and_then(|exe| {
            let stem = exe.file_stem()?.to_string_lossy().into_owned();
            let program = stem.rsplit_once('-').map_or(&*stem, |(name, _)| name);
            Some(format!("{program}-shared-{}", image.name()))
        });
        Host::boot_with(
            image,
            HostOptions {
                name,
                ..Default::default()
            },
        )
        .map_err(|error| format!("{error:#}"))
    });
    host.as_ref()
        .map_err(|error| anyhow!("the shared host did not boot: {error}"))
}
