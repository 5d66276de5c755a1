//! A host with cgroup v1, for one test: namespaces in which a named hierarchy of the test's own,
//! a subtree of each controller that this machine has in version 1, and a subtree of version 2
//! stand at `/sys/fs/cgroup` as whole hierarchies, with users and a PAM service. Needs root.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const ALICE: (u32, u32) = (4242, 4243);

const PATIENCE: Duration = Duration::from_secs(30);

/// In a mount namespace of its own: subtrees are made and entered, so that they are the roots in
/// the cgroup namespace that comes next.
const OUTSIDE: &str = r#"
    set -e
    umount --recursive --lazy /sys/fs/cgroup
    mount -t tmpfs none /sys/fs/cgroup
    mkdir "/sys/fs/cgroup/$TAG"
    mount -t cgroup -o "none,name=$TAG" none "/sys/fs/cgroup/$TAG"
    for c in $CONTROLLERS; do
        mkdir "/sys/fs/cgroup/$c"
        mount -t cgroup -o "$c" none "/sys/fs/cgroup/$c"
        mkdir "/sys/fs/cgroup/$c/$TAG"
        if [ "$c" = cpuset ]; then
            for f in cpuset.cpus cpuset.mems; do
                cat "/sys/fs/cgroup/cpuset/$f" > "/sys/fs/cgroup/cpuset/$TAG/$f"
            done
        fi
        echo 0 > "/sys/fs/cgroup/$c/$TAG/cgroup.procs"
        umount "/sys/fs/cgroup/$c"
    done
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 none /sys/fs/cgroup/unified
    mkdir "/sys/fs/cgroup/unified/$TAG"
    echo 0 > "/sys/fs/cgroup/unified/$TAG/cgroup.procs"
    umount /sys/fs/cgroup/unified
    exec unshare --cgroup --pid --fork --kill-child --mount-proc sh -c "$INSIDE"
"#;

/// As process 1 of the host.
const INSIDE: &str = r#"
    set -e
    for c in $CONTROLLERS; do
        mount -t cgroup -o "$c" none "/sys/fs/cgroup/$c"
    done
    mount -t cgroup2 none /sys/fs/cgroup/unified
    {
        echo 'root:x:0:0::/:/bin/sh'
        echo 'alice:x:4242:4243::/:/bin/sh'
        echo 'bob:x:4244:4245::/:/bin/sh'
        echo '..:x:4246:4247::/:/bin/sh'
    } > "$DIR/passwd"
    mount --bind "$DIR/passwd" /etc/passwd
    mount -t tmpfs none /etc/pam.d
    # No login manager: this host's own may have left its marks.
    mount -t tmpfs none /run
    for kind in auth account password session; do
        echo "$kind required pam_deny.so"
    done > /etc/pam.d/other
    : > "$DIR/ready"
    exec sleep infinity
"#;

/// Removes what is left in the machine's hierarchies.
const AFTERWARDS: &str = r#"
    mount -t tmpfs none /mnt
    mkdir /mnt/named /mnt/unified
    mount -t cgroup -o "none,name=$TAG" none /mnt/named
    mount -t cgroup2 none /mnt/unified
    for c in $CONTROLLERS; do
        mkdir "/mnt/$c"
        mount -t cgroup -o "$c" none "/mnt/$c"
    done
    for try in $(seq 100); do
        find /mnt/named -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
        find /mnt/*/"$TAG" -depth -type d -exec rmdir {} + 2>/dev/null
        left=$(find /mnt/*/"$TAG" /mnt/named -mindepth 1 -type d 2>/dev/null | head -n 1)
        [ -z "$left" ] && ! ls -d /mnt/*/"$TAG" > /dev/null 2>&1 && break
        sleep 0.05
    done
    # The kernel forgets a named hierarchy some time after it is unmounted, but not one that had
    # cgroups then, and those that were removed just now take a moment. Mounted too early it is
    # made anew.
    for round in $(seq 20); do
        sleep 0.2
        umount /mnt/named
        for try in $(seq 40); do
            grep -q ":name=$TAG:" /proc/self/cgroup || exit 0
            sleep 0.05
        done
        mount -t cgroup -o "none,name=$TAG" none /mnt/named
    done
    echo "left behind: $left"
    exit 1
"#;

/// Which module a login loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Ours,
    /// Debian's libpam-cgfs.
    Original,
}

pub const BOTH: [Module; 2] = [Module::Original, Module::Ours];

impl Module {
    fn path(self) -> PathBuf {
        let here = std::env::current_exe().unwrap();
        if self == Self::Ours {
            let module = here.with_file_name("libpam_berth.so");
            assert!(module.exists(), "{} was not built", module.display());
            return module;
        }
        // target/debug/deps/THIS
        let target = here.ancestors().nth(3).unwrap();
        let security = target.join("originals/libpam-cgfs/lib");
        let found = std::fs::read_dir(&security).ok().and_then(|triplets| {
            let module = |entry: std::fs::DirEntry| entry.path().join("security/pam_cgfs.so");
            triplets.flatten().map(module).find(|path| path.exists())
        });
        found.unwrap_or_else(|| {
            panic!(
                "Debian's pam_cgfs.so is not below {}: `cargo xtask test` unpacks it there",
                security.display()
            )
        })
    }
}

pub struct World {
    dir: PathBuf,
    tag: String,
    controllers: Vec<&'static str>,
    process: Child,
    inner: u32,
}

impl World {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let tag = format!("berth-test-v1-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&tag);
        std::fs::create_dir(&dir).unwrap();
        let controllers = controllers_in_version_1();
        let log = std::fs::File::create(dir.join("world")).unwrap();
        let process = Command::new("unshare")
            .args(["--mount", "sh", "-c", OUTSIDE])
            .env("TAG", &tag)
            .env("DIR", &dir)
            .env("CONTROLLERS", controllers.join(" "))
            .env("INSIDE", INSIDE)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("unshare can be started");
        let mut world = Self {
            dir,
            tag,
            controllers,
            process,
            inner: 0,
        };
        world.wait_for("ready");
        let pid = world.process.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        world.inner = children.unwrap().trim().parse().unwrap();
        world
    }

    /// The hierarchy without a controller, which every machine can have.
    pub fn named(&self) -> String {
        format!("name={}", self.tag)
    }

    /// Those controllers that are real here. A machine whose controllers are all in use by
    /// version 2 has none; the named hierarchy is there always.
    pub fn controllers(&self) -> &[&'static str] {
        &self.controllers
    }

    pub fn has(&self, controller: &str) -> bool {
        let has = self.controllers.contains(&controller);
        if !has {
            eprintln!("this machine has {controller} in version 2: not looked at");
        }
        has
    }

    /// Where a hierarchy (as `-c` names it) is mounted in this world.
    pub fn mount(&self, hierarchy: &str) -> String {
        let name = hierarchy.strip_prefix("name=").unwrap_or(hierarchy);
        format!("/sys/fs/cgroup/{name}")
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits until the file is there.
    pub fn wait_for(&mut self, file: &str) {
        let start = Instant::now();
        while !self.dir.join(file).exists() {
            let log = || std::fs::read_to_string(self.dir.join("world")).unwrap_or_default();
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the world ended with {status}: {}", log());
            }
            assert!(start.elapsed() < PATIENCE, "no {file}: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        let enter = "for p in /sys/fs/cgroup/*/cgroup.procs; do echo 0 > $p; done; ";
        command
            .args(["--target", &self.inner.to_string()])
            .args(["--mount", "--cgroup", "--pid", "sh", "-c"])
            .arg(format!("{enter}{script}"))
            .env("DIR", &self.dir)
            .env("NAMED", self.mount(&self.named()))
            .stdin(Stdio::null());
        command
    }

    /// Runs a shell script as root at the top of every hierarchy; what it says.
    pub fn sh(&self, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(
            output.status.success(),
            "{script}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// The cgroups below a path, and whose they are, as `NAME UID:GID MODE`.
    pub fn tree(&self, path: &str) -> Vec<String> {
        let script =
            format!("cd {path} && find . -mindepth 1 -type d -printf '%P %U:%G %m\\n' | sort");
        self.sh(&script).lines().map(str::to_owned).collect()
    }

    /// A login of `user`: opens a session, runs `script` as root in it, closes it.
    pub fn login(&self, module: Module, arguments: &str, user: &str, script: &str) -> Login {
        self.begin(module, arguments, user, script).end()
    }

    /// As [`Self::login`], not waiting for its end.
    pub fn begin(&self, module: Module, arguments: &str, user: &str, script: &str) -> Running {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("login-{number}");
        let run = self.dir.join(format!("{name}.sh"));
        let script = format!(
            "[ \"$PAM_TYPE\" = open_session ] || exit 0\n\
             exec > {0}/{name}.out 2>&1\ncat /proc/self/cgroup > {0}/{name}.cgroup\n{script}\n",
            self.dir.display()
        );
        std::fs::write(&run, script).unwrap();
        let installed = self.dir.join(format!("{module:?}.so"));
        if !installed.exists() {
            let half = self.dir.join(format!("{name}.so"));
            std::fs::copy(module.path(), &half).unwrap();
            std::fs::rename(half, &installed).unwrap();
        }
        // A busy machine is no reason to leave a session where it is.
        let deadline = match module {
            Module::Ours => "deadline=10000",
            Module::Original => "",
        };
        let service = format!(
            "auth required pam_permit.so\naccount required pam_permit.so\n\
             session required {} {arguments} {deadline}\n\
             session optional pam_exec.so quiet /bin/sh {}\n",
            installed.display(),
            run.display()
        );
        let before = self.dir.join(format!("{name}.before"));
        std::fs::write(self.dir.join(&name), service).unwrap();
        let start = format!(
            "cp $DIR/{name} /etc/pam.d/{name}; [ ! -e {0} ] || . {0}; [ ! -e $DIR/before ] || . $DIR/before; \
             exec pamtester {name} '{user}' open_session close_session",
            before.display()
        );
        let child = self
            .command(&start)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            child,
            base: self.dir.join(name),
        }
    }

    /// What a shell does before each login that follows: its umask, its cgroup.
    pub fn before_logins(&self, script: &str) {
        std::fs::write(self.dir.join("before"), script).unwrap();
    }
}

pub struct Running {
    child: Child,
    base: PathBuf,
}

pub struct Login {
    pub success: bool,
    pub said: String,
    /// What the script said.
    pub output: String,
    cgroups: String,
}

impl Running {
    pub fn end(self) -> Login {
        let Output {
            status,
            stdout,
            stderr,
        } = self.child.wait_with_output().unwrap();
        let read = |kind: &str| {
            std::fs::read_to_string(self.base.with_extension(kind)).unwrap_or_default()
        };
        Login {
            success: status.success(),
            said: String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned(),
            output: read("out").trim().to_owned(),
            cgroups: read("cgroup"),
        }
    }
}

impl Login {
    /// Where the session was in a hierarchy, as `-c` names it.
    pub fn place(&self, hierarchy: &str) -> &str {
        let wanted = if hierarchy == "unified" {
            ""
        } else {
            hierarchy
        };
        let place = self.cgroups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let names = fields.next()?;
            let path = fields.next()?;
            names.split(',').any(|name| name == wanted).then_some(path)
        });
        place.unwrap_or_else(|| panic!("{hierarchy} is not in {:?} {}", self.cgroups, self.said))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let cleared = Command::new("unshare")
            .args(["--mount", "sh", "-c", AFTERWARDS])
            .env("TAG", &self.tag)
            .env("CONTROLLERS", self.controllers.join(" "))
            .output();
        match cleared {
            Ok(output) if output.status.success() => {}
            other => eprintln!("{other:?}"),
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Of the controllers that are of interest here, those that this machine has in version 1: in
/// `/proc/cgroups` their hierarchy has a number.
fn controllers_in_version_1() -> Vec<&'static str> {
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let in_use = |name: &&str| {
        table.lines().any(|line| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(name) && fields.next().is_some_and(|number| number != "0")
        })
    };
    let all = ["cpuset", "memory", "freezer", "pids"];
    all.into_iter().filter(in_use).collect()
}
