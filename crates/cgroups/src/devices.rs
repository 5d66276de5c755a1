//! What the processes of a cgroup may do with devices. Version 2 has no files for that: the kernel
//! asks a program (kernel document admin-guide/cgroup-v2.rst, “Device controller”). Rules mean what
//! they meant to version 1's controller (admin-guide/cgroup-v1/devices.rst).

use crate::{CgroupDir, Error, Result};
use berth_kernel::bpf::{self, Instruction};
use std::os::fd::AsFd;

/// Which devices, and what with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Whether it is a block device.
    pub block: bool,
    /// The major number; `None`: any.
    pub major: Option<u32>,
    /// The minor number; `None`: any.
    pub minor: Option<u32>,
    /// [`MKNOD`], [`READ`], [`WRITE`], together.
    pub access: u8,
}

/// Making a file for it (`BPF_DEVCG_ACC_MKNOD`).
pub const MKNOD: u8 = 1;
/// Opening it for reading (`BPF_DEVCG_ACC_READ`).
pub const READ: u8 = 2;
/// Opening it for writing (`BPF_DEVCG_ACC_WRITE`).
pub const WRITE: u8 = 4;
const EVERYTHING: u8 = MKNOD | READ | WRITE;

/// A verdict for every device: one for most, another for exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFilter {
    allows_most: bool,
    exceptions: Vec<Device>,
}

impl Default for DeviceFilter {
    /// Everything is allowed.
    fn default() -> Self {
        Self {
            allows_most: true,
            exceptions: Vec::new(),
        }
    }
}

impl DeviceFilter {
    /// The verdict for all devices; what was said before is forgotten.
    pub fn set_all(&mut self, allow: bool) {
        self.allows_most = allow;
        self.exceptions.clear();
    }

    /// A rule for some devices. One that says what holds for most anyway takes back an earlier one
    /// for the very same numbers.
    pub fn set(&mut self, allow: bool, device: Device) {
        let same = |other: &Device| {
            let other = Device {
                access: device.access,
                ..*other
            };
            other == device
        };
        if allow == self.allows_most {
            for other in self.exceptions.iter_mut().filter(|other| same(other)) {
                other.access &= !device.access;
            }
            self.exceptions.retain(|other| other.access != 0);
            return;
        }
        match self.exceptions.iter_mut().find(|other| same(other)) {
            Some(other) => other.access |= device.access,
            None => self.exceptions.push(device),
        }
    }

    /// The program that the kernel asks.
    fn program(&self) -> Vec<Instruction> {
        // `struct bpf_cgroup_dev_ctx`: kind and access in one number, major, minor.
        let mut program = vec![
            load(KIND, 0),
            instruction(COPY, ACCESS, KIND, 0, 0),
            instruction(AND, KIND, 0, 0, 0xffff),
            instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
            load(MAJOR, 4),
            load(MINOR, 8),
        ];
        for exception in &self.exceptions {
            program.extend(self.exception(exception));
        }
        program.extend(verdict(self.allows_most));
        program
    }

    /// Ends with the exception's verdict if everything fits, else goes on behind.
    fn exception(&self, device: &Device) -> Vec<Instruction> {
        let mut steps = vec![unless(
            NOT_EQUAL,
            KIND,
            if device.block { BLOCK } else { CHAR },
        )];
        let access = i32::from(device.access);
        if self.allows_most {
            // One denied kind of access is enough.
            steps.push(instruction(COPY, SCRATCH, ACCESS, 0, 0));
            steps.push(instruction(AND, SCRATCH, 0, 0, access));
            steps.push(unless(EQUAL, SCRATCH, 0));
        } else if device.access != EVERYTHING {
            // Each kind of access has to be allowed.
            steps.push(instruction(COPY, SCRATCH, ACCESS, 0, 0));
            steps.push(instruction(AND, SCRATCH, 0, 0, !access));
            steps.push(unless(NOT_EQUAL, SCRATCH, 0));
        }
        for (register, number) in [(MAJOR, device.major), (MINOR, device.minor)] {
            steps.extend(number.map(|number| unless(NOT_EQUAL, register, number as i32)));
        }
        steps.extend(verdict(!self.allows_most));
        let length = steps.len();
        for (at, step) in steps.iter_mut().enumerate() {
            if matches!(step.code, EQUAL | NOT_EQUAL) {
                // At most nine steps.
                step.offset = (length - at - 1) as i16;
            }
        }
        steps
    }
}

impl CgroupDir {
    /// Puts this cgroup and all below it under a filter, for as long as it exists. Takes root on
    /// the host.
    pub fn filter_devices(&self, filter: &DeviceFilter) -> Result<()> {
        let failed = |error| Error::io("filter the devices of", self.path().to_owned(), error);
        let program = bpf::load_device_filter(&filter.program()).map_err(failed)?;
        bpf::attach_device_filter(self.as_fd(), program.as_fd()).map_err(failed)
    }

    /// Puts this cgroup under another filter than it is under. In between both hold: at no moment
    /// is something allowed that neither allows.
    pub fn filter_devices_anew(&self, filter: &DeviceFilter) -> Result<()> {
        let failed = |error| Error::io("filter the devices of", self.path().to_owned(), error);
        let old = bpf::device_filters(self.as_fd()).map_err(failed)?;
        self.filter_devices(filter)?;
        old.iter().try_for_each(|program| {
            bpf::detach_device_filter(self.as_fd(), program.as_fd()).map_err(failed)
        })
    }
}

// Registers: 0 is the verdict, 1 what the kernel passes.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Operations on 32 bits.
const LOAD: u8 = 0x61;
const COPY: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const SET: u8 = 0xb7;
const EQUAL: u8 = 0x16;
const NOT_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

/// `BPF_DEVCG_DEV_BLOCK`, `BPF_DEVCG_DEV_CHAR`
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: to | from << 4,
        offset,
        immediate,
    }
}

fn load(to: u8, offset: i16) -> Instruction {
    instruction(LOAD, to, CONTEXT, offset, 0)
}

/// A jump out of the exception; how far is filled in later.
fn unless(condition: u8, register: u8, number: i32) -> Instruction {
    instruction(condition, register, 0, 0, number)
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [
        instruction(SET, VERDICT, 0, 0, i32::from(allow)),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(block: bool, major: Option<u32>, minor: Option<u32>, access: u8) -> Device {
        Device {
            block,
            major,
            minor,
            access,
        }
    }

    /// Runs the program as the kernel would.
    fn allows(filter: &DeviceFilter, asked: Device) -> bool {
        let kind = if asked.block { BLOCK } else { CHAR } as u32;
        let context = [
            u32::from(asked.access) << 16 | kind,
            asked.major.unwrap(),
            asked.minor.unwrap(),
        ];
        let mut registers = [0_u32; 8];
        let program = filter.program();
        let mut at = 0_usize;
        loop {
            let step = program[at];
            let to = usize::from(step.registers & 15);
            let from = usize::from(step.registers >> 4);
            let number = step.immediate as u32;
            let mut jump = 0;
            match step.code {
                LOAD => registers[to] = context[step.offset as usize / 4],
                COPY => registers[to] = registers[from],
                AND => registers[to] &= number,
                SHIFT_RIGHT => registers[to] >>= number,
                SET => registers[to] = number,
                EQUAL if registers[to] == number => jump = step.offset,
                NOT_EQUAL if registers[to] != number => jump = step.offset,
                EQUAL | NOT_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("{other:#x}"),
            }
            at += 1 + usize::try_from(jump).unwrap();
        }
    }

    #[test]
    fn what_is_not_allowed_is_denied_and_the_other_way_round() {
        let null = |access| device(false, Some(1), Some(3), access);
        let mut filter = DeviceFilter::default();
        assert!(allows(&filter, null(EVERYTHING)));
        filter.set(false, null(WRITE));
        assert!(allows(&filter, null(READ)) && allows(&filter, null(MKNOD)));
        assert!(!allows(&filter, null(WRITE)) && !allows(&filter, null(READ | WRITE)));
        assert!(allows(&filter, device(true, Some(1), Some(3), WRITE)));
        filter.set(true, null(EVERYTHING));
        assert_eq!(filter, DeviceFilter::default());

        filter.set(false, null(READ));
        filter.set_all(false);
        filter.set(true, null(READ));
        filter.set(true, null(WRITE));
        filter.set(true, device(true, Some(7), None, MKNOD));
        filter.set(true, device(false, None, Some(9), EVERYTHING));
        assert!(allows(&filter, null(READ | WRITE)) && !allows(&filter, null(READ | MKNOD)));
        for (block, major, minor, access, expected) in [
            (true, 7, 0, MKNOD, true),
            (true, 7, 12, MKNOD | READ, false),
            (true, 8, 0, MKNOD, false),
            (false, 200, 9, EVERYTHING, true),
            (true, 200, 9, READ, false),
        ] {
            let asked = device(block, Some(major), Some(minor), access);
            assert_eq!(allows(&filter, asked), expected, "{asked:?}");
        }
        filter.set(false, null(READ));
        assert!(!allows(&filter, null(READ)) && allows(&filter, null(WRITE)));
    }
}
