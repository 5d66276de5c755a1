//! Durations as people write them.

use std::time::Duration;

/// Longer ones are refused: a hundred years.
const MOST: u64 = 100 * 365 * 86_400;

/// A number with a unit, or several of them: `90s`, `2min`, `1h 30min`, `500ms`; a number alone is
/// seconds. The units are those of systemd.time(7) up to days.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let number: u64 = number.parse().ok()?;
        let piece = match unit {
            "ms" | "msec" => Duration::from_millis(number),
            "" if text.trim().bytes().all(|b| b.is_ascii_digit()) => Duration::from_secs(number),
            "s" | "sec" | "second" | "seconds" => Duration::from_secs(number),
            "m" | "min" | "minute" | "minutes" => Duration::from_secs(number.checked_mul(60)?),
            "h" | "hr" | "hour" | "hours" => Duration::from_secs(number.checked_mul(3600)?),
            "d" | "day" | "days" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(piece)?;
        rest = behind.trim_start();
    }
    (total.as_secs() <= MOST).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_with_units() {
        for (text, millis) in [
            ("90s", 90_000),
            ("90", 90_000),
            ("0", 0),
            ("2min", 120_000),
            ("2 min", 120_000),
            ("1h 30min", 5_400_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("1s 5ms", 1_005),
        ] {
            let found = parse_duration(text);
            assert_eq!(found, Some(Duration::from_millis(millis)), "{text}");
        }
        for wrong in [
            "",
            " ",
            "s",
            "1 2",
            "1x",
            "-1s",
            "1.5s",
            "1h 30",
            "٣s",
            "99999999999999999999s",
            "999999999999d",
            "18446744073709551615s",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[0-9 a-zµ]{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
