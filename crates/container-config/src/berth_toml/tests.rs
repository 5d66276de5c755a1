use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Settings {
    parse(text, Path::new("web/berth.toml")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = parse(text, Path::new("web/berth.toml")).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn all_of_it() {
    let settings = parsed(
        r#"
        [start]
        after = ["db"]
        timeout = "3min"
        retries = 4
        retry-delay = "5s"
        [ready]
        command = ["/bin/test", "-e", "/run/ok"]
        interval = "500ms"
        timeout = 90
        [restart]
        policy = "on-failure"
        delay = "2s"
        delay-max = "1min"
        limit = 7
        window = "1h"
        [stop]
        timeout = "2min"
        [[publish]]
        host = "127.0.0.1:8080"
        container = 80
        [[publish]]
        host = 53
        container = "5353"
        protocol = "udp"
        [journal]
        console = false
        "#,
    );
    assert_eq!(settings.after[0].as_str(), "db");
    assert_eq!(settings.after[0].at.line, 3);
    assert_eq!(
        settings.start,
        Start {
            timeout: Some(Duration::from_secs(180)),
            retries: 4,
            retry_delay: Duration::from_secs(5),
        }
    );
    assert!(!settings.journal_console && Settings::default().journal_console);
    let ready = settings.ready.unwrap();
    let words = ["/bin/test", "-e", "/run/ok"].map(str::to_owned);
    assert_eq!(ready.probe, Probe::Command(words.into()));
    assert_eq!(ready.interval, Duration::from_millis(500));
    assert_eq!(ready.timeout, Duration::from_secs(90));
    assert_eq!(
        settings.restart,
        Restart {
            policy: Policy::OnFailure,
            delay: Duration::from_secs(2),
            delay_max: Duration::from_secs(60),
            limit: 7,
            window: Duration::from_secs(3600),
        }
    );
    assert_eq!(settings.stop_timeout, Some(Duration::from_secs(120)));
    let ports: Vec<String> = settings
        .publish
        .iter()
        .map(|one| one.value.to_string())
        .collect();
    assert_eq!(ports, ["127.0.0.1:8080:80", "53:5353/udp"]);
    assert_eq!(parsed(""), Settings::default());
    assert_eq!(
        parsed("[ready]\nnotify = true").ready.unwrap().probe,
        Probe::Notify
    );
    assert_eq!(
        parsed("[ready]\nport = 80").ready.unwrap().probe,
        Probe::Port(80)
    );
}

#[test]
fn each_mistake_has_its_line_and_what_would_be_right() {
    for (text, line, told) in [
        (
            "[strat]\nafter = []\n",
            1,
            "strat: there is no such key; did you mean start?",
        ),
        (
            "[zzzzzz]\n",
            1,
            "there is no such section; there are start, ready, restart, stop, publish",
        ),
        (
            "[start]\naftre = []\n",
            2,
            "start.aftre: there is no such key; did you mean after?",
        ),
        (
            "[start]\nafter = \"db\"\n",
            2,
            "start.after: expected a list",
        ),
        (
            "[start]\nafter = [\n 7]\n",
            3,
            "start.after: expected a list",
        ),
        ("[start]\nafter = [\"../db\"]\n", 2, "start.after: "),
        (
            "[start]\nretries = 101\n",
            2,
            "start.retries: expected a number from 0 to 100",
        ),
        (
            "[start]\ntimeout = 0\n",
            2,
            "start.timeout: expected a duration of at least",
        ),
        (
            "[journal]\nconsole = 1\n",
            2,
            "journal.console: expected true or false",
        ),
        (
            "[start]\nafter = [\"db\", \"db\"]\n",
            2,
            "“db” stands here twice",
        ),
        (
            "[ready]\ntimeout = \"1s\"\n",
            1,
            "ready: expected one of notify, command and port",
        ),
        (
            "[ready]\nport = 80\nnotify = true\n",
            1,
            "found all of them",
        ),
        (
            "[ready]\nport = 0\n",
            2,
            "ready.port: expected a number from 1 to 65535, found 0",
        ),
        (
            "[ready]\nnotify = false\n",
            2,
            "ready.notify: expected true",
        ),
        (
            "[ready]\ncommand = []\n",
            2,
            "ready.command: expected a program",
        ),
        (
            "[ready]\ncommand = \"true\"\n",
            2,
            "ready.command: expected a program",
        ),
        (
            "[ready]\nport = 1\ninterval = \"1ms\"\n",
            3,
            "ready.interval: expected a duration of at least 50 ms",
        ),
        ("[ready]\nport = 1\ntimeout = \"soon\"\n", 3, "found “soon”"),
        (
            "[restart]\npolicy = \"never\"\n",
            2,
            "expected no, on-failure or always, found “never”",
        ),
        (
            "[restart]\ndelay = \"1s\"\n",
            1,
            "restart.policy: expected a line",
        ),
        (
            "[restart]\npolicy = \"no\"\nlimit = -1\n",
            3,
            "restart.limit: expected a number",
        ),
        (
            "[restart]\npolicy = \"no\"\ndelay-max = \"100ms\"\n",
            1,
            "restart.delay-max: expected at least",
        ),
        (
            "[stop]\ntimeout = 1.5\n",
            2,
            "stop.timeout: expected a duration",
        ),
        ("stop = 1\n", 1, "stop: expected a section [stop], found 1"),
        (
            "[publish]\nhost = 1\n",
            1,
            "publish: expected sections [[publish]]",
        ),
        (
            "[[publish]]\nhost = 1\n",
            1,
            "publish.container: expected a line",
        ),
        (
            "[[publish]]\nhost = \"x\"\ncontainer = 1\n",
            2,
            "publish.host: expected a port from 1",
        ),
        (
            "[[publish]]\nhost = 1\ncontainer = 1\nprotocol = \"sctp\"\n",
            4,
            "expected tcp or udp",
        ),
        (
            "[[publish]]\nhost = \"1-2\"\ncontainer = 1\n",
            1,
            "as many ports",
        ),
        (
            "[[publish]]\nhost = 1\ncontainer = 1\n[[publish]]\nhost = 1\ncontainer = 2\n",
            4,
            "taken by line 1 already",
        ),
        (
            "[[publish]]\nhost = \"1-200\"\ncontainer = \"1-200\"\n[[publish]]\nhost = \"300-400\"\ncontainer = \"1-101\"\n",
            4,
            "at most 256 ports",
        ),
        ("[start\n", 1, ""),
        ("a = \"\n", 1, ""),
    ] {
        let found = problems(text);
        let wanted = format!("web/berth.toml:{line}: ");
        assert!(
            found
                .iter()
                .any(|one| one.starts_with(&wanted) && one.contains(told)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_order() {
    let found = problems("[stop]\ntimeout = []\n[ready]\nport = 0\n[start]\nafter = 1\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains(":2: ") && found[1].contains(":4: ") && found[2].contains(":6: "));
}

#[test]
fn published_ports_change_and_everything_else_stays() {
    let path = Path::new("web/berth.toml");
    let text = "# mine\n[stop] # slow\ntimeout = \"9s\"\n";
    let one = "8080:80".parse().unwrap();
    let two = "[::1]:53:53/udp".parse().unwrap();
    let with_one = publish(text, path, &one).unwrap();
    assert_eq!(
        with_one,
        format!("{text}\n[[publish]]\nhost = 8080\ncontainer = 80\n")
    );
    let with_two = publish(&with_one, path, &two).unwrap();
    assert!(with_two.starts_with(&with_one), "{with_two}");
    let list: Vec<Publish> = parsed(&with_two)
        .publish
        .iter()
        .map(|one| one.value)
        .collect();
    assert_eq!(list, [one, two]);
    assert!(matches!(
        publish(&with_two, path, &one),
        Err(EditError::Published)
    ));
    let other = "127.0.0.1:8080:81".parse().unwrap();
    assert!(
        matches!(publish(&with_two, path, &other), Err(EditError::Taken(taken)) if taken == one)
    );
    let (left, gone) = unpublish(&with_two, path, |publish| *publish == one).unwrap();
    assert_eq!(gone, [one]);
    assert!(left.starts_with(text), "{left}");
    let (left, _) = unpublish(&left, path, |_| true).unwrap();
    assert_eq!(left.trim_end(), text.trim_end());
    assert!(matches!(
        unpublish(&left, path, |_| true),
        Err(EditError::NotPublished)
    ));
    let inline = "publish = [{ host = 1, container = 2 }]\n";
    let more = publish(inline, path, &one).unwrap();
    assert_eq!(parsed(&more).publish.len(), 2, "{more}");
    let (less, _) = unpublish(&more, path, |publish| *publish == one).unwrap();
    assert_eq!(parsed(&less).publish.len(), 1, "{less}");
}

#[test]
fn what_is_no_small_file_is_refused() {
    let dir = std::env::temp_dir().join(format!("berth-toml-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join(FILE);
    assert_eq!(read(&file).unwrap(), Settings::default());
    std::fs::write(&file, "#".repeat(MAX_FILE + 1)).unwrap();
    assert!(read(&file).unwrap_err().to_string().contains("64 KiB"));
    std::fs::write(&file, "[stop]\ntimeout = 1\n").unwrap();
    assert_eq!(
        read(&file).unwrap().stop_timeout,
        Some(Duration::from_secs(1))
    );
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(read(&file).is_err());
    std::fs::remove_dir_all(dir).unwrap();
}

proptest! {
    #[test]
    fn nothing_panics(text in "[\\[\\]a-z0-9=\"\\n .,{}-]{0,200}") {
        let path = Path::new("berth.toml");
        let _ = parse(&text, path);
        let _ = publish(&text, path, &"1:1".parse().unwrap());
    }
}
