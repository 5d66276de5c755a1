//! Everything a developer does: try, test, install, images, checks.
#![forbid(unsafe_code)]

mod apt;
mod hash;
mod image;
mod install;
mod progress;
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
    /// Makes the disk images of the test host where they are missing or stale
    Image {
        /// Only the image without Berth
        #[arg(long)]
        stock: bool,
    },
    /// Builds Berth and installs it as packaging/manifest.toml says
    Install(install::Options),
    #[command(hide = true)]
    InstallInImage { tree: std::path::PathBuf },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let progress = Progress::new(&workspace.target.join("xtask-logs"))?;
    match arguments.task {
        Task::Image { stock: true } => image::make(&workspace, &progress, None),
        Task::Image { stock: false } => {
            let content = install::image_content(&workspace, &progress)?;
            image::make(&workspace, &progress, Some(&content))
        }
        Task::Install(options) => install::install(&workspace, &progress, &options),
        Task::InstallInImage { tree } => install::install_in_image(&workspace, &tree),
    }
}
