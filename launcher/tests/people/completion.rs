//! What a shell offers where a name is to come: the script that is installed, in a real bash.

use std::fs;
use std::path::Path;

use crate::world::{Container, Owner, on_host};

/// Fills in what bash hands a completion and prints what comes back. The words are parted as bash
/// parts them, at colons and equals signs too.
const ASK: &str = r#"
    line=$1; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$line COMP_POINT=${#line}
    _berth
    ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers at the end of this line, which is parted at blanks and at `parted`.
fn offered(container: &Container, line: &str) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/completions/berth.bash");
    let script = fs::read_to_string(script).unwrap() + ASK;
    let parted = line.replace(':', " : ").replace('=', " = ");
    let words = match parted.ends_with(": ") || parted.ends_with("= ") {
        true => parted.trim_end(),
        false => &parted,
    };
    let words = words.split(' ').filter(|word| !word.is_empty());
    let mut bash = container.command("bash");
    bash.args(["--norc", "-c", &script, "bash", line])
        .args(words);
    if line.ends_with(' ') {
        bash.arg("");
    }
    let output = bash.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{line}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn names_are_completed_in_a_real_bash() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        web.ok(&["snapshot", "create", "db", "-c", "before: the\nchange"]);
        web.ok(&["snapshot", "create", "db"]);
        web.ok(&["publish", "db", "8080:80"]);
        web.start();
        for (line, words) in [
            ("berth info ", &["db", "web"][..]),
            ("berth info w", &["web"]),
            ("berth info -n w", &["web"]),
            ("berth start ", &["db"]),
            ("berth start db ", &[]),
            ("berth stop ", &["web"]),
            ("berth exec ", &["web"]),
            ("berth exec web -- ", &[]),
            ("berth unfreeze ", &[]),
            ("berth rename ", &["db", "web"]),
            ("berth rename db ", &[]),
            ("berth create ", &[]),
            ("berth snapshot restore db ", &["snap0", "snap1"]),
            ("berth snapshot delete -- db ", &["snap0", "snap1"]),
            ("berth snapshot restore web ", &[]),
            ("berth snapshot restore db snap0 --to ", &[]),
            ("berth unpublish db ", &["8080:80"]),
            ("berth unpublish db 8080:", &["80"]),
            ("berth cp we", &["web:"]),
            ("berth cp web:/e", &[]),
            ("berth -P /nowhere info ", &[]),
            ("berth grant roo", &["root"]),
            ("berth top --sort=mem", &["memory"]),
            ("berth sta", &["start"]),
        ] {
            assert_eq!(offered(&web, line), words, "{line}");
        }
        web.ok(&["freeze", "web"]);
        assert_eq!(offered(&web, "berth unfreeze "), ["web"]);
        // A comment is one line, whatever is in it.
        let told = web.ok(&["complete", "--", "berth", "snapshot", "restore", "db", ""]);
        assert!(told.starts_with("snap0\tbefore: the\nsnap1\t"), "{told}");
        web.stop();
        web.destroy();
        db.ok(&["snapshot", "delete", "db", "--all"]);
        db.destroy();
    });
}

#[test]
fn root_is_offered_the_users_containers_by_the_user() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let user = berth_test_private_host::USER;
        let ask = |who: &str| {
            let words = ["complete", "--", "berth", "--user", who, "info", "w"];
            let output = host.as_root("berth").args(words).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty());
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(ask(user), "web\n");
        assert_eq!(ask("nobody-of-that-name"), "");
        // Another user is offered nothing of theirs.
        assert_eq!(
            web.ok(&["complete", "--", "berth", "--user", "root", "info", ""]),
            ""
        );
        web.destroy();
    });
}

/// The line as it stands in a real zsh after TAB, which runs on a terminal of its own.
const ZSH: &str = r#"
    zmodload zsh/zpty
    zpty inner zsh -f -i
    setup="autoload -U compinit; fpath=($1 \$fpath); compinit -u -D"
    # The marks are parted here, so that an echo of these lines is not taken for them.
    setup+='; show() { print -r -- "[$BUFFER]E""ND" }; zle -N show'
    setup+='; bindkey "^I" complete-word "^X" show; echo REA""DY'
    zpty -w inner "PS1=; $setup"
    zpty -r inner said '*READY*'
    zpty -w -n inner "$2"$'\t\x18'
    zpty -r inner said '*END*'
    print -r -- ${${said##*\[}%%\]END*}
"#;

#[test]
fn names_are_completed_in_a_real_zsh_and_a_real_fish() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        web.ok(&["publish", "db", "8080:80"]);
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/completions");
        // What a user's shell reads lies where he may read it.
        let installed = host.home().join("completions");
        fs::create_dir(&installed).unwrap();
        for name in ["_berth", "berth.fish"] {
            fs::copy(scripts.join(name), installed.join(name)).unwrap();
        }
        let run = |shell: &str, words: &[&str], place: &Path, line: &str| {
            let mut command = web.command("timeout");
            command.args(["60", shell]).args(words);
            let output = command.arg(place).arg(line).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{shell}: {line}: {said}");
            String::from_utf8(output.stdout).unwrap()
        };
        let zsh = |line| run("zsh", &["-f", "-c", ZSH, "zsh"], &installed, line);
        for (line, after) in [
            ("berth info w", "berth info web "),
            ("berth unpublish d", "berth unpublish db "),
            ("berth unpublish db 8080:", "berth unpublish db 8080:80 "),
            ("berth sta", "berth start "),
            ("berth cp we", "berth cp web:"),
        ] {
            assert_eq!(zsh(line).trim_end_matches('\n'), after, "{line}");
        }
        let ask = "source $argv[1]; complete --do-complete $argv[2]";
        let script = installed.join("berth.fish");
        let fish = |line| run("fish", &["--no-config", "-c", ask], &script, line);
        for (line, words) in [
            ("berth info ", &["db", "web"][..]),
            ("berth info w", &["web"]),
            ("berth unpublish db ", &["8080:80"]),
            ("berth start db ", &["web"]),
            ("berth rename db ", &[]),
            ("berth cp we", &["web:"]),
        ] {
            let offered = fish(line);
            let offered = offered.lines().map(|line| line.split('\t').next().unwrap());
            assert_eq!(offered.collect::<Vec<_>>(), words, "{line}");
        }
        web.destroy();
        db.destroy();
    });
}
