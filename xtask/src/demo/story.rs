//! The story that `cargo xtask try` plays, as data.

/// Who types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The administrator.
    Root,
    /// An ordinary user in her login session.
    Alice,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Scene {
    /// A heading.
    Chapter(&'static str),
    /// A shell command.
    Command(Line),
    /// A command on a terminal: what is waited for, and what is typed then.
    Terminal(&'static str, &'static [(&'static str, &'static str)]),
    /// Alice logs in through sshd.
    LogIn,
    /// And out.
    LogOut,
    /// The host shuts down in order and boots again.
    Reboot,
}

/// Finds a part of an output.
pub type Find = fn(&str) -> Option<String>;

/// A shell command and what must come of it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who types it.
    pub who: Who,
    /// As typed; `{name}` stands for what an earlier line has told.
    pub command: &'static str,
    /// The exit code.
    pub code: i32,
    /// What its output must contain.
    pub shows: &'static [&'static str],
    /// Whether it is tried again for a while until it succeeds and shows that: somebody else's
    /// work, such as DHCP's, may not be done yet.
    pub patient: bool,
    /// A name for a part of its output, and how to find that part.
    pub tells: Option<(&'static str, Find)>,
}

impl Line {
    fn new(who: Who, command: &'static str) -> Self {
        Self {
            who,
            command,
            code: 0,
            shows: &[],
            patient: false,
            tells: None,
        }
    }

    fn shows(mut self, text: &'static [&'static str]) -> Scene {
        self.shows = text;
        Scene::Command(self)
    }

    fn done(self) -> Scene {
        Scene::Command(self)
    }

    fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    fn fails(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    fn tells(mut self, name: &'static str, find: Find) -> Self {
        self.tells = Some((name, find));
        self
    }
}

fn root(command: &'static str) -> Line {
    Line::new(Who::Root, command)
}

fn alice(command: &'static str) -> Line {
    Line::new(Who::Alice, command)
}

/// What the administrator has to do, once.
pub fn grant() -> Vec<Scene> {
    vec![
        root("berth grant alice --nics 5").done(),
        root("berth grants").shows(&["alice"]),
    ]
}

/// From login to reboot.
pub fn whole() -> Vec<Scene> {
    let mut scenes = vec![Scene::Chapter(
        "The administrator lets alice run containers",
    )];
    scenes.extend(grant());
    scenes.extend([
        root("ip -brief address show berthbr0")
            .tells("bridge", address)
            .shows(&["berthbr0"]),
        Scene::Chapter("alice logs in: her session has a control group of its own"),
        Scene::LogIn,
        alice("id").shows(&["uid=1000(alice)"]),
        alice("cat /proc/self/cgroup").shows(&["session-", "/init.scope"]),
        alice("systemctl is-active berth-user@1000.service")
            .patient()
            .shows(&["active"]),
        Scene::Chapter("A container, without sudo"),
        alice("berth create web -t busybox").done(),
        alice("berth start web").done(),
        alice("berth ls").shows(&["web"]),
        alice("berth exec web -- ip addr show eth0")
            .patient()
            .shows(&["inet "]),
        alice("berth exec web -- ping -c 1 {bridge}")
            .patient()
            .shows(&["1 packets received"]),
        Scene::Chapter("A second one; they reach each other"),
        alice("berth create db -t busybox && berth start db").done(),
        alice("berth exec db -- ip -4 addr show eth0")
            .patient()
            .tells("db", address)
            .shows(&["inet "]),
        alice("berth exec web -- ping -c 1 {db}").shows(&["1 packets received"]),
        alice("berth exec web -- sh -c 'exit 7'").fails(7).done(),
        Scene::Terminal(
            "berth attach web",
            &[("# ", "hostname; id -u; tty\n"), ("# ", "exit\n")],
        ),
        alice("berth info web")
            .tells("pid", init_pid)
            .shows(&["web"]),
        Scene::Chapter("The administrator lowers her quota to two network interfaces"),
        root("berth grant alice --nics 2").done(),
        alice("berth create more -t busybox").done(),
        alice("berth start more").fails(1).done(),
        alice("berth destroy --force more").done(),
        Scene::Chapter("web is to come back with the host"),
        alice("berth enable web").done(),
        Scene::LogOut,
        root("cat /proc/{pid}/cgroup").shows(&["berth-user@1000.service"]),
        Scene::Chapter("A reboot; nobody logs in"),
        Scene::Reboot,
        root("loginctl list-sessions").done(),
        root("systemd-cgls --no-pager --unit berth-user@1000.service")
            .patient()
            .shows(&["web"]),
        Scene::Chapter("alice is back"),
        Scene::LogIn,
        alice("berth ls").shows(&["web"]),
        alice("berth exec web -- uptime").done(),
        alice("berth stop web").done(),
        alice("berth destroy --force web").done(),
        alice("berth destroy --force db").done(),
        alice("berth ls").done(),
        Scene::LogOut,
    ]);
    scenes
}

/// The first IPv4 address with a prefix length: `10.0.0.1/24` gives `10.0.0.1`.
fn address(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let (address, length) = word.split_once('/')?;
        length.parse::<u8>().ok()?;
        Some(address.parse::<std::net::Ipv4Addr>().ok()?.to_string())
    })
}

/// The number after `PID:`.
fn init_pid(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("PID:"))?;
    Some(line.trim().parse::<u32>().ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_outputs() {
        let text = "berthbr0   UP   10.209.0.1/24 fe80::1/64";
        assert_eq!(address(text).as_deref(), Some("10.209.0.1"));
        assert_eq!(address("inet6 fe80::1/64 a/b"), None);
        assert_eq!(
            init_pid("Name: web\nPID:   4711\n").as_deref(),
            Some("4711")
        );
        assert_eq!(init_pid("PID: none\nMonitor: 12"), None);
    }

    #[test]
    fn every_name_is_told_before_it_is_used() {
        let mut told = Vec::new();
        for scene in whole() {
            let Scene::Command(line) = scene else {
                continue;
            };
            for name in line
                .command
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
            {
                assert!(told.contains(&name), "{name} in {}", line.command);
            }
            told.extend(line.tells.map(|(name, _)| name));
        }
    }
}
