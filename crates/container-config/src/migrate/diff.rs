//! What a migration changes, as diff -u shows it.

use super::rewrite::Rewritten;
use std::fmt::Write;
use std::path::Path;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines are changed one by one, so that nothing has to be searched for.
pub(super) fn unified(path: &Path, lines: &[Rewritten]) -> String {
    let mut out = String::new();
    for hunk in hunks(lines) {
        if out.is_empty() {
            let _ = write!(out, "--- {0}\n+++ {0}\n", path.display());
        }
        let (start, count) = (hunk.start + 1, hunk.len());
        // diff leaves a count of one out.
        let range = match count {
            1 => start.to_string(),
            _ => format!("{start},{count}"),
        };
        let _ = writeln!(out, "@@ -{range} +{range} @@");
        write_hunk(&mut out, &lines[hunk]);
    }
    out
}

/// Neighbouring changes stand together, old lines first.
fn write_hunk(out: &mut String, lines: &[Rewritten]) {
    for run in lines.chunk_by(|a, b| a.changes() == b.changes()) {
        match run[0].changes() {
            false => run.iter().for_each(|line| push(out, ' ', &line.old)),
            true => {
                run.iter().for_each(|line| push(out, '-', &line.old));
                run.iter().for_each(|line| push(out, '+', line.after()));
            }
        }
    }
}

fn push(out: &mut String, mark: char, line: &str) {
    out.push(mark);
    out.push_str(line);
    if !line.ends_with('\n') {
        out.push_str("\n\\ No newline at end of file\n");
    }
}

/// The ranges of lines to show.
fn hunks(lines: &[Rewritten]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, _) in lines.iter().enumerate().filter(|(_, line)| line.changes()) {
        let range = i.saturating_sub(CONTEXT)..(i + 1 + CONTEXT).min(lines.len());
        match hunks.last_mut() {
            Some(last) if range.start <= last.end => last.end = range.end,
            _ => hunks.push(range),
        }
    }
    hunks
}
