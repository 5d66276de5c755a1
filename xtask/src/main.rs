//! Everything a developer does: try, test, install, images, checks.
#![forbid(unsafe_code)]

mod apt;
mod checks;
mod deb;
mod demo;
mod hash;
mod image;
mod install;
mod logind;
mod man;
mod parallel;
mod progress;
#[cfg(test)]
mod scratch;
mod test;
mod workspace;

use clap::{Parser, Subcommand};
use progress::Progress;
use std::process::ExitCode;
use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about, version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Boots a host with Berth on it and plays the whole way there, from login to reboot
    Try(demo::Options),
    /// Makes the disk images of the test host where they are missing or stale
    Image {
        /// Which ones: stock, berth, trixie, …; all when none is named
        #[arg(value_parser = image::by_name)]
        names: Vec<berth_test_harness::Image>,
    },
    /// Builds Berth and installs it as packaging/manifest.toml says
    Install(install::Options),
    /// Builds Debian packages, below target/deb
    Deb(deb::Options),
    /// Runs every test there is, and the checks; the last line says how many passed and failed
    Test(test::Options),
    /// Checks upstart's job files: the repository's own, or those given
    Jobs {
        /// Other job files, which are checked together
        files: Vec<std::path::PathBuf>,
    },
    /// Writes down which crates the privileged programs link
    Links {
        /// Compare with what is written down instead
        #[arg(long)]
        check: bool,
    },
    /// Checks the licences of all crates
    Licences {
        /// The only thing it does
        #[arg(long)]
        check: bool,
    },
    /// Writes the manual pages
    Man {
        /// Compare with what is committed instead
        #[arg(long)]
        check: bool,
    },
    /// Builds systemd's logind with the patches of logind-patches, and boots it
    Logind(logind::Options),
    #[command(hide = true)]
    InstallInImage { tree: std::path::PathBuf },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `false`: it failed, and has said so itself.
fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let workspace = Workspace::find()?;
    let progress = Progress::new(&workspace.target.join("xtask-logs"))?;
    let done = match arguments.task {
        Task::Try(options) => demo::try_it(&workspace, &progress, &options),
        Task::Image { names } => make_images(&workspace, &progress, names),
        Task::Deb(options) => deb::deb(&workspace, &progress, &options)
            .map(|made| made.iter().for_each(|file| println!("{}", file.display()))),
        Task::Install(options) => install::install(&workspace, &progress, &options),
        Task::Test(options) => return Ok(test::test(&workspace, &progress, &options)),
        Task::Jobs { files } => say(checks::upstart::run(&workspace.root, &files)),
        Task::Links { check: true } => say(checks::links::check(&workspace)),
        Task::Links { check: false } => say(checks::links::write(&workspace)),
        Task::Licences { .. } => say(checks::licences::check(&workspace)),
        Task::Man { check: true } => say(man::check(&workspace)),
        Task::Man { check: false } => say(man::write(&workspace)),
        Task::Logind(options) => logind::logind(&workspace, &progress, &options),
        Task::InstallInImage { tree } => install::install_in_image(&workspace, &tree),
    };
    done.map(|()| true)
}

fn make_images(
    workspace: &Workspace,
    progress: &Progress,
    mut names: Vec<berth_test_harness::Image>,
) -> anyhow::Result<()> {
    if names.is_empty() {
        names.extend(berth_test_harness::Image::RELEASES);
    }
    image::build_and_make(workspace, progress, &names)
}

fn say(answer: anyhow::Result<String>) -> anyhow::Result<()> {
    println!("{}", answer?);
    Ok(())
}
