//! `cargo xtask install`: builds Berth and puts it where `packaging/manifest.toml` says.

mod init;
mod manifest;
mod plan;
mod replace;
mod systemd;

use crate::apt;
use crate::image::Content;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use init::Init;
use manifest::{Activate, Manifest, Places};
use plan::{Item, Kind, Plan};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian packages without which Berth cannot be built.
pub const BUILD_PACKAGES: &[&str] = &["gcc", "libc6-dev", "libpam0g-dev", "libseccomp-dev"];

/// What to install, and where.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The root of the tree to install into
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub destdir: PathBuf,
    /// Where programs and data go; the programs are built for it
    #[arg(long, default_value = "/usr")]
    pub prefix: String,
    /// Cargo's build profile
    #[arg(long, default_value = "release")]
    pub profile: String,
    /// Where PAM looks for modules
    #[arg(long, value_name = "DIR")]
    pub security_dir: Option<String>,
    /// The init system to install for, where what is there does not tell
    #[arg(long, value_name = "NAME")]
    pub init: Option<Init>,
    /// Serve LXC's own containers too: stand in for its lxc-user-nic, which is kept beside it
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub lxc_user_nic: Option<Option<String>>,
}

/// Builds and installs.
pub fn install(workspace: &Workspace, progress: &Progress, options: &Options) -> Result<()> {
    let (manifest, places) = prepare(workspace, options)?;
    build(workspace, progress, &manifest, &places, &options.profile)?;
    let init = options.init.or_else(|| Init::of(&options.destdir));
    let plan = Plan::new(workspace, &manifest, &places, &options.profile)?.settle(init);
    let systemd = systemd::version_in(&options.destdir);
    print!("{}", write(&plan, &options.destdir, systemd)?);
    if let Some(elsewhere) = &options.lxc_user_nic {
        let mut wanted = manifest.replacement("lxc-user-nic", &places)?;
        if let Some(path) = elsewhere {
            wanted.path.clone_from(path);
        }
        println!("{}", replace::replace(&wanted, &options.destdir)?);
    }
    let here = fs::canonicalize(&options.destdir)? == Path::new("/");
    match here {
        true => println!("\nTo make this host use it, as root:"),
        false => println!("\nOn a host that has these files, to make it use them, as root:"),
    }
    let (fit, other): (Vec<_>, Vec<_>) = plan
        .activate
        .iter()
        .partition(|activate| activate.fits(&options.destdir));
    for activate in fit {
        println!("  {:<45}# {}", activate.command, activate.why);
    }
    if !other.is_empty() {
        println!("\nLeft out, without systemd there; its own init has to see to the same:");
        for activate in other {
            println!("  {:<45}# {}", activate.command, activate.why);
        }
    }
    Ok(())
}

/// Builds what the test host's image gets, and says how it is put there.
pub fn image_content(workspace: &Workspace, progress: &Progress) -> Result<Content> {
    let options = image_options(Path::new("/"));
    let (manifest, places) = prepare(workspace, &options)?;
    build(workspace, progress, &manifest, &places, &options.profile)?;
    built_image_content(workspace)
}

/// The same when it is built already.
pub fn built_image_content(workspace: &Workspace) -> Result<Content> {
    let options = image_options(Path::new("/"));
    let (manifest, places) = prepare(workspace, &options)?;
    let plan = Plan::new(workspace, &manifest, &places, &options.profile)?;
    let me = std::env::current_exe().context("cannot find this program's path")?;
    let install = vec![me.display().to_string(), "install-in-image".to_owned()];
    Ok(Content {
        hash: plan.hash(),
        install,
    })
}

/// What a Debian package consists of.
pub struct PackageContent {
    plan: Plan,
    lxc_user_nic: manifest::Replace,
}

impl PackageContent {
    /// Builds it.
    pub fn build(workspace: &Workspace, progress: &Progress) -> Result<Self> {
        let options = image_options(Path::new("/"));
        let (manifest, places) = prepare(workspace, &options)?;
        build(workspace, progress, &manifest, &places, &options.profile)?;
        Ok(Self {
            plan: Plan::new(workspace, &manifest, &places, &options.profile)?
                .shelve(&places.fill("@SHAREDIR@")?),
            lxc_user_nic: manifest.replacement("lxc-user-nic", &places)?,
        })
    }

    /// Writes the files below `tree`, setuid bits too: dpkg-deb makes everything root's.
    pub fn write(&self, tree: &Path) -> Result<()> {
        // The package itself refuses to go where systemd is too old.
        write(&self.plan, tree, None)?;
        for item in &self.plan.items {
            set_mode(&tree.join(item.to.trim_start_matches('/')), item.mode)?;
        }
        Ok(())
    }

    /// LXC's helper: its place, and what stands in for it.
    pub fn lxc_user_nic(&self) -> (&str, &str) {
        (&self.lxc_user_nic.path, &self.lxc_user_nic.with)
    }

    /// Files that the administrator may change, a line each.
    pub fn configurations(&self) -> Vec<String> {
        let is_config = |item: &&Item| matches!(item.kind, Kind::File { config: true, .. });
        let configurations = self.plan.items.iter().filter(is_config);
        configurations
            .map(|item| format!("{}\n", item.to))
            .collect()
    }

    /// Lines of a shell script: what a host has to do after the first installation only, or
    /// after each.
    pub fn commands(&self, first: bool, indent: &str) -> String {
        let commands = self.plan.activate.iter().filter(|it| it.once == first);
        let lines: Vec<_> = commands
            .map(|it| match &it.needs {
                Some(program) => format!(
                    "{indent}! command -v {program} >/dev/null || try {}",
                    it.command
                ),
                None => format!("{indent}try {}", it.command),
            })
            .collect();
        lines.join("\n")
    }
}

/// Installs what [`image_content`] has built into the tree of an image, and does there what a
/// package's postinst would.
pub fn install_in_image(workspace: &Workspace, tree: &Path) -> Result<()> {
    let options = image_options(tree);
    let (manifest, places) = prepare(workspace, &options)?;
    let plan = Plan::new(workspace, &manifest, &places, &options.profile)?.settle(Init::of(tree));
    print!("{}", write(&plan, tree, systemd::version_in(tree))?);
    let fits = |activate: &&Activate| activate.image && activate.fits(tree);
    for activate in plan.activate.iter().filter(fits) {
        println!("{}", activate.command);
        let status = Command::new("chroot")
            .arg(tree)
            .args(["sh", "-c", &activate.command])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .context("cannot run chroot")?;
        if !status.success() {
            bail!("in the image, `{}`: {status}", activate.command);
        }
    }
    Ok(())
}

fn image_options(tree: &Path) -> Options {
    Options {
        destdir: tree.to_owned(),
        prefix: "/usr".into(),
        profile: "release".into(),
        security_dir: None,
        init: None,
        lxc_user_nic: None,
    }
}

fn prepare(workspace: &Workspace, options: &Options) -> Result<(Manifest, Places)> {
    let places = Places::new(&options.prefix, options.security_dir.as_deref())?;
    Ok((Manifest::read(&workspace.root)?, places))
}

fn build(
    workspace: &Workspace,
    progress: &Progress,
    manifest: &Manifest,
    places: &Places,
    profile: &str,
) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--locked", "--profile", profile]);
    for program in &manifest.program {
        cargo.args(["--package", &program.package]);
    }
    // The default stays unset, so that nothing is built twice for the same prefix.
    if places.prefix() == "/usr" {
        cargo.env_remove("BERTH_PREFIX");
    } else {
        cargo.env("BERTH_PREFIX", places.prefix());
    }
    progress.run(&format!("building Berth ({profile})"), &mut cargo)
}

/// Writes everything below `destdir`, where systemd has this version, and tells what was done.
fn write(plan: &Plan, destdir: &Path, systemd: Option<u32>) -> Result<String> {
    let root = apt::is_root()?;
    let mut report = String::new();
    let mut unset = Vec::new();
    let mut refused = String::new();
    for item in &plan.items {
        let path = destdir.join(item.to.trim_start_matches('/'));
        if let Some(why) = systemd::refusal(item, systemd) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => {
                    removed.with_context(|| format!("cannot remove {}", path.display()))?;
                    writeln!(report, "removed {}", path.display())?;
                }
            }
            writeln!(refused, "  {}: {why}", path.display())?;
            continue;
        }
        // A setuid bit without its owner would make a program run as somebody it is not meant to.
        let mode = if root { item.mode } else { item.mode & 0o777 };
        let note = match &item.kind {
            Kind::Directory => write_directory(&path, mode)?,
            Kind::File {
                content,
                config: true,
                ..
            } => write_config(&path, content, mode)?,
            Kind::File {
                content,
                config: false,
                ..
            } => {
                write_file(&path, content, mode, root.then_some(item.owner))?;
                ""
            }
        };
        if root {
            let (uid, gid) = item.owner;
            chown(&path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give {} to {uid}:{gid}", path.display()))?;
            // chown(2) takes the setuid bit away.
            set_mode(&path, mode)?;
        } else {
            unset.push(item);
        }
        writeln!(report, "{mode:04o} {}{note}", path.display())?;
    }
    if !refused.is_empty() {
        write!(report, "\nNot installed:\n{refused}")?;
    }
    if systemd.is_none() {
        report.push_str(&systemd::to_be_looked_at(plan, destdir)?);
    }
    if !unset.is_empty() {
        report.push_str(&not_set(&unset, destdir)?);
    }
    Ok(report)
}

/// What only root can set; the modes one by one, since without them a program does not work.
fn not_set(items: &[&Item], destdir: &Path) -> Result<String> {
    let mut text = String::from("\nNot set, for which root is needed:\n");
    let owners: BTreeSet<&str> = items.iter().map(|item| &*item.owner_name).collect();
    for owner in owners {
        let count = items.iter().filter(|item| item.owner_name == owner).count();
        writeln!(
            text,
            "  owner {owner} of these {count} files and directories"
        )?;
    }
    for item in items.iter().filter(|item| item.mode & 0o7000 != 0) {
        let path = destdir.join(item.to.trim_start_matches('/'));
        let (mode, owner) = (item.mode, &item.owner_name);
        writeln!(
            text,
            "  mode {mode:04o} of {}, owned by {owner}",
            path.display()
        )?;
    }
    Ok(text)
}

fn write_directory(path: &Path, mode: u32) -> Result<&'static str> {
    if path.is_dir() {
        return Ok(" (was there)");
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    set_mode(path, mode)?;
    Ok("")
}

/// An administrator's file stays; ours is put beside it when it differs.
fn write_config(path: &Path, content: &[u8], mode: u32) -> Result<&'static str> {
    if !path.exists() {
        write_file(path, content, mode, None)?;
        return Ok("");
    }
    let present = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if present == content {
        return Ok(" (was there)");
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    write_file(Path::new(&beside), content, mode, None)?;
    Ok(" (kept: it was changed on this host; the default is beside it, named .new)")
}

/// Replaces `path` in one step, so that a program that runs keeps its old file and one that
/// starts gets either whole.
fn write_file(path: &Path, content: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        bail!("{} is no file's path", path.display());
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let fresh = dir.join(format!(".{}.berth-new", name.to_string_lossy()));
    drop(fs::remove_file(&fresh));
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(failed)?;
    let mut finish = || -> Result<()> {
        file.write_all(content)?;
        if let Some((uid, gid)) = owner {
            chown(&fresh, Some(uid), Some(gid))?;
        }
        set_mode(&fresh, mode)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        Ok(())
    };
    let result = finish();
    if result.is_err() {
        drop(fs::remove_file(&fresh));
    }
    result.with_context(failed)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set mode {mode:04o} of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::MetadataExt;

    fn file(to: &str, mode: u32, content: &str, config: bool) -> Item {
        let kind = Kind::File {
            content: content.into(),
            config,
            systemd: None,
        };
        Item {
            to: to.into(),
            mode,
            owner: (0, 0),
            owner_name: "root:root".into(),
            init: None,
            kind,
        }
    }

    fn plan(content: &str) -> Plan {
        let items = vec![
            Item {
                to: "/var/lib/x".into(),
                mode: 0o700,
                owner: (0, 0),
                owner_name: "root:root".into(),
                init: None,
                kind: Kind::Directory,
            },
            file("/usr/libexec/x/setuid", 0o4755, content, false),
            file("/usr/share/x/data", 0o644, content, false),
            file("/etc/x.toml", 0o644, content, true),
        ];
        Plan {
            items,
            activate: Vec::new(),
        }
    }

    #[test]
    fn modes_owners_and_what_could_not_be_set() {
        let scratch = Scratch::new("install-modes");
        let report = write(&plan("one"), &scratch.0, None).unwrap();
        let mode = |path: &str| scratch.0.join(path).metadata().unwrap().mode() & 0o7777;
        let root = apt::is_root().unwrap();
        assert_eq!(mode("var/lib/x"), 0o700);
        assert_eq!(mode("usr/share/x/data"), 0o644);
        assert_eq!(
            mode("usr/libexec/x/setuid"),
            if root { 0o4755 } else { 0o755 }
        );
        assert_eq!(report.contains("mode 4755 of"), !root, "{report}");
        let leftovers = fs::read_dir(scratch.0.join("usr/libexec/x"))
            .unwrap()
            .count();
        assert_eq!(leftovers, 1);
    }

    #[test]
    fn an_old_systemd_gets_no_drop_in_for_scopes() {
        const DROPIN: &str = "/usr/lib/systemd/system/session-.scope.d/50-x.conf";
        let mut dropin = file(DROPIN, 0o644, "[Scope]", false);
        if let Kind::File { systemd, .. } = &mut dropin.kind {
            *systemd = Some(252);
        }
        let mut plan = plan("one");
        plan.items.push(dropin);
        let scratch = Scratch::new("install-systemd");
        let installed = scratch.0.join(DROPIN.trim_start_matches('/'));
        let library = |name: &str| {
            let dir = scratch.0.join("usr/lib/x86_64-linux-gnu/systemd");
            drop(fs::remove_dir_all(&dir));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(name), "").unwrap();
            systemd::version_in(&scratch.0)
        };
        // Nobody knows: installed, and said.
        assert_eq!(systemd::version_in(&scratch.0), None);
        let report = write(&plan, &scratch.0, None).unwrap();
        assert!(
            installed.exists() && report.contains("before 252"),
            "{report}"
        );
        for (name, version) in [
            ("libsystemd-shared-252.so", 252),
            ("libsystemd-shared-257.13-1~deb13u1.so", 257),
        ] {
            assert_eq!(library(name), Some(version));
            let report = write(&plan, &scratch.0, Some(version)).unwrap();
            assert!(installed.exists() && !report.contains("252"), "{report}");
        }
        // An old one: not installed, and what is left of another installation is removed.
        let old = library("libsystemd-shared-251.so");
        assert_eq!(old, Some(251));
        for removed in [true, false] {
            let report = write(&plan, &scratch.0, old).unwrap();
            assert!(!installed.exists(), "{report}");
            assert!(
                report.contains("needs systemd 252, and 251 is here"),
                "{report}"
            );
            assert_eq!(report.contains("removed "), removed, "{report}");
            assert!(scratch.0.join("usr/share/x/data").exists());
        }
    }

    #[test]
    fn a_changed_configuration_stays() {
        let scratch = Scratch::new("install-config");
        write(&plan("one"), &scratch.0, None).unwrap();
        let etc = scratch.0.join("etc/x.toml");
        fs::write(&etc, "mine").unwrap();
        let report = write(&plan("two"), &scratch.0, None).unwrap();
        assert!(report.contains("kept"), "{report}");
        assert_eq!(fs::read_to_string(&etc).unwrap(), "mine");
        assert_eq!(
            fs::read_to_string(scratch.0.join("etc/x.toml.new")).unwrap(),
            "two"
        );
        assert_eq!(
            fs::read_to_string(scratch.0.join("usr/share/x/data")).unwrap(),
            "two"
        );
        fs::write(&etc, "two").unwrap();
        assert!(
            write(&plan("two"), &scratch.0, None)
                .unwrap()
                .contains("x.toml (was there)")
        );
    }

    #[test]
    fn plans_are_told_apart() {
        assert_eq!(plan("one").hash(), plan("one").hash());
        assert_ne!(plan("one").hash(), plan("two").hash());
        let mut other = plan("one");
        other.items[1].mode = 0o755;
        assert_ne!(other.hash(), plan("one").hash());
    }
}
