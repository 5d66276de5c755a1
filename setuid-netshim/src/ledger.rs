//! Names of the host's ends, which say whom a NIC counts for.
//!
//! Up to uid 65536 the name is LXC's: `veth<uid>_XXXX`. Above, the number is written to base 62
//! and the separator is `-`, so that it fits into the 15 characters of an interface name and is
//! never mistaken for the first form.

use berth_common::{InterfaceName, NameError, Uid};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const START: &str = "veth";
/// The largest uid that LXC writes into a name.
const LAST_DECIMAL: u32 = 65_536;

/// What the host names of this user's NICs start with.
pub fn prefix(uid: Uid) -> String {
    let mut rest = uid.raw();
    if rest <= LAST_DECIMAL {
        return format!("{START}{rest}_");
    }
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push(DIGITS[(rest % 62) as usize] as char);
        rest /= 62;
    }
    let number: String = digits.iter().rev().collect();
    format!("{START}{number}-")
}

/// A host name for a NIC of this user, made of random bytes.
pub fn host_name(uid: Uid, random: [u8; 4]) -> Result<InterfaceName, NameError> {
    let mut name = prefix(uid);
    name.extend(random.map(|byte| DIGITS[usize::from(byte) % 62] as char));
    name.parse()
}

/// Whom a host name says that its NIC counts for; `None` if no helper gives such names.
pub fn owner(name: &str) -> Option<Uid> {
    let rest = name.strip_prefix(START)?;
    let (number, random) = rest.split_once(['_', '-'])?;
    let digit = |byte: u8| DIGITS.iter().position(|&digit| digit == byte);
    if random.len() != 4 || !random.bytes().all(|byte| digit(byte).is_some()) {
        return None;
    }
    let uid = if rest.as_bytes().get(number.len()) == Some(&b'_') {
        number.parse().ok()?
    } else {
        number.bytes().try_fold(0u32, |sum, byte| {
            sum.checked_mul(62)?.checked_add(digit(byte)? as u32)
        })?
    };
    // Each uid has one way of being written.
    Uid::new(uid).filter(|&uid| name.starts_with(&prefix(uid)))
}

/// The ports among these that count for the user.
pub fn of_user<'a>(ports: impl Iterator<Item = &'a str>, uid: Uid) -> Vec<&'a str> {
    let prefix = prefix(uid);
    ports.filter(|port| port.starts_with(&prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uid(raw: u32) -> Uid {
        Uid::new(raw).unwrap()
    }

    #[test]
    fn names_are_lxcs_up_to_65536() {
        assert_eq!(
            host_name(uid(1000), [0, 10, 36, 61]).unwrap().as_str(),
            "veth1000_0AaZ".replace('Z', "z")
        );
        assert_eq!(prefix(uid(65_536)), "veth65536_");
        assert_eq!(prefix(uid(0)), "veth0_");
        assert_eq!(prefix(uid(65_537)), "veth".to_owned() + "H33-");
    }

    #[test]
    fn names_that_no_helper_gives_have_no_owner() {
        for name in [
            "veth1000_aaa",
            "veth1000_aaaaa",
            "veth01000_aaaa",
            "veth_aaaa",
            "veth1000-aaaa_",
            "veth65537_aaaa",
            "veth0-aaaa",
            "vethzzzzzzz-aaaa",
            "eth1000_aaaa",
            "veth+1_aaaa",
            "",
            "veth1000_aa.a",
            "vethg-aaaa",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
        assert_eq!(owner("veth1000_aAz9"), Some(uid(1000)));
        assert_eq!(owner("vethH33-aaaa"), Some(uid(65_537)));
    }

    #[test]
    fn only_the_users_own_count() {
        let ports = [
            "veth1000_aaaa",
            "veth100_bbbb",
            "veth10001_c",
            "eth0",
            "veth1000x",
            "Veth1000_d",
        ];
        assert_eq!(of_user(ports.into_iter(), uid(1000)), ["veth1000_aaaa"]);
    }

    proptest! {
        #[test]
        fn every_name_fits_and_counts_for_one_user(a in 0u32..u32::MAX, b in 0u32..u32::MAX, random: [u8; 4]) {
            let name = host_name(uid(a), random).unwrap();
            let counts = of_user([name.as_str()].into_iter(), uid(b)).len();
            prop_assert_eq!(counts == 1, a == b);
            prop_assert_eq!(owner(name.as_str()), Some(uid(a)));
        }

        #[test]
        fn an_owner_is_who_the_name_counts_for(name in "veth[0-9A-Za-z]{0,7}[_-][0-9A-Za-z]{3,5}") {
            if let Some(owner) = owner(&name) {
                prop_assert_eq!(of_user([name.as_str()].into_iter(), owner).len(), 1);
            }
        }
    }
}
