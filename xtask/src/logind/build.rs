//! As much of systemd as logind needs, built as Debian's package builds it where a login can notice.

use super::Target;
use super::source::Tree;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What one version of systemd asks for in its own way.
#[derive(Debug)]
pub struct Dialect {
    /// How an option that depends on a library is switched.
    switch: [&'static str; 2],
    /// More to be switched off.
    off: &'static [&'static str],
    /// Other options.
    options: &'static [&'static str],
    /// The shared library that all of its programs link.
    library: &'static str,
}

pub static OF_252: Dialect = Dialect {
    switch: ["false", "true"],
    off: &["gnu-efi", "libidn", "libiptc"],
    options: &["split-usr=true", "default-hierarchy=unified"],
    library: "libsystemd-shared-252.so",
};

pub static OF_257: Dialect = Dialect {
    switch: ["disabled", "enabled"],
    off: &[
        "bootloader",
        "libarchive",
        "libidn",
        "libiptc",
        "passwdqc",
        "ukify",
        "vmspawn",
        "xenctrl",
    ],
    options: &["tty-mode=0600", "utmp=false"],
    library: "libsystemd-shared-257.so",
};

pub static OF_262: Dialect = Dialect {
    switch: ["disabled", "enabled"],
    off: &[
        "bootloader",
        "imds",
        "libarchive",
        "passwdqc",
        "ukify",
        "vmspawn",
        "xenctrl",
    ],
    options: &["tty-mode=0600", "utmp=false"],
    library: "libsystemd-shared-262.so",
};

/// The same for all versions.
const OPTIONS: &[&str] = &[
    "mode=release",
    // No package is made of it: what takes the compiler long is left out.
    "buildtype=plain",
    "optimization=1",
    "tests=false",
    "translations=false",
    "dbuspolicydir=/usr/share/dbus-1/system.d",
    "default-kill-user-processes=false",
    "system-uid-max=999",
    "system-gid-max=999",
    "nobody-group=nogroup",
];
const ON: &[&str] = &["acl", "pam", "polkit"];
/// What neither logind nor the library below it needs for sessions, whether or not the machine has
/// it.
const OFF: &[&str] = &[
    "apparmor",
    "audit",
    "blkid",
    "bpf-framework",
    "bzip2",
    "dbus",
    "elfutils",
    "fdisk",
    "gcrypt",
    "glib",
    "gnutls",
    "homed",
    "importd",
    "kmod",
    "libcryptsetup",
    "libcryptsetup-plugins",
    "libcurl",
    "libfido2",
    "libidn2",
    "lz4",
    "man",
    "microhttpd",
    "nss-mymachines",
    "nss-resolve",
    "openssl",
    "p11kit",
    "pcre2",
    "pwquality",
    "qrencode",
    "remote",
    "repart",
    "seccomp",
    "selinux",
    "sysupdate",
    "tpm2",
    "xkbcommon",
    "xz",
    "zlib",
    "zstd",
];
/// What is built, relative to the build directory, and where it belongs on a host with a merged
/// `/usr`. The library goes where logind, as it is linked in the build directory, looks first: all
/// other programs keep Debian's.
const LOGIND: &str = "systemd-logind";
const UNIT: &str = "units/systemd-logind.service";
const PAM_MODULE: &str = "pam_systemd.so";
/// The module that sets PAM data, in tests/booted.
const DATA_MODULE: &str = "pam_set_delegate.so";

/// Builds logind, its unit and pam_systemd; returns a directory to be laid over `/`.
pub fn build(
    workspace: &Workspace,
    progress: &Progress,
    target: &Target,
    tree: &Tree,
) -> Result<PathBuf> {
    let dir = tree.build();
    if !dir.join("build.ninja").exists() {
        let _ = fs::remove_dir_all(&dir);
        let mut meson = Command::new("meson");
        meson.arg("setup").args(target.dialect.arguments());
        meson.arg(format!("-Dversion-tag={}+delegate", target.source));
        meson.arg(tree.patched()).arg(&dir);
        progress.run("meson setup of systemd", &mut meson)?;
    }
    let mut ninja = Command::new("nice");
    ninja.args(["ninja", "-C"]).arg(&dir);
    ninja.args([LOGIND, UNIT, PAM_MODULE]);
    progress.run("building systemd-logind", &mut ninja)?;

    let root = dir.with_file_name("root");
    let _ = fs::remove_dir_all(&root);
    let security = format!("usr/lib/{}/security", multiarch()?);
    let library = target.dialect.library;
    for (from, to) in [
        (LOGIND.to_owned(), "usr/lib/systemd/systemd-logind".into()),
        (
            format!("src/shared/{library}"),
            format!("usr/lib/systemd/src/shared/{library}"),
        ),
        (
            UNIT.to_owned(),
            "usr/lib/systemd/system/systemd-logind.service".into(),
        ),
        (PAM_MODULE.to_owned(), format!("{security}/{PAM_MODULE}")),
    ] {
        place(&dir.join(from), &root.join(to))?;
    }
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-O1", "-o"]);
    compiler.arg(root.join(&security).join(DATA_MODULE));
    compiler.arg(workspace.root.join("tests/booted/pam/set_delegate.c"));
    // systemd from 258 on loads libpam when it needs it, and modules do not find it there.
    compiler.arg("-lpam");
    progress.run("building a module that sets PAM data", &mut compiler)?;
    Ok(root)
}

impl Dialect {
    fn arguments(&self) -> Vec<String> {
        let [off, on] = self.switch;
        let switched = |names: &[&str], to: &str| -> Vec<_> {
            names.iter().map(|name| format!("-D{name}={to}")).collect()
        };
        let set = |options: &[&str]| -> Vec<_> {
            options.iter().map(|option| format!("-D{option}")).collect()
        };
        [
            set(OPTIONS),
            set(self.options),
            switched(ON, on),
            switched(OFF, off),
            switched(self.off, off),
        ]
        .concat()
    }
}

fn place(from: &Path, to: &Path) -> Result<()> {
    let dir = to.parent().context("a place has a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn multiarch() -> Result<String> {
    let output = Command::new("dpkg-architecture")
        .arg("-qDEB_HOST_MULTIARCH")
        .output()
        .context("cannot run dpkg-architecture")?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || name.is_empty() {
        bail!("dpkg-architecture does not tell the architecture");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_set_once() {
        for dialect in [&OF_252, &OF_257, &OF_262] {
            let mut names: Vec<_> = dialect
                .arguments()
                .iter()
                .map(|argument| argument.split('=').next().unwrap().to_owned())
                .collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
