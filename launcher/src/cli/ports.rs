//! Ports of the host that lead into containers.

use berth_common::ContainerName;
use berth_container_config::berth_toml::{Protocol, Publish};
use clap::Args;

/// Arguments of publish.
#[derive(Debug, Args)]
pub struct PublishPorts {
    /// Name of the container
    pub name: ContainerName,
    /// A port of the host and the container's, as 8080:80; with an address of the host before it if
    /// it is to be one only, as 127.0.0.1:8080:80 or [::1]:8080:80; several as 8080-8090:80-90
    #[arg(required = true, value_name = "[ADDRESS:]PORT:PORT")]
    pub ports: Vec<Publish>,
    /// How they are spoken to: tcp or udp (or behind the port, as in 53:53/udp)
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<Protocol>,
}

/// Arguments of unpublish.
#[derive(Debug, Args)]
pub struct UnpublishPorts {
    /// Name of the container
    pub name: ContainerName,
    /// What was published, as it was written
    #[arg(required_unless_present = "all", value_name = "[ADDRESS:]PORT:PORT")]
    pub ports: Vec<Publish>,
    /// How they are spoken to: tcp or udp
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<Protocol>,
    /// All of them
    #[arg(long, conflicts_with = "ports")]
    pub all: bool,
}

/// The ports with the protocol that was given for all of them.
pub fn with_protocol(ports: &[Publish], protocol: Option<Protocol>) -> Vec<Publish> {
    ports
        .iter()
        .map(|one| Publish {
            protocol: protocol.unwrap_or(one.protocol),
            ..*one
        })
        .collect()
}
