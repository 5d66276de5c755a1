//! Includes of files that are gone.

use super::rewrite::Edit;
use super::{Outcome, Surroundings};
use crate::disk::successor;
use berth_common::path::LXC_SNIPPET_DIR;
use std::path::Path;

/// Where LXC had its files when somebody had built it himself.
const LOCAL_DIR: &str = "/usr/local/share/lxc/config";

pub(super) fn edit(value: &str, host: &dyn Surroundings) -> Outcome {
    let path = Path::new(value);
    if value.is_empty() || value.ends_with('/') || host.kind(path).is_some() {
        return Outcome::of(Edit::Keep);
    }
    let of_lxc = [LXC_SNIPPET_DIR, LOCAL_DIR]
        .iter()
        .find_map(|dir| path.strip_prefix(dir).ok()?.to_str());
    match of_lxc {
        None => Outcome::told(
            Edit::Keep,
            "the file does not exist; bring it back or remove the line",
        ),
        Some(general @ ("common.conf" | "userns.conf" | "nesting.conf")) => {
            Outcome::of(Edit::value(format!("{LXC_SNIPPET_DIR}/{general}")))
        }
        Some(name) => match successor(name) {
            Some(general) => Outcome::of(Edit::value(format!("{LXC_SNIPPET_DIR}/{general}"))),
            None => Outcome::told(
                Edit::Comment("LXC has no such file any more".to_owned()),
                "what the file said is lost with it; common.conf says what all containers need",
            ),
        },
    }
}
