//! `cargo xtask test`: everything that can fail.

mod images;
mod libtest;
mod originals;
mod promises;

use crate::apt;
use crate::checks::{licences, links, upstart};
use crate::deb;
use crate::image;
use crate::install;
use crate::man;
use crate::parallel::side_by_side;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Result, anyhow, bail};
use berth_test_harness::Image;
use libtest::{Outcome, Program, Report};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Debian packages that tests use on the machine itself.
const TEST_PACKAGES: &[&str] = &[
    "uidmap",
    "dnsmasq-base",
    "iproute2",
    "iptables",
    "lxc",
    "nftables",
    // Open vSwitch without the part that starts one.
    "openvswitch-common",
    "binutils",
    "busybox-static",
    "pamtester",
    "procps",
    "socat",
    "strace",
    // Their completion of names.
    "fish",
    "zsh",
    // Root file systems in images.
    "e2fsprogs",
    "erofs-utils",
    "fuse2fs",
    "squashfs-tools",
    "squashfuse",
    // Clients of DHCP.
    "isc-dhcp-client",
    "systemd",
    // What NetworkManager needs, which is not installed itself.
    "dbus-daemon",
    "libcurl3-gnutls",
    "libglib2.0-0",
    "libpsl5",
    "libreadline8",
];
/// The package whose tests boot hosts.
const BOOTED: &str = "berth-tests-booted";
/// The program of those whose tests install Debian packages.
const PACKAGES: &str = "package";
/// Those that take longer than all others, or than their source tells: they begin first, since while
/// the last one runs alone nothing else is done.
const LONG: &[&str] = &[
    "logins", "inits", "berthd", "boot", "keys", "sweep", "people",
];
/// Test programs that run at once.
const SIDE_BY_SIDE: usize = 2;
/// Those of booted hosts, which wait for boots and shutdowns much of the time.
const BOOTED_SIDE_BY_SIDE: usize = 3;
/// For one test program, waiting for a place among the guests included.
const PROGRAM_LIMIT: Duration = Duration::from_secs(1800);

/// What to test.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Only tests whose name contains this; no other checks
    filter: Option<String>,
    /// Leave out the tests on the booted host
    #[arg(long)]
    quick: bool,
}

/// The count of everything that passed or failed.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    ran: BTreeMap<String, Outcome>,
    messages: Vec<String>,
}

/// Tests; `false` when anything failed. The last line is `N passed, N failed`.
pub fn test(workspace: &Workspace, progress: &Progress, options: &Options) -> bool {
    let mut tally = Tally::default();
    if let Err(error) = everything(workspace, progress, options, &mut tally) {
        tally.fail(format!("{error:#}"));
    }
    for message in &tally.messages {
        eprintln!("\nFAILED: {message}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    tally.failed == 0
}

fn everything(
    workspace: &Workspace,
    progress: &Progress,
    options: &Options,
    tally: &mut Tally,
) -> Result<()> {
    if !apt::is_root()? {
        bail!("the tests make namespaces, cgroups and hosts of their own, which needs root");
    }
    let packages = [install::BUILD_PACKAGES, TEST_PACKAGES, apt::IMAGE_PACKAGES].concat();
    apt::install(progress, &packages)?;
    originals::unpack(workspace, progress)?;
    let filter = options.filter.as_deref();
    let all_hosts = filter.is_none() && !options.quick;
    let booted = std::thread::scope(|scope| -> Result<_> {
        // Half of making hosts is waiting, and half of building is done on one processor.
        let hosts = all_hosts.then(|| {
            scope.spawn(|| {
                image::build_and_make(workspace, progress, &Image::RELEASES)?;
                deb::for_tests(workspace, progress)
            })
        });
        let booted = what_needs_no_host(workspace, progress, filter, tally);
        if let Some(hosts) = hosts {
            hosts.join().map_err(|_| anyhow!("a worker panicked"))??;
        }
        booted
    })?;
    if options.quick {
        return Ok(());
    }
    let mut booted = with_matches(booted, filter)?;
    booted.sort_by_key(|program| Reverse((is_long(program), images::pauses(program))));
    if !booted.is_empty() {
        if !all_hosts {
            image::build_and_make(workspace, progress, &images::of(&booted, filter)?)?;
            if booted.iter().any(|program| program.name == PACKAGES) {
                deb::for_tests(workspace, progress)?;
            }
        }
        run_all(progress, BOOTED_SIDE_BY_SIDE, &booted, filter, tally)?;
    }
    if filter.is_none() {
        let unkept = promises::unkept(&promises::read(&workspace.root)?, &tally.ran);
        tally.check("tests/PROMISES.md", none_of(&unkept));
        let keys = berth_container_config::key::keys();
        let keys = keys.map(|key| (key.pattern, key.shown_by));
        let not_shown = promises::not_shown(keys, &tally.ran);
        tally.check("keys of container configurations", none_of(&not_shown));
    }
    Ok(())
}

fn is_long(program: &Program) -> bool {
    LONG.contains(&program.name.as_str())
}

fn none_of(wrong: &[String]) -> Result<String> {
    match wrong.is_empty() {
        true => Ok(String::new()),
        false => Err(anyhow!("{}", wrong.join("\n"))),
    }
}

/// Checks, and the tests that run on the machine itself. Returns the programs of the others.
fn what_needs_no_host(
    workspace: &Workspace,
    progress: &Progress,
    filter: Option<&str>,
    tally: &mut Tally,
) -> Result<Vec<Program>> {
    if filter.is_none() {
        checks(workspace, progress, tally);
    }
    let programs = progress.during("building the tests", || libtest::build(workspace))?;
    let (booted, mut plain): (Vec<_>, Vec<_>) = programs
        .into_iter()
        .partition(|program| program.package == BOOTED);
    plain.sort_by_key(|program| !is_long(program));
    run_all(progress, SIDE_BY_SIDE, &plain, filter, tally)?;
    if filter.is_none() {
        let doc = progress.during("examples in the documentation", || {
            libtest::run_doc_tests(workspace, PROGRAM_LIMIT)
        })?;
        tally.take(progress, "doc", doc)?;
    }
    Ok(booted)
}

/// What needs no test program.
fn checks(workspace: &Workspace, progress: &Progress, tally: &mut Tally) {
    let quiet = |result: Result<()>| result.map(|()| String::new());
    let mut fmt = workspace.cargo();
    fmt.args(["fmt", "--all", "--check", "--", "--color", "never"]);
    tally.check("formatting", quiet(progress.run("formatting", &mut fmt)));
    let mut clippy = workspace.cargo();
    clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--quiet",
    ]);
    clippy.args(["--", "-D", "warnings"]);
    tally.check("lints", quiet(progress.run("lints", &mut clippy)));
    tally.check(
        "linked crates",
        progress.during("linked crates", || links::check(workspace)),
    );
    tally.check(
        "licences",
        progress.during("licences", || licences::check(workspace)),
    );
    tally.check("upstart's jobs", upstart::run(&workspace.root, &[]));
    tally.check("manual pages", man::check(workspace));
}

/// Those programs that have a test of that name.
fn with_matches(programs: Vec<Program>, filter: Option<&str>) -> Result<Vec<Program>> {
    let mut matching = Vec::new();
    for program in programs {
        if !program.list(filter)?.is_empty() {
            matching.push(program);
        }
    }
    Ok(matching)
}

/// Runs test programs, a few side by side.
fn run_all(
    progress: &Progress,
    at_once: usize,
    programs: &[Program],
    filter: Option<&str>,
    tally: &mut Tally,
) -> Result<()> {
    let tally = Mutex::new(tally);
    side_by_side(at_once, programs, |program| {
        let report = program.run(filter, PROGRAM_LIMIT)?;
        let name = format!("{} {}", program.package, program.name);
        tally
            .lock()
            .map_err(|_| anyhow!("another worker panicked"))?
            .take(progress, &name, report)
    })
}

impl Tally {
    fn fail(&mut self, message: String) {
        self.failed += 1;
        self.messages.push(message);
    }

    fn check(&mut self, name: &str, result: Result<String>) {
        match result {
            Ok(_) => self.passed += 1,
            Err(error) => self.fail(format!("{name}: {error:#}")),
        }
    }

    fn take(&mut self, progress: &Progress, name: &str, report: Report) -> Result<()> {
        let count = |wanted| report.tests.iter().filter(|(_, o)| *o == wanted).count();
        let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
        let ignored = match count(Outcome::Ignored) {
            0 => String::new(),
            n => format!(", {n} ignored"),
        };
        if passed + failed > 0 || report.trouble.is_some() {
            let seconds = report.took.as_secs_f32();
            progress.say(&format!(
                "{name}: {passed} passed, {failed} failed{ignored}, {seconds:.1} s"
            ));
        }
        progress.keep(&format!("test {name}"), &report.output)?;
        self.passed += passed;
        if failed > 0 {
            self.failed += failed;
            self.messages
                .push(format!("{name}\n{}", libtest::failures(&report.output)));
        }
        if let Some(trouble) = report.trouble {
            self.fail(format!("{trouble}\n{}", report.output));
        }
        self.ran.extend(report.tests);
        Ok(())
    }
}
