//! `berth device …`

use berth::cli;
use berth::devices;
use berth::error::Result;
use berth::place::Place;
use berth_common::exit;

use super::print::{json, print_table, tell};

pub fn run(place: &Place, verb: &cli::Device) -> Result<u8> {
    match verb {
        cli::Device::Add(options) => {
            let inside = options.inside.as_deref();
            devices::add(place, &options.name, &options.device, inside)?;
        }
        cli::Device::Remove(options) => {
            let host = options.host.as_deref();
            devices::remove(place, &options.name, &options.device, host)?;
        }
        cli::Device::List(options) => list(place, options)?,
    }
    Ok(exit::OK)
}

fn list(place: &Place, options: &cli::DeviceList) -> Result<()> {
    let mut lines = devices::list(place, &options.name)?;
    lines.retain(|line| options.all || !line.basic);
    if options.json {
        return json(&lines);
    }
    if lines.is_empty() {
        let name = &options.name;
        tell(&format!(
            "no devices but those of every container; give it one with: berth device add {name} \
             /dev/NAME"
        ));
        return Ok(());
    }
    let row = |line: &devices::Line| {
        [
            line.device.display().to_string(),
            line.kind.to_owned(),
            format!("{}:{}", line.major, line.minor),
        ]
    };
    let head = ["DEVICE", "TYPE", "NUMBER"].map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(lines.iter().map(row)).collect();
    print_table(&rows)
}
