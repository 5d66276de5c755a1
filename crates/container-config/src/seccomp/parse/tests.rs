use super::*;
use crate::seccomp::{ArgumentFilter, Comparison};

fn good(text: &str) -> Policy {
    parse(Path::new("policy"), text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = parse(Path::new("policy"), text).unwrap_err();
    problems.iter().map(Problem::to_string).collect()
}

fn rule(line: u32, section: &str, name: &str, action: Action) -> Rule {
    Rule {
        line,
        section: Section::named(section).unwrap(),
        call: Call::Name(name.to_owned()),
        action,
        arguments: Vec::new(),
    }
}

#[test]
fn the_policy_that_lxc_ships() {
    let policy = good(
        "2\ndenylist\nreject_force_umount  # comment this to allow umount -f;  not recommended\n\
         [all]\nkexec_load errno 1\nopen_by_handle_at errno 1\ninit_module errno 1\n\
         finit_module errno 1\ndelete_module errno 1\n",
    );
    assert_eq!(policy.default, Action::Allow);
    assert!(!policy.native_only && policy.asks_a_supervisor().is_none());
    assert_eq!(policy.rules.len(), 6);
    assert_eq!(policy.rules[0].call, Call::ForcedUmount);
    assert_eq!(policy.rules[0].action, Action::Errno(13));
    assert_eq!(
        policy.rules[1],
        rule(5, "all", "kexec_load", Action::Errno(1))
    );
}

#[test]
fn the_style_decides_about_what_is_not_said() {
    for (style, default, of_rules) in [
        ("denylist", Action::Allow, Action::Kill),
        ("blacklist", Action::Allow, Action::Kill),
        ("allowlist", Action::Kill, Action::Allow),
        ("whitelist", Action::Kill, Action::Allow),
        ("allowlist errno 1", Action::Errno(1), Action::Allow),
        ("allowlist  trap", Action::Trap, Action::Allow),
        ("denylist kill", Action::Kill, Action::Kill),
        ("denylist log # why", Action::Log, Action::Kill),
        ("allowlist notify", Action::Notify, Action::Allow),
    ] {
        let policy = good(&format!("2\n{style}\nmount\n"));
        assert_eq!(policy.default, default, "{style}");
        assert_eq!(policy.rules, [rule(3, "all", "mount", of_rules)], "{style}");
    }
}

#[test]
fn actions_and_filters_of_a_line() {
    let policy = good(
        "2\ndenylist\n\nmount errno 0\nptrace\ttrap\nclone allow[0,1,==]\nkeyctl #kill\n\
         ioctl notify\n  umask   log\nreboot kill # it\nsocket [0,16,SCMP_CMP_EQ] [2,1,<]\n",
    );
    let actions: Vec<Action> = policy.rules.iter().map(|rule| rule.action).collect();
    use Action::{Allow, Errno, Kill, Log, Notify, Trap};
    assert_eq!(
        actions,
        [Errno(0), Trap, Allow, Kill, Notify, Log, Kill, Kill]
    );
    assert_eq!(policy.asks_a_supervisor(), Some(8));
    assert_eq!(policy.rules[2].arguments.len(), 1);
    assert_eq!(
        policy.rules[7].arguments[0],
        ArgumentFilter {
            index: 0,
            comparison: Comparison::Equal,
            value: 16
        }
    );
}

#[test]
fn sections_hold_up_to_the_next_one() {
    let policy = good("2\nallowlist\nread\n[x86_64]\nwrite\n[ARM64]\nopen\n[ all ]\nclose\n");
    let sections: Vec<&str> = policy
        .rules
        .iter()
        .map(|rule| rule.section.name())
        .collect();
    assert_eq!(sections, ["all", "x86_64", "arm64", "all"]);
}

#[test]
fn version_1_is_a_list_of_numbers() {
    for word in ["allowlist", "whitelist"] {
        let policy = good(&format!("1\n{word}\n0\n# exit\n60\n\n231\n"));
        assert_eq!(policy.default, Action::Kill);
        assert!(policy.native_only);
        let calls: Vec<&Call> = policy.rules.iter().map(|rule| &rule.call).collect();
        assert_eq!(
            calls,
            [&Call::Number(0), &Call::Number(60), &Call::Number(231)]
        );
    }
}

#[test]
fn each_malformed_line_is_told_with_its_number_and_what_would_be_right() {
    for (text, says) in [
        ("", "policy:2: expected the second line"),
        ("2", "policy:2: expected the second line"),
        (
            "3\ndenylist\n",
            "policy:1: expected the version of the grammar, 1 or 2, found “3”",
        ),
        ("# comment\n2\n", "policy:1: expected the version"),
        ("2\ngreylist\n", "policy:2: expected allowlist or denylist"),
        ("2\nallowlist debug\n", "policy:2: expected kill, errno N"),
        (
            "2\nallowlist errno\n",
            "policy:2: expected errno and a number from 0 to 4094",
        ),
        (
            "2\nallowlist errno 4095\n",
            "policy:2: expected errno and a number",
        ),
        (
            "1\ndenylist\n1\n",
            "policy:2: expected allowlist, the only style of version 1",
        ),
        ("1\nallowlist debug\n1\n", "policy:2: expected allowlist"),
        (
            "1\nallowlist\nread\n",
            "policy:3: expected the number of a system call, found “read”",
        ),
        ("1\nallowlist\n-1\n", "policy:3: expected the number"),
        (
            "1\nallowlist\n4294967296\n",
            "policy:3: expected the number",
        ),
        (
            "2\ndenylist\n[pdp11]\nread\n",
            "policy:3: expected the name of an architecture",
        ),
        (
            "2\ndenylist\n[all\nread\n",
            "policy:3: expected the name of an architecture",
        ),
        (
            "2\ndenylist\n165\n",
            "policy:3: expected the name of a system call",
        ),
        (
            "2\ndenylist\nMount\n",
            "policy:3: expected the name of a system call",
        ),
        ("2\ndenylist\nmount deny\n", "policy:3: expected an action"),
        ("2\ndenylist\nmount errno EPERM\n", "found “errno EPERM”"),
        (
            "2\ndenylist\nmount kill kill\n",
            "policy:3: expected an action",
        ),
        (
            "2\ndenylist\nmount [0,1,=]\n",
            "policy:3: expected SCMP_CMP_NE",
        ),
        (
            "2\ndenylist\nreject_force_umount errno 1\n",
            "expected nothing behind",
        ),
    ] {
        let told = problems(text);
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        assert!(told[0].contains(says), "{text}: {told:?}");
    }
}

#[test]
fn all_problems_come_at_once_and_not_without_end() {
    assert_eq!(problems("2\ndenylist\nA\nread\nB\n").len(), 2);
    let many = "A\n".repeat(1000);
    assert_eq!(problems(&format!("2\ndenylist\n{many}")).len(), MAX_TOLD);
}
