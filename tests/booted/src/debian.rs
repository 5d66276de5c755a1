//! Containers with the host's own Debian in them, init included: a full system that nobody has to
//! download.

use anyhow::Result;
use berth_test_harness::{Host, Login};
use std::time::Duration;

/// For whatever walks through ten thousand files.
const LIMIT: Duration = Duration::from_secs(300);

/// Replaces the files of alice's container $1, made by `berth create`, by the host's, for the ids
/// of its first mapping. What belongs to the host alone stays behind (kernel modules, its disk and
/// network, what tests have it do), and what no boot reads: half of all files.
const FURNISH: &str = r#"
set -eu
dir=/home/alice/.local/share/lxc/$1
set -- $(sed -n 's/^lxc.idmap = u 0 //p' "$dir/config")
first=$1
map() { awk -F: -v first="$first" '{ print "+" $3 " +" $3 + first }' "$1"; }
map /etc/passwd >/run/owners
map /etc/group >/run/groups
rm -rf "$dir/rootfs"/*
cd /
tar --one-file-system --owner-map=/run/owners --group-map=/run/groups --exclude=./usr/lib/modules \
    --exclude=./usr/share/zoneinfo --exclude=./usr/share/perl* --exclude=./usr/lib/*/perl* \
    --exclude=./usr/lib/*/gconv --exclude=./usr/share/bash-completion \
    --exclude=./var/lib/dpkg/info --exclude=./home/*/.local --exclude=./var/log/journal/* \
    --exclude=./var/lib/berth/* --exclude=./run/* --exclude=./tmp/* --exclude=./proc/* \
    --exclude=./sys/* --exclude=./dev/* --exclude=./boot -cf - . |
    tar --numeric-owner -xpf - -C "$dir/rootfs"
cd "$dir/rootfs"
: >etc/fstab
# Its signals are those of busybox's init.
sed -i /^lxc.signal/d "$dir/config"
"#;

/// What was made as root becomes the container's root's.
const HAND_OVER: &str = r#"find . -xdev -uid 0 -exec chown -h "$first:$first" {} +"#;

/// Makes alice's container `name` with the host's Debian in it. `finish` is a shell script of
/// root's that runs in its root directory; `config` goes to the end of its configuration.
pub fn create(host: &Host, alice: &Login, name: &str, finish: &str, config: &str) -> Result<()> {
    alice
        .run_for(&format!("berth create {name} -t busybox"), LIMIT)?
        .ok()?;
    let script = format!("set -- {name}\n{FURNISH}\n{finish}\n{HAND_OVER}");
    host.write("/root/furnish", &script)?;
    host.root_for("bash /root/furnish", LIMIT)?.ok()?;
    let file = format!("/home/alice/.local/share/lxc/{name}/config");
    host.root_with_input(&format!("cat >> {file}"), &format!("{config}\n"))?
        .ok()?;
    Ok(())
}
