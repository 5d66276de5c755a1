//! Which command runs in a container, as whom and where.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use berth_common::exit;

use super::account::Account;
use super::{Failure, because};
use crate::monitor::protocol::ExecRequest;
use crate::start::plan::StartPlan;

/// What is executed.
pub struct Command {
    pub program: CString,
    pub arguments: Vec<CString>,
}

impl Command {
    pub fn of(request: &ExecRequest, account: &Account) -> std::result::Result<Self, Failure> {
        let zero = |_| Failure {
            code: exit::RUN_FAILED,
            why: "an argument has a zero byte in the middle".to_owned(),
        };
        if let Some(program) = request.argv.first() {
            let program = CString::new(program.clone()).map_err(zero)?;
            let arguments = request
                .argv
                .iter()
                .map(|argument| CString::new(argument.clone()).map_err(zero))
                .collect::<std::result::Result<_, _>>()?;
            return Ok(Self { program, arguments });
        }
        let shell = if account.shell.exists() {
            &account.shell
        } else {
            Path::new("/bin/sh")
        };
        let mut login = b"-".to_vec();
        login.extend(shell.file_name().unwrap_or(OsStr::new("sh")).as_bytes());
        Ok(Self {
            program: CString::new(shell.as_os_str().as_bytes()).map_err(zero)?,
            arguments: vec![CString::new(login).map_err(zero)?],
        })
    }
}

/// Goes where the command runs: a shell in its home, a command in `/`, unless the request says where.
pub fn change_directory(
    request: &ExecRequest,
    account: &Account,
) -> std::result::Result<(), Failure> {
    if request.cwd.is_empty() {
        let home = if request.argv.is_empty() {
            account.home.as_path()
        } else {
            Path::new("/")
        };
        // A home that is missing is no reason for no shell.
        return nix::unistd::chdir(home)
            .or_else(|_| nix::unistd::chdir("/"))
            .map_err(|errno| because("change to /")(errno.into()));
    }
    let wanted = Path::new(OsStr::from_bytes(&request.cwd));
    nix::unistd::chdir(wanted).map_err(|errno| Failure {
        code: exit::RUN_FAILED,
        why: format!(
            "cannot change to {} in the container: {}",
            wanted.display(),
            errno.desc()
        ),
    })
}

/// The container's, with what its account and the request add.
pub fn environment(plan: &StartPlan, request: &ExecRequest, account: &Account) -> Vec<CString> {
    let mut all: Vec<Vec<u8>> = vec![
        [b"HOME=", account.home.as_os_str().as_bytes()].concat(),
        format!("USER={}", account.name).into_bytes(),
        format!("LOGNAME={}", account.name).into_bytes(),
        [b"SHELL=", account.shell.as_os_str().as_bytes()].concat(),
    ];
    let given = plan
        .environment
        .iter()
        .map(|entry| entry.as_bytes().to_vec());
    for entry in given.chain(request.environment.iter().cloned()) {
        let name = entry
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default()
            .to_vec();
        all.retain(|other| other.split(|byte| *byte == b'=').next() != Some(&name[..]));
        all.push(entry);
    }
    all.into_iter()
        .filter_map(|entry| CString::new(entry).ok())
        .collect()
}
