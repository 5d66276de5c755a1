//! The host's bridge.

use clap::Subcommand;

use super::Json;

/// Verbs of net.
#[derive(Debug, Subcommand)]
pub enum Net {
    /// Tell what is there of the bridge, piece by piece; exits with 3 if not all of it is
    Status(Json),
    /// List the bridges that Berth sets up
    #[command(visible_alias = "ls")]
    List(Json),
    /// List the addresses that containers have been given
    Leases(Json),
}

impl Net {
    /// The command line for berth-net.
    pub fn arguments(&self) -> Vec<&'static str> {
        let (verb, json) = match self {
            Self::Status(Json { json }) => ("status", *json),
            Self::List(Json { json }) => ("list", *json),
            Self::Leases(Json { json }) => ("leases", *json),
        };
        let json = json.then_some("--json");
        [verb].into_iter().chain(json).collect()
    }
}
