//! Whole configurations: includes, problems with file, line and key, warnings.

use berth_container_config::{
    Config, DiskLoader, LoadError, Loaded, MountAuto, NetType, ProcMode, Source, SysMode, load,
    load_text,
};
use proptest::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A loader for files that exist in the test only.
fn files(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&Path) -> io::Result<Source> {
    let files: HashMap<PathBuf, &str> = pairs
        .iter()
        .map(|(path, text)| (PathBuf::from(path), *text))
        .collect();
    move |path: &Path| {
        if let Some(text) = files.get(path) {
            return Ok(Source::Text((*text).to_owned()));
        }
        let mut below: Vec<PathBuf> = files
            .keys()
            .filter(|file| file.parent() == Some(path))
            .cloned()
            .collect();
        below.sort();
        match below.is_empty() {
            true => Err(io::Error::from(io::ErrorKind::NotFound)),
            false => Ok(Source::Directory(below)),
        }
    }
}

fn parse(text: &str) -> Result<Loaded, LoadError> {
    load_text(Path::new("config"), text, &files(&[]))
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|e| panic!("{text}\n{e}")).config
}

/// The problems' texts.
fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Err(LoadError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{text} gave {other:?}"),
    }
}

#[test]
fn a_container_as_create_writes_it() {
    let config = good(
        "# web\n\
         lxc.idmap = u 0 100000 65536\n\
         lxc.idmap = g 0 200000 65536\n\
         lxc.uts.name = web\n\
         lxc.rootfs.path = dir:/home/alice/.local/share/lxc/web/rootfs\n\
         lxc.net.0.type = veth\n\
         lxc.net.0.link = berthbr0\n\
         lxc.net.0.flags = up\n\
         lxc.net.0.hwaddr = 10:66:6a:12:34:56\n\
         lxc.net.0.ipv4.address = 10.0.3.7/24\n\
         lxc.net.0.ipv4.gateway = auto\n\
         lxc.cgroup2.memory.max = 64M\n\
         lxc.cgroup2.pids.max = 100\n\
         lxc.mount.entry = /srv srv none bind,create=dir 0 0\n\
         lxc.mount.entry = /b /home/alice/.local/share/lxc/web/rootfs/b none bind 0 0\n\
         lxc.mount.auto = proc:mixed sys:rw\n\
         lxc.init.cmd = /sbin/init -v\n\
         lxc.signal.halt = SIGUSR1\n\
         lxc.start.auto = 1\n\
         lxc.start.order = -3\n\
         lxc.group = onboot, web\n\
         lxc.environment = LANG=C.UTF-8\n\
         lxc.cap.drop = sys_module mac_admin\n\
         lxc.monitor.signal.pdeath = 0\n",
    );
    assert_eq!(config.uts_name.as_ref().unwrap().value, "web");
    assert_eq!(
        config.rootfs.path.as_ref().unwrap().path(),
        Path::new("/home/alice/.local/share/lxc/web/rootfs")
    );
    assert_eq!(config.idmap.len(), 2);
    assert_eq!(config.idmap[1].at.line, 3);
    let net = &config.nets[&0];
    assert_eq!(net.kind.as_ref().unwrap().value, NetType::Veth);
    assert!(net.up);
    let set: Vec<(&str, &str)> = config
        .cgroup
        .iter()
        .map(|s| (s.file.as_str(), s.value.value.as_str()))
        .collect();
    assert_eq!(set, [("memory.max", "64M"), ("pids.max", "100")]);
    assert_eq!(config.mounts[1].target, Path::new("b"));
    assert_eq!(
        config.mount_auto,
        MountAuto {
            proc: Some(ProcMode::Mixed),
            sys: Some(SysMode::Rw),
            ..MountAuto::default()
        }
    );
    assert_eq!(
        config.init_cmd.as_ref().unwrap().value,
        ["/sbin/init", "-v"]
    );
    assert!(config.starts_at_boot());
    assert_eq!(config.start.order.as_ref().unwrap().value, -3);
    assert_eq!(config.groups[1].value, "web");
    assert_eq!(config.monitor_pdeath.as_ref().unwrap().value, None);
    assert_eq!(config.cap_drop.as_ref().map(Vec::len), Some(2));
}

#[test]
fn all_problems_are_told_with_file_line_and_key() {
    let told = problems(
        "lxc.uts.nmae = web\n\
         lxc.idmap = u 0 100000\n\
         lxc.seccomp.notify.proxy = /run/proxy\n\
         lxc.utsname = web\n\
         lxc.start.auto = yes\n\
         lxc.net.0.type\n\
         lxc.schnabeltier = 1\n",
    );
    let expected: [&[&str]; 7] = [
        &["config:1: lxc.uts.nmae: ", "did you mean lxc.uts.name?"],
        &["config:2: lxc.idmap: expected ", "found “u 0 100000”"],
        &["config:3: lxc.seccomp.notify.proxy: expected unix: and an absolute path"],
        &["config:4: lxc.utsname: ", "write lxc.uts.name instead"],
        &["config:5: lxc.start.auto: expected 0 or 1, found “yes”"],
        &["config:6: lxc.net.0.type: expected “lxc.net.0.type = value”, found no “=”"],
        &["config:7: lxc.schnabeltier: there is no such key"],
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, parts) in told.iter().zip(expected) {
        for part in parts {
            assert!(told.contains(part), "{told} lacks {part}");
        }
    }
}

#[test]
fn an_empty_value_clears() {
    let config = good(
        "lxc.cgroup2.memory.max = 1\nlxc.cgroup2.pids.max = 1\nlxc.cgroup2.memory.max =\n\
         lxc.uts.name = a\nlxc.uts.name =\n\
         lxc.cap.drop = chown\nlxc.cap.drop =\nlxc.cap.keep = chown\nlxc.cap.keep = none\n\
         lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.flags =\n\
         lxc.mount.auto = proc\nlxc.mount.auto =\n\
         lxc.cgroup2.devices.deny =\n",
    );
    assert_eq!(config.cgroup.len(), 1);
    assert_eq!(config.uts_name, None);
    assert_eq!(config.cap_drop, Some(Vec::new()));
    assert_eq!(config.cap_keep, Some(Vec::new()));
    assert!(!config.nets[&0].up);
    assert_eq!(config.mount_auto, MountAuto::default());
    assert!(good("lxc.net.0.type = veth\nlxc.net =\n").nets.is_empty());
    assert_eq!(problems("lxc.net = veth\n").len(), 1);
}

#[test]
fn later_lines_win() {
    let config = good("lxc.uts.name = a\nlxc.uts.name = b\n");
    assert_eq!(config.uts_name.as_ref().unwrap().value, "b");
    assert_eq!(config.uts_name.unwrap().at.line, 2);
}

#[test]
fn ranges_must_not_overlap_and_must_map_root() {
    for (text, part) in [
        ("lxc.idmap = u 0 1000 10\n", "“lxc.idmap = g 0 …”"),
        (
            "lxc.idmap = u 1 1000 10\nlxc.idmap = g 0 1000 10\n",
            "“lxc.idmap = u 0 …”",
        ),
        (
            "lxc.idmap = g 0 9 1\nlxc.idmap = u 0 1000 10\nlxc.idmap = u 9 5000 10\n",
            "config:3: lxc.idmap: expected ranges that do not overlap",
        ),
        (
            "lxc.idmap = g 0 9 1\nlxc.idmap = u 0 1000 10\nlxc.idmap = u 10 1009 10\n",
            "share ids on the host",
        ),
    ] {
        let told = problems(text);
        assert!(
            told.len() == 1 && told[0].contains(part),
            "{text}: {told:?}"
        );
    }
    good("lxc.idmap = g 0 1000 10\nlxc.idmap = u 0 1000 10\nlxc.idmap = u 10 1010 10\n");
    let many: String = (0..341)
        .map(|i| format!("lxc.idmap = u {i} {} 1\n", 1000 + i))
        .chain(["lxc.idmap = g 0 1000 10\n".to_owned()])
        .collect();
    assert!(problems(&many)[0].contains("at most 340"));
}

#[test]
fn interfaces_are_judged_together() {
    assert!(problems("lxc.net.1.link = br0\n")[0].contains("config:1: lxc.net.1.type: expected"));
    let twice = "lxc.net.0.type = veth\nlxc.net.0.name = eth0\n\
                 lxc.net.1.type = veth\nlxc.net.1.name = eth0\n";
    assert!(problems(twice)[0].contains("config:4: lxc.net.1.name: "));
    assert!(problems("lxc.net.0.type = none\nlxc.net.1.type = veth\n")[0].contains("none"));
}

#[test]
fn drop_and_keep_exclude_each_other() {
    assert!(problems("lxc.cap.drop = chown\nlxc.cap.keep = kill\n")[0].contains("found both"));
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let loaded = parse("lcx.uts.name = a\n# lcx\n\nlxc.uts.name = b\n").unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0]
            .to_string()
            .starts_with("config:1: “lcx.uts.name = a”")
    );
}

#[test]
fn messages_hold_no_control_characters() {
    for text in [
        "lxc.a\u{1b}[2J = 1\n",
        "lxc.start.auto = \u{1b}[2J\n",
        "lxc.start.auto = \0\n",
    ] {
        let told = problems(text);
        assert!(!told[0].chars().any(char::is_control), "{told:?}");
    }
}

#[test]
fn includes_stand_where_they_are_written() {
    let loader = files(&[
        ("/etc/a.conf", "lxc.uts.name = a\nlxc.include = /etc/b.d\n"),
        ("/etc/b.d/1.conf", "lxc.uts.name = b1\n"),
        ("/etc/b.d/2.conf", "lxc.uts.name = b2\nlxc.tty.max = 3\n"),
    ]);
    let text = "lxc.uts.name = top\nlxc.include = /etc/a.conf\nlxc.include = /etc/none.d/\n";
    let loaded = load_text(Path::new("top"), text, &loader).unwrap();
    let name = loaded.config.uts_name.unwrap();
    assert_eq!(
        (name.value.as_str(), name.at.to_string()),
        ("b2", "/etc/b.d/2.conf:1".to_owned())
    );
    assert_eq!(loaded.files.len(), 4);
    let text = "lxc.include = /etc/a.conf\nlxc.uts.name = top\n";
    let loaded = load_text(Path::new("top"), text, &loader).unwrap();
    assert_eq!(loaded.config.uts_name.unwrap().value, "top");
}

#[test]
fn a_missing_include_is_named_with_the_line() {
    let loader = files(&[("/a.conf", "\nlxc.include = /gone.conf\n")]);
    let told = load_text(Path::new("top"), "lxc.include = /a.conf\n", &loader).unwrap_err();
    let told = told.to_string();
    assert!(
        told.starts_with("/a.conf:2: lxc.include: cannot read /gone.conf: "),
        "{told}"
    );
    // LXC clears a list of names by it that nobody reads.
    let loaded = parse("lxc.include =\nlxc.tty.max = 1\n").unwrap();
    assert_eq!(
        loaded.warnings[0].to_string(),
        "config:1: lxc.include: an include without a path reads nothing"
    );
}

#[test]
fn a_comment_may_be_in_any_encoding_and_a_value_may_not() {
    let decoded = berth_container_config::text::decode;
    let text = decoded(b"# f\xfcr die Schule\n  #\xff\nlxc.uts.name = web\n");
    assert_eq!(good(&text).uts_name.unwrap().value, "web");
    let told = problems(&decoded(b"# f\xfcr\nlxc.uts.name = m\xfcller\n"));
    assert!(
        told[0].starts_with("config:2: the line is not UTF-8 text"),
        "{told:?}"
    );
}

#[test]
fn what_stands_in_the_place_of_lxcs_snippets_is_right() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/lxc");
    let loader = |path: &Path| match path.starts_with("/usr/share/lxc/config") {
        true => Err(io::Error::from(io::ErrorKind::NotFound)),
        false => berth_container_config::Loader::read(&DiskLoader, path),
    };
    let include = |name: &str| format!("lxc.include = {}\n", dir.join(name).display());
    let loaded = |text: &str| load_text(Path::new("top"), text, &loader).unwrap();
    let common = loaded(&include("common.conf")).config;
    assert_eq!(common.tty_max.map(|most| most.value), Some(4));
    assert_eq!(common.tty_dir.unwrap().value, Path::new("lxc"));
    assert_eq!(common.cap_drop.as_ref().map(Vec::len), Some(5));
    assert_eq!(common.mount_auto.sys, Some(SysMode::Mixed));
    let names = ["common.conf", "userns.conf", "nesting.conf"];
    let all = loaded(&names.map(include).concat());
    assert!(all.warnings.is_empty(), "{:?}", all.warnings);
    assert!(all.config.cap_drop == Some(Vec::new()) && all.config.tty_dir.is_none());
    assert_eq!(all.config.mount_auto.sys, Some(SysMode::Rw));
    assert_eq!(all.config.mount_auto.proc, Some(ProcMode::Mixed));
    assert_eq!(all.config.mounts.len(), 3);
}

#[test]
fn circles_and_bombs_of_includes_end() {
    let circle = files(&[
        ("/a", "lxc.include = /b\n"),
        ("/b", "lxc.include = /a\n"),
        ("/self", "lxc.include = /self\n"),
    ]);
    for start in ["/a", "/self"] {
        let text = format!("lxc.include = {start}\n");
        let told = load_text(Path::new("top"), &text, &circle)
            .unwrap_err()
            .to_string();
        assert!(told.contains("includes itself"), "{told}");
    }
    // Each file includes the next one twice, under ever new names: 2^n files without a bound.
    let bomb = |path: &Path| {
        let next = format!("{}x", path.display());
        Ok(Source::Text(format!(
            "lxc.include = {next}\nlxc.include = {next}\n"
        )))
    };
    let told = load_text(Path::new("top"), "lxc.include = /x\n", &bomb)
        .unwrap_err()
        .to_string();
    assert!(told.contains("nested includes"), "{told}");
    let wide = |path: &Path| {
        let name = path.display().to_string();
        Ok(Source::Text(match name.len() < 12 {
            true => format!("lxc.include = {name}x\nlxc.include = {name}y\n"),
            false => String::new(),
        }))
    };
    let told = load_text(Path::new("top"), "lxc.include = /x\n", &wide)
        .unwrap_err()
        .to_string();
    assert!(told.contains("more than 512 files"), "{told}");
}

#[test]
fn files_on_disk() {
    let dir = std::env::temp_dir().join(format!("berth-config-{}", std::process::id()));
    fs::create_dir_all(dir.join("d")).unwrap();
    let top = dir.join("config");
    let include = dir.join("d").display().to_string();
    fs::write(
        &top,
        format!("lxc.include = {include}\nlxc.include = {include}/gone/\n"),
    )
    .unwrap();
    fs::write(dir.join("d/b.conf"), "lxc.uts.name = b\n").unwrap();
    fs::write(dir.join("d/a.conf"), "lxc.uts.name = a\n").unwrap();
    fs::write(dir.join("d/.conf"), "nonsense\nlxc.nonsense = 1\n").unwrap();
    fs::write(dir.join("d/c.conf.bak"), "lxc.nonsense = 1\n").unwrap();
    let loaded = load(&top, &DiskLoader).unwrap();
    assert_eq!(loaded.config.uts_name.unwrap().value, "b");

    assert!(
        load(&dir.join("gone"), &DiskLoader)
            .unwrap_err()
            .is_not_found()
    );
    fs::write(&top, [0xff, 0xfe]).unwrap();
    assert!(
        load(&top, &DiskLoader)
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
    fs::write(&top, vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(
        load(&top, &DiskLoader)
            .unwrap_err()
            .to_string()
            .contains("1 MiB")
    );
    assert!(load(Path::new("/dev/zero"), &DiskLoader).is_err());
    assert!(load(&dir, &DiskLoader).is_err());
    fs::remove_dir_all(&dir).unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s)((lxc\\.)?.{0,40}\n){0,20}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_value_makes_it_panic(
        key in proptest::sample::select(
            berth_container_config::key::keys().map(|key| key.pattern).collect::<Vec<_>>(),
        ),
        value in "[-+ugx0-9a-z:./,= \\\\\"'%]{0,40}|\\PC{0,40}",
    ) {
        let key = key.replace(".N.", ".0.").replace('*', "memory.max");
        let _ = parse(&format!("{key} = {value}\n"));
    }

    #[test]
    fn lists_and_scalars_come_back(
        names in proptest::collection::vec("[a-z]{1,9}", 1..6),
        order: i32,
        delay: u32,
    ) {
        let config = good(&format!(
            "lxc.group = {}\nlxc.start.order = {order}\nlxc.start.delay = {delay}\n",
            names.join(","),
        ));
        let got: Vec<String> = config.groups.iter().map(|g| g.value.clone()).collect();
        prop_assert_eq!(got, names);
        prop_assert_eq!(config.start.order.unwrap().value, order);
        prop_assert_eq!(config.start.delay.unwrap().value, delay);
    }
}
