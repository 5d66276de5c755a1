use super::*;

/// A directory that looks like a process's part of /proc, removed at the end.
struct FakeProc(std::path::PathBuf);

impl FakeProc {
    fn new(test: &str, apparmor: bool) -> Self {
        let name = format!("berth-label-{test}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let attr = dir.join("thread-self/attr");
        std::fs::create_dir_all(&attr).unwrap();
        for name in ["exec", "keycreate"] {
            std::fs::write(attr.join(name), "").unwrap();
        }
        std::fs::write(attr.join("current"), "docker-default (enforce)\n").unwrap();
        if apparmor {
            std::fs::create_dir(attr.join("apparmor")).unwrap();
            std::fs::write(attr.join("apparmor/exec"), "").unwrap();
            std::fs::write(attr.join("apparmor/current"), "unconfined\n").unwrap();
        }
        Self(dir)
    }

    fn open(&self) -> OwnedFd {
        fs::open_dir(&self.0).unwrap()
    }

    fn written(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join("thread-self/attr").join(name)).unwrap()
    }
}

impl Drop for FakeProc {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn profile(name: &str) -> Labels {
    Labels {
        apparmor: Some(Profile {
            name: CString::new(name).unwrap(),
            optional: false,
            at: "config:3".to_owned(),
        }),
        ..Labels::default()
    }
}

#[test]
fn a_profile_is_asked_for_at_exec() {
    let proc = FakeProc::new("profile", true);
    let labels = profile("lxc-container-default");
    let mut requests = labels.open(proc.open().as_fd()).unwrap();
    requests.for_keyrings(&labels).unwrap();
    assert_eq!(proc.written("apparmor/exec"), "");
    requests.for_exec(&labels).unwrap();
    assert_eq!(proc.written("apparmor/exec"), "exec lxc-container-default");
    assert_eq!(proc.written("exec"), "");
}

#[test]
fn an_older_kernel_has_one_file_for_all_modules() {
    let proc = FakeProc::new("older", false);
    let labels = profile("web");
    let mut requests = labels.open(proc.open().as_fd()).unwrap();
    requests.for_exec(&labels).unwrap();
    assert_eq!(proc.written("exec"), "exec web");
}

#[test]
fn who_is_unconfined_asks_for_nothing_to_stay_so() {
    for (apparmor, written) in [(true, ""), (false, "exec unconfined")] {
        let proc = FakeProc::new("unconfined", apparmor);
        let labels = profile("unconfined");
        let mut requests = labels.open(proc.open().as_fd()).unwrap();
        requests.for_exec(&labels).unwrap();
        let name = if apparmor { "apparmor/exec" } else { "exec" };
        assert_eq!(proc.written(name), written);
    }
}

#[test]
fn contexts_of_key_rings_come_before_those_of_programs() {
    let proc = FakeProc::new("contexts", false);
    let context = |name: &str| {
        Some(Context {
            name: CString::new(name).unwrap(),
            at: "config:4".to_owned(),
        })
    };
    let labels = Labels {
        apparmor: None,
        selinux: context("system_u:system_r:lxc_t:s0"),
        selinux_keyring: context("system_u:system_r:key_t:s0"),
    };
    let mut requests = labels.open(proc.open().as_fd()).unwrap();
    requests.for_keyrings(&labels).unwrap();
    assert_eq!(proc.written("keycreate"), "system_u:system_r:key_t:s0");
    assert_eq!(proc.written("exec"), "");
    requests.for_exec(&labels).unwrap();
    assert_eq!(proc.written("exec"), "system_u:system_r:lxc_t:s0");
}

#[test]
fn a_directory_that_is_no_procfs_is_refused() {
    let proc = FakeProc::new("fake", true);
    let error = proc_at(&proc.0).unwrap_err().to_string();
    assert!(error.ends_with("is no procfs"), "{error}");
    assert!(profile("x").proc().unwrap().is_some());
    assert!(Labels::default().proc().unwrap().is_none());
}

#[test]
fn a_link_in_the_place_of_a_file_leads_nowhere() {
    let proc = FakeProc::new("link", true);
    let exec = proc.0.join("thread-self/attr/apparmor/exec");
    std::fs::remove_file(&exec).unwrap();
    std::os::unix::fs::symlink("/proc/self/attr/exec", &exec).unwrap();
    let labels = profile("web");
    // The file that is left is this directory's own.
    labels
        .open(proc.open().as_fd())
        .unwrap()
        .for_exec(&labels)
        .unwrap();
    assert_eq!(proc.written("exec"), "exec web");
}

#[test]
fn modules_are_those_that_are_switched_on() {
    let sys = FakeProc::new("modules", false);
    let none = Modules {
        apparmor: false,
        selinux: false,
    };
    assert_eq!(Modules::below(&sys.0), none);
    let parameters = sys.0.join("module/apparmor/parameters");
    std::fs::create_dir_all(&parameters).unwrap();
    for (text, apparmor) in [("N\n", false), ("Y\n", true)] {
        std::fs::write(parameters.join("enabled"), text).unwrap();
        assert_eq!(Modules::below(&sys.0).apparmor, apparmor);
    }
    std::fs::create_dir_all(sys.0.join("fs/selinux")).unwrap();
    std::fs::write(sys.0.join("fs/selinux/enforce"), "1").unwrap();
    assert!(Modules::below(&sys.0).selinux);
}

#[test]
fn what_the_kernel_does_not_give_is_said_with_the_line() {
    let labels = profile("web");
    let named = labels.apparmor.as_ref().unwrap();
    let said = no_profile(named, &io::Error::from_raw_os_error(nix::libc::ENOENT));
    assert!(
        said.starts_with("config:3: AppArmor profile web: the kernel has no"),
        "{said}"
    );
}
