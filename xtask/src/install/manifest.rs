//! `packaging/manifest.toml`, read and checked.

use super::init::Init;
use anyhow::{Context, Result, bail};
use berth_common::path;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Built by cargo.
    pub program: Vec<Program>,
    /// Taken from the repository.
    pub file: Vec<Source>,
    /// Made when not there.
    pub directory: Vec<Directory>,
    /// What a host has to do afterwards.
    pub activate: Vec<Activate>,
    /// Other packages' programs that ours can stand in for.
    #[serde(default)]
    pub replace: Vec<Replace>,
}

/// A program of another package that one of ours can stand in for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// What it is called.
    pub name: String,
    /// Where the other package has it.
    pub path: String,
    /// Ours.
    pub with: String,
}

/// A program or library that cargo builds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Cargo package.
    pub package: String,
    /// Name in the build directory.
    pub file: String,
    /// Where it is installed.
    pub to: String,
    /// Mode and owner.
    #[serde(flatten)]
    pub access: Access,
}

/// A text file of the repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Path in the repository; the last part may have one `*`.
    pub from: String,
    /// Where it is installed; ending in a slash, a directory.
    pub to: String,
    /// Whether the administrator may change it.
    #[serde(default)]
    pub config: bool,
    /// The first systemd that bears it.
    pub systemd: Option<u32>,
    /// The init system that it is for, if for one.
    pub init: Option<Init>,
    /// Mode and owner.
    #[serde(flatten)]
    pub access: Access,
}

/// A directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where it is made.
    pub to: String,
    /// Mode and owner.
    #[serde(flatten)]
    pub access: Access,
}

/// A command for the host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// As typed.
    pub command: String,
    /// What it is good for.
    pub why: String,
    /// Whether it makes sense in a tree that is not running.
    #[serde(default)]
    pub image: bool,
    /// Whether it is left alone after an upgrade: what an administrator has decided otherwise
    /// stays decided, and what runs goes on running.
    #[serde(default)]
    pub once: bool,
    /// Only for hosts that have this program: `systemctl` where systemd is the init.
    pub needs: Option<String>,
    /// Only for hosts with this init system.
    pub init: Option<Init>,
}

impl Activate {
    /// Whether the host in `tree` has what it needs.
    pub fn fits(&self, tree: &Path) -> bool {
        let dirs = ["usr/bin", "usr/sbin", "bin", "sbin"];
        self.needs
            .as_ref()
            .is_none_or(|program| dirs.iter().any(|dir| tree.join(dir).join(program).exists()))
    }
}

/// Mode and owner.
#[derive(Clone, Debug, Deserialize)]
pub struct Access {
    /// Octal.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// `user:group`.
    #[serde(default = "default_owner")]
    pub owner: String,
}

fn default_mode() -> String {
    "0644".into()
}

fn default_owner() -> String {
    "root:root".into()
}

impl Access {
    /// The mode's bits.
    pub fn bits(&self) -> Result<u32> {
        let bits = u32::from_str_radix(&self.mode, 8)
            .ok()
            .filter(|bits| *bits <= 0o7777);
        bits.with_context(|| format!("mode “{}” is no octal mode like 0755", self.mode))
    }

    /// User and group ids; files of Berth belong to root, on every system the same ids.
    pub fn ids(&self) -> Result<(u32, u32)> {
        match &*self.owner {
            "root:root" => Ok((0, 0)),
            other => bail!("owner “{other}”: only root:root has the same ids on every system"),
        }
    }
}

impl Manifest {
    /// Reads the manifest of the checkout at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("packaging/manifest.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// The replacement of that name, with its words filled in.
    pub fn replacement(&self, name: &str, places: &Places) -> Result<Replace> {
        let mut found = self.replace.iter().filter(|replace| replace.name == name);
        let replace = found.next().with_context(|| {
            format!("packaging/manifest.toml: no [[replace]] is named “{name}”")
        })?;
        Ok(Replace {
            name: replace.name.clone(),
            path: places.fill(&replace.path)?,
            with: places.fill(&replace.with)?,
        })
    }
}

/// What the words between `@` mean.
#[derive(Clone, Debug)]
pub struct Places {
    prefix: String,
    security_dir: String,
}

impl Places {
    /// For an installation below `prefix`.
    pub fn new(prefix: &str, security_dir: Option<&str>) -> Result<Self> {
        check_absolute("--prefix", prefix)?;
        if let Some(dir) = security_dir {
            check_absolute("--security-dir", dir)?;
        }
        // Debian's PAM looks in its own directory, whatever prefix others use.
        let multiarch = format!("/usr/lib/{}-linux-gnu/security", std::env::consts::ARCH);
        Ok(Self {
            prefix: prefix.to_owned(),
            security_dir: security_dir.map_or(multiarch, str::to_owned),
        })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn word(&self, word: &str) -> Option<String> {
        let below = |path: &str| {
            path.strip_prefix(path::PREFIX)
                .map(|rest| self.prefix.clone() + rest)
        };
        match word {
            "PREFIX" => Some(self.prefix.clone()),
            "BINDIR" => below(path::BERTH.strip_suffix("/berth")?),
            "LIBEXECDIR" => below(path::LIBEXEC_DIR),
            "SHAREDIR" => below(path::SHARE_DIR),
            "SECURITYDIR" => Some(self.security_dir.clone()),
            _ => None,
        }
    }

    /// Fills the words into `text`. What looks like a word but is none is an error: `@` between
    /// other things, as in `user@.service`, is left alone.
    pub fn fill(&self, text: &str) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let word = from[1..].split('@').next().unwrap_or("");
            let closed = from[1..].len() > word.len();
            if closed && word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase()) {
                let meaning = self
                    .word(word)
                    .with_context(|| format!("unknown word @{word}@"))?;
                out.push_str(&meaning);
                rest = &from[word.len() + 2..];
            } else {
                out.push('@');
                rest = &from[1..];
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn check_absolute(what: &str, path: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+".contains(&b);
    let parts = || path.split('/').skip(1);
    if !path.starts_with('/') || parts().any(|part| matches!(part, "" | "." | "..")) {
        bail!("{what} {path}: an absolute path without `..` and a slash at its end is needed");
    }
    if !path.bytes().all(plain) {
        bail!("{what} {path}: letters, digits and . _ - + only, since units name it unquoted");
    }
    Ok(())
}

/// The files that `from` names, in order.
pub fn matches(root: &Path, from: &str) -> Result<Vec<PathBuf>> {
    let missing = || format!("packaging/manifest.toml: {from}: no such file in the repository");
    let path = root.join(from);
    let (Some(dir), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        bail!(missing());
    };
    let Some((start, end)) = name.split_once('*') else {
        if !path.is_file() {
            bail!(missing());
        }
        return Ok(vec![path]);
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(missing)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let long_enough = name.len() >= start.len() + end.len();
        if long_enough && name.starts_with(start) && name.ends_with(end) && entry.path().is_file() {
            found.push(entry.path());
        }
    }
    if found.is_empty() {
        bail!(missing());
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in() {
        let places = Places::new("/opt/berth", None).unwrap();
        let text = "ExecStart=@LIBEXECDIR@/x %i user@%i.service a@b @PREFIX@@BINDIR@";
        assert_eq!(
            places.fill(text).unwrap(),
            "ExecStart=/opt/berth/libexec/berth/x %i user@%i.service a@b /opt/berth/opt/berth/bin"
        );
        assert!(
            places
                .fill("@NOSUCH@")
                .unwrap_err()
                .to_string()
                .contains("@NOSUCH@")
        );
        assert_eq!(places.fill("@").unwrap(), "@");
        assert_eq!(places.fill("user@.service").unwrap(), "user@.service");
    }

    #[test]
    fn places_agree_with_what_is_compiled_in() {
        let places = Places::new(path::PREFIX, None).unwrap();
        let manifest = Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        let filled: Vec<_> = manifest
            .program
            .iter()
            .map(|program| places.fill(&program.to).unwrap())
            .collect();
        for path in [path::BERTH, path::USERNIC, path::SESSION_HELPER, path::NET] {
            assert!(
                filled.iter().any(|to| to == path),
                "{path} is not installed"
            );
        }
        let snippets = format!("{}/", path::CONFIG_SNIPPET_DIR);
        assert!(
            manifest
                .file
                .iter()
                .any(|file| places.fill(&file.to).unwrap() == snippets)
        );
        let etc = format!("{}/", path::ETC_DIR);
        assert!(
            manifest
                .file
                .iter()
                .any(|file| file.to == etc && file.config)
        );
    }

    #[test]
    fn only_the_nic_helper_is_setuid() {
        let manifest = Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        for program in &manifest.program {
            let bits = program.access.bits().unwrap();
            let expected = program.file == "berth-usernic";
            assert_eq!(bits & 0o7000 != 0, expected, "{}", program.file);
            assert_eq!(bits & 0o022, 0, "{} is writable by others", program.file);
        }
    }

    #[test]
    fn a_prefix_is_an_absolute_path() {
        for bad in ["usr", "", "/usr/", "/", "/a/../b", "/a b", "/a\n"] {
            assert!(Places::new(bad, None).is_err(), "{bad:?}");
        }
        assert!(Places::new("/usr/local", None).is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let entry = |more: &str| {
            let text = format!(
                "program = []\nfile = []\nactivate = []\n[[directory]]\nto = '/x'\n{more}\n"
            );
            toml::from_str::<Manifest>(&text)
                .map(|manifest| manifest.directory[0].access.mode.clone())
        };
        assert_eq!(entry("mode = '0700'").unwrap(), "0700");
        assert_eq!(entry("").unwrap(), "0644");
        assert!(entry("moed = '0700'").is_err());
    }

    #[test]
    fn what_an_older_systemd_does_not_bear_says_so() {
        let manifest = Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        let first = berth_common::unit::FIRST_SYSTEMD_WITH_SCOPE_DROPINS;
        for file in &manifest.file {
            let is_scope = file.to.contains(".scope.d/");
            assert_eq!(file.systemd, is_scope.then_some(first), "{}", file.from);
        }
        assert!(manifest.file.iter().any(|file| file.systemd.is_some()));
    }

    #[test]
    fn what_systemd_has_to_do_is_for_hosts_with_systemd() {
        let manifest = Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        for activate in &manifest.activate {
            let program = activate.command.split(' ').next().unwrap_or("");
            let systemds = program.starts_with("system") || program == "busctl";
            let expected = systemds.then_some(program);
            assert_eq!(activate.needs.as_deref(), expected, "{}", activate.command);
            let empty = Path::new("/proc/self/task");
            assert_eq!(activate.fits(empty), expected.is_none());
        }
    }

    #[test]
    fn a_missing_source_names_its_entry() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for from in ["no/such.file", "src/*.nothing", "nowhere/*"] {
            let error = matches(root, from).unwrap_err().to_string();
            assert!(error.contains(from), "{error}");
        }
        assert!(matches(root, "src/*.rs").unwrap().len() > 3);
        assert!(
            Access {
                mode: "9".into(),
                owner: default_owner()
            }
            .bits()
            .is_err()
        );
        assert!(
            Access {
                mode: "17777".into(),
                owner: default_owner()
            }
            .bits()
            .is_err()
        );
    }
}
