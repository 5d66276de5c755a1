//! `berth doctor cgroups`: whether the caller has delegated cgroups, and which controllers reach
//! them.

#[cfg(test)]
mod tests;

use berth_common::unit;

use super::facts::{Base, Door, Facts, Gap, Layout, Session, Where};
use super::{Finding, Report};
use crate::error::Result;

/// Installs what is missing; the units come with the rest.
const INSTALL: &str = "cargo xtask install && systemctl daemon-reload, as root in Berth's \
                       repository (docs/install.md)";

/// Looks and judges.
pub fn examine() -> Result<Report> {
    Ok(Report::new("cgroups", judge(&Facts::gather()?)))
}

/// What the facts mean.
fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![host(facts)];
    if facts.layout != Layout::Unified {
        findings.push(in_version_1(facts));
        return findings;
    }
    findings.extend(age_of_systemd(facts));
    findings.push(session(facts));
    if !matches!(facts.place, Where::Lasting)
        && let Some(base) = &facts.here
    {
        findings.push(controllers("controllers", base, facts));
    }
    if facts.uid.is_person() {
        findings.push(lasting(facts));
        if let Some(base) = &facts.lasting {
            findings.push(controllers("lasting", base, facts));
        }
        findings.extend(door(facts));
    } else {
        let text = "root and system users have no lasting cgroup; people have";
        findings.push(Finding::note("lasting", text));
    }
    findings
}

fn host(facts: &Facts) -> Finding {
    const BOOT: &str = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
    const MOUNT: &str = "mount -t cgroup2 cgroup2 /sys/fs/cgroup, as root, at boot";
    let init = match facts.systemd {
        Some(0) => "systemd".to_owned(),
        Some(version) => format!("systemd {version}"),
        None => facts.init.clone(),
    };
    let elogind = if facts.elogind { " and elogind" } else { "" };
    let init = format!("process 1 is {init}{elogind}");
    let remedy = match facts.systemd {
        Some(_) => BOOT,
        None => MOUNT,
    };
    match facts.layout {
        Layout::Unified => Finding::ok("host", format!("cgroup v2, {init}")),
        Layout::Hybrid => Finding::problem(
            "host",
            format!(
                "cgroup v1 has the controllers, v2 is beside it without them; {init}: limits of \
                 containers will be refused"
            ),
            remedy,
        ),
        Layout::Legacy => Finding::problem(
            "host",
            format!("cgroup v1 only; {init}: limits of containers will be refused"),
            remedy,
        ),
        Layout::None => Finding::problem("host", format!("no cgroups are mounted; {init}"), remedy),
    }
}

/// What a login got where controllers are in version 1.
fn in_version_1(facts: &Facts) -> Finding {
    const WHAT: &str = "session";
    if !facts.own_in_v1.is_empty() {
        return Finding::ok(
            WHAT,
            format!(
                "cgroups of version 1 that are yours: {}",
                facts.own_in_v1.join(" ")
            ),
        );
    }
    let what = "no cgroup of version 1 is yours";
    match facts.stack.has_module {
        true => Finding::note(
            WHAT,
            format!(
                "{what} (to have some: name controllers with -c in the line of pam_berth.so in {})",
                facts.stack.file.display()
            ),
        ),
        false => Finding::note(WHAT, what),
    }
}

fn age_of_systemd(facts: &Facts) -> Option<Finding> {
    match facts.systemd {
        Some(version @ 1..250) => Some(Finding::note(
            "systemd",
            format!(
                "systemd {version} does not know ExitType= (250 does): containers end when the \
                 holder of their cgroup is killed"
            ),
        )),
        _ => None,
    }
}

fn session(facts: &Facts) -> Finding {
    const WHAT: &str = "session";
    let elsewhere = "berth start uses your lasting cgroup from here all the same";
    match &facts.place {
        Where::Lasting => {
            let text = format!("you are in your lasting cgroup ({})", facts.path);
            Finding::ok(WHAT, text)
        }
        Where::Session(session) if facts.here.is_some() => Finding::ok(
            WHAT,
            format!(
                "the cgroup of session {} is delegated{}",
                session.id,
                if facts.uid.is_root() {
                    ", and stays root's"
                } else {
                    " to you"
                }
            ),
        ),
        Where::Session(session) if session.of != facts.uid => Finding::note(
            WHAT,
            format!(
                "you are in session {} of user {} (su or sudo): its cgroup is not yours; \
                 {elsewhere}",
                session.id, session.of
            ),
        ),
        Where::Session(session) => undelegated(facts, session),
        Where::Manager => Finding::note(
            WHAT,
            format!(
                "you are below your service manager ({}), whose inside it rules; {elsewhere}",
                facts.path
            ),
        ),
        Where::Elsewhere if facts.here.is_some() => {
            let text = format!("you are in a delegated cgroup ({})", facts.path);
            Finding::ok(WHAT, text)
        }
        Where::Elsewhere => Finding::note(
            WHAT,
            format!(
                "you are in no login session ({}), as under cron, sudo or su from a service; \
                 {elsewhere}",
                facts.path
            ),
        ),
    }
}

/// Why the caller's own session has no delegated cgroup: the first reason in the order in which a
/// login meets them.
fn undelegated(facts: &Facts, session: &Session) -> Finding {
    const WHAT: &str = "session";
    const AGAIN: &str = "log out and in again";
    let what = format!("the cgroup of session {} is not delegated", session.id);
    let stack = &facts.stack;
    let service = session.service.as_deref().unwrap_or("the login");
    if let Some(version @ 1..unit::FIRST_SYSTEMD_WITH_SCOPE_DROPINS) = facts.systemd {
        return Finding::note(
            WHAT,
            format!(
                "{what}: systemd {version} cannot do that ({} can); containers run in your lasting \
                 cgroup",
                unit::FIRST_SYSTEMD_WITH_SCOPE_DROPINS
            ),
        );
    }
    let Some(dropin) = facts.session_dropin else {
        let text = format!("{what}: the drop-in session-.scope.d/50-berth.conf is missing");
        return Finding::problem(WHAT, text, INSTALL);
    };
    if stack.switched_off {
        return Finding::note(
            WHAT,
            format!(
                "{what}: session=none in {}, the administrator's choice; containers run in your \
                 lasting cgroup",
                stack.file.display()
            ),
        );
    }
    if !stack.installed {
        let text = format!("{what}: the PAM module pam_berth.so is not installed");
        return Finding::problem(WHAT, text, INSTALL);
    }
    if !stack.has_module {
        let text = format!("{what}: pam_berth.so is not in the PAM stack of {service}");
        let remedy = match stack.by_pam_auth_update {
            true => "sudo pam-auth-update --enable cgroup-berth, and log in again".to_owned(),
            false => line_to_add(facts),
        };
        return Finding::problem(WHAT, text, remedy);
    }
    if !stack.after_systemd {
        let text = format!(
            "{what}: in the PAM stack of {service}, pam_berth.so does not come after \
             pam_systemd.so"
        );
        return Finding::problem(WHAT, text, line_to_add(facts));
    }
    let began = session.began.unwrap_or(u64::MAX);
    if began < dropin.max(stack.changed) {
        let text = format!("{what}: the session is older than Berth's installation");
        return Finding::problem(WHAT, text, AGAIN);
    }
    if !session.marked {
        let text = format!("{what}: systemd has not read session-.scope.d/50-berth.conf yet");
        return Finding::problem(WHAT, text, "sudo systemctl daemon-reload, and log in again");
    }
    Finding::problem(
        WHAT,
        format!(
            "{what}: it belongs to uid {}, and the module left it there",
            session.owner
        ),
        "sudo journalctl -b -g pam_berth, which says why",
    )
}

fn line_to_add(facts: &Facts) -> String {
    let below = match facts.systemd {
        Some(_) => "pam_systemd.so",
        None => "pam_elogind.so, if it is there",
    };
    format!(
        "add, as root, to {} below {below}: session optional pam_berth.so",
        facts.stack.file.display()
    )
}

fn controllers(what: &'static str, base: &Base, facts: &Facts) -> Finding {
    let reach = match base.controllers.as_slice() {
        [] => format!("no controller reaches {}", base.path),
        some => format!("{} reach {}", some.join(" "), base.path),
    };
    let Some((name, gap)) = base.missing.first_key_value() else {
        return Finding::ok(what, reach);
    };
    // One at a time, and io last: the fewest limits need it.
    let (name, gap) = base
        .missing
        .iter()
        .find(|(name, _)| **name != "io")
        .unwrap_or((name, gap));
    let (why, remedy) = match gap {
        Gap::NotInKernel => ("the kernel does not offer it".to_owned(), None),
        Gap::SwitchedOff => (
            "it is switched off at boot".to_owned(),
            Some(format!(
                "boot without cgroup_disable={name} on the kernel's command line"
            )),
        ),
        Gap::InV1 => (
            "a v1 hierarchy has it".to_owned(),
            Some(format!(
                "unmount the v1 hierarchy of {name} (findmnt -t cgroup), as root"
            )),
        ),
        Gap::Stops { at } => (
            format!("cgroup.subtree_control of {at} lacks it"),
            Some(hand_on(name, at, facts)),
        ),
    };
    let text = format!("{reach}; {name} does not: {why}");
    match remedy {
        Some(remedy) if *name != "io" => Finding::problem(what, text, remedy),
        Some(remedy) => Finding::note(what, format!("{text} (to have it: {remedy})")),
        None => Finding::note(what, text),
    }
}

/// What makes a cgroup hand a controller on. On systemd's ground that is systemd: whatever the
/// setting was before, it then hands on anew what the units below want.
fn hand_on(controller: &str, at: &str, facts: &Facts) -> String {
    let setting = match controller {
        "cpu" => Some("CPUWeight=100"),
        "memory" => Some("MemoryAccounting=yes"),
        "pids" => Some("TasksAccounting=yes"),
        "io" => Some("IOAccounting=yes"),
        _ => None,
    };
    let unit = match at.rsplit('/').next() {
        None | Some("") => "-.slice",
        Some(unit) => unit,
    };
    let is_unit = [".slice", ".scope", ".service"]
        .iter()
        .any(|kind| unit.ends_with(kind));
    match (setting, facts.systemd) {
        (Some(setting), Some(_)) if is_unit => {
            format!("sudo systemctl set-property -- {unit} {setting}")
        }
        _ => format!(
            "echo +{controller} > /sys/fs/cgroup{}/cgroup.subtree_control, as root",
            at.trim_end_matches('/')
        ),
    }
}

fn lasting(facts: &Facts) -> Finding {
    const WHAT: &str = "lasting";
    let (uid, user) = (facts.uid, &facts.user);
    let stays = match (facts.systemd, facts.lingers) {
        (Some(_), true) => "you linger: containers run on after a logout and start at boot",
        (Some(_), false) => "it ends with your last logout (loginctl enable-linger keeps it)",
        (None, true) => "you are in /etc/berth/boot.d: it is there from boot to shutdown",
        (None, false) => {
            "it ends with your last logout and container (a file of root's in /etc/berth/boot.d, \
             named like you, keeps it)"
        }
    };
    if let Some(base) = &facts.lasting {
        return Finding::ok(
            WHAT,
            format!("your lasting cgroup is {}; {stays}", base.path),
        );
    }
    let what = "you have no lasting cgroup";
    let start = format!(
        "sudo systemctl start {} {}",
        unit::lasting_base(uid),
        unit::launch_socket(uid)
    );
    match facts.systemd {
        None => Finding::problem(
            WHAT,
            format!("{what}: without systemd pam_berth makes it at a login"),
            match facts.stack.has_module {
                true => "log out and in again".to_owned(),
                false => line_to_add(facts),
            },
        ),
        Some(_) if !facts.units => Finding::problem(
            WHAT,
            format!("{what}: its units are not installed"),
            INSTALL,
        ),
        Some(_) if facts.manager => Finding::problem(
            WHAT,
            format!(
                "{what}, though your service manager runs: it is older than Berth's \
                     installation, or {} failed",
                unit::lasting_base(uid)
            ),
            start,
        ),
        Some(_) if facts.lingers => Finding::problem(
            WHAT,
            format!("{what}: your service manager does not run, though you linger"),
            format!("sudo systemctl start user@{uid}.service"),
        ),
        Some(_) => Finding::problem(
            WHAT,
            format!("{what}: you are not logged in and do not linger"),
            format!("sudo loginctl enable-linger {user}"),
        ),
    }
}

/// The launch socket, where there is something for it to lead to.
fn door(facts: &Facts) -> Option<Finding> {
    const WHAT: &str = "launch";
    let uid = facts.uid;
    match facts.door.as_ref()? {
        Door::Answers => Some(Finding::ok(WHAT, "the launch socket answers")),
        Door::Missing if facts.systemd.is_none() => {
            let text = "there is no launch service: berth start uses the cgroup that you are in";
            Some(Finding::note(WHAT, text))
        }
        Door::Missing => facts.lasting.as_ref().map(|_| {
            Finding::problem(
                WHAT,
                "there is no launch socket",
                format!("sudo systemctl start {}", unit::launch_socket(uid)),
            )
        }),
        Door::Refuses(why) => Some(Finding::problem(
            WHAT,
            format!("the launch service refused: {why}"),
            format!(
                "systemctl status {}, which shows more",
                unit::session_helper(uid)
            ),
        )),
        Door::Fails(why) => Some(Finding::problem(
            WHAT,
            format!("the launch socket does not answer as it should: {why}"),
            format!("sudo systemctl restart {}", unit::session_helper(uid)),
        )),
    }
}
