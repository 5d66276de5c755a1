//! Control groups: files and values of version 1 as those of version 2.
//!
//! Shares and weights keep their proportion to the default of their version, as systemd converts
//! them: a container that had half of what others had has half of it now.

use super::Outcome;
use super::facts::Facts;
use super::rewrite::Edit;
use std::fmt::Write;

/// The period of CPU time, in microseconds, where none is said (both versions).
const DEFAULT_PERIOD: &str = "100000";

/// Keys that begin like those of version 1 and are today's.
pub(super) fn is_todays(rest: &str) -> bool {
    rest == "dir" || rest.starts_with("dir.") || rest == "relative"
}

pub(super) fn edit(file: &str, value: &str, facts: &Facts) -> Outcome {
    let converted = match file {
        _ if file.starts_with("devices.") => devices(file, value, facts),
        "cpu.cfs_quota_us" | "cpu.cfs_period_us" => cpu_time(file, facts),
        "memory.memsw.limit_in_bytes" => swap(value, facts),
        _ => one_file(file, value),
    };
    match converted {
        Converted::To(new, _) if facts.cgroup2.contains(&new) => Outcome::of(Edit::Comment(
            format!("lxc.cgroup2.{new} says it in this file already"),
        )),
        Converted::To(new, value) => Outcome::of(Edit::both(format!("lxc.cgroup2.{new}"), value)),
        Converted::Gone(why) => Outcome::of(Edit::Comment(why.to_owned())),
        Converted::Lost(why) => Outcome::told(Edit::Comment("not in version 2".to_owned()), why),
        Converted::Wrong(why) => Outcome::told(Edit::Keep, why),
    }
}

enum Converted {
    /// A file of version 2 and its value.
    To(String, String),
    /// Nothing is missing without it, and why.
    Gone(&'static str),
    /// What it did is not done any more.
    Lost(&'static str),
    /// The value is none.
    Wrong(String),
}

fn to(file: &str, value: impl Into<String>) -> Converted {
    Converted::To(file.to_owned(), value.into())
}

fn one_file(file: &str, value: &str) -> Converted {
    if let Some(size) = file
        .strip_prefix("hugetlb.")
        .and_then(|rest| rest.strip_suffix(".limit_in_bytes"))
    {
        return limit(&format!("hugetlb.{size}.max"), value);
    }
    match file {
        "memory.limit_in_bytes" => limit("memory.max", value),
        // What was over it was taken first when memory was short; what is below memory.low is
        // taken last.
        "memory.soft_limit_in_bytes" => limit("memory.low", value),
        "cpu.shares" => weight("cpu.weight", value, 1024),
        "blkio.weight" => weight("io.weight", value, 500),
        "blkio.weight_device" => device_weight(value),
        "blkio.throttle.read_bps_device" => throttle("rbps", value),
        "blkio.throttle.write_bps_device" => throttle("wbps", value),
        "blkio.throttle.read_iops_device" => throttle("riops", value),
        "blkio.throttle.write_iops_device" => throttle("wiops", value),
        "pids.max" | "rdma.max" | "cpuset.cpus" | "cpuset.mems" => to(file, value),
        _ => missing(file, value),
    }
}

fn missing(file: &str, value: &str) -> Converted {
    let kmem = file.starts_with("memory.kmem.");
    match file {
        _ if kmem => Converted::Gone("memory.max counts the kernel's memory too"),
        "memory.use_hierarchy" => Converted::Gone("it is so always"),
        "cpuset.memory_migrate" => Converted::Gone("it is so always"),
        "memory.swappiness" | "memory.oom_control" | "memory.move_charge_at_immigrate" => {
            Converted::Lost("version 2 has no such setting of one group")
        }
        "freezer.state" => Converted::Gone("a container starts thawed"),
        _ if file.starts_with("net_cls.") || file.starts_with("net_prio.") => Converted::Lost(
            "version 2 has no classes of packets; a firewall can match the control group instead \
             (nft: socket cgroupv2)",
        ),
        _ if file.starts_with("cpu.rt_") => {
            Converted::Lost("version 2 has no share of real-time processes")
        }
        _ if file.starts_with("cpuset.") || file.starts_with("blkio.") => {
            Converted::Lost("version 2 has no such file")
        }
        // Somebody wrote a file of version 2 under the former prefix.
        _ => to(file, value),
    }
}

/// Which devices may be used: a program of the kernel's, which only root may load.
fn devices(file: &str, value: &str, facts: &Facts) -> Converted {
    match facts.has_idmap {
        true => Converted::Gone("a container with ids of its own can make no device files"),
        false => to(file, value),
    }
}

/// Two files of version 1 are one of version 2; it stands where the quota stood.
fn cpu_time(file: &str, facts: &Facts) -> Converted {
    let value = |name: &str| facts.cgroup.get(name).map_or("", String::as_str);
    let quota = value("cpu.cfs_quota_us");
    let period = match value("cpu.cfs_period_us") {
        "" => DEFAULT_PERIOD,
        period => period,
    };
    let is_right = |quota: &str| quota == "-1" || is_count(quota);
    if !(quota.is_empty() || is_right(quota)) || !is_count(period) {
        return Converted::Wrong(
            "expected microseconds, or -1 for a quota without a limit; correct it first".to_owned(),
        );
    }
    match (file, quota) {
        ("cpu.cfs_period_us", "") => Converted::Gone("a period limits nothing without a quota"),
        ("cpu.cfs_period_us", _) => Converted::Gone("the second number of cpu.max"),
        (_, "") => to("cpu.max", ""),
        (_, "-1") => to("cpu.max", format!("max {period}")),
        (_, quota) => to("cpu.max", format!("{quota} {period}")),
    }
}

/// Version 1 limits memory and swap together, version 2 each.
fn swap(value: &str, facts: &Facts) -> Converted {
    if value.is_empty() || value == "-1" {
        return limit("memory.swap.max", value);
    }
    let memory = facts.cgroup.get("memory.limit_in_bytes");
    let (Some(both), Some(memory)) = (bytes(value), memory.and_then(|text| bytes(text))) else {
        return Converted::Wrong(
            "it limits memory and swap together, and version 2 limits swap alone: that takes \
             lxc.cgroup.memory.limit_in_bytes beside it, both in bytes (512M)"
                .to_owned(),
        );
    };
    match both.checked_sub(memory) {
        Some(swap) => to("memory.swap.max", shown(swap)),
        None => Converted::Wrong(
            "it is less than lxc.cgroup.memory.limit_in_bytes, and contains that; correct it first"
                .to_owned(),
        ),
    }
}

/// A number of bytes; -1 stands for no limit.
fn limit(file: &str, value: &str) -> Converted {
    match value {
        "" => to(file, ""),
        "-1" => to(file, "max"),
        _ if bytes(value).is_some() => to(file, value),
        _ => Converted::Wrong(
            "expected bytes (536870912, 512M), or -1 for no limit; correct it first".to_owned(),
        ),
    }
}

/// A weight from 1 to 10000 around 100 for one around another default.
fn weight(file: &str, value: &str, default: u64) -> Converted {
    if value.is_empty() {
        return to(file, "");
    }
    match converted_weight(value, default) {
        Some(weight) => to(file, weight),
        None => Converted::Wrong(format!(
            "expected a number ({default} is the default); correct it first"
        )),
    }
}

fn converted_weight(value: &str, default: u64) -> Option<String> {
    let weight = value.parse::<u64>().ok()?.saturating_mul(100) / default;
    Some(weight.clamp(1, 10_000).to_string())
}

fn device_weight(value: &str) -> Converted {
    let converted = value
        .split_once(' ')
        .and_then(|(device, weight)| Some((device, converted_weight(weight.trim(), 500)?)));
    match (value, converted) {
        ("", _) => to("io.weight", ""),
        (_, Some((device, weight))) => to("io.weight", format!("{device} {weight}")),
        (_, None) => Converted::Wrong("expected a device and a weight (8:0 500)".to_owned()),
    }
}

/// `MAJOR:MINOR NUMBER`; 0 stands for no limit.
fn throttle(what: &str, value: &str) -> Converted {
    let fields: Vec<&str> = value.split_whitespace().collect();
    match fields[..] {
        [] => to("io.max", ""),
        [device, "0"] => to("io.max", format!("{device} {what}=max")),
        [device, most] if is_count(most) => to("io.max", format!("{device} {what}={most}")),
        _ => Converted::Wrong("expected a device and a number (8:0 1048576)".to_owned()),
    }
}

fn is_count(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}

/// Bytes with the kernel's suffixes (memparse).
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Bytes with the largest suffix that leaves a whole number.
fn shown(bytes: u64) -> String {
    let mut text = String::new();
    let (mut number, mut suffix) = (bytes, "");
    for larger in ["K", "M", "G", "T"] {
        if number == 0 || number % 1024 != 0 {
            break;
        }
        (number, suffix) = (number / 1024, larger);
    }
    let _ = write!(text, "{number}{suffix}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (file, value) in lines {
            facts.cgroup.insert((*file).into(), (*value).into());
        }
        facts
    }

    /// `KEY = VALUE`, or what was said instead.
    fn shown_edit(file: &str, value: &str, facts: &Facts) -> String {
        let outcome = edit(file, value, facts);
        match (outcome.edit, outcome.note) {
            (Edit::Set { key, value }, None) => {
                format!(
                    "{} = {}",
                    key.unwrap_or_default(),
                    value.unwrap_or_default()
                )
            }
            (Edit::Comment(why), None) => format!("# {why}"),
            (_, Some(note)) => format!("! {note}"),
            (Edit::Keep, None) => String::new(),
        }
    }

    #[test]
    fn values_are_converted() {
        for (file, value, new) in [
            ("memory.limit_in_bytes", "512M", "memory.max = 512M"),
            ("memory.limit_in_bytes", "-1", "memory.max = max"),
            ("memory.limit_in_bytes", "", "memory.max = "),
            ("memory.soft_limit_in_bytes", "1g", "memory.low = 1g"),
            ("memory.memsw.limit_in_bytes", "-1", "memory.swap.max = max"),
            ("cpu.shares", "1024", "cpu.weight = 100"),
            ("cpu.shares", "512", "cpu.weight = 50"),
            ("cpu.shares", "2", "cpu.weight = 1"),
            ("cpu.shares", "262144", "cpu.weight = 10000"),
            ("cpu.shares", "", "cpu.weight = "),
            ("cpuset.cpus", "0-3,7", "cpuset.cpus = 0-3,7"),
            ("pids.max", "100", "pids.max = 100"),
            ("blkio.weight", "500", "io.weight = 100"),
            ("blkio.weight", "10", "io.weight = 2"),
            ("blkio.weight_device", "8:0 250", "io.weight = 8:0 50"),
            (
                "blkio.throttle.read_bps_device",
                "8:0 1048576",
                "io.max = 8:0 rbps=1048576",
            ),
            (
                "blkio.throttle.write_iops_device",
                "8:16 0",
                "io.max = 8:16 wiops=max",
            ),
            ("hugetlb.2MB.limit_in_bytes", "4M", "hugetlb.2MB.max = 4M"),
            ("devices.deny", "a", "devices.deny = a"),
            ("devices.allow", "c 1:3 rwm", "devices.allow = c 1:3 rwm"),
            ("memory.high", "1G", "memory.high = 1G"),
        ] {
            let expected = format!("lxc.cgroup2.{new}");
            assert_eq!(
                shown_edit(file, value, &facts(&[])),
                expected,
                "{file} {value}"
            );
        }
    }

    #[test]
    fn two_files_become_one() {
        let both = facts(&[
            ("memory.limit_in_bytes", "512M"),
            ("memory.memsw.limit_in_bytes", "1G"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpu.cfs_period_us", "200000"),
        ]);
        let quota = shown_edit("cpu.cfs_quota_us", "50000", &both);
        assert_eq!(quota, "lxc.cgroup2.cpu.max = 50000 200000");
        let period = shown_edit("cpu.cfs_period_us", "200000", &both);
        assert_eq!(period, "# the second number of cpu.max");
        let swap = shown_edit("memory.memsw.limit_in_bytes", "1G", &both);
        assert_eq!(swap, "lxc.cgroup2.memory.swap.max = 512M");
        let endless = facts(&[("cpu.cfs_quota_us", "-1")]);
        let quota = shown_edit("cpu.cfs_quota_us", "-1", &endless);
        assert_eq!(quota, "lxc.cgroup2.cpu.max = max 100000");
    }

    #[test]
    fn what_cannot_be_converted_is_said() {
        let less = facts(&[("memory.limit_in_bytes", "2G")]);
        for (file, value, facts, says) in [
            (
                "memory.limit_in_bytes",
                "lots",
                &facts(&[]),
                "expected bytes",
            ),
            ("memory.limit_in_bytes", "1X", &facts(&[]), "expected bytes"),
            (
                "memory.limit_in_bytes",
                "99999999999T",
                &facts(&[]),
                "expected bytes",
            ),
            (
                "memory.memsw.limit_in_bytes",
                "1G",
                &facts(&[]),
                "memory and swap together",
            ),
            ("memory.memsw.limit_in_bytes", "1G", &less, "less than"),
            ("cpu.shares", "many", &facts(&[]), "1024 is the default"),
            (
                "cpu.cfs_quota_us",
                "x",
                &facts(&[("cpu.cfs_quota_us", "x")]),
                "microseconds",
            ),
            (
                "blkio.throttle.read_bps_device",
                "8:0",
                &facts(&[]),
                "a device and a number",
            ),
            (
                "net_cls.classid",
                "0x10001",
                &facts(&[]),
                "classes of packets",
            ),
            ("memory.swappiness", "10", &facts(&[]), "no such setting"),
            ("cpuset.cpu_exclusive", "1", &facts(&[]), "no such file"),
        ] {
            let told = shown_edit(file, value, facts);
            assert!(
                told.starts_with("! ") && told.contains(says),
                "{file}: {told}"
            );
        }
    }

    #[test]
    fn what_is_there_already_or_means_nothing_becomes_a_comment() {
        let mut twice = facts(&[]);
        twice.cgroup2.insert("memory.max".into());
        twice.has_idmap = true;
        for (file, value, why) in [
            (
                "memory.limit_in_bytes",
                "1G",
                "# lxc.cgroup2.memory.max says it",
            ),
            ("devices.deny", "a", "# a container with ids of its own"),
            ("memory.kmem.limit_in_bytes", "1G", "# memory.max counts"),
        ] {
            let told = shown_edit(file, value, &twice);
            assert!(told.starts_with(why), "{told}");
        }
        assert!(is_todays("dir.container") && is_todays("relative") && !is_todays("dirty"));
    }

    #[test]
    fn bytes_are_read_as_the_kernel_reads_them() {
        for (text, number) in [("1", 1), ("2K", 2048), ("1m", 1 << 20), ("3G", 3 << 30)] {
            assert_eq!(bytes(text), Some(number));
        }
        for wrong in ["", "K", "1KB", "1.5G", "-2", "20E", "1 G"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        assert_eq!([shown(0), shown(1025), shown(3 << 30)], ["0", "1025", "3G"]);
    }
}
