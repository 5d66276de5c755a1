//! The configuration of a copy.

use std::path::{Path, PathBuf};

use berth_container_config::change::{Change, change};
use berth_container_config::line::Line;
use berth_container_config::{DiskLoader, MacTemplate};

use crate::create::config::fixed_mac;
use crate::error::{Error, Result};

const ROOTFS: &str = "lxc.rootfs.path";
const HOST_NAME: &str = "lxc.uts.name";
const EPHEMERAL: &str = "lxc.ephemeral";

/// The text of a configuration that is being changed.
pub struct Text {
    file: PathBuf,
    text: String,
}

impl Text {
    /// What the file at this path says, whose includes are looked for from there.
    pub fn new(file: PathBuf, text: &str) -> Self {
        Self {
            file,
            text: text.to_owned(),
        }
    }

    /// The changed text.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Says where the root file system is.
    pub fn set_rootfs(&mut self, value: &str) -> Result<()> {
        self.set(ROOTFS, value)
    }

    /// Says the host's name, whatever the file said before.
    pub fn set_host_name(&mut self, name: &str) -> Result<()> {
        self.set(HOST_NAME, name)
    }

    /// Says that the container goes when it stops.
    pub fn set_ephemeral(&mut self) -> Result<()> {
        self.set(EPHEMERAL, "1")
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let changed = change(&self.file, &self.text, key, Change::Set(value), &DiskLoader);
        self.text = changed.ok_or_else(|| {
            Error::other(format!(
                "{key} cannot be written into an LXC configuration as {value:?}; choose another \
                 name or another lxcpath"
            ))
        })?;
        Ok(())
    }

    /// Gives each interface whose hardware address is written down another one: two of the same
    /// on one bridge reach nobody.
    pub fn change_addresses(&mut self) -> Result<()> {
        let mut out = String::with_capacity(self.text.len());
        for line in self.text.split_inclusive('\n') {
            match Line::parse(line) {
                Line::Assignment { key, value } if is_address(key) && is_fixed(value) => {
                    let end = &line[line.trim_end_matches(['\n', '\r']).len()..];
                    let address = fixed_mac(MacTemplate::DEFAULT)?;
                    out.push_str(&format!("{key} = {address}{end}"));
                }
                _ => out.push_str(line),
            }
        }
        self.text = out;
        Ok(())
    }

    /// Lets all paths that lead into one directory lead into another, but for that of the root
    /// file system.
    pub fn move_paths(&mut self, from: &Path, to: &Path) {
        self.text = moved(&self.text, from, to, &|key| key != ROOTFS);
    }

    /// The same for all keys.
    pub fn move_all_paths(&mut self, from: &Path, to: &Path) {
        self.text = moved(&self.text, from, to, &|_| true);
    }
}

fn is_address(key: &str) -> bool {
    key.starts_with("lxc.net.") && key.ends_with(".hwaddr")
}

/// An address with open digits is another one at each start anyway.
fn is_fixed(value: &str) -> bool {
    !value.is_empty() && !value.contains(['x', 'X'])
}

/// The text in whose assignments paths into one directory lead into another.
fn moved(text: &str, from: &Path, to: &Path, is_meant: &dyn Fn(&str) -> bool) -> String {
    let line = |line: &str| match Line::parse(line) {
        Line::Assignment { key, value } if is_meant(key) && !value.is_empty() => {
            let (before, after) = line.split_once('=').unwrap_or((line, ""));
            format!("{before}={}", moved_value(after, from, to))
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Any text in which paths stand, as in a table of mounts.
pub fn moved_value(value: &str, from: &Path, to: &Path) -> String {
    let (Some(from), Some(to)) = (from.to_str(), to.to_str()) else {
        return value.to_owned();
    };
    let value = replace(value, from, to);
    // As fields of a table of mounts.
    match from.contains(' ') || to.contains(' ') {
        true => replace(&value, &escaped(from), &escaped(to)),
        false => value,
    }
}

fn escaped(path: &str) -> String {
    path.replace(' ', "\\040")
}

fn replace(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        let begins = !before.ends_with(|c: char| is_of_path(c) || c == '/');
        let ends = !after.starts_with(is_of_path);
        out.push_str(before);
        out.push_str(if begins && ends { to } else { from });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '@' | '%' | '~' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::new(PathBuf::from("/nowhere/config"), text)
    }

    #[test]
    fn paths_into_the_old_directory_lead_into_the_new_one() {
        let before = "# /l/web\nlxc.rootfs.path = overlay:/l/base:/l/web/delta\n\
                      lxc.mount.entry = /l/web/data mnt none bind 0 0\r\n\
                      lxc.log.file=/l/web/web.log\nlxc.hook.clone = \"/l/web/h a\"\n\
                      lxc.mount.entry = /l/web2 a\nlxc.mount.entry = /x/l/web b\n\
                      lxc.hook.stop = /bin/x /l/web\n";
        let mut changed = text(before);
        changed.move_paths(Path::new("/l/web"), Path::new("/l/www"));
        let after = "# /l/web\nlxc.rootfs.path = overlay:/l/base:/l/web/delta\n\
                     lxc.mount.entry = /l/www/data mnt none bind 0 0\r\n\
                     lxc.log.file=/l/www/web.log\nlxc.hook.clone = \"/l/www/h a\"\n\
                     lxc.mount.entry = /l/web2 a\nlxc.mount.entry = /x/l/web b\n\
                     lxc.hook.stop = /bin/x /l/www\n";
        assert_eq!(changed.into_text(), after);
        let mut all = text(before);
        all.move_all_paths(Path::new("/l/base"), Path::new("/l/b"));
        assert!(all.into_text().contains("overlay:/l/b:/l/web/delta\n"));
        let blank = moved_value("/a\\040b/c /a b", Path::new("/a b"), Path::new("/d"));
        assert_eq!(blank, "/d/c /d");
    }

    #[test]
    fn addresses_that_are_written_down_change() {
        let before =
            "lxc.net.0.hwaddr = 00:16:3e:11:22:33\r\nlxc.net.1.hwaddr = 00:16:3e:xx:xx:xx\n";
        let mut changed = text(before);
        changed.change_addresses().unwrap();
        let after = changed.into_text();
        let lines: Vec<&str> = after.split_inclusive('\n').collect();
        assert!(
            lines[0].starts_with("lxc.net.0.hwaddr = 10:66:6a:"),
            "{after}"
        );
        assert!(lines[0].ends_with("\r\n"), "{after}");
        assert_eq!(lines[1], "lxc.net.1.hwaddr = 00:16:3e:xx:xx:xx\n");
    }

    #[test]
    fn what_is_set_is_set_once() {
        let mut changed = text("lxc.uts.name = web\nlxc.rootfs.path = /l/web\n");
        changed.set_host_name("www").unwrap();
        changed.set_rootfs("dir:/l/www/rootfs").unwrap();
        changed.set_ephemeral().unwrap();
        let after = "lxc.uts.name = www\nlxc.rootfs.path = dir:/l/www/rootfs\nlxc.ephemeral = 1\n";
        assert_eq!(changed.into_text(), after);
        assert!(text("").set_rootfs("dir:/a\nb").is_err());
    }
}
