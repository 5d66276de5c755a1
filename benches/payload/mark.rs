//! What is started in every measurement: its first act is to write a byte into the FIFO /mark of
//! its root file system. With the argument `stay` it then waits to be killed.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let marked = File::options()
        .write(true)
        .open("/mark")
        .and_then(|mut mark| mark.write_all(b"."));
    if marked.is_err() {
        return ExitCode::FAILURE;
    }
    if std::env::args().nth(1).as_deref() == Some("stay") {
        loop {
            std::thread::park();
        }
    }
    ExitCode::SUCCESS
}
