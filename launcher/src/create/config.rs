//! The text of a new container's configuration.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use berth_common::path;
use berth_container_config::line::Line;
use berth_container_config::value::mac_template;
use berth_container_config::{
    DiskLoader, LoadError, Loaded, Loader, MacTemplate, Source, load_text,
};

use super::{CreateOptions, Maps, share};
use crate::default_config::{self, Network};
use crate::error::{Error, Result};
use crate::template::Template;

/// A configuration and what follows from it.
#[derive(Clone, Debug)]
pub struct Composed {
    /// The file's content.
    pub text: String,
    /// The ids of the container; empty only for root's containers.
    pub idmap: Maps,
    /// Sentences for the user.
    pub hints: Vec<String>,
}

/// Composes the configuration: the owner's default.conf, or what he may have; then what is this
/// container's own. The result has been read as a start will read it.
pub fn compose(options: &CreateOptions, template: &Template) -> Result<Composed> {
    refuse_unwritable_path(options)?;
    let mut hints = Vec::new();
    let mut text = header(&options.template);
    let default_conf = default_conf(options);
    match read_default(&default_conf)? {
        Some(defaults) => from_default_conf(options, &default_conf, &defaults, &mut text)?,
        None => from_rights(options, &mut text, &mut hints)?,
    }
    own_lines(options, template, &mut text);
    let mut idmap = ids(&verify(options, &text)?);
    if !options.shares.is_empty() {
        let owner = (options.owner.uid, options.owner.gid);
        push(
            &mut text,
            "\n# Directories of the host's; the owner's own ids are the same inside",
        );
        for line in share::lines(&options.shares, &idmap, owner)? {
            push(&mut text, &line);
        }
        idmap = ids(&verify(options, &text)?);
        if !idmap.is_empty() && !owner.0.is_root() {
            hints.push(format!(
                "what is shared belongs to user {} inside as on the host (berth exec {} --user {}:{} …)",
                owner.0, options.name, owner.0, owner.1
            ));
        }
    }
    Ok(Composed { text, idmap, hints })
}

fn ids(loaded: &Loaded) -> Maps {
    let maps = loaded.config.idmap.iter();
    maps.map(|mapping| mapping.value).collect()
}

fn header(template: &str) -> String {
    format!(
        "# Made by berth create from the template {template}.\n\
         # berth-container.conf(5) tells what can stand here.\n\n"
    )
}

fn default_conf(options: &CreateOptions) -> PathBuf {
    match options.owner.uid.is_root() {
        true => PathBuf::from(path::ROOT_DEFAULT_CONF),
        false => options.owner.home.join(path::USER_DEFAULT_CONF),
    }
}

fn read_default(path: &Path) -> Result<Option<String>> {
    match DiskLoader.read(path) {
        Ok(Source::Text(text)) => Ok(Some(text)),
        Ok(Source::Directory(_)) => Err(Error::other(format!("{} is a directory", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path, error)),
    }
}

/// Copies the lines of a default.conf, as lxc-create does: includes stay includes, and hardware
/// addresses get their random digits, so that they are the same at each start.
fn from_default_conf(
    options: &CreateOptions,
    path: &Path,
    defaults: &str,
    text: &mut String,
) -> Result<()> {
    let loaded = load_text(path, defaults, &DiskLoader).map_err(|error| invalid(&error))?;
    for line in defaults.lines() {
        match Line::parse(line) {
            Line::Assignment { key, value }
                if key.starts_with("lxc.net.") && key.ends_with(".hwaddr") =>
            {
                push(text, &format!("{key} = {}", fixed_mac(value)?));
            }
            _ => push(text, line),
        }
    }
    if loaded.config.idmap.is_empty() && !options.owner.uid.is_root() {
        push(text, "\n# The owner's subordinate ids");
        id_mappings(options, text)?;
    }
    push(text, "");
    Ok(())
}

/// What an owner without a default.conf gets: his ids and a NIC, if he may have them.
fn from_rights(options: &CreateOptions, text: &mut String, hints: &mut Vec<String>) -> Result<()> {
    let snippet = match options.owner.uid.is_root() {
        true => path::ROOT_SNIPPET,
        false => path::USER_SNIPPET,
    };
    push(text, &format!("lxc.include = {snippet}\n"));
    if !options.owner.uid.is_root() {
        push(
            text,
            "# Ids inside, and which of the owner's they are on the host",
        );
        id_mappings(options, text)?;
        push(text, "");
    }
    match default_config::network(&options.owner)? {
        Network::Bridge(bridge) => {
            push(text, "lxc.net.0.type = veth");
            push(text, &format!("lxc.net.0.link = {bridge}"));
            push(text, "lxc.net.0.flags = up");
            push(text, "lxc.net.0.name = eth0");
            push(
                text,
                &format!("lxc.net.0.hwaddr = {}\n", fixed_mac(MacTemplate::DEFAULT)?),
            );
        }
        Network::None { hint } => {
            push(text, "# No network but the container's own lo");
            push(text, "lxc.net.0.type = empty\n");
            hints.push(hint);
        }
    }
    Ok(())
}

fn id_mappings(options: &CreateOptions, text: &mut String) -> Result<()> {
    for mapping in default_config::id_mappings(&options.owner)? {
        push(text, &format!("lxc.idmap = {mapping}"));
    }
    Ok(())
}

/// A hardware address with its open digits filled; as it was if it is no such address, so that
/// the error names the line.
pub(crate) fn fixed_mac(value: &str) -> Result<String> {
    let Ok(template) = mac_template(value) else {
        return Ok(value.to_owned());
    };
    let random =
        berth_kernel::random::bytes::<6>().map_err(|error| Error::os("get random bytes", error))?;
    let bytes = template.fill(random);
    Ok(bytes.map(|byte| format!("{byte:02x}")).join(":"))
}

fn own_lines(options: &CreateOptions, template: &Template, text: &mut String) {
    push(text, &format!("lxc.uts.name = {}", options.name));
    push(
        text,
        &format!("lxc.rootfs.path = dir:{}", rootfs(options).display()),
    );
    let lines = template.config_lines();
    if !lines.is_empty() {
        push(text, "");
        text.push_str(lines);
    }
}

fn rootfs(options: &CreateOptions) -> PathBuf {
    options.lxcpath.join(&options.name).join("rootfs")
}

fn push(text: &mut String, line: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Reads the text as a start will.
fn verify(options: &CreateOptions, text: &str) -> Result<Loaded> {
    let file = options.lxcpath.join(&options.name).join("config");
    load_text(&file, text, &DiskLoader).map_err(|error| invalid(&error))
}

/// Refuses a path that the grammar cannot hold (with a line break, ending in a blank, not
/// UTF-8): the container could not be started, or would be another one.
fn refuse_unwritable_path(options: &CreateOptions) -> Result<()> {
    let wanted = rootfs(options);
    let line = format!("lxc.rootfs.path = dir:{}\n", wanted.display());
    let read = load_text(Path::new("config"), &line, &DiskLoader).ok();
    let found = read
        .and_then(|loaded| loaded.config.rootfs.path)
        .map(|rootfs| rootfs.path().to_owned());
    if found.as_ref() == Some(&wanted) {
        return Ok(());
    }
    Err(Error::other(format!(
        "the path {wanted:?} cannot be written into an LXC configuration; choose another lxcpath"
    )))
}

fn invalid(error: &LoadError) -> Error {
    Error::other(error.to_string())
}
