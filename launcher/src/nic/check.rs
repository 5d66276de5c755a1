//! `berth nic check`: the linter of the quota file.

use std::path::Path;

use berth_common::path;
use berth_kernel::user::{User, group_by_name};
use berth_usernic::lint::{self, Host};

use crate::error::{Error, Result};

struct ThisHost;

impl Host for ThisHost {
    fn has_user(&self, name: &str) -> bool {
        matches!(User::by_name(name), Ok(Some(_)))
    }

    fn has_group(&self, name: &str) -> bool {
        matches!(group_by_name(name), Ok(Some(_)))
    }

    fn has_bridge(&self, name: &str) -> bool {
        // A slash would make it another path than an interface's.
        !name.contains('/') && Path::new("/sys/class/net").join(name).exists()
    }
}

/// Everything suspicious in a quota file, as `FILE:LINE: what`.
pub fn check(file: Option<&Path>) -> Result<Vec<String>> {
    let file = file.unwrap_or(Path::new(path::USERNET));
    let bytes = std::fs::read(file).map_err(|source| Error::file("read", file, source))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(lint::lint(&text, &ThisHost)
        .into_iter()
        .map(|finding| format!("{}:{}: {}", file.display(), finding.line, finding.what))
        .collect())
}
