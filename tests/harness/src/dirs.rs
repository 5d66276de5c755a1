//! Where images and the evidence of booted tests are.

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Cargo's target directory, as the running program's own path tells it.
pub fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find the running program's path")?;
    // <target>/<profile>/program, or <target>/<profile>/deps/program.
    let marks = ["CACHEDIR.TAG", ".rustc_info.json"];
    let dir = program
        .ancestors()
        .find(|dir| marks.iter().any(|mark| dir.join(mark).exists()));
    match dir {
        Some(dir) => Ok(dir.to_owned()),
        None => bail!(
            "{} is not in a target directory of cargo",
            program.display()
        ),
    }
}

/// Where images are: `BERTH_IMAGES`, or `images` in the target directory.
pub fn images_dir() -> Result<PathBuf> {
    match std::env::var_os("BERTH_IMAGES") {
        Some(dir) => Ok(dir.into()),
        None => Ok(target_dir()?.join("images")),
    }
}

/// A fresh directory for the files of one guest, named by the running test.
pub(crate) fn fresh_run_dir(name: Option<&str>) -> Result<PathBuf> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => test_name()?,
    };
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let parent = target_dir()?.join("booted");
    fs::create_dir_all(&parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Two hosts in one test get two directories; what an earlier run left is replaced.
    for n in 1..100 {
        let dir = parent.join(if n == 1 {
            safe.clone()
        } else {
            format!("{safe}-{n}")
        });
        if let Some(lock) = claim(&dir)? {
            return keep_claim(dir, lock);
        }
    }
    bail!("too many guests named {safe} at once")
}

/// Claims `dir` for this process by a lock on a file beside it, and empties it.
fn claim(dir: &Path) -> Result<Option<File>> {
    let lock_path = dir.with_extension("lock");
    let lock =
        File::create(&lock_path).with_context(|| format!("cannot make {}", lock_path.display()))?;
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(Some(lock))
}

/// A claim lasts as long as the process: the directory is the evidence of its test.
fn keep_claim(dir: PathBuf, lock: File) -> Result<PathBuf> {
    static CLAIMS: std::sync::Mutex<Vec<File>> = std::sync::Mutex::new(Vec::new());
    CLAIMS
        .lock()
        .map_err(|_| anyhow::anyhow!("another thread panicked"))?
        .push(lock);
    Ok(dir)
}

fn test_name() -> Result<String> {
    let program = std::env::current_exe().context("cannot find the running program's path")?;
    let stem = program
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    // Cargo adds a hash: story-0123456789abcdef.
    let stem = stem.unwrap_or_default();
    let stem = stem.rsplit_once('-').map_or(&*stem, |(name, _)| name);
    Ok(format!(
        "{stem}-{}",
        std::thread::current().name().unwrap_or("main")
    ))
}

/// One of the places for guests that run at the same time on this machine; free again when
/// dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _lock: File,
    number: usize,
}

impl Slot {
    /// The processor for this place's guest, so that the places spread over those that this
    /// process may use.
    pub(crate) fn processor(&self) -> Result<usize> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot tell the processors")?;
        let usable: Vec<_> = (0..CpuSet::count())
            .filter(|n| allowed.is_set(*n) == Ok(true))
            .collect();
        let nth = self.number % usable.len().max(1);
        usable.get(nth).copied().context("there is no processor")
    }

    /// Waits for a free place, at most `limit`. There are `BERTH_GUESTS` of them, by default one
    /// a processor.
    pub(crate) fn wait(limit: Duration) -> Result<Self> {
        let count = match std::env::var("BERTH_GUESTS") {
            Ok(text) => text
                .parse()
                .with_context(|| format!("BERTH_GUESTS={text}: no number"))?,
            Err(_) => std::thread::available_parallelism().map_or(1, |n| n.get()),
        };
        let dir = target_dir()?.join("booted");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let end = Instant::now() + limit;
        loop {
            for n in 0..count.max(1) {
                let path = dir.join(format!(".place-{n}"));
                let lock = File::create(&path)
                    .with_context(|| format!("cannot make {}", path.display()))?;
                if lock.try_lock().is_ok() {
                    return Ok(Self {
                        _lock: lock,
                        number: n,
                    });
                }
            }
            if Instant::now() > end {
                bail!("no free place for a guest within {limit:?} ({count} run at once)");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
