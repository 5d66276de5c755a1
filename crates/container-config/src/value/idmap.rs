//! `lxc.idmap`

use super::digits;
use crate::key::Refusal;
use std::fmt;

/// Whose ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdKind {
    /// Users.
    User,
    /// Groups.
    Group,
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "u",
            Self::Group => "g",
        })
    }
}

/// A range of ids inside and the range on the host that stands for it. The count is at least 1,
/// and neither range reaches `u32::MAX`, which is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// Users or groups.
    pub kind: IdKind,
    /// The first id inside.
    pub inside: u32,
    /// The first id on the host.
    pub host: u32,
    /// How many.
    pub count: u32,
}

impl IdMapping {
    /// A mapping, if its ranges are ranges of ids.
    pub fn new(kind: IdKind, inside: u32, host: u32, count: u32) -> Option<Self> {
        let fits = |first: u32| first.checked_add(count).is_some();
        (count > 0 && fits(inside) && fits(host)).then_some(Self {
            kind,
            inside,
            host,
            count,
        })
    }

    /// Whether this maps an id inside.
    pub fn covers_inside(&self, id: u32) -> bool {
        id.checked_sub(self.inside)
            .is_some_and(|offset| offset < self.count)
    }

    /// Whether this maps to an id on the host.
    pub fn covers_host(&self, id: u32) -> bool {
        id.checked_sub(self.host)
            .is_some_and(|offset| offset < self.count)
    }

    /// The id on the host that an id inside stands for.
    pub fn to_host(&self, inside: u32) -> Option<u32> {
        self.covers_inside(inside)
            .then(|| self.host + (inside - self.inside))
    }
}

impl fmt::Display for IdMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.kind, self.inside, self.host, self.count
        )
    }
}

/// `u|g NSID HOSTID RANGE`
pub fn id_mapping(text: &str) -> Result<IdMapping, Refusal> {
    let expected = || {
        Refusal::Expected(
            "“u” or “g”, the first id inside, the first id on the host and their number \
             (u 0 100000 65536)"
                .into(),
        )
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [kind, inside, host, count] = fields[..] else {
        return Err(expected());
    };
    let kind = match kind {
        "u" => IdKind::User,
        "g" => IdKind::Group,
        _ => return Err(expected()),
    };
    let (Some(inside), Some(host), Some(count)) = (digits(inside), digits(host), digits(count))
    else {
        return Err(expected());
    };
    IdMapping::new(kind, inside, host, count).ok_or_else(|| {
        Refusal::Expected("a range of at least 1 id that ends below 4294967295".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mappings() {
        let mapping = id_mapping("u 0\t100000  65536").unwrap();
        assert_eq!(
            mapping,
            IdMapping::new(IdKind::User, 0, 100_000, 65_536).unwrap()
        );
        assert_eq!(mapping.to_host(65_535), Some(165_535));
        assert_eq!(mapping.to_host(65_536), None);
        assert!(mapping.covers_host(100_000) && !mapping.covers_host(99_999));
        for wrong in [
            "u",
            "u 0",
            "u 0 1",
            "u 0 1 2 3",
            "b 0 1 2",
            "uu 0 1 2",
            "U 0 1 2",
            "u -1 1 2",
            "u 0 1 0",
            "u 0 1 +2",
            "u 0 4294967295 1",
            "u 4294967295 0 1",
            "u 0 1 4294967295",
            "u 0 0x10 2",
            "u:0:1:2",
        ] {
            assert!(id_mapping(wrong).is_err(), "{wrong}");
        }
        // The whole range of ids, as root's identity map has it.
        assert!(id_mapping("g 0 0 4294967295").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(inside: u32, host: u32, count: u32, user: bool) {
            let kind = if user { IdKind::User } else { IdKind::Group };
            if let Some(mapping) = IdMapping::new(kind, inside, host, count) {
                prop_assert_eq!(id_mapping(&mapping.to_string()), Ok(mapping));
            }
        }
    }
}
