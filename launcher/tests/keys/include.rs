//! Other files that a configuration reads.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::world::{Container, Owner, on_host, refused};

#[test]
fn files_and_directories_are_read_where_they_are_named() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        // Not the container's own directory: what root makes there its owner cannot remove.
        let dir = Path::new("/run/included");
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("first", "lxc.uts.name = first\nlxc.environment = A=first\n");
        file(
            "more/2.conf",
            "lxc.uts.name = second\nlxc.environment = A=2\n",
        );
        file(
            "more/1.conf",
            "lxc.environment = A=1\nlxc.environment = B=1\n",
        );
        file("more/3.other", "lxc.nonsense = 1\n");
        container.append(&format!(
            "lxc.uts.name = own\n\
             lxc.include = {dir}/first\n\
             lxc.include = {dir}/more\n\
             lxc.include = {dir}/absent/\n\
             lxc.environment = C=own",
            dir = dir.display()
        ));
        container.start();
        assert_eq!(container.sh("hostname"), "second");
        assert_eq!(
            container.sh("tr '\\0' '\\n' </proc/1/environ | grep '^[ABC]=' | sort"),
            "A=2\nB=1\nC=own"
        );
        container.destroy();
    });
}

#[test]
fn a_missing_file_and_a_circle_are_refused() {
    refused(
        Owner::User,
        "lxc.include = /nowhere/common.conf",
        "lxc.include: cannot read /nowhere/common.conf",
    );
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let config = container.config().display().to_string();
        container.append(&format!("lxc.include = {config}"));
        container.start_is_refused("includes itself");
        container.destroy();
    });
}

/// Where LXC was removed, its files are gone and containers name them still.
#[test]
fn lxcs_snippets_are_there_without_lxc() {
    on_host(|host| {
        let lxc = Path::new("/usr/share/lxc");
        fs::create_dir_all(lxc).unwrap();
        mount(
            Some("tmpfs"),
            lxc,
            Some("tmpfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        let container = Container::create(host, Owner::User, "web");
        let own = fs::read_to_string(container.config()).unwrap();
        let includes = [
            "debian.common.conf",
            "userns.conf",
            "nesting.conf",
            "common.conf.d/",
        ]
        .map(|name| format!("lxc.include = /usr/share/lxc/config/{name}\n"));
        let own: String = own
            .lines()
            .filter(|line| !line.starts_with("lxc.include"))
            .flat_map(|line| [line, "\n"])
            .collect();
        fs::write(container.config(), includes.concat() + &own).unwrap();
        container.start();
        assert_eq!(
            container.sh("ls /dev/tty1 /dev/tty4"),
            "/dev/tty1\n/dev/tty4"
        );
        assert_eq!(
            container.sh("mount -t sysfs | grep -c ' on /sys .*rw'"),
            "1"
        );
        container.sh("test -d /dev/.lxc/proc/self -a -d /dev/.lxc/sys/class");
        container.destroy();
    });
}
