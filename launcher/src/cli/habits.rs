//! What people are used to from LXC's commands, where it does no harm: `-n NAME`, and the names of
//! its tools.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Verbs whose first word is a container's name, and that have no `-n` of their own.
const NAMED: [&str; 16] = [
    "attach",
    "console",
    "destroy",
    "disable",
    "enable",
    "exec",
    "freeze",
    "info",
    "restart",
    "start",
    "stop",
    "unfreeze",
    "logs",
    "publish",
    "unpublish",
    "wait",
];

/// Whether `-n NAME` is taken for the verb's first word.
pub fn takes_name(verb: &str) -> bool {
    NAMED.contains(&verb)
}

/// A command line in which the name stands where the verb expects it: `stop -n web` for
/// `stop web`, and `stop --name=web` alike.
pub fn with_names_in_place(arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(verb) = verb_of(&arguments) else {
        return arguments;
    };
    if !arguments[verb].to_str().is_some_and(takes_name) {
        return arguments;
    }
    let (lead, rest) = arguments.split_at(verb + 1);
    let (mut names, mut others) = (Vec::new(), Vec::new());
    let mut rest = rest.iter().cloned();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            others.push(argument);
            break;
        }
        let bytes = argument.as_bytes();
        let attached = bytes
            .strip_prefix(b"--name=")
            .or_else(|| bytes.strip_prefix(b"-n").filter(|name| !name.is_empty()));
        if let Some(name) = attached {
            names.push(OsStr::from_bytes(name).to_owned());
        } else if argument == "-n" || argument == "--name" {
            names.extend(rest.next());
        } else {
            others.push(argument);
        }
    }
    [lead.to_vec(), names, others, rest.collect()].concat()
}

/// Where the verb stands: behind the program's name and what holds for all verbs.
fn verb_of(arguments: &[OsString]) -> Option<usize> {
    let mut index = 1;
    loop {
        let bytes = arguments.get(index)?.as_bytes();
        match bytes {
            b"-P" | b"--lxcpath" | b"--user" => index += 2,
            [b'-', ..] => index += 1,
            _ => return Some(index),
        }
    }
}

/// Berth's words for a verb that it does not have; `None` for one that nobody knows.
pub fn meant_by(verb: &str) -> Option<&'static str> {
    let verb = verb.strip_prefix("lxc-").unwrap_or(verb);
    Some(match verb {
        "checkconfig" => "berth doctor",
        "clone" | "start-ephemeral" => "berth copy",
        "cgroup" => "berth config get NAME lxc.cgroup2.…, or berth info NAME",
        "execute" | "run" => "berth start -F NAME -- COMMAND",
        "list" | "ps" => "berth ls",
        "login" | "shell" | "enter" | "unpriv-attach" => "berth attach NAME",
        "monitor" => "berth events",
        "pause" => "berth freeze NAME",
        "unpause" | "resume" | "thaw" => "berth unfreeze NAME",
        "poweroff" | "kill" => "berth stop NAME, at once with --kill",
        "reboot" => "berth restart --reboot NAME",
        "remove" | "rm" | "delete" => "berth destroy NAME",
        "mv" => "berth rename NAME NEW",
        "new" | "launch" => "berth create NAME",
        "show" | "status" | "inspect" => "berth info NAME",
        "stats" => "berth top",
        "unpriv-start" => "berth start NAME",
        "update-config" => "berth config migrate NAME",
        "user-nic" => "berth nic",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let words = with_names_in_place(words);
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn a_name_stands_behind_its_verb() {
        for (given, meant) in [
            ("berth stop -n web -k", "berth stop web -k"),
            ("berth stop -k --name=web", "berth stop web -k"),
            ("berth start -nweb -n db", "berth start web db"),
            ("berth -P /x attach --name web", "berth -P /x attach web"),
            ("berth exec -n web -- ls -n 5", "berth exec web -- ls -n 5"),
            ("berth exec web -- ls -n 5", "berth exec web -- ls -n 5"),
            ("berth config migrate -n web", "berth config migrate -n web"),
            ("berth stop -n", "berth stop"),
            ("berth", "berth"),
        ] {
            assert_eq!(placed(given), meant);
        }
    }

    #[test]
    fn tools_of_others_are_known() {
        assert_eq!(meant_by("lxc-checkconfig"), Some("berth doctor"));
        assert_eq!(meant_by("rm"), Some("berth destroy NAME"));
        assert_eq!(meant_by("frobnicate"), None);
    }
}
