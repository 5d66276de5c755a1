//! Containers that must be ready before another one is started (`start.after`).

use berth_common::ContainerName;
use berth_container_config::berth_toml;

use super::load_settings;
use crate::error::{Error, Result};
use crate::place::Place;

/// All that `name` needs, each behind what it needs itself, without `name`. Refused where one is
/// missing or needs itself.
pub fn order(place: &Place, name: &ContainerName) -> Result<Vec<ContainerName>> {
    let mut order = Vec::new();
    let mut way = Vec::new();
    visit(place, name, &mut way, &mut order)?;
    order.pop();
    Ok(order)
}

fn visit(
    place: &Place,
    name: &ContainerName,
    way: &mut Vec<ContainerName>,
    order: &mut Vec<ContainerName>,
) -> Result<()> {
    if order.contains(name) {
        return Ok(());
    }
    way.push(name.clone());
    for needed in load_settings(place, name)?.after {
        let at = format!("{}: start.after", needed.at);
        if let Some(begin) = way.iter().position(|before| *before == needed.value) {
            let circle: Vec<&str> = way[begin..].iter().map(ContainerName::as_str).collect();
            return Err(Error::other(format!(
                "{at}: a container cannot wait for itself: {} → {}; remove one of the lines, or \
                 start it with --no-deps",
                circle.join(" → "),
                needed.value
            )));
        }
        place.require(&needed.value).map_err(|error| {
            let file = berth_toml::FILE;
            Error::other(format!(
                "{at}: {error} (--no-deps starts it without what {file} names)"
            ))
        })?;
        visit(place, &needed.value, way, order)?;
    }
    way.pop();
    order.push(name.clone());
    Ok(())
}
