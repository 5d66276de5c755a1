//! The shared object itself, loaded by libpam in `pamtester`, in namespaces made for it. Needs
//! root and Debian's `pamtester`; says so instead of passing.
#![forbid(unsafe_code)]

use berth_cgroups::CgroupDir;
use berth_cgroups::testing::Subtree;
use berth_kernel::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

const SCOPE: &str = "/user.slice/user-4242.slice/session-3.scope";

/// Where cargo puts the shared object: beside the tests.
fn module() -> PathBuf {
    let module = std::env::current_exe()
        .unwrap()
        .with_file_name("libpam_berth.so");
    assert!(module.exists(), "{} was not built", module.display());
    module
}

/// A directory for one test; removed when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Outcome {
    success: bool,
    output: String,
    /// What arrived at syslog's socket.
    log: Vec<String>,
    /// The line of `/proc/self/cgroup` of a program run later in the same stack.
    cgroup: String,
}

/// Opens and closes a session of `user` in the cgroup `start` with the given module arguments.
/// The namespaces have a `/etc/passwd` with alice, a PAM service `berth-test`, and a process 1
/// in the test's own `init.scope`, so that the subtree passes for the machine's whole hierarchy.
fn pamtester(tree: &Subtree, start: &CgroupDir, user: &str, arguments: &str) -> Outcome {
    pamtester_with(Layout::Systemd, "", tree, start, user, arguments)
}

/// What rules the machine that the namespaces pretend to be.
#[derive(Clone, Copy)]
enum Layout {
    Systemd,
    Elogind,
    Own,
}

/// As [`pamtester`] on such a machine, after the shell script `obstacle` there.
fn pamtester_with(
    layout: Layout,
    obstacle: &str,
    tree: &Subtree,
    start: &CgroupDir,
    user: &str,
    arguments: &str,
) -> Outcome {
    let (run, session) = match layout {
        Layout::Systemd => ("/run/systemd/system", "3"),
        Layout::Elogind => ("/run/systemd/seats /run/systemd/sessions", "3"),
        Layout::Own => ("/run/nothing", ""),
    };
    let directory = std::env::temp_dir().join(format!(
        "{}-{user}",
        tree.top().path().file_name().unwrap().to_str().unwrap()
    ));
    std::fs::create_dir(&directory).unwrap();
    let scratch = Scratch(directory);
    let directory = &scratch.0;
    let installed = directory.join("pam_berth.so");
    std::fs::copy(module(), &installed).unwrap();
    let socket = UnixDatagram::bind(directory.join("log")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let init = tree.make("init.scope");
    let script = r#"
        set -e
        echo 0 > "$INIT/cgroup.procs"
        printf 'root:x:0:0::/:/bin/sh\nalice:x:4242:4243::/:/bin/sh\n' > "$DIR/passwd"
        mount --bind "$DIR/passwd" /etc/passwd
        mount -t tmpfs none /etc/pam.d
        for kind in auth account password; do echo "$kind required pam_permit.so"; done \
            > /etc/pam.d/berth-test
        for kind in auth account password session; do echo "$kind required pam_deny.so"; done \
            > /etc/pam.d/other
        echo "session required $MODULE $ARGUMENTS" >> /etc/pam.d/berth-test
        echo "session optional pam_exec.so log=$DIR/cgroup quiet /bin/cat /proc/self/cgroup" \
            >> /etc/pam.d/berth-test
        mount -t tmpfs none /run
        mkdir -p $RUN
        [ ! -d /run/systemd/sessions ] || echo UID=4242 > /run/systemd/sessions/3
        mount -t tmpfs none /dev
        mknod -m 666 /dev/null c 1 3
        : > /dev/log
        mount --bind "$DIR/log" /dev/log
        umask 077
        sh -c 'echo 0 > "$START/cgroup.procs"; eval "$OBSTACLE"; exec timeout 30 pamtester -E "XDG_SESSION_ID=$SESSION" \
            berth-test "$USER" open_session close_session' < /dev/null
    "#;
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "sh",
            "-c",
            script,
        ])
        .env("INIT", init.path())
        .env("START", start.path())
        .env("DIR", directory)
        .env("MODULE", &installed)
        .env("ARGUMENTS", arguments)
        .env("RUN", run)
        .env("OBSTACLE", obstacle)
        .env(
            "MOUNT",
            berth_cgroups::Hierarchy::detect().unwrap().mount_point(),
        )
        .env("SESSION", session)
        .env("USER", user)
        .output()
        .expect("unshare can be started");
    let mut log = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer) {
        log.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    let cgroup = std::fs::read_to_string(directory.join("cgroup")).unwrap_or_default();
    let cgroup = cgroup
        .lines()
        .find(|line| line.starts_with("0::"))
        .unwrap_or_default();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    Outcome {
        success: output.status.success(),
        output: format!("{out}{err}"),
        log,
        cgroup: cgroup.to_owned(),
    }
}

fn session(tree: &Subtree) -> CgroupDir {
    let scope = tree.make(SCOPE);
    fs::set_xattr(scope.as_fd(), "trusted.delegate", b"1").unwrap();
    scope
}

#[test]
fn a_login_is_delegated_through_libpam() {
    let tree = Subtree::new();
    let scope = session(&tree);
    let outcome = pamtester(&tree, &scope, "alice", "");
    assert!(outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("sucessfully") || outcome.output.contains("successfully"));
    assert_eq!(outcome.log, [""; 0]);
    assert!(
        outcome.cgroup.ends_with("/session-3.scope/init.scope"),
        "{}",
        outcome.cgroup
    );
    let leaf = scope.child("init.scope").unwrap();
    for (dir, owner) in [(&scope, (4242, 4243)), (&leaf, (0, 0))] {
        assert_eq!(dir.owner().unwrap(), owner);
        assert_eq!(
            fs::status(dir.as_fd()).unwrap().permissions(),
            0o755,
            "umask was 077"
        );
    }
}

#[test]
fn a_login_that_is_not_to_be_delegated_succeeds_silently() {
    let tree = Subtree::new();
    let (scope, elsewhere) = (session(&tree), tree.make("system.slice/cron.service"));
    for (start, user, arguments) in [
        (&scope, "root", ""),
        (&scope, "alice", "session=none"),
        (&elsewhere, "alice", ""),
    ] {
        let outcome = pamtester(&tree, start, user, arguments);
        assert!(outcome.success, "{}", outcome.output);
        assert_eq!(outcome.log, [""; 0]);
        assert!(!outcome.cgroup.is_empty() && !outcome.cgroup.ends_with("init.scope"));
        assert_eq!(scope.owner().unwrap(), (0, 0));
        assert!(scope.children().unwrap().is_empty());
    }
}

#[test]
fn what_goes_wrong_is_one_line_of_syslog_and_the_login_goes_on() {
    let tree = Subtree::new();
    let scope = session(&tree);
    // An administrator's limit that leaves no room for a leaf.
    scope.write("cgroup.max.descendants", "0").unwrap();
    let outcome = pamtester(&tree, &scope, "alice", "nonsense");
    assert!(outcome.success, "{}", outcome.output);
    let [line] = &outcome.log[..] else {
        panic!("one line expected: {:?}", outcome.log);
    };
    for part in ["pam_berth(berth-test:session)", "“nonsense”", "init.scope"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(scope.owner().unwrap(), (0, 0));
}

#[test]
fn without_systemd_a_login_through_libpam_has_its_own_tree_and_leaves_nothing() {
    let tree = Subtree::new();
    let daemon = tree.make("openrc.sshd");
    let outcome = pamtester_with(Layout::Own, "", &tree, &daemon, "alice", "debug");
    assert!(outcome.success, "{}", outcome.output);
    assert!(
        outcome.cgroup.ends_with("/berth/user-4242/init.scope"),
        "{}",
        outcome.cgroup
    );
    let [line] = &outcome.log[..] else {
        panic!("one line expected: {:?}", outcome.log);
    };
    assert!(line.contains("delegated /"), "{line}");
    let left = tree.top().child("berth").unwrap().children().unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn with_elogind_a_login_through_libpam_stays_in_its_session() {
    let tree = Subtree::new();
    let session = tree.make("3");
    let outcome = pamtester_with(Layout::Elogind, "", &tree, &session, "alice", "");
    assert!(outcome.success, "{}", outcome.output);
    assert_eq!(outcome.log, [""; 0]);
    assert!(
        outcome.cgroup.ends_with("/3/init.scope"),
        "{}",
        outcome.cgroup
    );
    assert_eq!(session.owner().unwrap(), (4242, 4243));
    let left = tree.top().child("berth").unwrap().children().unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// What an attacker, an accident or an administrator can have done to the machine before.
#[test]
fn no_obstacle_fails_a_login_or_holds_it_up() {
    let read_only = r#"mount --bind "$MOUNT" "$MOUNT" && mount -o remount,bind,ro "$MOUNT""#;
    let no_proc = "mount -t tmpfs none /proc";
    // With fewer, libpam itself cannot read its configuration.
    let descriptors: Vec<_> = (6..=14).map(|count| format!("ulimit -n {count}")).collect();
    let mut obstacles = vec![
        ("read-only", read_only, true),
        ("no /proc", no_proc, true),
        ("all descendants are there", "", true),
        ("no file can grow", "ulimit -f 0", false),
        (
            "no memory to lock, no process more",
            "ulimit -l 0; ulimit -u 1",
            false,
        ),
    ];
    obstacles.extend(
        descriptors
            .iter()
            .map(|limit| ("few descriptors", limit.as_str(), false)),
    );
    for layout in [Layout::Systemd, Layout::Elogind, Layout::Own] {
        for (name, obstacle, untouched) in &obstacles {
            let tree = Subtree::new();
            let start = match layout {
                Layout::Systemd => session(&tree),
                Layout::Elogind => tree.make("3"),
                Layout::Own => tree.make("openrc.sshd"),
            };
            tree.make("init.scope");
            if obstacle.is_empty() {
                let count = tree.top().read("cgroup.stat").unwrap();
                let count = count
                    .lines()
                    .find_map(|line| line.strip_prefix("nr_descendants "));
                tree.top()
                    .write("cgroup.max.descendants", count.unwrap())
                    .unwrap();
            }
            let begin = std::time::Instant::now();
            let outcome = pamtester_with(layout, obstacle, &tree, &start, "alice", "");
            assert!(outcome.success, "{name}: {}", outcome.output);
            assert!(
                begin.elapsed() < std::time::Duration::from_secs(30),
                "{name}"
            );
            // pam_exec has its own opinion of these machines.
            let ours: Vec<_> = outcome
                .log
                .iter()
                .filter(|line| line.contains("pam_berth("))
                .collect();
            assert!(ours.len() <= 1, "{name}: {ours:?}");
            if *untouched {
                assert_eq!(start.owner().unwrap(), (0, 0), "{name}");
                let told = ours.iter().any(|line| line.contains("not delegated"));
                assert!(told, "{name}: {ours:?}");
            }
        }
    }
}

/// The package is removed or upgraded between login and logout.
#[test]
fn a_module_that_is_removed_or_replaced_meanwhile_closes_its_session() {
    let (remove, replace) = ("/bin/rm -f $MODULE", "/bin/mv -f $DIR/next $MODULE");
    for change in [remove, replace] {
        let tree = Subtree::new();
        let daemon = tree.make("openrc.sshd");
        // It is called at the session's end, too, when there is nothing left to do.
        let obstacle = format!(
            "cp $MODULE $DIR/next; printf '#!/bin/sh\\n%s || :\\n' \"{change}\" > $DIR/change; \
             chmod 755 $DIR/change; \
             echo session optional pam_exec.so quiet $DIR/change >> /etc/pam.d/berth-test"
        );
        let outcome = pamtester_with(Layout::Own, &obstacle, &tree, &daemon, "alice", "debug");
        assert!(
            outcome.success,
            "{change}: {} {:?}",
            outcome.output, outcome.log
        );
        let ours: Vec<_> = outcome
            .log
            .iter()
            .filter(|line| line.contains("pam_berth("))
            .collect();
        assert_eq!(ours.len(), 1, "{ours:?}");
        assert!(ours[0].contains("delegated /"), "{ours:?}");
        let left = tree.top().child("berth").unwrap().children().unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What the module could do to its host process it would have to import.
#[test]
fn the_module_imports_nothing_that_changes_its_host() {
    let symbols = |kind: &str| {
        let output = Command::new("nm").args(["-D", kind]).arg(module()).output();
        let output = output.expect("these tests need nm (Debian: binutils)");
        let text = String::from_utf8(output.stdout).unwrap();
        let name = |line: &str| {
            line.split_whitespace()
                .last()?
                .split('@')
                .next()
                .map(str::to_owned)
        };
        text.lines().filter_map(name).collect::<Vec<_>>()
    };
    let exported: Vec<_> = symbols("--defined-only")
        .into_iter()
        .filter(|name| name.starts_with("pam_"))
        .collect();
    assert_eq!(exported, ["pam_sm_close_session", "pam_sm_open_session"]);
    let imported = symbols("--undefined-only");
    assert!(
        imported.iter().any(|name| name == "pam_get_item"),
        "{imported:?}"
    );
    for harmful in [
        "umask",
        "signal",
        "sigaction",
        "sigprocmask",
        "pthread_sigmask",
        "sigaltstack",
        "setenv",
        "putenv",
        "unsetenv",
        "clearenv",
        "setlocale",
        "chdir",
        "fchdir",
        "dup2",
        "dup3",
        "fork",
        "execve",
        "posix_spawn",
        "pthread_create",
        "socket",
        "connect",
        "bind",
        "setuid",
        "seteuid",
        "setresuid",
        "setgroups",
        "setrlimit",
        "prctl",
        "exit",
        "_exit",
        "getgrgid_r",
        "getgrouplist",
        "initgroups",
        "getaddrinfo",
        "printf",
        "puts",
    ] {
        assert!(!imported.iter().any(|name| name == harmful), "{harmful}");
    }
}
