//! Numeric user and group ids as the kernel knows them in the initial user namespace.

use std::fmt;
use std::str::FromStr;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// Root's id.
            pub const ROOT: Self = Self(0);

            /// Any value but `u32::MAX`, which the kernel reads as "no change" (setresuid(2)).
            pub const fn new(raw: u32) -> Option<Self> {
                if raw == u32::MAX { None } else { Some(Self(raw)) }
            }

            /// The number.
            pub const fn raw(self) -> u32 {
                self.0
            }

            /// Whether this is id 0.
            pub const fn is_root(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ();

            /// Decimal digits only: no sign, no blanks, at most `u32::MAX - 1`.
            fn from_str(text: &str) -> Result<Self, ()> {
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(());
                }
                text.parse().ok().and_then(Self::new).ok_or(())
            }
        }
    };
}

id_type! {
    /// A user id.
    Uid
}
id_type! {
    /// A group id.
    Gid
}

/// The smallest uid of a person; below it are system users. Debian's `UID_MIN` (login.defs(5)).
pub const FIRST_PERSON_UID: u32 = 1000;
/// The largest uid of a person; above it are `nobody`, dynamic users and subordinate ids.
/// Debian's `UID_MAX` (login.defs(5)).
pub const LAST_PERSON_UID: u32 = 60_000;

impl Uid {
    /// Whether the id lies in the range that login.defs(5) gives to people by default. Directory
    /// services hand out larger ids as well, so ids from 65536 up count as people too, except
    /// systemd's own ranges: dynamic users (61184–65519), `nobody` (65534), containers
    /// (524288–1879048191).
    pub const fn is_person(self) -> bool {
        let raw = self.raw();
        (raw >= FIRST_PERSON_UID && raw <= LAST_PERSON_UID)
            || (raw >= 65_536 && raw < 524_288)
            || raw > 1_879_048_191
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_strictly() {
        assert_eq!("1000".parse::<Uid>().map(Uid::raw), Ok(1000));
        for wrong in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x10",
            "4294967295",
            "4294967296",
        ] {
            assert!(wrong.parse::<Uid>().is_err(), "{wrong:?}");
        }
        assert_eq!("4294967294".parse::<Gid>().map(Gid::raw), Ok(4_294_967_294));
    }

    #[test]
    fn people_are_told_from_system_users() {
        for person in [1000, 60_000, 65_536, 70_000, 1_879_048_192] {
            assert!(Uid::new(person).unwrap().is_person(), "{person}");
        }
        for other in [0, 33, 999, 61_184, 65_534, 524_288, 1_000_000] {
            assert!(!Uid::new(other).unwrap().is_person(), "{other}");
        }
    }
}
