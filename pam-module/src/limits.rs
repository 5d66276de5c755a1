//! The limits of a user on hosts without systemd, as `limits.d` has them.
#![forbid(unsafe_code)]

use crate::session::{Host, Person};
use berth_cgroups::{CgroupDir, Error, UserLimit, is_in_group, limits_of, parse_user_limits};

/// More mistakes than this are not told one by one.
const TOLD: usize = 4;

/// A user's limits, and what is wrong with the files.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub limits: Vec<UserLimit>,
    pub problems: Vec<String>,
}

/// Reads the files and picks what holds for the user. His groups are those of `/etc/group`: the
/// name service may not answer, and the process that opens a session does not have them yet.
pub(crate) fn of_user(host: &impl Host, user: &Person) -> Limits {
    let (files, mut problems) = host.limit_files();
    let mut all = Vec::new();
    for (name, text) in &files {
        let (limits, wrong) = parse_user_limits(name, text);
        all.extend(limits);
        problems.extend(wrong.iter().map(ToString::to_string));
    }
    if problems.len() > TOLD {
        let more = problems.len() - TOLD;
        problems.truncate(TOLD);
        problems.push(format!("{more} more mistakes in limits.d"));
    }
    let mut groups = None;
    let is_member = |group: &str| {
        let text = groups.get_or_insert_with(|| host.group_file());
        is_in_group(text, group, &user.name, user.gid)
    };
    let limits = limits_of(&all, &user.name, is_member);
    Limits {
        limits: limits.into_iter().cloned().collect(),
        problems,
    }
}

impl Limits {
    /// Sets them in a cgroup; which were not, and why.
    pub fn apply(&self, dir: &CgroupDir) -> Vec<String> {
        let unset: Vec<_> = self
            .limits
            .iter()
            .enumerate()
            .filter_map(|(place, limit)| Some((place, limit.setting.apply(dir).err()?)))
            .collect();
        self.unset(&unset)
    }

    /// Tells which are not in force, with the line that asks for them.
    pub fn unset(&self, unset: &[(usize, Error)]) -> Vec<String> {
        let told = unset.iter().map(|(place, error)| {
            let line = self.limits.get(*place);
            let line = line.map(|limit| format!("{}:{}: ", limit.file, limit.line));
            format!("{}{error}", line.unwrap_or_default())
        });
        told.collect()
    }
}
