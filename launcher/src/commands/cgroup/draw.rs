//! Delegated cgroups as text.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;

use super::show::{Kind, Node, Tree, Trees};
use crate::printable::cell;
use crate::time;

/// A command line is cut after so many characters.
const SHOWN_COMMAND: usize = 100;

/// The strokes of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Strokes {
    branch: &'static str,
    last: &'static str,
    down: &'static str,
    more: &'static str,
}

/// For terminals that show Unicode.
pub const UNICODE: Strokes = Strokes {
    branch: "├─ ",
    last: "└─ ",
    down: "│  ",
    more: "…",
};
/// For others.
pub const ASCII: Strokes = Strokes {
    branch: "|- ",
    last: "`- ",
    down: "|  ",
    more: "...",
};

impl Strokes {
    /// What the locale's variables (locale(7)) say that the terminal shows.
    pub fn of_locale(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let value = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let is_utf8 = |value: &OsStr| {
            let value = value.to_string_lossy().to_ascii_lowercase();
            value.ends_with("utf-8") || value.ends_with("utf8")
        };
        if value.as_deref().is_some_and(is_utf8) {
            UNICODE
        } else {
            ASCII
        }
    }
}

/// All trees; one line a cgroup and a process.
pub fn draw(trees: &Trees, strokes: Strokes) -> String {
    let mut text = String::new();
    for tree in &trees.trees {
        if !text.is_empty() {
            text.push('\n');
        }
        head(&mut text, tree);
        line(&mut text, &tree.root, "", &cell(&tree.root.path));
        below(&mut text, &tree.root, "", strokes);
    }
    text
}

fn head(text: &mut String, tree: &Tree) {
    let what = match tree.kind {
        Kind::Lasting => "lasting cgroup",
        Kind::Session => "a login session's cgroup",
        Kind::Other => "delegated cgroup",
    };
    let here = if tree.here { ", you are in it" } else { "" };
    let _ = writeln!(text, "{what}{here}");
    for above in &tree.above {
        let limits = limits_text(&above.limits);
        let _ = writeln!(text, "limited by {}: {limits}", cell(&above.path));
    }
}

fn line(text: &mut String, node: &Node, indent: &str, name: &str) {
    let mut facts = vec![format!("owner {}", cell(&node.owner))];
    facts.push(match node.controllers.as_slice() {
        [] => "no controllers".to_owned(),
        some => format!("controllers {}", some.join(" ")),
    });
    if !node.children.is_empty() && node.handed_on != node.controllers {
        facts.push(match node.handed_on.as_slice() {
            [] => "hands on none".to_owned(),
            some => format!("hands on {}", some.join(" ")),
        });
    }
    if !node.limits.is_empty() {
        facts.push(format!("limits {}", limits_text(&node.limits)));
    }
    if let Some(memory) = node.memory {
        facts.push(format!("memory {}", time::bytes(memory)));
    }
    if let Some(tasks) = node.tasks {
        facts.push(format!("tasks {tasks}"));
    }
    if node.frozen {
        facts.push("frozen".to_owned());
    }
    let _ = writeln!(text, "{indent}{name}: {}", facts.join(", "));
}

fn below(text: &mut String, node: &Node, indent: &str, strokes: Strokes) {
    let mut lines = Vec::new();
    for process in &node.processes {
        let mut command: String = process.command.chars().take(SHOWN_COMMAND).collect();
        if command.len() < process.command.len() {
            command.push_str(strokes.more);
        }
        lines.push(format!("{} {}", process.pid, cell(&command)));
    }
    if node.unnamed_processes > 0 {
        lines.push(format!("and {} processes more", node.unnamed_processes));
    }
    let unshown =
        (node.unshown_children > 0).then(|| format!("and {} cgroups more", node.unshown_children));
    let mut left = lines.len() + node.children.len() + usize::from(unshown.is_some());
    let mut stroke = || {
        left -= 1;
        if left == 0 {
            (strokes.last, "   ")
        } else {
            (strokes.branch, strokes.down)
        }
    };
    for line in lines {
        let (stroke, _) = stroke();
        let _ = writeln!(text, "{indent}{stroke}{line}");
    }
    for child in &node.children {
        let (stroke, down) = stroke();
        line(
            text,
            child,
            &format!("{indent}{stroke}"),
            &cell(&child.name),
        );
        below(text, child, &format!("{indent}{down}"), strokes);
    }
    if let Some(line) = unshown {
        let (stroke, _) = stroke();
        let _ = writeln!(text, "{indent}{stroke}{line}");
    }
}

fn limits_text(limits: &BTreeMap<&'static str, String>) -> String {
    let one = |(file, value): (&&str, &String)| format!("{file} {}", limit_text(file, value));
    limits.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A limit as people read it; what is not understood stays as the kernel writes it.
fn limit_text(file: &str, value: &str) -> String {
    if file.starts_with("memory.") {
        return value.parse().map_or_else(|_| value.to_owned(), time::bytes);
    }
    if file == "cpu.max"
        && let Some((quota, period)) = value.split_once(' ')
        && let (Ok(quota), Ok(period)) = (quota.parse::<u64>(), period.parse::<u64>())
        && period > 0
    {
        return format!("{}%", quota.saturating_mul(100) / period);
    }
    cell(&value.replace('\n', "; ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::show::{Above, Process};
    use super::*;

    fn node(name: &str, children: Vec<Node>) -> Node {
        Node {
            name: name.into(),
            path: format!("/{name}"),
            owner: "alice".into(),
            controllers: vec!["cpu".into(), "memory".into()],
            handed_on: Vec::new(),
            limits: BTreeMap::new(),
            memory: None,
            tasks: None,
            frozen: false,
            processes: Vec::new(),
            unnamed_processes: 0,
            children,
            unshown_children: 0,
        }
    }

    #[test]
    fn a_tree_with_all_that_can_be_in_it() {
        let mut leaf = node("init.scope", Vec::new());
        leaf.processes = vec![Process {
            pid: 7,
            command: "sleep \u{1b}[2J".into(),
        }];
        leaf.unnamed_processes = 3;
        let mut web = node("web", vec![node("monitor", Vec::new())]);
        web.limits = BTreeMap::from([
            ("memory.max", "67108864".into()),
            ("cpu.max", "50000 100000".into()),
            ("pids.max", "40".into()),
        ]);
        (web.memory, web.tasks, web.frozen) = (Some(3 << 20), Some(4), true);
        let mut base = node("base", vec![leaf, web]);
        base.handed_on = vec!["memory".into()];
        base.unshown_children = 9;
        let limits = BTreeMap::from([("memory.max", "1073741824".into())]);
        let above = vec![Above {
            path: "/user.slice".into(),
            limits,
        }];
        let trees = Trees {
            user: "alice".into(),
            uid: 1000,
            caller: None,
            trees: vec![Tree {
                kind: Kind::Lasting,
                here: true,
                above,
                root: base,
            }],
        };
        let expected = "\
lasting cgroup, you are in it
limited by /user.slice: memory.max 1.0 GiB
/base: owner alice, controllers cpu memory, hands on memory
├─ init.scope: owner alice, controllers cpu memory
│  ├─ 7 sleep \\u{1b}[2J
│  └─ and 3 processes more
├─ web: owner alice, controllers cpu memory, hands on none, limits cpu.max 50%, memory.max 64.0 \
MiB, pids.max 40, memory 3.0 MiB, tasks 4, frozen
│  └─ monitor: owner alice, controllers cpu memory
└─ and 9 cgroups more
";
        assert_eq!(draw(&trees, UNICODE), expected);
        let plain = draw(&trees, ASCII);
        assert!(
            plain.is_ascii() && plain.contains("|  `- and 3 processes"),
            "{plain}"
        );
    }

    #[test]
    fn strokes_are_those_that_the_terminal_shows() {
        let is_unicode = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.into())
            };
            Strokes::of_locale(variable).branch == UNICODE.branch
        };
        assert!(is_unicode(&[("LANG", "C.UTF-8")]));
        assert!(is_unicode(&[("LC_ALL", ""), ("LC_CTYPE", "de_DE.utf8")]));
        assert!(!is_unicode(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
        assert!(!is_unicode(&[]));
    }
}
