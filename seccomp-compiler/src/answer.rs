//! What is written for a compiled policy: lines, an empty one, and the program (`struct
//! sock_filter` after `struct sock_filter`) up to the end.
//!
//! ```text
//! library /usr/lib/x86_64-linux-gnu/libseccomp.so.2.5.4    which file its tables are from
//! unknown frobnicate                                      a system call it does not know; any number
//! ```

use std::io::{self, Write};

use crate::compile::Compiled;

/// Writes it to the standard output.
pub fn write(compiled: &Compiled) -> Result<(), String> {
    let mut lines = String::new();
    if let Some(library) = library() {
        lines.push_str(&format!("library {library}\n"));
    }
    for name in &compiled.unknown {
        lines.push_str(&format!("unknown {name}\n"));
    }
    lines.push('\n');
    let mut output = io::stdout();
    let written = output
        .write_all(lines.as_bytes())
        .and_then(|()| output.flush());
    written.map_err(|error| format!("cannot write the program: {error}"))?;
    let exported = compiled.filter.export_bpf(output);
    exported.map_err(|error| format!("libseccomp cannot make a program of it: {error}"))
}

/// The file that libseccomp was loaded from (proc_pid_maps(5)).
fn library() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| {
        let start = line.find('/')?;
        line.get(start..)
    });
    let mut found = paths.filter(|path| path.contains("/libseccomp.so"));
    found.next().map(str::to_owned)
}
