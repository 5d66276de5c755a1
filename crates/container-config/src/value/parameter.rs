//! `lxc.sysctl.NAME` and `lxc.proc.FILE`

use super::expected;
use crate::error::printable;
use crate::key::Refusal;
use std::path::PathBuf;

/// A kernel parameter and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// As written.
    pub name: String,
    /// Its file below `/proc/sys`.
    pub path: PathBuf,
    /// What to write.
    pub value: String,
    /// The namespace it belongs to.
    pub of: SysctlScope,
}

/// Which namespace has a value of its own of a kernel parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysctlScope {
    /// The network namespace.
    Net,
    /// The IPC namespace.
    Ipc,
    /// The user namespace.
    User,
    /// The pid namespace.
    Pid,
}

/// Those outside of `net.`, `fs.mqueue.` and `user.max_` that are no whole host's (the kernel's
/// Documentation/admin-guide/sysctl; kernel.pid_max since 6.14).
const NAMESPACED: [(&str, SysctlScope); 12] = [
    ("kernel.auto_msgmni", SysctlScope::Ipc),
    ("kernel.msg_next_id", SysctlScope::Ipc),
    ("kernel.msgmax", SysctlScope::Ipc),
    ("kernel.msgmnb", SysctlScope::Ipc),
    ("kernel.msgmni", SysctlScope::Ipc),
    ("kernel.sem", SysctlScope::Ipc),
    ("kernel.shm_rmid_forced", SysctlScope::Ipc),
    ("kernel.shmall", SysctlScope::Ipc),
    ("kernel.shmmax", SysctlScope::Ipc),
    ("kernel.shmmni", SysctlScope::Ipc),
    ("kernel.pid_max", SysctlScope::Pid),
    ("vm.memfd_noexec", SysctlScope::Pid),
];

/// Checks a parameter's name: its path below `/proc/sys` and whose it is. As sysctl(8) has it, a
/// slash in a name with dots stands for a dot in a part (`net.ipv4.conf.eth0/1.rp_filter`).
pub fn sysctl_name(name: &str) -> Result<(PathBuf, SysctlScope), Refusal> {
    let slashes_first = name
        .find(['.', '/'])
        .is_some_and(|at| name[at..].starts_with('/'));
    let dotted: String = match slashes_first {
        true => name.chars().map(swap_separators).collect(),
        false => name.to_owned(),
    };
    let good_part = |part: &str| !part.is_empty() && !matches!(part, "/" | "//");
    let parts: Vec<&str> = dotted.split('.').collect();
    if parts.len() < 2 || !parts.iter().all(|part| good_part(part)) {
        return Err(Refusal::Other(format!(
            "“{}” is no name of a kernel parameter (net.ipv4.ip_forward)",
            printable(name)
        )));
    }
    let path = parts
        .iter()
        .map(|part| part.replace('/', "."))
        .collect::<PathBuf>();
    match scope(&dotted) {
        Ok(of) => Ok((path, of)),
        Err(why) => Err(Refusal::Other(why)),
    }
}

fn swap_separators(c: char) -> char {
    match c {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

fn scope(name: &str) -> Result<SysctlScope, String> {
    if let Some((_, scope)) = NAMESPACED.iter().find(|(known, _)| *known == name) {
        return Ok(*scope);
    }
    if name.starts_with("net.") {
        return Ok(SysctlScope::Net);
    }
    if name.starts_with("fs.mqueue.") {
        return Ok(SysctlScope::Ipc);
    }
    if name.starts_with("user.max_") {
        return Ok(SysctlScope::User);
    }
    if matches!(name, "kernel.hostname" | "kernel.domainname") {
        return Err(format!(
            "{name} is not set this way; lxc.uts.name sets the host name"
        ));
    }
    Err(format!(
        "“{}” belongs to the whole host, not to a container; expected a parameter that each \
         container has for itself: net.*, fs.mqueue.*, user.max_*, kernel.msg*, kernel.sem, \
         kernel.shm*, kernel.pid_max, vm.memfd_noexec",
        printable(name)
    ))
}

/// A parameter and its value.
pub fn sysctl(name: &str, value: &str) -> Result<Sysctl, Refusal> {
    let (path, of) = sysctl_name(name)?;
    Ok(Sysctl {
        name: name.to_owned(),
        path,
        value: value.to_owned(),
        of,
    })
}

/// A file in init's directory in `/proc` and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcFile {
    /// Its path below that directory.
    pub path: PathBuf,
    /// What to write.
    pub value: String,
}

/// What is the start's own business, or no setting.
const NO_SETTINGS: [&str; 8] = [
    "clear_refs",
    "fd",
    "gid_map",
    "mem",
    "projid_map",
    "setgroups",
    "timens_offsets",
    "uid_map",
];

/// Checks a file's name; as in LXC, dots stand for slashes.
pub fn proc_file_name(name: &str) -> Result<PathBuf, Refusal> {
    let parts: Vec<&str> = name.split(['.', '/']).collect();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let good = parts
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(allowed));
    if !good {
        return Err(Refusal::Other(format!(
            "“{}” is no file of a process in /proc (oom_score_adj, coredump_filter)",
            printable(name)
        )));
    }
    if NO_SETTINGS.contains(&parts[0]) {
        return Err(Refusal::Other(format!(
            "{} is no setting; expected a file such as oom_score_adj or coredump_filter",
            parts[0]
        )));
    }
    Ok(parts.into_iter().collect())
}

/// A file and what is written to it.
pub fn proc_file(name: &str, value: &str) -> Result<ProcFile, Refusal> {
    let path = proc_file_name(name)?;
    if path.as_os_str() == "oom_score_adj" {
        match super::integer(value) {
            Ok(-1000..=1000) => {}
            _ => return expected("a number from -1000 to 1000"),
        }
    }
    Ok(ProcFile {
        path,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn parameters_are_the_containers_own() {
        for (name, path, of) in [
            (
                "net.ipv4.ip_forward",
                "net/ipv4/ip_forward",
                SysctlScope::Net,
            ),
            (
                "net/ipv4/ip_forward",
                "net/ipv4/ip_forward",
                SysctlScope::Net,
            ),
            (
                "net.ipv4.conf.eth0/1.rp_filter",
                "net/ipv4/conf/eth0.1/rp_filter",
                SysctlScope::Net,
            ),
            (
                "net/ipv4/conf/eth0.1/rp_filter",
                "net/ipv4/conf/eth0.1/rp_filter",
                SysctlScope::Net,
            ),
            ("kernel.shmmax", "kernel/shmmax", SysctlScope::Ipc),
            ("fs.mqueue.msg_max", "fs/mqueue/msg_max", SysctlScope::Ipc),
            (
                "user.max_user_namespaces",
                "user/max_user_namespaces",
                SysctlScope::User,
            ),
        ] {
            let found = sysctl(name, "1").unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!((found.path.as_path(), found.of), (Path::new(path), of));
        }
        for (name, says) in [
            ("vm.swappiness", "whole host"),
            ("kernel.panic", "net.*"),
            ("kernel.hostname", "lxc.uts.name"),
            ("net", "no name"),
            ("net..ipv4", "no name"),
            ("net.", "no name"),
            ("net.//.x", "no name"),
            ("net/../kernel/panic", "no name"),
            ("/net/ipv4", "no name"),
        ] {
            let message = sysctl(name, "1").unwrap_err().message("1");
            assert!(message.contains(says), "{name}: {message}");
        }
    }

    #[test]
    fn files_of_a_process() {
        let path = |name| proc_file_name(name).unwrap();
        assert_eq!(path("oom_score_adj"), Path::new("oom_score_adj"));
        assert_eq!(path("attr.exec"), Path::new("attr/exec"));
        for wrong in [
            "",
            "a..b",
            "/etc/passwd",
            "../1/mem",
            "mem",
            "uid_map",
            "fd.3",
            "a b",
        ] {
            assert!(proc_file_name(wrong).is_err(), "{wrong}");
        }
        assert!(proc_file("oom_score_adj", "-1000").is_ok());
        for wrong in ["1001", "-1001", "much", ""] {
            let message = proc_file("oom_score_adj", wrong)
                .unwrap_err()
                .message(wrong);
            assert!(message.contains("-1000 to 1000"), "{message}");
        }
    }
}
