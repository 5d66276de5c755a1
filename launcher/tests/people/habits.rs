//! Several names, names as LXC's commands have them, and help for words that are wrong.

use std::process::Output;

use crate::world::{Container, Owner, eventually, on_host};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn several_are_started_and_stopped_at_once() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        web.ok(&["start", "--here", "web", "db", "web"]);
        assert_eq!(web.ok(&["ls"]).matches("running").count(), 2);
        let again = web.berth(&["start", "--here", "web", "nope"]);
        assert_eq!(again.status.code(), Some(1));
        assert!(said(&again).contains("berth: web: container “web” runs already"));
        assert!(said(&again).contains("berth: nope: there is no container “nope”"));
        web.ok(&["stop", "-n", "web", "--name=db", "-k"]);
        assert_eq!(web.ok(&["ls"]).matches("stopped").count(), 2);
        let both = web.berth(&["start", "--here", "-F", "web", "db"]);
        assert_eq!(both.status.code(), Some(2), "{}", said(&both));
        web.destroy();
        db.destroy();
    });
}

#[test]
fn what_lxcs_commands_take_is_taken() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.ok(&["start", "--here", "-d", "-n", "web"]);
        assert_eq!(
            web.ok(&["attach", "-n", "web", "--", "echo", "-n", "in"]),
            "in"
        );
        assert!(web.ok(&["info", "--name", "web"]).contains("running"));
        // Asked, and not waited for.
        web.ok(&["stop", "-n", "web", "-W"]);
        eventually("the stop", || web.ok(&["ls"]).contains("stopped"));
        let again = web.berth(&["stop", "-W", "web"]);
        assert!(said(&again).contains("does not run"), "{}", said(&again));
        web.destroy();
    });
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let wrong = |words: &[&str]| {
            let output = web.berth(words);
            assert!(!output.status.success());
            said(&output)
        };
        assert!(wrong(&["start", "wbe"]).contains("did you mean “web”?"));
        assert!(wrong(&["exec", "-n", "we", "--", "true"]).contains("did you mean “web”?"));
        assert!(wrong(&["strat", "web"]).contains("'start'"));
        assert!(wrong(&["lxc-checkconfig"]).contains("berth doctor"));
        assert!(wrong(&["rm", "web"]).contains("berth destroy NAME"));
        assert!(wrong(&["stop", "-n"]).contains("<NAME>"));
        let help = wrong(&[]);
        assert!(
            help.contains("Every day:") && help.lines().count() < 60,
            "{help}"
        );
        web.destroy();
    });
}
