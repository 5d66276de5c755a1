//! Times as people read them, and as poll(2) takes them.

use std::time::Duration;

use nix::poll::PollTimeout;

/// How long poll waits so that this time is over then: rounded up, since what is left of a
/// millisecond would be waited for in a busy loop; at most some 24 days.
pub fn poll_timeout(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
}

/// Seconds since 1970 as `2026-11-24T02:09:00Z`.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day since 1970-01-01: years counted from March, so that the leap day is a
/// year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// A duration in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`.
pub fn duration(seconds: u64) -> String {
    let pair = |large: u64, small: u64, large_unit: &str, small_unit: &str| {
        if small == 0 {
            format!("{large} {large_unit}")
        } else {
            format!("{large} {large_unit} {small} {small_unit}")
        }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => pair(seconds / 60, seconds % 60, "min", "s"),
        3600..86_400 => pair(seconds / 3600, seconds % 3600 / 60, "h", "min"),
        _ => pair(seconds / 86_400, seconds % 86_400 / 3600, "d", "h"),
    }
}

/// A number of bytes in the largest unit that leaves at least one: `512 B`, `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_too_short_and_the_longest_one_is_no_busy_loop() {
        let timeout = |left| i32::from(poll_timeout(left));
        assert_eq!(timeout(Duration::ZERO), 1);
        assert_eq!(timeout(Duration::from_micros(1500)), 2);
        assert_eq!(timeout(Duration::from_secs(100 * 365 * 86_400)), i32::MAX);
        assert_eq!(timeout(Duration::MAX), i32::MAX);
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_826_155), "2000-02-29T12:09:15Z");
        assert_eq!(utc(1_795_487_340), "2026-11-24T02:29:00Z");
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(200), "3 min 20 s");
        assert_eq!(duration(7200), "2 h");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
    }
}
