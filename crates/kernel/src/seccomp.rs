//! System call filters (seccomp(2)) of a program on itself: plain lists of numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// What a filter does with the system calls of a list; all others get the opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// These fail with `EPERM`, all others go through.
    Refuse(&'a [libc::c_long]),
    /// These go through, all others fail with `ENOSYS`, at which the C library falls back to
    /// older calls.
    AllowOnly(&'a [libc::c_long]),
}

// linux/audit.h: what `seccomp_data.arch` holds for a program built for this machine.
#[cfg(target_arch = "x86_64")]
const ARCH: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCH: Option<u32> = Some(0xc000_00b7);
#[cfg(target_arch = "riscv64")]
const ARCH: Option<u32> = Some(0xc000_00f3);
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const ARCH: Option<u32> = None;

/// On x86_64, numbers from here on are the x32 ABI's.
const X32: u32 = 0x4000_0000;
/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;

const RET_KILL: u32 = 0x8000_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_ALLOW: u32 = 0x7fff_0000;
const RET_NOTIFY: u32 = 0x7fc0_0000;
/// What of a value is the action.
const RET_ACTION: u32 = 0xffff_0000;

/// Installs a filter for the whole process, for good. Needs no_new_privs, or CAP_SYS_ADMIN.
/// Filters add up: a call goes through if all let it through. System calls of another
/// architecture's ABI end the process.
///
/// `Unsupported` on a kernel without filters, or on a machine whose numbers are not known here.
pub fn restrict(filter: Filter<'_>) -> io::Result<()> {
    let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
    let program = program(filter, ARCH.ok_or_else(unsupported)?)?;
    match install(&program, libc::SECCOMP_FILTER_FLAG_TSYNC) {
        // EINVAL: CONFIG_SECCOMP_FILTER is off; the program itself is well-formed.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
            Err(unsupported())
        }
        other => other.map(drop),
    }
}

fn install(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<libc::c_int> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| too_long())?;
    let header = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from the live slice and writes none.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const header,
        )
    };
    // At most a descriptor.
    crate::process::check(done).map(|done| done as libc::c_int)
}

/// A filter that was compiled elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<[u8; INSTRUCTION]>);

/// The size of `struct sock_filter`, in bytes.
const INSTRUCTION: usize = 8;
/// The kernel's limit (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

impl Program {
    /// From `struct sock_filter` after `struct sock_filter`, of which the kernel takes 1 to 4096;
    /// whether they are a program the kernel finds out.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (instructions, rest) = bytes.as_chunks::<INSTRUCTION>();
        let fits = (1..=MAX_INSTRUCTIONS).contains(&instructions.len());
        (fits && rest.is_empty()).then(|| Self(instructions.to_vec()))
    }

    /// The same bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    /// Whether system calls wait for a supervisor under it: whether it has an instruction that
    /// returns `SECCOMP_RET_USER_NOTIF`.
    pub fn notifies(&self) -> bool {
        self.0.iter().any(|[c0, c1, _, _, k0, k1, k2, k3]| {
            u16::from_ne_bytes([*c0, *c1]) == GIVE
                && u32::from_ne_bytes([*k0, *k1, *k2, *k3]) & RET_ACTION == RET_NOTIFY
        })
    }

    /// Puts the calling thread, what it executes and its children under the filter, for good.
    /// Needs no_new_privs, or CAP_SYS_ADMIN in the thread's own user namespace (`EACCES`).
    pub fn install(&self) -> io::Result<()> {
        install(&self.instructions(), 0).map(drop)
    }

    /// As [`Self::install`]. What comes out is close-on-exec, and is where system calls under the
    /// filter wait for a supervisor; where nobody has it any more they fail with `ENOSYS`. `EBUSY`
    /// where the thread is under a filter with a supervisor already.
    pub fn install_with_supervisor(&self) -> io::Result<OwnedFd> {
        let fd = install(&self.instructions(), libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn instructions(&self) -> Vec<libc::sock_filter> {
        let instruction = |[c0, c1, jt, jf, k0, k1, k2, k3]: [u8; INSTRUCTION]| libc::sock_filter {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        };
        self.0.iter().copied().map(instruction).collect()
    }
}

/// Whether the calling thread is under a filter already, or under strict mode.
pub fn is_filtered() -> bool {
    // SAFETY: PR_GET_SECCOMP takes nothing.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) > 0 }
}

fn too_long() -> io::Error {
    io::Error::from_raw_os_error(libc::E2BIG)
}

fn program(filter: Filter<'_>, arch: u32) -> io::Result<Vec<libc::sock_filter>> {
    let (numbers, listed, others) = match filter {
        Filter::Refuse(numbers) => (numbers, RET_ERRNO | libc::EPERM.cast_unsigned(), RET_ALLOW),
        Filter::AllowOnly(numbers) => {
            (numbers, RET_ALLOW, RET_ERRNO | libc::ENOSYS.cast_unsigned())
        }
    };
    let mut program = vec![
        instruction(LOAD, ARCH_AT, 0, 0),
        instruction(EQUAL, arch, 1, 0),
        instruction(GIVE, RET_KILL, 0, 0),
        instruction(LOAD, NUMBER_AT, 0, 0),
    ];
    let x32 = (cfg!(target_arch = "x86_64")).then_some(X32);
    let steps = steps(numbers, x32)?;
    // Behind the tree, which has one instruction less than there are steps.
    let outcomes = program.len() + steps.len() - 1;
    decide(&mut program, &steps, outcomes)?;
    program.extend([listed, others, RET_KILL].map(|value| instruction(GIVE, value, 0, 0)));
    Ok(program)
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const GIVE: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;

fn instruction(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// What happens to a number, by the place of its instruction behind the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Listed = 0,
    Other = 1,
    Killed = 2,
}

/// From which number on which outcome holds, up to the next step; the first step is at 0.
fn steps(numbers: &[libc::c_long], killed_from: Option<u32>) -> io::Result<Vec<(u32, Outcome)>> {
    let mut sorted = Vec::with_capacity(numbers.len());
    for &number in numbers {
        sorted.push(u32::try_from(number).map_err(|_| too_long())?);
    }
    sorted.sort_unstable();
    sorted.dedup();
    let mut steps = vec![(0, Outcome::Other)];
    for number in sorted {
        match steps.last_mut() {
            // Right behind the listed ones before it, or the very first number.
            Some(last) if last.0 == number => last.1 = Outcome::Listed,
            _ => steps.push((number, Outcome::Listed)),
        }
        steps.push((number + 1, Outcome::Other));
    }
    steps.dedup_by(|later, earlier| later.1 == earlier.1);
    steps.extend(killed_from.map(|from| (from, Outcome::Killed)));
    Ok(steps)
}

/// A binary search: the kernel tries a filter on every number when it is installed, and a list
/// would cost a good part of a short program's time.
fn decide(
    program: &mut Vec<libc::sock_filter>,
    steps: &[(u32, Outcome)],
    outcomes: usize,
) -> io::Result<()> {
    let (lower, upper) = steps.split_at(steps.len() / 2);
    let (Some(&(least, _)), false) = (upper.first(), lower.is_empty()) else {
        return Ok(());
    };
    let here = program.len();
    let jump = |steps: &[(u32, Outcome)], tree: usize| {
        let to = match steps {
            [(_, outcome)] => outcomes + *outcome as usize,
            _ => tree,
        };
        u8::try_from(to - here - 1).map_err(|_| too_long())
    };
    // The lower tree follows at once, the upper behind it.
    let below = jump(lower, here + 1)?;
    let above = jump(upper, here + lower.len())?;
    program.push(instruction(AT_LEAST, least, above, below));
    decide(program, lower, outcomes)?;
    decide(program, upper, outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cred, process};

    #[test]
    fn a_program_is_whole_instructions_of_a_bounded_number() {
        assert_eq!(Program::from_bytes(&[]), None);
        assert_eq!(Program::from_bytes(&[0; 12]), None);
        assert_eq!(Program::from_bytes(&vec![0; 8 * 4097]), None);
        let bytes = vec![6; 8 * 4096];
        assert_eq!(Program::from_bytes(&bytes).unwrap().as_bytes(), bytes);
    }

    #[test]
    fn a_compiled_program_is_installed() {
        // Whatever is called: allowed.
        let allow = instruction(GIVE, RET_ALLOW, 0, 0);
        let mut bytes = allow.code.to_ne_bytes().to_vec();
        bytes.extend([allow.jt, allow.jf]);
        bytes.extend(allow.k.to_ne_bytes());
        let works = in_child(|| {
            cred::set_no_new_privs()?;
            let program = Program::from_bytes(&bytes).ok_or_else(too_long)?;
            if is_filtered() {
                return Ok(true);
            }
            program.install()?;
            Ok(is_filtered())
        });
        assert!(works);
        let nonsense = Program::from_bytes(&[0xff; 8]).unwrap();
        let refused = in_child(|| {
            cred::set_no_new_privs()?;
            Ok(nonsense.install().is_err())
        });
        assert!(refused);
    }

    /// In a child, since a filter is for good.
    fn in_child(body: impl FnOnce() -> io::Result<bool>) -> bool {
        let child = process::fork(|| match body() {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => 2,
            Err(_) => 3,
        })
        .unwrap();
        let exit = child.pidfd.wait().unwrap();
        exit.success() || exit.shell_code() == 2
    }

    fn errno_of(number: libc::c_long) -> Option<i32> {
        // SAFETY: only called with system calls that take no pointer or refuse null ones.
        let done = unsafe { libc::syscall(number, 0, 0, 0) };
        (done < 0).then(io::Error::last_os_error)?.raw_os_error()
    }

    /// What the kernel would make of a number.
    fn run(program: &[libc::sock_filter], arch: u32, number: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD if step.k == ARCH_AT => value = arch,
                LOAD => value = number,
                GIVE => return step.k,
                EQUAL => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                AT_LEAST => at += usize::from(if value >= step.k { step.jt } else { step.jf }),
                other => panic!("instruction {other}"),
            }
        }
    }

    #[test]
    fn every_number_is_judged_by_the_list() {
        for list in [
            &[][..],
            &[0],
            &[5],
            &[0, 1, 2],
            &[3, 1, 7, 8, 9, 9],
            &[59, 0, 449, 231],
        ] {
            let program = program(Filter::AllowOnly(list), 7).unwrap();
            for number in 0..500u32 {
                let allowed = list.contains(&libc::c_long::from(number));
                assert_eq!(
                    run(&program, 7, number) == RET_ALLOW,
                    allowed,
                    "{list:?} {number}"
                );
            }
            assert_eq!(run(&program, 8, 1), RET_KILL);
            if cfg!(target_arch = "x86_64") {
                assert_eq!(run(&program, 7, X32), RET_KILL);
                assert_eq!(run(&program, 7, X32 + 9), RET_KILL);
            }
        }
    }

    #[test]
    fn refused_calls_fail_and_others_go_through() {
        assert!(in_child(|| {
            cred::set_no_new_privs()?;
            restrict(Filter::Refuse(&[libc::SYS_unshare, libc::SYS_chroot]))?;
            Ok(errno_of(libc::SYS_unshare) == Some(libc::EPERM)
                && errno_of(libc::SYS_chroot) == Some(libc::EPERM)
                && errno_of(libc::SYS_getppid).is_none())
        }));
    }

    #[test]
    fn only_allowed_calls_go_through() {
        assert!(in_child(|| {
            cred::set_no_new_privs()?;
            let allowed = [libc::SYS_getppid, libc::SYS_exit_group, libc::SYS_write];
            restrict(Filter::AllowOnly(&allowed))?;
            Ok(errno_of(libc::SYS_getppid).is_none()
                && errno_of(libc::SYS_getuid) == Some(libc::ENOSYS))
        }));
    }
}
