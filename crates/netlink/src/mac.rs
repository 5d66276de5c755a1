use std::fmt;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Makes an address of random bytes that a Linux bridge never takes as its own: a bridge
    /// takes the lowest of its ports' addresses, and 0xfe is as high as an individual (bit 0
    /// clear), locally administered (bit 1 set) address starts.
    pub fn for_bridge_port(random: [u8; 5]) -> Self {
        let [b, c, d, e, f] = random;
        Self([0xfe, b, c, d, e, f])
    }

    /// Whether frames to it mean a group (multicast); no interface may have such an address.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for Mac {
    type Err = ();

    /// Six pairs of hexadecimal digits with colons between them.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or(())?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(());
            }
            *byte = u8::from_str_radix(part, 16).map_err(drop)?;
        }
        if parts.next().is_some() {
            Err(())
        } else {
            Ok(Self(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "00",
            "00:11:22:33:44",
            "00:11:22:33:44:55:66",
            "0:1:2:3:4:5",
            "+0:11:22:33:44:55",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(bytes: [u8; 6]) {
            prop_assert_eq!(Mac(bytes).to_string().parse(), Ok(Mac(bytes)));
        }

        #[test]
        fn a_ports_address_is_individual_and_above_what_a_bridge_takes(random: [u8; 5]) {
            let mac = Mac::for_bridge_port(random);
            prop_assert!(!mac.is_group());
            prop_assert!(mac > Mac([0xfd, 0xff, 0xff, 0xff, 0xff, 0xff]));
        }
    }
}
