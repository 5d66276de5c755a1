//! `berth create`, `destroy`, `enable`, `disable`

use std::io::{IsTerminal, Write};

use berth::cli;
use berth::commands::{destroy, enable, ports};
use berth::error::{Error, Result};
use berth::place::Place;
use berth_common::{ContainerName, exit};

use super::print::{out, tell};

pub fn create(place: &Place, options: &cli::Create) -> Result<u8> {
    let settings = ports::add(place, &options.name, "", &options.publish)?;
    let created = berth::create::create(&berth::create::CreateOptions {
        owner: place.owner.clone(),
        lxcpath: place.lxcpath.clone(),
        name: options.name.clone(),
        template: options.template.clone(),
        busybox: options.busybox_path.clone(),
        shares: options.share.clone(),
        settings,
    })?;
    for hint in &created.hints {
        tell(&format!("berth: {hint}"));
    }
    out(&format!(
        "{} made in {}",
        options.name,
        created.dir.display()
    ))?;
    Ok(exit::OK)
}

pub fn destroy_verb(place: &Place, options: &cli::Destroy) -> Result<u8> {
    place.require(&options.name)?;
    if !options.force && !confirmed(&options.name)? {
        return Ok(exit::FAILED);
    }
    let may = destroy::Permissions {
        stop: options.force,
        snapshots: options.snapshots,
    };
    for hint in &destroy::destroy_permitted(place, &options.name, may)?.hints {
        tell(&format!("berth: {hint}"));
    }
    Ok(exit::OK)
}

pub fn confirmed(name: &ContainerName) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::other(format!(
            "“{name}” and all its files would be removed; without a terminal to ask, that needs \
             --force"
        )));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(
        stderr,
        "Remove container “{name}” and all its files? [y/N] "
    );
    let _ = stderr.flush();
    let mut answer = String::new();
    stdin
        .read_line(&mut answer)
        .map_err(|error| Error::os("read the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub fn report_enabled(enabled: enable::Enabled) -> Result<u8> {
    for line in &enabled.done {
        out(line)?;
    }
    match enabled.missing {
        None => Ok(exit::OK),
        Some(missing) => Err(Error::other(missing)),
    }
}
