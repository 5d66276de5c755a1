//! `/run/lxc/nics`: who has which NIC, in LXC's line format `OWNER TYPE BRIDGE NIC`.
//!
//! Only a view: it is written for people and scripts, and nothing reads it to decide anything.

/// A line of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The user's name, or his uid if he has none.
    pub owner: String,
    /// The bridge, or `none`.
    pub bridge: String,
    /// The host's end.
    pub host: String,
}

/// The whole file, a newline after each line.
pub fn render(lines: &[Line]) -> String {
    lines
        .iter()
        .map(|line| format!("{} veth {} {}\n", line.owner, line.bridge, line.host))
        .collect()
}

/// The lines that the file has now; whatever else stands in it is passed over.
pub fn parse(text: &str) -> Vec<Line> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().map(str::to_owned);
            let (owner, kind, bridge, host) =
                (words.next()?, words.next()?, words.next()?, words.next()?);
            let whole = kind == "veth" && !owner.starts_with('#') && words.next().is_none();
            whole.then_some(Line {
                owner,
                bridge,
                host,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_lxcs() {
        let line = Line {
            owner: "alice".into(),
            bridge: "br0".into(),
            host: "veth1000_aAz9".into(),
        };
        let text = render(std::slice::from_ref(&line));
        assert_eq!(text, "alice veth br0 veth1000_aAz9\n");
        assert_eq!(parse(&text), [line]);
        assert_eq!(parse("# x\n\nalice veth br0\nalice foo br0 x\n\0\n"), []);
    }

    proptest! {
        #[test]
        fn garbage_is_passed_over(text in any::<String>()) {
            let lines = parse(&text);
            prop_assert_eq!(parse(&render(&lines)), lines);
        }
    }
}
