//! What a service's PAM stack does when a session opens (pam.conf(5)).

use std::io::Read;
use std::path::{Path, PathBuf};

/// Where stacks are, the administrator's first.
const DIRS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// Debian keeps modules in a directory of the architecture's; others in these.
const MODULE_DIRS: [&str; 4] = [
    "/usr/lib/security",
    "/usr/lib64/security",
    "/lib/security",
    "/lib64/security",
];
/// libpam follows includes to this depth.
const MAX_DEPTH: usize = 16;
/// A stack has some ten lines; files are read up to this size.
const MAX_LINES: usize = 1000;
const MAX_FILES: usize = 200;
const MAX_FILE: u64 = 64 * 1024;

/// A line of a stack that names a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The module's file name.
    pub module: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The file that holds the line.
    pub file: String,
}

/// The session lines of a service, those of included files in their places.
pub fn session_lines(service: &str) -> Vec<Line> {
    let read = |name: &str| {
        DIRS.iter().find_map(|dir| {
            let mut text = String::new();
            let file = std::fs::File::open(Path::new(dir).join(name)).ok()?;
            file.take(MAX_FILE).read_to_string(&mut text).ok()?;
            Some(text)
        })
    };
    let mut lines = Vec::new();
    collect(service, &read, (MAX_DEPTH, &mut { MAX_FILES }), &mut lines);
    lines
}

/// Where the module is installed.
pub fn module_file(name: &str) -> Option<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu/security", std::env::consts::ARCH);
    MODULE_DIRS
        .iter()
        .map(PathBuf::from)
        .chain([PathBuf::from(multiarch)])
        .map(|dir| dir.join(name))
        .find(|path| path.exists())
}

/// The file of a stack with this name, or where one would be.
pub fn stack_file(service: &str) -> PathBuf {
    Path::new(DIRS[0]).join(service)
}

fn collect(
    name: &str,
    read: &impl Fn(&str) -> Option<String>,
    (depth, files): (usize, &mut usize),
    lines: &mut Vec<Line>,
) {
    // A name is one of files in these directories; libpam takes paths too, which nobody writes.
    if depth == 0 || *files == 0 || name.is_empty() || name.contains('/') || name.starts_with('.') {
        return;
    }
    *files -= 1;
    let text = read(name).unwrap_or_default().replace("\\\n", " ");
    for line in text.lines() {
        if lines.len() >= MAX_LINES {
            return;
        }
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(file) = line.strip_prefix("@include") {
            collect(file.trim(), read, (depth - 1, files), lines);
            continue;
        }
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        if kind.trim_start_matches('-') != "session" {
            continue;
        }
        let rest = rest.trim_start();
        // The control field is a word, or words in brackets.
        let (control, rest) = match rest.strip_prefix('[') {
            Some(inside) => match inside.split_once(']') {
                Some((_, rest)) => ("", rest),
                None => continue,
            },
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        let mut words = rest.split_whitespace();
        let Some(target) = words.next() else {
            continue;
        };
        if matches!(control, "include" | "substack") {
            collect(target, read, (depth - 1, files), lines);
            continue;
        }
        let module = target.rsplit('/').next().unwrap_or(target);
        lines.push(Line {
            module: module.to_owned(),
            arguments: words.map(str::to_owned).collect(),
            file: name.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let read = |name: &str| {
            files
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| (*text).to_owned())
        };
        let mut lines = Vec::new();
        collect("sshd", &read, (MAX_DEPTH, &mut { MAX_FILES }), &mut lines);
        lines
            .iter()
            .map(|line| format!("{} {} {}", line.file, line.module, line.arguments.join(" ")))
            .collect()
    }

    #[test]
    fn includes_brackets_and_comments_as_libpam_has_them() {
        let sshd = "# PAM\n@include common-auth\nauth required pam_deny.so\n\
                    session [success=ok ignore=ignore default=bad] pam_selinux.so close\n\
                    @include common-session\nsession include more\n-session optional \\\n\
                    /lib/security/pam_x.so a b # c\nsession substack no-such\nsession\n\
                    session [broken pam_y.so\n";
        let common =
            "session\trequired\tpam_systemd.so\nsession optional pam_berth.so session=none";
        let more = "session optional pam_z.so\npassword include loop";
        let got = lines(&[("sshd", sshd), ("common-session", common), ("more", more)]);
        assert_eq!(
            got,
            [
                "sshd pam_selinux.so close",
                "common-session pam_systemd.so ",
                "common-session pam_berth.so session=none",
                "more pam_z.so ",
                "sshd pam_x.so a b"
            ]
        );
    }

    #[test]
    fn what_includes_itself_ends() {
        assert!(lines(&[("sshd", "session include sshd\n@include sshd\n")]).is_empty());
        let wide = "session optional pam_a.so\n@include sshd\n@include sshd\n";
        assert_eq!(lines(&[("sshd", wide)]).len(), MAX_FILES);
        assert!(lines(&[("sshd", "@include sshd\n@include sshd\n")]).is_empty());
        assert!(lines(&[("sshd", "@include ../shadow\nsession include /etc/x\n")]).is_empty());
    }
}
