//! A bus of the test's own, in a mount namespace of its own: dbus-daemon with berthd's policy, a
//! systemd and a logind that do what the test says, and berthd. The machine's bus is not touched.

use std::collections::HashMap;
use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use zbus::export::futures_core::Stream;
use zbus::message::{Message, Type};
use zbus::wire::{ObjectPath, OwnedObjectPath, Variant};
use zbus::{MatchRule, MessageStream};

pub const ALICE: u32 = 4711;
pub const BOB: u32 = 4712;
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the calling test again in a process and a mount namespace of its own and tells that it did
/// so; `false` in that process.
pub fn ran_alone() -> bool {
    const MARK: &str = "BERTH_TEST_RUNS_ALONE";
    if std::env::var_os(MARK).is_some() {
        return false;
    }
    let thread = std::thread::current();
    let test = thread.name().expect("the runner names threads by tests");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    true
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What the fake systemd and logind do and have heard.
#[derive(Default)]
pub struct World {
    /// ActiveState of units; those that are not here are inactive.
    pub units: HashMap<String, String>,
    /// Units whose start is never answered.
    pub hang: Vec<String>,
    /// Units whose start fails.
    pub fail: Vec<String>,
    /// Owners of the sessions that logind names one after the other; the last one stays. None: the
    /// process is in no session.
    pub sessions: Vec<Option<u32>>,
    /// Starts and stops, in order.
    pub jobs: Vec<String>,
}

pub struct Bus {
    dir: PathBuf,
    daemon: Child,
    berthd: Option<Child>,
    pub world: Arc<Mutex<World>>,
}

impl Bus {
    /// Sets the namespace up and starts everything.
    pub fn start() -> Self {
        let dir = PathBuf::from("/run/berthd-test");
        tmpfs(Path::new("/run"), "mode=0755");
        fs::create_dir_all(&dir).unwrap();
        let etc = dir.join("etc");
        fs::create_dir(&etc).unwrap();
        for (name, content) in [
            (
                "passwd",
                "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\n\
                 nobody:x:65534:65534::/:/bin/sh\n\
                 alice:x:4711:4711::/home/alice:/bin/sh\nbob:x:4712:4712::/home/bob:/bin/sh\n",
            ),
            (
                "group",
                "root:x:0:\nalice:x:4711:\nbob:x:4712:\nstaff:x:50:\n",
            ),
            ("nsswitch.conf", "passwd: files\ngroup: files\n"),
        ] {
            fs::write(etc.join(name), content).unwrap();
        }
        fs::create_dir(etc.join("berth")).unwrap();
        fs::create_dir(etc.join("pam.d")).unwrap();
        let _ = fs::copy("/etc/ld.so.cache", etc.join("ld.so.cache"));
        mount(
            Some(&etc),
            "/etc",
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
        tmpfs(Path::new("/var/lib"), "mode=0755");
        fs::create_dir_all("/var/lib/systemd/linger").unwrap();
        fs::create_dir_all("/var/lib/berth/grants").unwrap();

        let address = format!("unix:path={}/bus", dir.display());
        let policy = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../packaging/dbus/org.berth.Manager1.conf"
        );
        let config = dir.join("bus.conf");
        let rules = format!(
            "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/>\
             <deny send_type=\"method_call\"/><allow send_type=\"signal\"/>\
             <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/>\
             <allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\
             <allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
             <allow send_destination=\"org.freedesktop.DBus\"/></policy>\
             <policy user=\"root\"><allow own=\"org.freedesktop.systemd1\"/>\
             <allow own=\"org.freedesktop.login1\"/><allow send_type=\"method_call\"/></policy>\
             <include>{policy}</include></busconfig>"
        );
        fs::write(&config, rules).unwrap();
        let mut daemon = Command::new("setpriv");
        daemon.args(["--pdeathsig", "KILL", "dbus-daemon", "--nofork"]);
        let daemon = daemon
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the bus is up", || dir.join("bus").exists());

        let world = Arc::new(Mutex::new(World::default()));
        for name in ["org.freedesktop.systemd1", "org.freedesktop.login1"] {
            fake(&address, name, Arc::clone(&world));
        }
        let mut bus = Self {
            dir,
            daemon,
            berthd: None,
            world,
        };
        bus.start_berthd();
        bus
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.dir.display())
    }

    fn start_berthd(&mut self) {
        let log = fs::File::create(self.dir.join("log")).unwrap();
        let berthd = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_berthd")])
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.address())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.berthd = Some(berthd.unwrap());
        until("berthd has its name", || {
            let ping = self.call(0, "org.freedesktop.DBus.Peer", "Ping", &[]);
            ping.status.success()
        });
    }

    /// What berthd has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Waits until berthd ends by itself; its exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        let berthd = self.berthd.as_mut().unwrap();
        until("berthd ends", || berthd.try_wait().unwrap().is_some());
        berthd.wait().unwrap().code()
    }

    pub fn busctl(&self, uid: u32, groups: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={uid}"),
            format!("--groups={groups}"),
        ]);
        command.args(["busctl", "--timeout=30", "--auto-start=no"]);
        command.arg(format!("--address={}", self.address()));
        command.process_group(0);
        command
    }

    /// A call as this user.
    pub fn call(&self, uid: u32, interface: &str, method: &str, arguments: &[&str]) -> Output {
        self.busctl(uid, &uid.to_string())
            .args(["call", "org.berth.Manager1", "/org/berth/Manager1"])
            .args([interface, method])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// One of berthd's own methods as this user: the answer, or the error.
    pub fn ask(&self, uid: u32, method: &str) -> Result<String, String> {
        let output = self.call(uid, "org.berth.Manager1", method, &[]);
        match output.status.success() {
            true => Ok(text(&output)),
            false => Err(text(&output)),
        }
    }

    /// Starts and stops since the last look.
    pub fn jobs(&self) -> Vec<String> {
        std::mem::take(&mut self.world.lock().unwrap().jobs)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for child in self.berthd.iter_mut().chain([&mut self.daemon]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of berthd\n{}", self.log());
        }
    }
}

/// A linger mark of this user's that belongs to `owner`.
pub fn linger(user: &str, owner: u32) {
    let mark = Path::new("/var/lib/systemd/linger").join(user);
    fs::write(&mark, "").unwrap();
    chown(&mark, Some(owner), Some(owner)).unwrap();
}

pub fn policy(text: &str) {
    fs::write("/etc/berth/berthd.toml", text).unwrap();
}

fn tmpfs(at: &Path, options: &str) {
    mount(
        Some("tmpfs"),
        at,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options),
    )
    .unwrap();
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes `name` and answers calls in a thread.
fn fake(address: &str, name: &'static str, world: Arc<Mutex<World>>) {
    let connection = zbus::block_on(zbus::connection::Builder::address(address).build()).unwrap();
    let rule = MatchRule::builder()
        .msg_type(Type::MethodCall)
        .build()
        .unwrap();
    let mut stream =
        zbus::block_on(MessageStream::for_match_rule(rule, &connection, None)).unwrap();
    zbus::block_on(connection.request_name(name)).unwrap();
    std::thread::spawn(move || {
        while let Some(Ok(call)) =
            zbus::block_on(poll_fn(|context| Pin::new(&mut stream).poll_next(context)))
        {
            answer(&connection, &call, &world);
        }
    });
}

/// Units and sessions are objects whose path ends with their name in hexadecimal digits.
fn object(kind: &str, name: &str) -> OwnedObjectPath {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    ObjectPath::try_from(format!("/{kind}/x{digits}"))
        .unwrap()
        .into()
}

fn name_of(path: &str) -> String {
    let digits = path.rsplit("/x").next().unwrap();
    let bytes = (0..digits.len()).step_by(2);
    let bytes = bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}

fn answer(connection: &zbus::Connection, call: &Message, world: &Mutex<World>) {
    let header = call.header();
    let path = header.path().unwrap().to_string();
    let member = header.member().unwrap().to_string();
    let mut world = world.lock().unwrap();
    let fail = |name: &str| {
        zbus::block_on(connection.reply_error(&header, name, &"the fake says so")).unwrap();
    };
    match member.as_str() {
        "StartUnit" | "StopUnit" => {
            let (unit, _mode): (String, String) = call.body().deserialize().unwrap();
            world.jobs.push(format!("{member} {unit}"));
            if world.hang.contains(&unit) {
                return;
            }
            let state = match () {
                () if member == "StopUnit" => "inactive",
                () if world.fail.contains(&unit) => "failed",
                () => "active",
            };
            world.units.insert(unit.clone(), state.to_owned());
            zbus::block_on(connection.reply(&header, &object("job", &unit))).unwrap();
        }
        "LoadUnit" => {
            let unit: String = call.body().deserialize().unwrap();
            zbus::block_on(connection.reply(&header, &object("unit", &unit))).unwrap();
        }
        "GetUser" => fail("org.freedesktop.login1.NoSuchUser"),
        "GetSessionByPID" => {
            let owner = match world.sessions.len() {
                0 => None,
                1 => world.sessions[0],
                _ => world.sessions.remove(0),
            };
            match owner {
                None => fail("org.freedesktop.login1.NoSessionForPID"),
                Some(uid) => {
                    let session = object("session", &uid.to_string());
                    zbus::block_on(connection.reply(&header, &session)).unwrap();
                }
            }
        }
        "Get" => {
            let (_, property): (String, String) = call.body().deserialize().unwrap();
            let name = name_of(&path);
            let state = world.units.get(&name).map_or("inactive", String::as_str);
            let none = object("job", "none");
            let value = match property.as_str() {
                "ActiveState" => Variant::from(state),
                "LoadState" => Variant::from("loaded"),
                "ConditionResult" => Variant::from(true),
                "Job" => Variant::from((0_u32, none)),
                "MainPID" => Variant::from(0_u32),
                "Id" => Variant::from("7"),
                "User" => Variant::from((name.parse::<u32>().unwrap(), none)),
                "Name" => Variant::from(format!("user-{name}")),
                "Class" => Variant::from("user"),
                "Service" => Variant::from("sshd"),
                "Scope" => Variant::from("session-7.scope"),
                other => panic!("nobody should ask for {other}"),
            };
            zbus::block_on(connection.reply(&header, &value)).unwrap();
        }
        other => panic!("nobody should call {other}"),
    }
}
