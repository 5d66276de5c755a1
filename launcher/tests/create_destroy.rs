//! Creating and destroying containers as an ordinary user, on a host of the test's own: private
//! mount namespaces with their own `/etc`, a home of mode 0700, small disks, killed processes.
//!
//! Needs root, to make those namespaces and to become the user.

mod private_host;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth::create::{CreateOptions, create};
use berth::destroy::{destroy, leftovers};
use berth::mapped;
use berth_container_config::{DiskLoader, NetType, load};
use berth_kernel::process;
use berth_kernel::user::User;
use private_host::{ALICE, Host, SUBGID, SUBUID};

fn alice() -> User {
    User::by_name("alice").unwrap().unwrap()
}

fn lxcpath() -> PathBuf {
    alice().home.join(".local/share/lxc")
}

fn options(name: &str) -> CreateOptions {
    CreateOptions {
        owner: alice(),
        lxcpath: lxcpath(),
        name: name.parse().unwrap(),
        template: "busybox".to_owned(),
        busybox: None,
        settings: String::new(),
        shares: Vec::new(),
    }
}

fn destroy_named(name: &str) -> berth::error::Result<berth::destroy::Destroyed> {
    destroy(&alice(), &lxcpath(), &name.parse().unwrap(), || Ok(()))
}

/// Everything in the directory of containers, dot files too.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).map(|entries| {
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    });
    let mut names: Vec<String> = entries.unwrap_or_default();
    names.sort();
    names
}

/// Paths below a directory with mode, owner and what a link points at. Read as the container's
/// root, because not everything in it is the caller's to read.
fn listing(dir: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, top: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let status = fs::symlink_metadata(&path).unwrap();
            let link = fs::read_link(&path)
                .map(|to| to.display().to_string())
                .unwrap_or_default();
            let text = format!(
                "{:o} {}:{} {link}",
                status.mode(),
                status.uid(),
                status.gid()
            );
            found.insert(path.strip_prefix(top).unwrap().to_owned(), text);
            if status.is_dir() && status.mode() & 0o5 == 0o5 {
                walk(&path, top, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

#[test]
fn a_container_is_whole_and_its_files_are_its_roots() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        berth_kernel::limits::set_umask(0o077);
        let created = create(&options("web")).unwrap();
        assert_eq!(created.dir, lxcpath().join("web"));
        assert_eq!(created.hints, Vec::<String>::new());
        assert_eq!(names(&lxcpath()), ["web"]);

        let status = |path: &str| fs::symlink_metadata(created.dir.join(path)).unwrap();
        let mode = |path: &str| status(path).permissions().mode() & 0o7777;
        assert_eq!((status("").uid(), status("").gid()), (ALICE, SUBGID));
        assert_eq!(mode(""), 0o710);
        assert_eq!(
            fs::metadata(lxcpath()).unwrap().permissions().mode() & 0o777,
            0o711
        );
        assert_eq!((status("config").uid(), mode("config")), (ALICE, 0o640));
        assert_eq!(
            (status("rootfs").uid(), status("rootfs").gid()),
            (SUBUID, SUBGID)
        );

        let files = listing(&created.dir.join("rootfs"));
        let own = format!("{SUBUID}:{SUBGID} ");
        for (path, text) in &files {
            assert!(text.contains(&own), "{}: {text}", path.display());
        }
        for (path, expected) in [
            ("sbin/init", "120777 /bin/busybox"),
            ("bin/sh", "120777 /bin/busybox"),
            ("bin/busybox", "100755 "),
            ("etc/inittab", "100644 "),
            ("etc/init.d/rcS", "100755 "),
            ("tmp", "41777 "),
            ("root", "40700 "),
            ("var/run", "120777 /run"),
        ] {
            assert_eq!(files[Path::new(path)].replace(&own, ""), expected, "{path}");
        }
        let rootfs = created.dir.join("rootfs");
        assert_eq!(
            fs::read(rootfs.join("bin/busybox")).unwrap(),
            fs::read("/bin/busybox").unwrap()
        );
        assert_eq!(
            fs::read_to_string(rootfs.join("etc/hostname")).unwrap(),
            "web\n"
        );
    });
}

#[test]
fn its_configuration_says_what_the_user_may_have() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        create(&options("web")).unwrap();
        let file = lxcpath().join("web/config");
        let loaded = load(&file, &DiskLoader).unwrap();
        assert_eq!(loaded.warnings, []);
        let config = loaded.config;
        let maps: Vec<String> = config.idmap.iter().map(|m| m.value.to_string()).collect();
        assert_eq!(
            maps,
            [format!("u 0 {SUBUID} 65536"), format!("g 0 {SUBGID} 65536")]
        );
        assert_eq!(config.uts_name.unwrap().value, "web");
        assert_eq!(
            config.rootfs.path.unwrap().path(),
            lxcpath().join("web/rootfs")
        );
        let net = &config.nets[&0];
        assert_eq!(net.kind.as_ref().unwrap().value, NetType::Veth);
        assert_eq!(net.link.as_ref().unwrap().value, "berthbr7");
        assert!(net.up);
        let mac = net.hwaddr.as_ref().unwrap().value.fixed().unwrap();
        assert_eq!(mac[..3], [0x10, 0x66, 0x6a]);
        assert_eq!(config.signals.halt.unwrap().value.to_string(), "SIGUSR1");
        assert_eq!(config.signals.reboot.unwrap().value.to_string(), "SIGTERM");

        // Two containers, two hardware addresses.
        create(&options("db")).unwrap();
        let other = load(&lxcpath().join("db/config"), &DiskLoader)
            .unwrap()
            .config;
        assert_ne!(
            other.nets[&0].hwaddr.as_ref().unwrap().value.fixed(),
            Some(mac)
        );
    });
}

#[test]
fn its_scripts_are_understood_by_its_own_shell() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        create(&options("web")).unwrap();
        let maps = idmap("web");
        let rootfs = fs::File::open(lxcpath().join("web/rootfs")).unwrap();
        mapped::run(&maps, || {
            use std::os::fd::AsFd;
            let path = berth_kernel::fs::descriptor_path(rootfs.as_fd());
            std::env::set_current_dir(path).unwrap();
            std::os::unix::fs::chroot(".").unwrap();
            let script = "for f in /etc/init.d/* /usr/share/udhcpc/default.script; do sh -n $f || exit 1; done
                 [ $(id -u) = 0 ] || exit 2
                 for a in init udhcpc ip ping syslogd halt reboot wget vi; do which $a || exit 3; done
                 syslogd --help 2>&1 | grep -q -e -C || exit 4
                 for o in -f -S -R -t -T -A -i -x -s -p; do udhcpc --help 2>&1 | grep -q -e $o || exit 5; done
                 /etc/init.d/rcK 2>/dev/null; cat /var/log/shutdown";
            let mut command = std::process::Command::new("/bin/sh");
            // There is no /dev/null in the new root.
            command.args(["-c", script]).env_clear().stdin(std::process::Stdio::inherit());
            let output = command.env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let order = ["going down", "network stopped", "syslog stopped", "Z down"];
            let places: Vec<_> = order.iter().map(|word| text.find(word).expect(word)).collect();
            assert!(places.is_sorted(), "{text}");
            Ok(())
        })
        .unwrap();
    });
}

fn idmap(name: &str) -> Vec<berth_container_config::IdMapping> {
    let config = load(&lxcpath().join(name).join("config"), &DiskLoader)
        .unwrap()
        .config;
    config.idmap.iter().map(|mapping| mapping.value).collect()
}

#[test]
fn what_cannot_be_created_leaves_no_trace() {
    if private_host::ran_alone() {
        return;
    }
    let refused = |change: &dyn Fn(&mut CreateOptions), part: &str| {
        let mut options = options("web");
        change(&mut options);
        let error = create(&options).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert_eq!(names(&lxcpath()), Vec::<String>::new());
    };
    Host::new().run_as_alice(|| {
        refused(
            &|o| o.template = "ubuntu".into(),
            "there is no template “ubuntu”; there are: busybox",
        );
        refused(
            &|o| o.busybox = Some("/bin/ls".into()),
            "apt install busybox-static",
        );
        refused(&|o| o.busybox = Some("/etc/passwd".into()), "no ELF file");
        refused(&|o| o.busybox = Some("/gone".into()), "cannot open /gone");
        refused(
            &|o| o.lxcpath = "/proc/nowhere/lxc".into(),
            "cannot make directory /proc/nowhere/lxc",
        );
        refused(
            &|o| o.lxcpath = alice().home.join("a\nlxc.uts.name = b"),
            "choose another lxcpath",
        );
    });
    Host::new()
        .without("/etc/subuid")
        .run_as_alice(|| refused(&|_| {}, "sudo berth grant alice"));
    Host::new()
        .without("/etc/subgid")
        .run_as_alice(|| refused(&|_| {}, "/etc/subgid"));
    Host::new()
        .with("/etc/subuid", "alice:5000000:65536\nalice:x:y\n")
        .without("/etc/subgid")
        .run_as_alice(|| refused(&|_| {}, "group ids"));
    Host::new()
        .without("/usr/share/berth/config/user.conf")
        .run_as_alice(|| refused(&|_| {}, "cannot read /usr/share/berth/config/user.conf"));
}

#[test]
fn an_existing_container_is_refused_and_stays_as_it_is() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        create(&options("web")).unwrap();
        let before = listing(&lxcpath().join("web/rootfs"));
        let config = fs::read(lxcpath().join("web/config")).unwrap();
        let error = create(&options("web")).unwrap_err().to_string();
        assert!(error.contains("container “web” exists already"), "{error}");
        assert_eq!(listing(&lxcpath().join("web/rootfs")), before);
        assert_eq!(fs::read(lxcpath().join("web/config")).unwrap(), config);
        // A dangling link and an empty directory are in the way as well.
        symlink("/gone", lxcpath().join("link")).unwrap();
        fs::create_dir(lxcpath().join("dir")).unwrap();
        for name in ["link", "dir"] {
            let error = create(&options(name)).unwrap_err().to_string();
            assert!(error.contains("is no container"), "{error}");
        }
    });
}

#[test]
fn without_a_usernet_line_there_is_no_network_and_a_hint() {
    if private_host::ran_alone() {
        return;
    }
    Host::new()
        .with("/etc/lxc/lxc-usernet", "bob veth br0 3\nalice veth br1 0\n")
        .run_as_alice(|| {
            let created = create(&options("web")).unwrap();
            assert_eq!(created.hints.len(), 1);
            assert!(
                created.hints[0].contains("sudo berth grant alice"),
                "{:?}",
                created.hints
            );
            let config = load(&created.dir.join("config"), &DiskLoader)
                .unwrap()
                .config;
            assert_eq!(config.nets[&0].kind.as_ref().unwrap().value, NetType::Empty);
        });
}

#[test]
fn a_default_conf_is_copied_as_lxc_does() {
    if private_host::ran_alone() {
        return;
    }
    let write = |text: &str| {
        let file = alice().home.join(".config/lxc/default.conf");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    };
    Host::new().run_as_alice(|| {
        write(
            "# mine\nlxc.include = /usr/share/berth/config/user.conf\nlxc.idmap = u 0 5000010 1000\n\
             lxc.idmap = g 0 6000010 1000\nlxc.net.0.type = veth\nlxc.net.0.link = br0\n\
             lxc.net.0.hwaddr = 00:16:3e:xx:xx:xx\nlxc.cgroup2.pids.max = 77\n",
        );
        let created = create(&options("web")).unwrap();
        let text = fs::read_to_string(created.dir.join("config")).unwrap();
        assert!(text.contains("# mine\nlxc.include = /usr/share/berth/config/user.conf\n"), "{text}");
        assert!(text.contains("lxc.net.0.hwaddr = 00:16:3e:") && !text.contains("xx"), "{text}");
        let config = load(&created.dir.join("config"), &DiskLoader).unwrap().config;
        assert_eq!(config.cgroup[0].value.value, "77");
        assert_eq!(config.idmap[0].value.to_string(), "u 0 5000010 1000");
        let owner = fs::metadata(created.dir.join("rootfs")).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (5_000_010, 6_000_010));

        write("lxc.net.0.type = veth\nlxc.uts.name = two words\nlxc.bogus = 1\n");
        let error = create(&options("db")).unwrap_err().to_string();
        assert!(error.contains(".config/lxc/default.conf:2: lxc.uts.name: "), "{error}");
        assert!(error.contains(".config/lxc/default.conf:3: lxc.bogus: "), "{error}");
        assert_eq!(names(&lxcpath()), ["web"]);

        write("lxc.net.0.type = empty\n");
        create(&options("db")).unwrap();
        assert_eq!(idmap("db")[0].to_string(), format!("u 0 {SUBUID} 65536"));

        // Ids that are not hers: newuidmap's refusal is explained, and nothing is left.
        write("lxc.idmap = u 0 1 1000\nlxc.idmap = g 0 6000000 1000\n");
        let error = create(&options("evil")).unwrap_err().to_string();
        assert!(error.contains("/etc/subuid does not give alice the user ids"), "{error}");
        assert_eq!(names(&lxcpath()), ["db", "web"]);
    });
}

#[test]
fn the_template_none_is_a_configuration_alone() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        let mut options = options("bare");
        options.template = "none".into();
        let created = create(&options).unwrap();
        assert_eq!(names(&created.dir), ["config"]);
        destroy_named("bare").unwrap();
        assert_eq!(names(&lxcpath()), Vec::<String>::new());
    });
}

#[test]
fn a_full_disk_leaves_nothing() {
    if private_host::ran_alone() {
        return;
    }
    let mut refused = 0;
    for kib in [40, 200, 1000, 1900, 2040, 2500, 3200, 4000] {
        let full = Host::new().with_disk_of(kib).run_as_alice_returning(|| {
            match create(&options("web")) {
                Ok(created) => {
                    assert_eq!(
                        listing(&created.dir.join("rootfs"))[Path::new("bin/sh")].len(),
                        35
                    );
                    0
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("No space left on device"), "{error}");
                    assert!(error.contains("nothing is left of it"), "{error}");
                    assert_eq!(names(&lxcpath()), Vec::<String>::new());
                    1
                }
            }
        });
        refused += full;
    }
    assert!(
        (3..8).contains(&refused),
        "{refused} of 8 disks were too small"
    );
}

#[test]
fn a_killed_create_leaves_no_container_and_the_next_one_cleans_up() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        fs::create_dir_all(lxcpath()).unwrap();
        let (mut whole, mut left) = (0, 0);
        // As late as it takes on a busy machine for one to be done in time.
        for round in 0..200u64 {
            if round >= 60 && whole > 0 {
                break;
            }
            let child = process::fork(|| u8::from(create(&options("web")).is_err())).unwrap();
            // From the first system call to well behind the last one.
            std::thread::sleep(Duration::from_micros(round * round * 40));
            let _ = child.pidfd.signal(9);
            child.pidfd.wait().unwrap();
            let names = names(&lxcpath());
            if names.contains(&"web".to_owned()) {
                whole += 1;
                assert!(idmap("web").len() == 2);
                let files = listing(&lxcpath().join("web/rootfs"));
                assert!(files.len() > 250, "only {} files", files.len());
                destroy_named("web").unwrap();
            } else {
                left += usize::from(!names.is_empty());
            }
        }
        assert!(whole > 0 && left > 0, "{whole} whole, {left} interrupted");
        create(&options("last")).unwrap();
        assert_eq!(names(&lxcpath()), ["last"]);
    });
}

/// What others can open they can lock, too.
#[test]
fn locks_of_others_on_directories_keep_nobody_waiting() {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        let hold = |path: PathBuf| {
            let dir = berth_kernel::fs::open_dir(&path).unwrap();
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            let stranger = process::fork(move || {
                let locked = berth_kernel::fs::flock_exclusive(dir.as_fd(), Duration::ZERO);
                if !locked.unwrap_or(false) || writer.write_all(b"x").is_err() {
                    return 1;
                }
                std::thread::sleep(Duration::from_secs(60));
                0
            });
            reader.read_exact(&mut [0]).unwrap();
            stranger.unwrap()
        };
        fs::create_dir_all(lxcpath()).unwrap();
        let top = hold(lxcpath());
        let start = std::time::Instant::now();
        create(&options("web")).unwrap();
        create(&options("db")).unwrap();
        let web = hold(lxcpath().join("web"));
        destroy_named("web").unwrap();
        destroy_named("db").unwrap();
        assert_eq!(names(&lxcpath()), Vec::<String>::new());
        let took = start.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
        for stranger in [top, web] {
            stranger.pidfd.signal(9).unwrap();
            stranger.pidfd.wait().unwrap();
        }
    });
}

#[test]
fn a_living_create_is_left_alone() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        create(&options("web")).unwrap();
        let top = berth_kernel::fs::open_dir(&lxcpath()).unwrap();
        use std::os::fd::AsFd;
        let name = "slow".parse().unwrap();
        let site =
            leftovers::make(top.as_fd(), &lxcpath(), &name, leftovers::Kind::Creating).unwrap();
        // Another process: it must not see the lock as its own.
        let other = || process::fork(|| u8::from(create(&options("other")).is_err())).unwrap();
        assert!(other().pidfd.wait().unwrap().success());
        assert_eq!(names(&lxcpath()).len(), 3);
        drop(site);
        destroy_named("other").unwrap();
        assert_eq!(names(&lxcpath()), ["web"]);
    });
}

#[test]
fn of_many_creates_of_one_name_one_wins() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        let racers: Vec<_> = (0..6)
            .map(|_| process::fork(|| u8::from(create(&options("web")).is_err())).unwrap())
            .collect();
        let won = racers
            .iter()
            .filter(|child| child.pidfd.wait().unwrap().success())
            .count();
        assert_eq!(won, 1);
        assert_eq!(names(&lxcpath()), ["web"]);
        assert!(listing(&lxcpath().join("web/rootfs")).len() > 250);
    });
}

/// Fills a container with what is hard to remove.
fn trash(name: &str, outside: &Path) {
    let rootfs = fs::File::open(lxcpath().join(name).join("rootfs")).unwrap();
    mapped::run(&idmap(name), || {
        use std::os::fd::AsFd;
        std::env::set_current_dir(berth_kernel::fs::descriptor_path(rootfs.as_fd())).unwrap();
        fs::create_dir("deep").unwrap();
        std::env::set_current_dir("deep").unwrap();
        for level in 0..1500 {
            fs::write("file", "x").unwrap();
            fs::create_dir("d").unwrap();
            if level % 7 == 0 {
                fs::create_dir_all("side/by/side").unwrap();
            }
            std::env::set_current_dir("d").unwrap();
        }
        std::env::set_current_dir(berth_kernel::fs::descriptor_path(rootfs.as_fd())).unwrap();
        fs::create_dir("many").unwrap();
        for i in 0..3000 {
            fs::write(format!("many/{i}"), "").unwrap();
        }
        symlink(outside, "link").unwrap();
        symlink("/", "many/root").unwrap();
        fs::create_dir_all("closed/inner").unwrap();
        fs::write("closed/inner/file", "").unwrap();
        std::os::unix::fs::chown("closed/inner", Some(1000), Some(1000)).unwrap();
        std::os::unix::fs::chown("closed/inner/file", Some(65_534), Some(7)).unwrap();
        for path in ["closed/inner/file", "closed/inner", "closed"] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn destroy_removes_whatever_is_in_it_and_nothing_else() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        let outside = alice().home.join("keep");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        create(&options("web")).unwrap();
        create(&options("other")).unwrap();
        trash("web", &outside);
        let done = destroy_named("web").unwrap();
        assert_eq!(done.hints, Vec::<String>::new());
        assert_eq!(names(&lxcpath()), ["other"]);
        assert_eq!(names(&outside), ["precious"]);

        let error = destroy_named("web").unwrap_err().to_string();
        assert!(error.contains("there is no container “web”"), "{error}");
    });
}

#[test]
fn a_killed_destroy_is_finished_by_the_next() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        let mut interrupted = 0;
        for round in 0..12u64 {
            create(&options("web")).unwrap();
            trash("web", Path::new("/etc"));
            let child = process::fork(|| u8::from(destroy_named("web").is_err())).unwrap();
            std::thread::sleep(Duration::from_micros(500 + round * 3000));
            let _ = child.pidfd.signal(9);
            child.pidfd.wait().unwrap();
            let names_now = names(&lxcpath());
            match names_now.iter().any(|name| name == "web") {
                // Not begun: it is as whole as before.
                true => assert!(listing(&lxcpath().join("web/rootfs")).len() > 3000),
                false => interrupted += usize::from(!names_now.is_empty()),
            }
            create(&options("next")).unwrap();
            if lxcpath().join("web").exists() {
                destroy_named("web").unwrap();
            }
            destroy_named("next").unwrap();
            assert_eq!(names(&lxcpath()), Vec::<String>::new());
        }
        assert!(interrupted > 0);
    });
}

#[test]
fn destroy_refuses_what_is_in_use() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        create(&options("web")).unwrap();
        let name = "web".parse().unwrap();
        let running = || Err(berth::error::Error::AlreadyRunning("web".parse().unwrap()));
        let error = destroy(&alice(), &lxcpath(), &name, running)
            .unwrap_err()
            .to_string();
        assert!(error.contains("runs already"), "{error}");
        fs::write(lxcpath().join("web/lxc_snapshots"), "2\n").unwrap();
        let error = destroy_named("web").unwrap_err().to_string();
        assert!(error.contains("2 copies"), "{error}");
        fs::remove_file(lxcpath().join("web/lxc_snapshots")).unwrap();
        symlink(lxcpath().join("web"), lxcpath().join("link")).unwrap();
        let error = destroy_named("link").unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert!(lxcpath().join("web/config").exists());
    });
}

#[test]
fn a_broken_configuration_does_not_keep_a_container_from_being_destroyed() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        create(&options("web")).unwrap();
        let config = lxcpath().join("web/config");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}lxc.bogus = 1\n")).unwrap();
        destroy_named("web").unwrap();
        create(&options("web")).unwrap();
        fs::write(&config, "").unwrap();
        destroy_named("web").unwrap();
        assert_eq!(names(&lxcpath()), Vec::<String>::new());
    });
}

#[test]
fn roots_containers_and_mounts_in_them() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_root(|| {
        let lxcpath = Path::new("/home/alice/root-lxc").to_owned();
        let owner = User::by_name("root").unwrap().unwrap();
        let name: berth_common::ContainerName = "web".parse().unwrap();
        let options = CreateOptions {
            owner: owner.clone(),
            lxcpath: lxcpath.clone(),
            name: name.clone(),
            template: "busybox".into(),
            busybox: None,
            shares: Vec::new(),
            settings: String::new(),
        };
        let created = create(&options).unwrap();
        let status = fs::metadata(created.dir.join("rootfs/bin/busybox")).unwrap();
        assert_eq!((status.uid(), status.gid()), (0, 0));
        let config = load(&created.dir.join("config"), &DiskLoader)
            .unwrap()
            .config;
        assert!(config.idmap.is_empty());
        assert!(
            config
                .cap_drop
                .iter()
                .flatten()
                .any(|cap| cap.value.to_string() == "sys_module")
        );

        let mounted = created.dir.join("rootfs/mnt");
        private_host::mount_tmpfs(&mounted, "size=64k");
        fs::write(mounted.join("precious"), "").unwrap();
        let error = destroy(&owner, &lxcpath, &name, || Ok(()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("something is mounted on"), "{error}");
        assert!(mounted.join("precious").exists());
        nix::mount::umount(&mounted).unwrap();
        destroy(&owner, &lxcpath, &name, || Ok(())).unwrap();
        assert_eq!(names(&lxcpath), Vec::<String>::new());
    });
}

#[test]
fn why_ids_cannot_be_mapped_is_said() {
    if private_host::ran_alone() {
        return;
    }
    let error_of_create = || create(&options("web")).unwrap_err().to_string();
    Host::new().run_as_alice(|| {
        berth_kernel::cred::set_no_new_privs().unwrap();
        let error = error_of_create();
        assert!(error.contains("no_new_privs"), "{error}");
        assert_eq!(names(&lxcpath()), Vec::<String>::new());
    });
    Host::new().with_plain_newuidmap().run_as_alice(|| {
        let error = error_of_create();
        assert!(error.contains("chmod u+s /usr/bin/newuidmap"), "{error}");
    });
    Host::new().without_user_namespaces().run_as_alice(|| {
        let error = error_of_create();
        assert!(
            error.contains("sysctl user.max_user_namespaces=15000"),
            "{error}"
        );
        assert_eq!(names(&lxcpath()), Vec::<String>::new());
    });
}

#[test]
fn the_mapped_child_hands_its_error_back_and_dies_with_its_parent() {
    if private_host::ran_alone() {
        return;
    }
    Host::new().run_as_alice(|| {
        let maps = berth::default_config::id_mappings(&alice()).unwrap();
        let error = mapped::run(&maps, || Err(berth::error::Error::other("on purpose")));
        assert_eq!(error.unwrap_err().to_string(), "on purpose");
        let silent = mapped::run(&maps, || process::exit_now(3))
            .unwrap_err()
            .to_string();
        assert!(silent.contains("exit code 3"), "{silent}");

        // The child's number, told through a file of the user's home.
        let note = alice().home.join("pid");
        let parent = process::fork(|| {
            let result = mapped::run(&maps, || {
                fs::write(&note, std::process::id().to_string()).unwrap();
                loop {
                    std::thread::park();
                }
            });
            u8::from(result.is_err())
        })
        .unwrap();
        let child = loop {
            match fs::read_to_string(&note)
                .ok()
                .and_then(|text| text.parse::<i32>().ok())
            {
                Some(pid) => break pid,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let child = process::PidFd::open(child).unwrap();
        assert!(!child.has_ended().unwrap());
        parent.pidfd.signal(9).unwrap();
        parent.pidfd.wait().unwrap();
        for _ in 0..2000 {
            if child.has_ended().unwrap() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the child outlived its parent");
    });
}
