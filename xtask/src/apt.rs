//! Debian packages: what this machine lacks, and where it gets its own from.

use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The Debian release that this needs to run on: its apt sources are where packages come from.
pub const SUITE: &str = "bookworm";

/// The release that is being made.
pub const TESTING: &str = "forky";

/// What makes and boots the test host.
pub const IMAGE_PACKAGES: &[&str] = &[
    "user-mode-linux",
    "mmdebstrap",
    // How mmdebstrap knows that packages are Debian's.
    "debian-archive-keyring",
    "gpg",
    "e2fsprogs",
    "openssh-client",
    "iproute2",
    "util-linux",
    "mount",
];

/// Those of `packages` that are not installed.
pub fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output()
        .context("cannot run dpkg-query: this needs Debian or a system made from it")?;
    let known = String::from_utf8_lossy(&output.stdout);
    let installed = |name: &str| {
        known
            .lines()
            .any(|line| line == format!("{name} installed"))
    };
    Ok(packages
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect())
}

/// Installs those of `packages` that are missing, naming them.
pub fn install(progress: &Progress, packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    progress.say(&format!("Debian packages needed on this machine: {names}"));
    let root = is_root()?;
    if !root && !Path::new("/usr/bin/sudo").exists() {
        bail!("install them as root: apt-get install {names}");
    }
    let apt = || {
        let mut apt = Command::new(if root { "env" } else { "sudo" });
        apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        apt
    };
    progress.run("apt-get update", apt().arg("update"))?;
    progress.run(
        "apt-get install",
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&missing),
    )
}

/// Whether this program runs as root.
pub fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let me = fs::metadata("/proc/self").context("cannot read /proc/self")?;
    Ok(me.uid() == 0)
}

/// The lines of this machine's apt sources that are Debian's own, for `suite`: those for
/// [`SUITE`], whose mirrors have the other releases too.
pub fn debian_sources(suite: &str) -> Result<String> {
    let dir = Path::new("/etc/apt/sources.list.d");
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(entries) = fs::read_dir(dir) {
        let mut more: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        more.sort();
        files.extend(more);
    }
    let mut lines = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => lines.extend(one_line_style(&text)),
            Some("sources") => lines.extend(deb822_style(&text)),
            _ => {}
        }
    }
    if !lines.iter().any(|line| suite_of(line) == SUITE) {
        bail!(
            "apt on this machine knows no source for Debian {SUITE}: add one to {}",
            dir.display()
        );
    }
    let lines: Vec<_> = lines.iter().map(|line| for_suite(line, suite)).collect();
    Ok(lines.join("\n") + "\n")
}

/// The same source of another release.
fn for_suite(line: &str, suite: &str) -> String {
    let words = line.split(' ').map(|word| match word.strip_prefix(SUITE) {
        Some(part @ ("" | "-updates" | "-security")) => format!("{suite}{part}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The machine's own settings for fetching packages (proxies, snapshots past their date).
pub fn fetch_options() -> Result<Vec<String>> {
    let output = Command::new("apt-config")
        .arg("dump")
        .output()
        .context("cannot run apt-config")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter(|line| is_fetch_option(line))
        .map(str::to_owned)
        .collect())
}

fn is_fetch_option(line: &str) -> bool {
    line.starts_with("Acquire::Check-")
        || (line.starts_with("Acquire::http") && line.to_ascii_lowercase().contains("proxy"))
}

/// Whether a source is Debian's own: third parties use suites of other names or have no `main`.
fn is_debian(suite: &str, components: &[&str]) -> bool {
    let ours = [
        SUITE.to_owned(),
        format!("{SUITE}-updates"),
        format!("{SUITE}-security"),
    ];
    ours.iter().any(|name| suite == name) && components.contains(&"main")
}

fn suite_of(line: &str) -> &str {
    let rest = line.strip_prefix("deb ").unwrap_or(line);
    let rest = if rest.starts_with('[') {
        rest.split_once("] ").map_or(rest, |(_, rest)| rest)
    } else {
        rest
    };
    rest.split_whitespace().nth(1).unwrap_or("")
}

fn one_line_style(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim())
    {
        let Some(rest) = line.strip_prefix("deb ") else {
            continue;
        };
        let rest = rest.trim_start();
        let plain = match rest.strip_prefix('[') {
            Some(options) => options
                .split_once(']')
                .map_or("", |(_, rest)| rest)
                .trim_start(),
            None => rest,
        };
        let words: Vec<_> = plain.split_whitespace().collect();
        if let [uri, suite, components @ ..] = &words[..]
            && !uri.starts_with("cdrom:")
            && is_debian(suite, components)
        {
            found.push(line.to_owned());
        }
    }
    found
}

/// sources.list(5), deb822 style, turned into lines.
fn deb822_style(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for stanza in stanzas(text) {
        let field = |name: &str| {
            let field = stanza
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            field.map_or("", |(_, value)| value.as_str())
        };
        let off = field("Enabled").eq_ignore_ascii_case("no");
        if off || !field("Types").split_whitespace().any(|kind| kind == "deb") {
            continue;
        }
        let components: Vec<_> = field("Components").split_whitespace().collect();
        let signed = field("Signed-By");
        // A key within the file has no one-line form; apt's own keyring knows Debian's.
        let signed = if signed.starts_with('/') {
            format!("[signed-by={signed}] ")
        } else {
            String::new()
        };
        for uri in field("URIs").split_whitespace() {
            for suite in field("Suites")
                .split_whitespace()
                .filter(|s| is_debian(s, &components))
            {
                found.push(format!(
                    "deb {signed}{uri} {suite} {}",
                    components.join(" ")
                ));
            }
        }
    }
    found
}

fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stanzas = vec![Vec::<(String, String)>::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let last = stanzas.len() - 1;
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanzas[last].last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            stanzas[last].push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    stanzas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debians_own_lines() {
        let list = "# comment\n\
            deb http://mirror.test/debian bookworm main contrib # why\n\
            deb-src http://mirror.test/debian bookworm main\n\
            deb [signed-by=/k.gpg arch=amd64] http://mirror.test/debian bookworm-updates main\n\
            deb cdrom:[Debian]/ bookworm main\n\
            deb https://docker.test/linux/debian bookworm stable\n\
            deb http://pg.test/apt bookworm-pgdg main\n";
        assert_eq!(
            one_line_style(list),
            [
                "deb http://mirror.test/debian bookworm main contrib",
                "deb [signed-by=/k.gpg arch=amd64] http://mirror.test/debian bookworm-updates main",
            ]
        );
    }

    #[test]
    fn deb822_becomes_lines() {
        let text = "Types: deb deb-src\n# why\nURIs: http://mirror.test/debian\n\
            Suites: bookworm\n bookworm-updates other\nComponents: main contrib\n\
            Signed-By: /usr/share/keyrings/k.gpg\n\n\
            Types: deb\nURIs: http://x.test\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
            Types: deb-src\nURIs: http://x.test\nSuites: bookworm\nComponents: main\n\n\
            Types: deb\nURIs: https://node.test\nSuites: nodistro\nComponents: main\n";
        let signed = "[signed-by=/usr/share/keyrings/k.gpg]";
        assert_eq!(
            deb822_style(text),
            [
                format!("deb {signed} http://mirror.test/debian bookworm main contrib"),
                format!("deb {signed} http://mirror.test/debian bookworm-updates main contrib"),
            ]
        );
        assert_eq!(suite_of(&deb822_style(text)[1]), "bookworm-updates");
    }

    #[test]
    fn the_next_release_comes_from_the_same_mirrors() {
        assert_eq!(
            for_suite(
                "deb [signed-by=/bookworm] http://m.test/bookworm bookworm-security main",
                "trixie"
            ),
            "deb [signed-by=/bookworm] http://m.test/bookworm trixie-security main"
        );
        assert_eq!(
            for_suite("deb http://m.test bookworm main", "trixie"),
            "deb http://m.test trixie main"
        );
    }

    #[test]
    fn a_missing_package_is_named() {
        let missing = missing(&["dpkg", "no-such-package-at-all"]).unwrap();
        assert_eq!(missing, ["no-such-package-at-all"]);
    }
}
