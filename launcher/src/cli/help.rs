//! What `berth` alone says: every verb in a line, those that belong together side by side.

use std::fmt::Write;

use clap::Command;

/// Headings, and the verbs below them in their order. A verb that stands nowhere comes last.
const GROUPS: [(&str, &[&str]); 6] = [
    (
        "Every day",
        &[
            "create", "start", "stop", "restart", "attach", "exec", "console", "logs", "ls",
            "info", "top",
        ],
    ),
    (
        "The life of a container",
        &[
            "freeze",
            "unfreeze",
            "wait",
            "events",
            "enable",
            "disable",
            "autostart",
        ],
    ),
    (
        "Its files and its doors",
        &[
            "cp",
            "share",
            "device",
            "publish",
            "unpublish",
            "ports",
            "config",
        ],
    ),
    ("Copies", &["copy", "snapshot", "rename", "destroy"]),
    ("The host", &["doctor", "cgroup", "net", "nic"]),
    ("For administrators", &["grant", "grants", "revoke"]),
];

/// The text for this command line.
pub fn overview(command: &Command) -> String {
    let mut text = String::new();
    if let Some(about) = command.get_about() {
        let _ = writeln!(text, "{about}\n\nUsage: berth [OPTIONS] VERB …");
    }
    let verbs: Vec<&Command> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .collect();
    let width = verbs.iter().map(|verb| verb.get_name().len()).max();
    let width = width.unwrap_or_default();
    let list = |text: &mut String, heading: &str, of_group: Vec<&&Command>| {
        if of_group.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{heading}:");
        for verb in of_group {
            let about = verb.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let _ = writeln!(text, "  {:<width$}  {}", verb.get_name(), gist(&about));
        }
    };
    for (heading, names) in GROUPS {
        let of_group = names
            .iter()
            .filter_map(|name| verbs.iter().find(|verb| verb.get_name() == *name));
        list(&mut text, heading, of_group.collect());
    }
    let grouped = |verb: &&&Command| {
        let mut names = GROUPS.iter().flat_map(|(_, names)| names.iter());
        names.any(|name| *name == verb.get_name())
    };
    let others = verbs
        .iter()
        .filter(|verb| !grouped(verb) && verb.get_name() != "help");
    list(&mut text, "More", others.collect());
    text.push_str(
        "\nOptions:\n  -P, --lxcpath DIR  where the containers are (default: ~/.local/share/lxc)\n\
         \n`berth VERB --help` and `man berth-VERB` say more.\n",
    );
    text
}

/// A sentence up to where it goes into details.
fn gist(about: &str) -> &str {
    let end = about
        .find([';', '(', ':'])
        .or_else(|| about.find(", as "))
        .unwrap_or(about.len());
    about[..end].trim_end_matches([' ', ','])
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_verb_has_a_line_that_fits() {
        let command = crate::cli::Cli::command();
        let text = overview(&command);
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let line = format!("\n  {} ", verb.get_name());
            assert_eq!(text.matches(&line).count(), 1, "{line}: {text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
