//! `berth publish`, `unpublish`

use berth::cli;
use berth::commands::ports;
use berth::error::Result;
use berth::place::Place;
use berth_common::exit;

use super::print::out;

pub fn publish(place: &Place, options: &cli::PublishPorts) -> Result<u8> {
    let wanted = cli::with_protocol(&options.ports, options.protocol);
    ports::publish(place, &options.name, &wanted)?;
    Ok(exit::OK)
}

pub fn unpublish(place: &Place, options: &cli::UnpublishPorts) -> Result<u8> {
    let wanted = cli::with_protocol(&options.ports, options.protocol);
    for gone in ports::unpublish(place, &options.name, &wanted, options.all)? {
        if options.all {
            out(&gone.to_string())?;
        }
    }
    Ok(exit::OK)
}
