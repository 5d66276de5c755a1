//! Every verb at the same moment as every other one.

use std::process::{Child, Output, Stdio};

use crate::world::{Container, Owner, eventually, on_host};

const VERBS: [&[&str]; 8] = [
    &["start", "--here", "web"],
    &["stop", "--kill", "web"],
    &["stop", "--timeout", "1s", "web"],
    &["exec", "web", "--", "true"],
    &["freeze", "web"],
    &["snapshot", "create", "web"],
    &["rename", "web", "other"],
    &["destroy", "--force", "web"],
];

fn begin(web: &Container<'_>, arguments: &[&str]) -> Child {
    let mut command = web.command("berth");
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What it did is done, or refused with a reason.
fn judge(pair: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(
        matches!(code, Some(0 | 1 | 125 | 137)),
        "{pair}: {code:?} {said}"
    );
    assert!(
        code == Some(0) || code == Some(137) || said.starts_with("berth: "),
        "{pair}: {said}"
    );
    assert!(!said.contains("panicked"), "{pair}: {said}");
}

/// The container's state, after a look whether it is true. `None` if there is no container.
fn truth(web: &Container<'_>, pair: &str) -> Option<String> {
    let info = web.berth(&["info", "--json", "web"]);
    if !info.status.success() {
        assert!(!web.dir().exists(), "{pair}");
        assert!(!web.cgroup().exists(), "{pair}");
        return None;
    }
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    let state = info["state"].as_str().unwrap();
    match state {
        "running" => {
            web.ok(&["exec", "web", "--", "true"]);
        }
        "frozen" => assert!(web.cgroup().join("payload").exists(), "{pair}"),
        "stopped" => eventually(pair, || !web.cgroup().exists()),
        other => panic!("{pair}: {other}"),
    }
    Some(state.to_owned())
}

/// One container that runs, whatever was there.
fn prepare(web: &Container<'_>, pair: &str) {
    let other = web.host.lxcpath().join("other");
    if other.exists() {
        web.berth(&["stop", "--kill", "other"]);
        match web.dir().exists() {
            true => web.ok(&["destroy", "--force", "--snapshots", "other"]),
            false => web.ok(&["rename", "other", "web"]),
        };
    }
    match truth(web, pair).as_deref() {
        None => {
            web.ok(&["create", "--template", "busybox", "web"]);
            web.append("lxc.net =\n");
            web.start();
        }
        Some("stopped") => web.start(),
        Some("frozen") => {
            web.ok(&["unfreeze", "web"]);
        }
        _ => {}
    }
    web.berth(&["snapshot", "delete", "--all", "web"]);
}

#[test]
fn two_verbs_at_once_never_leave_a_wrong_state() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        for (index, first) in VERBS.iter().enumerate() {
            for second in &VERBS[index..] {
                let pair = format!("{} and {}", first.join(" "), second.join(" "));
                prepare(&web, &pair);
                let both = [first, second].map(|verb| (verb[0], begin(&web, verb)));
                let freezes = both.iter().any(|(verb, _)| *verb == "freeze");
                // A command that stands still ends when it goes on: it is waited for last.
                let (commands, others): (Vec<_>, Vec<_>) =
                    both.into_iter().partition(|(verb, _)| *verb == "exec");
                for (_, one) in others {
                    judge(&pair, &one.wait_with_output().unwrap());
                }
                if freezes && !commands.is_empty() {
                    web.berth(&["unfreeze", "web"]);
                }
                for (_, one) in commands {
                    judge(&pair, &one.wait_with_output().unwrap());
                }
                truth(&web, &pair);
            }
        }
        prepare(&web, "the end");
        web.ok(&["destroy", "--force", "web"]);
        assert!(!web.dir().exists() && !web.cgroup().exists());
    });
}
