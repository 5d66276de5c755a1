//! What a person sees of long work: one line on his terminal, and nothing anywhere else.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::time;

/// Work that is done sooner shows nothing.
const FIRST: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(100);
/// Cells of the bar.
const WIDTH: u64 = 24;

/// Whether a line on standard error can be written over: it is a terminal, and not one that says it
/// can do nothing (`TERM=dumb`), as a log behind a terminal's peer is.
pub fn has_changing_line() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Work on its way.
#[derive(Debug)]
pub struct Progress {
    title: String,
    total: u64,
    done: u64,
    files: u64,
    next: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// Of a work of `total` bytes, shown if standard error is a terminal that can do so.
    pub fn new(title: impl Into<String>, total: u64) -> Self {
        let next = has_changing_line().then(|| Instant::now() + FIRST);
        Self {
            title: title.into(),
            total,
            done: 0,
            files: 0,
            next,
            is_shown: false,
        }
    }

    /// So many bytes more are done.
    pub fn bytes(&mut self, more: u64) {
        self.done = self.done.saturating_add(more);
        self.show();
    }

    /// One file more is done.
    pub fn file(&mut self) {
        self.files += 1;
        self.show();
    }

    fn show(&mut self) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = Some(now + BETWEEN);
        self.is_shown = true;
        // Nobody may be looking any more.
        let _ = write!(std::io::stderr(), "\r{}\x1b[K", self.line());
    }

    fn line(&self) -> String {
        let total = self.total.max(self.done).max(1);
        let cells = self.done.saturating_mul(WIDTH) / total;
        let bar: String = (0..WIDTH)
            .map(|cell| if cell < cells { '#' } else { '.' })
            .collect();
        format!(
            "{} [{bar}] {} of {}, {} files",
            self.title,
            time::bytes(self.done),
            time::bytes(total),
            self.files
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_it_is() {
        let mut progress = Progress::new("copying", 4 << 20);
        progress.bytes(1 << 20);
        progress.file();
        assert_eq!(
            progress.line(),
            "copying [######..................] 1.0 MiB of 4.0 MiB, 1 files"
        );
        // More than was expected, and nothing at all.
        progress.bytes(8 << 20);
        assert!(progress.line().contains("9.0 MiB of 9.0 MiB"));
        assert!(Progress::new("copying", 0).line().contains("0 B of 1 B"));
    }
}
