//! `cargo xtask logind`: systemd's source package with the patches of `logind-patches`, built as far
//! as logind needs it, and booted.

mod build;
mod series;
mod source;

use crate::apt;
use crate::image;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use berth_test_harness::Image;
use series::Series;
use std::path::Path;

/// What it takes to unpack, patch and build that much of systemd. The rest of what systemd can be
/// built with is switched off, whether the machine has it or not.
const PACKAGES: &[&str] = &[
    "dpkg-dev",
    "gcc",
    "gperf",
    "libacl1-dev",
    "libcap-dev",
    "libmount-dev",
    "libpam0g-dev",
    "meson",
    "ninja-build",
    "patch",
    "pkg-config",
    "python3-jinja2",
];

/// Where the built programs are, for the tests that boot them.
const DIR_VARIABLE: &str = "BERTH_LOGIND";

/// What to build.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Which series: a directory of logind-patches
    #[arg(value_parser = Target::by_name)]
    target: &'static Target,
    /// Another version of Debian's source package than the one that the series is made for
    #[arg(long, value_name = "VERSION")]
    source: Option<String>,
    /// Build only
    #[arg(long)]
    no_boot: bool,
    /// Only tests whose name begins so
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

/// A series and what it is made for.
#[derive(Debug)]
pub struct Target {
    /// Its directory in `logind-patches`: systemd's major version.
    name: &'static str,
    /// Debian's release that has this systemd.
    suite: &'static str,
    /// The version of Debian's source package.
    source: &'static str,
    /// What boots with it.
    image: Image,
    /// How it is configured.
    dialect: &'static build::Dialect,
}

static TARGETS: [Target; 3] = [
    Target {
        name: "252",
        suite: apt::SUITE,
        source: "252.39-1~deb12u2",
        image: Image::Tools,
        dialect: &build::OF_252,
    },
    Target {
        name: "257",
        suite: "trixie",
        source: "257.13-1~deb13u1",
        image: Image::Trixie,
        dialect: &build::OF_257,
    },
    Target {
        name: "262",
        suite: apt::TESTING,
        source: "262-1",
        image: Image::Forky,
        dialect: &build::OF_262,
    },
];

impl Target {
    fn by_name(name: &str) -> Result<&'static Self> {
        let found = TARGETS.iter().find(|target| target.name == name);
        found.with_context(|| {
            let names = TARGETS.each_ref().map(|target| target.name);
            format!("the series are {}", names.join(", "))
        })
    }
}

/// Fetches, patches, builds and boots.
pub fn logind(workspace: &Workspace, progress: &Progress, options: &Options) -> Result<()> {
    if !apt::is_root()? {
        bail!("unpacking, and booting what is built, needs root");
    }
    let target = options.target;
    let series = Series::read(&workspace.root.join("logind-patches").join(target.name))?;
    apt::install(progress, PACKAGES)?;
    let version = options.source.as_deref().unwrap_or(target.source);
    let dir = workspace.target.join("logind").join(target.name);
    let tree = source::Tree::unpack(progress, target.suite, version, &dir.join(version))?;
    progress.during("applying the patches", || {
        tree.apply(&series, version == target.source)
    })?;
    let installed = build::build(workspace, progress, target, &tree)?;
    progress.say(&format!("built: {}", installed.display()));
    if options.no_boot {
        return Ok(());
    }
    image::build_and_make(workspace, progress, &[target.image])?;
    boot(workspace, target, &installed, options.filter.as_deref())
}

/// The tests that are there for that, which say themselves what they do.
fn boot(
    workspace: &Workspace,
    target: &Target,
    installed: &Path,
    filter: Option<&str>,
) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--locked", "--quiet", "--package"]);
    cargo.args(["berth-tests-booted", "--test", "logind", "--"]);
    cargo.args(["--ignored", "--nocapture", "--test-threads=1"]);
    cargo.arg(format!("systemd_{}::{}", target.name, filter.unwrap_or("")));
    cargo.env(DIR_VARIABLE, installed);
    let status = cargo.status().context("cannot run cargo test")?;
    if !status.success() {
        bail!(
            "the tests on systemd {} with the patches: {status}",
            target.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_by_systemds_version() {
        assert_eq!(Target::by_name("252").unwrap().suite, "bookworm");
        let error = Target::by_name("253").unwrap_err().to_string();
        assert!(error.contains("252, 257, 262"), "{error}");
        for target in &TARGETS {
            assert!(target.source.starts_with(target.name));
        }
    }
}
