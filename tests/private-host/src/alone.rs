//! Tests in processes of their own.

use std::cell::Cell;
use std::process::Command;

/// Runs the calling test again in a process of its own and tells that it did so; `false` in that
/// process. A fork of the test runner inherits locks that threads of other tests hold at that
/// moment, for ever; where there is one test, nobody holds any. A test with several hosts has made
/// all of them then.
pub fn ran_alone() -> bool {
    const MARK: &str = "BERTH_TEST_RUNS_ALONE";
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if std::env::var_os(MARK).is_some() {
        return false;
    }
    if DONE.replace(true) {
        return true;
    }
    let thread = std::thread::current();
    let test = thread
        .name()
        .expect("the test runner names threads by their tests");
    let arguments = ["--exact", test, "--test-threads=1", "--nocapture"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(arguments).env(MARK, "1").output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    true
}
