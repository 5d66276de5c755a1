//! The program as `berth start` runs it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn compile(policy: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_berth-seccomp"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not want more closes its end.
    let _ = child.stdin.take().unwrap().write_all(policy.as_bytes());
    child.wait_with_output().unwrap()
}

/// The lines of the answer and the program.
fn answer(policy: &str) -> (String, Vec<u8>) {
    let output = compile(policy);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{policy}: {said}");
    let end = output
        .stdout
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .unwrap();
    let lines = String::from_utf8(output.stdout[..=end].to_vec()).unwrap();
    (lines, output.stdout[end + 2..].to_vec())
}

fn refusal(policy: &str) -> String {
    let output = compile(policy);
    assert_eq!(output.status.code(), Some(1), "{policy}");
    assert!(output.stdout.is_empty() || !output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_policy_becomes_a_program_and_names_its_library() {
    let (lines, program) = answer("2\ndenylist\nmount errno 1\n");
    let library = lines.strip_prefix("library ").unwrap().trim();
    assert!(std::path::Path::new(library).is_file(), "{library}");
    assert!(!program.is_empty() && program.len() % 8 == 0);
    assert_eq!(answer("2\ndenylist\nmount errno 1\n").1, program);
    assert_ne!(answer("2\ndenylist\nmount errno 2\n").1, program);
}

#[test]
fn each_action_each_comparison_and_each_section_are_taken() {
    for action in ["kill", "trap", "errno 0", "errno 4094", "log", "notify"] {
        answer(&format!("2\ndenylist\nmount {action}\n"));
        answer(&format!("2\nallowlist {action}\nmount allow\n"));
    }
    for op in ["!=", "<", "<=", "==", ">=", ">"] {
        answer(&format!("2\ndenylist\nmount kill [1,0xffffffff0,{op}]\n"));
    }
    answer("2\ndenylist\nclone [0,0x10000000,&=,0x10000000] [1,0,==]\n");
    answer("2\ndenylist\nsocket errno 1 [0,16,==]\n[X86]\nsocketcall\nstat64\n[arm]\nstat64\n");
    answer("1\nallowlist\n0\n1\n60\n");
}

#[test]
fn unknown_names_are_told_and_passed_over() {
    let (lines, program) = answer("2\ndenylist\nfrobnicate\nmount\nzap trap\nzap kill\n");
    assert!(
        lines.ends_with("unknown frobnicate\nunknown zap\n"),
        "{lines}"
    );
    assert_eq!(program, answer("2\ndenylist\nmount\n").1);
}

#[test]
fn of_equal_rules_the_strictest_counts_and_a_foreign_section_does_not() {
    let strict = answer("2\ndenylist\nmount kill\n").1;
    assert_eq!(
        answer("2\ndenylist\nmount errno 1\nmount kill\nmount trap\n").1,
        strict
    );
    let foreign = if cfg!(target_arch = "s390x") {
        "x86"
    } else {
        "s390"
    };
    let policy = format!("2\ndenylist\nmount kill\n[{foreign}]\numount2 kill\n");
    assert_eq!(answer(&policy).1, strict);
    // What the policy does anyway adds nothing.
    assert_eq!(answer("2\ndenylist\nmount kill\nread allow\n").1, strict);
}

#[test]
fn what_a_filter_cannot_do_is_refused() {
    let said = refusal("2\ndenylist\nclone errno 1\nclone allow [0,17,==]\n");
    assert!(
        said.contains("policy:4: ") && said.contains("line 3"),
        "{said}"
    );
    let said = refusal("2\ndenylist\nmount deny\n");
    assert!(said.contains("policy:3: expected an action"), "{said}");
    assert!(refusal(&"#".repeat((1 << 20) + 1)).contains("larger than 1 MiB"));
    assert!(refusal("").contains("policy:2"));
}
