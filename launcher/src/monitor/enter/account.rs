//! As whom a command runs: what the container's own user data base says.
//!
//! Its files are the container's: they are read in its root, as its root, and no more of them than
//! a reasonable one has.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use berth_common::{Gid, Uid, exit};
use berth_container_config::IdKind;
use berth_kernel::fs;

use super::Failure;
use crate::start::plan::StartPlan;

/// The most that is read of a file of users or groups, in bytes.
const MOST: u64 = 1 << 20;
/// The most supplementary groups that a user is given.
const MOST_GROUPS: usize = 1024;

/// A user inside, with his ids.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: Uid,
    pub gid: Gid,
    pub groups: Vec<Gid>,
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
}

impl Account {
    /// The one that was asked for (see [`ExecRequest::user`]), or else the one that init is.
    ///
    /// [`ExecRequest::user`]: crate::monitor::protocol::ExecRequest::user
    pub fn of(plan: &StartPlan, wanted: &[u8]) -> Result<Self, Failure> {
        let passwd = read(Path::new("/etc/passwd"));
        if wanted.is_empty() {
            let init = &plan.process;
            let entry = users(&passwd).find(|entry| entry.uid == Some(init.uid));
            return Ok(Self::new(init.uid, init.gid, init.groups.clone(), entry));
        }
        let group_file = read(Path::new("/etc/group"));
        let account = resolve(&passwd, &group_file, wanted).map_err(refusal)?;
        let missing = |kind: &str, id: u32| {
            refusal(format!(
                "the container has no {kind} id {id} (lxc.idmap maps the ids that it has)"
            ))
        };
        let (uid, gid) = (account.uid.raw(), account.gid.raw());
        if !plan.has_id(IdKind::User, uid) {
            return Err(missing("user", uid));
        }
        if !plan.has_group(gid) {
            return Err(missing("group", gid));
        }
        let groups = account.groups.into_iter();
        Ok(Self {
            groups: groups.filter(|gid| plan.has_group(gid.raw())).collect(),
            ..account
        })
    }

    fn new(uid: Uid, gid: Gid, groups: Vec<Gid>, entry: Option<Entry<'_>>) -> Self {
        let path = |bytes: Option<&[u8]>, default: &str| {
            let usable = |bytes: &&[u8]| bytes.starts_with(b"/") && !bytes.contains(&0);
            let usable = bytes.filter(usable);
            usable.map_or_else(
                || PathBuf::from(default),
                |bytes| PathBuf::from(OsStr::from_bytes(bytes)),
            )
        };
        let name = entry
            .as_ref()
            .and_then(|entry| std::str::from_utf8(entry.name).ok())
            .filter(|name| !name.is_empty());
        Self {
            name: match (uid.is_root(), name) {
                (true, _) => "root".to_owned(),
                (false, Some(name)) => name.to_owned(),
                (false, None) => uid.to_string(),
            },
            home: path(
                entry.as_ref().map(|entry| entry.home),
                if uid.is_root() { "/root" } else { "/" },
            ),
            shell: path(entry.as_ref().map(|entry| entry.shell), "/bin/sh"),
            uid,
            gid,
            groups,
        }
    }
}

fn refusal(why: String) -> Failure {
    Failure {
        code: exit::RUN_FAILED,
        why,
    }
}

fn read(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = fs::open_regular(path) {
        let _ = file.take(MOST).read_to_end(&mut text);
    }
    text
}

/// `USER[:GROUP]`, each a name or a number. A name is looked for first, since Unix lets names be
/// all digits; without a group the user has those that the files give him.
fn resolve(passwd: &[u8], group_file: &[u8], wanted: &[u8]) -> Result<Account, String> {
    let mut halves = wanted.splitn(2, |byte| *byte == b':');
    let user = halves.next().unwrap_or_default();
    let group = halves.next();
    let shown = String::from_utf8_lossy(user).into_owned();
    let number = id::<Uid>(user);
    let entry = users(passwd)
        .find(|entry| entry.name == user)
        .or_else(|| users(passwd).find(|entry| number.is_some() && entry.uid == number));
    let uid = match &entry {
        Some(entry) => entry
            .uid
            .ok_or_else(|| format!("the container's /etc/passwd gives {shown} no uid"))?,
        None => number.ok_or_else(|| {
            format!("the container's /etc/passwd has no user “{shown}” (a uid will do, too)")
        })?,
    };
    let (gid, groups) = match (group, &entry) {
        (Some(group), _) => (group_id(group_file, group)?, Vec::new()),
        (None, Some(entry)) => {
            let gid = entry
                .gid
                .ok_or_else(|| format!("the container's /etc/passwd gives {shown} no group"))?;
            (gid, groups_of(group_file, entry.name))
        }
        // With group 0 he would have what is root's group's.
        (None, None) => {
            return Err(format!(
                "the container's /etc/passwd has no uid {uid}, so its group must be said: \
                 --user {uid}:GID"
            ));
        }
    };
    Ok(Account::new(uid, gid, groups, entry))
}

fn id<Id: std::str::FromStr>(text: &[u8]) -> Option<Id> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn group_id(group_file: &[u8], wanted: &[u8]) -> Result<Gid, String> {
    let mut named = groups(group_file).filter(|group| group.name == wanted);
    match named.find_map(|group| group.gid).or_else(|| id(wanted)) {
        Some(gid) => Ok(gid),
        None => Err(format!(
            "the container's /etc/group has no group “{}” (a gid will do, too)",
            String::from_utf8_lossy(wanted)
        )),
    }
}

fn groups_of(group_file: &[u8], user: &[u8]) -> Vec<Gid> {
    let his = groups(group_file).filter(|group| {
        let mut members = group.members.split(|byte| *byte == b',');
        members.any(|member| member == user)
    });
    his.filter_map(|group| group.gid)
        .take(MOST_GROUPS)
        .collect()
}

/// A line of passwd(5).
struct Entry<'a> {
    name: &'a [u8],
    uid: Option<Uid>,
    gid: Option<Gid>,
    home: &'a [u8],
    shell: &'a [u8],
}

fn users(passwd: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _, uid, gid, _, home, shell] = fields[..] else {
            return None;
        };
        (!name.is_empty()).then(|| Entry {
            name,
            uid: id(uid),
            gid: id(gid),
            home,
            shell,
        })
    })
}

/// A line of group(5).
struct Group<'a> {
    name: &'a [u8],
    gid: Option<Gid>,
    members: &'a [u8],
}

fn groups(file: &[u8]) -> impl Iterator<Item = Group<'_>> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _, gid, members] = fields[..] else {
            return None;
        };
        (!name.is_empty()).then(|| Group {
            name,
            gid: id(gid),
            members,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        alice:x:1000:100:Alice:/home/alice:/bin/zsh\n\
        7:x:1007:100:::\n\
        broken:x:many:100::/:/bin/sh\nshort:x:5\n";
    const GROUP: &[u8] = b"users:x:100:\nadm:x:4:bob,alice\nmalice:x:5:malice\nstaff:x:50:alice\n";

    fn of(wanted: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
        resolve(PASSWD, GROUP, wanted.as_bytes()).map(|account| {
            let groups = account.groups.iter().map(|gid| gid.raw()).collect();
            (account.uid.raw(), account.gid.raw(), groups, account.name)
        })
    }

    #[test]
    fn users_by_name_and_by_number() {
        let alice = Ok((1000, 100, vec![4, 50], "alice".to_owned()));
        assert_eq!(of("alice"), alice);
        assert_eq!(of("1000"), alice);
        // A name of digits comes before the number.
        assert_eq!(of("7"), Ok((1007, 100, vec![], "7".to_owned())));
        assert_eq!(of("0"), Ok((0, 0, vec![], "root".to_owned())));
    }

    #[test]
    fn a_group_that_is_said_is_the_only_one() {
        assert_eq!(of("alice:adm"), Ok((1000, 4, vec![], "alice".to_owned())));
        assert_eq!(of("5000:50"), Ok((5000, 50, vec![], "5000".to_owned())));
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (wanted, text) in [
            ("bob", "no user “bob”"),
            ("", "no user “”"),
            ("-1", "no user “-1”"),
            ("4294967295", "no user “4294967295”"),
            ("5000", "--user 5000:GID"),
            ("alice:wheel", "no group “wheel”"),
            ("alice:", "no group “”"),
            ("broken", "gives broken no uid"),
        ] {
            let why = of(wanted).unwrap_err();
            assert!(why.contains(text), "{wanted}: {why}");
        }
    }
}
