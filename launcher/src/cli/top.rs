//! What containers use.

use std::time::Duration;

use berth_common::ContainerName;
use clap::Args;

use crate::commands::top::Order;

/// Arguments of top.
#[derive(Debug, Args)]
pub struct Top {
    /// Containers to look at (default: all that run)
    pub names: Vec<ContainerName>,
    /// The time from one look to the next, as in 3s or 500ms
    #[arg(short, long, value_name = "TIME", default_value = "3s", value_parser = super::lives::time)]
    pub delay: Duration,
    /// By what to sort, the greatest first
    #[arg(short, long, value_name = "BY", value_enum, default_value_t)]
    pub sort: Order,
    /// The least first
    #[arg(short, long)]
    pub reverse: bool,
    /// Print a table for each look, one below the other, also at a terminal
    #[arg(short, long)]
    pub batch: bool,
    /// End after so many looks (default: without a terminal one, else none)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Print JSON, for programs: an array on a line for each look
    #[arg(long)]
    pub json: bool,
}
