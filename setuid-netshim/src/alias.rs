//! What a NIC's alias tells people: whose it is, for which container, since when. Information
//! only: nothing is decided by it.

use berth_common::{ContainerName, Uid};
use std::time::{SystemTime, UNIX_EPOCH};

const START: &str = "berth";

/// The alias of a NIC that is made now.
pub fn text(uid: Uid, container: Option<&ContainerName>) -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    match container {
        Some(container) => format!("{START} uid={uid} since={since} container={container}"),
        None => format!("{START} uid={uid} since={since}"),
    }
}

/// What an alias says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// The container's name, as the caller gave it.
    pub container: Option<String>,
    /// Seconds since 1970.
    pub since: Option<u64>,
}

/// Reads an alias; what is not understood is left out.
pub fn parse(alias: &str) -> Alias {
    let mut found = Alias::default();
    let mut words = alias.split(' ');
    if words.next() != Some(START) {
        return found;
    }
    for word in words {
        match word.split_once('=') {
            Some(("container", name)) => {
                found.container = name.parse::<ContainerName>().ok().map(|n| n.to_string());
            }
            Some(("since", seconds)) => found.since = seconds.parse().ok(),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let uid = Uid::new(1000).unwrap();
        let name: ContainerName = "web-1".parse().unwrap();
        let with = parse(&text(uid, Some(&name)));
        assert_eq!(with.container.as_deref(), Some("web-1"));
        assert!(with.since.unwrap() > 1_600_000_000);
        assert_eq!(parse(&text(uid, None)).container, None);
        for other in [
            "",
            "berth",
            "uplink container=x since=1",
            "berth since=x container=/",
        ] {
            assert_eq!(parse(other), Alias::default(), "{other}");
        }
    }
}
