//! Programs for the kernel's own machine, of the one kind that filters what the processes of a
//! cgroup may do with devices (bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// One instruction (`struct bpf_insn`, kernel document bpf/standardization/instruction-set.rst).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u8,
    /// The destination register in the lower, the source register in the upper four bits.
    pub registers: u8,
    /// By how many instructions a jump goes on, or where in memory a load looks.
    pub offset: i16,
    /// A number.
    pub immediate: i32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of cgroups above and below count as well.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is missing for zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads a program that returns 1 for what is allowed. Needs CAP_BPF or CAP_SYS_ADMIN on the host
/// (`EPERM`); `EINVAL`, `EACCES` or `E2BIG` if the kernel cannot prove that it ends.
pub fn load_device_filter(program: &[Instruction]) -> io::Result<OwnedFd> {
    let count =
        u32::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count,
        instructions: program.as_ptr().addr() as u64,
        license: c"MIT".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads the attributes in their given size, `count` instructions of the
    // live slice and the terminated text, and writes nothing: no log is asked for.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const attributes,
            size_of::<LoadAttributes>(),
        )
    };
    crate::process::owned(fd)
}

/// Puts a cgroup under a program, for as long as the cgroup exists. What is denied by one of
/// several programs is denied.
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the kernel reads the attributes in their given size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    };
    crate::process::check(done).map(drop)
}

/// The head of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttributes {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    reserved: u32,
    /// Newer kernels write here what was not asked for.
    rest: [u64; 12],
}

/// The head of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct IdAttributes {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// At most so many programs hang at a cgroup (`BPF_CGROUP_MAX_PROGS`, linux/bpf-cgroup.h).
const MAX_PROGRAMS: usize = 64;

/// The programs that this cgroup itself was put under, without those of the cgroups above it.
pub fn device_filters(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut attributes = QueryAttributes {
        target: cgroup.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr().addr() as u64,
        count: MAX_PROGRAMS as u32,
        reserved: 0,
        rest: [0; 12],
    };
    // SAFETY: the kernel reads the attributes in their given size, writes flags and count into
    // them, and writes at most `count` ids into the array, which has room for them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_QUERY,
            &raw mut attributes,
            size_of::<QueryAttributes>(),
        )
    };
    crate::process::check(done)?;
    let count = (attributes.count as usize).min(MAX_PROGRAMS);
    ids[..count].iter().map(|id| program_of(*id)).collect()
}

fn program_of(id: u32) -> io::Result<OwnedFd> {
    let attributes = IdAttributes {
        id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the kernel reads the attributes in their given size.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_GET_FD_BY_ID,
            &raw const attributes,
            size_of::<IdAttributes>(),
        )
    };
    crate::process::owned(fd)
}

/// Takes a cgroup from under a program.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: 0,
    };
    // SAFETY: the kernel reads the attributes in their given size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_DETACH,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    };
    crate::process::check(done).map(drop)
}
