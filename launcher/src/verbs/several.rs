//! One verb for several containers: at the same time, each with its own message.

use std::collections::BTreeSet;
use std::io::Write;

use berth::error::{Error, Result};
use berth::printable::printable;
use berth_common::{ContainerName, exit};
use berth_kernel::process::{self, Child, Exit};

/// More at once would only wait for each other.
const AT_ONCE: usize = 16;

/// Runs `verb` for each name, in a process each if they are several; the highest exit code. A name
/// that is given twice counts once.
pub fn each(names: &[ContainerName], verb: impl Fn(&ContainerName) -> Result<u8>) -> Result<u8> {
    if let [name] = names {
        return verb(name);
    }
    let names: BTreeSet<&ContainerName> = names.iter().collect();
    let mut worst = exit::OK;
    let mut running: Vec<Child> = Vec::new();
    for name in names {
        if running.len() == AT_ONCE {
            worst = worst.max(wait(running.remove(0)));
        }
        let child = process::fork(|| match verb(name) {
            Ok(code) => code,
            Err(error) => {
                let text = format!("berth: {name}: {error}");
                let _ = writeln!(std::io::stderr(), "{}", printable(&text));
                error.exit_code()
            }
        });
        match child {
            Ok(child) => running.push(child),
            Err(error) => {
                for child in running {
                    wait(child);
                }
                return Err(Error::os(format!("start a process for {name}"), error));
            }
        }
    }
    for child in running {
        worst = worst.max(wait(child));
    }
    Ok(worst)
}

fn wait(child: Child) -> u8 {
    child.pidfd.wait().map_or(exit::FAILED, Exit::shell_code)
}
