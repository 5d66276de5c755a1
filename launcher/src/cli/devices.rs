//! Devices of the host in a running container.

use std::path::PathBuf;

use berth_common::ContainerName;
use clap::{Args, Subcommand};

/// Verbs of device.
#[derive(Debug, Subcommand)]
pub enum Device {
    /// Give a running container a device of the host's, until it stops
    Add(DeviceAdd),
    /// Take a device from a running container
    #[command(visible_alias = "rm", alias = "del")]
    Remove(DeviceRemove),
    /// List the devices in a running container
    #[command(visible_alias = "ls")]
    List(DeviceList),
}

/// Arguments of device add.
#[derive(Debug, Args)]
pub struct DeviceAdd {
    /// Name of the container
    pub name: ContainerName,
    /// A device's file, as /dev/fuse; or, for root, the name of a network interface, as eth1
    pub device: crate::devices::Device,
    /// The path, or the interface's name, that it gets inside (default: the same)
    #[arg(value_name = "INSIDE")]
    pub inside: Option<PathBuf>,
}

/// Arguments of device remove.
#[derive(Debug, Args)]
pub struct DeviceRemove {
    /// Name of the container
    pub name: ContainerName,
    /// The device's path inside; or, for root, the name of a network interface inside
    pub device: crate::devices::Device,
    /// The name that an interface gets on the host (default: the same)
    #[arg(value_name = "NAME")]
    pub host: Option<PathBuf>,
}

/// Arguments of device list.
#[derive(Debug, Args)]
pub struct DeviceList {
    /// Name of the container
    pub name: ContainerName,
    /// Also those that every container has
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
