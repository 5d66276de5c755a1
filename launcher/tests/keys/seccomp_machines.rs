//! Policies and the architectures whose programs a machine runs.
#![cfg(target_arch = "x86_64")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::seccomp::{call, under, write_policy};
use crate::world::{Container, Owner, on_host};

/// A 32-bit program which does nothing but setpriority(7, 0, 0) and give its error number back.
const SETPRIORITY_32: [u8; 116] = {
    let mut file = [0; 116];
    let header: [u8; 84] = [
        0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // 32 bits
        2, 0, 3, 0, 1, 0, 0, 0, 0x54, 0x80, 0x04, 0x08, 52, 0, 0, 0, // i386, entry 0x8048054
        0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0, // one segment
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08, // at 0x8048000
        116, 0, 0, 0, 116, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
    ];
    let code: [u8; 28] = [
        0xb8, 97, 0, 0, 0, // mov eax, 97 (setpriority)
        0xbb, 7, 0, 0, 0, // mov ebx, 7
        0x31, 0xc9, // xor ecx, ecx
        0x31, 0xd2, // xor edx, edx
        0xcd, 0x80, // int 0x80
        0xf7, 0xd8, // neg eax
        0x89, 0xc3, // mov ebx, eax
        0xb8, 1, 0, 0, 0, // mov eax, 1 (exit)
        0xcd, 0x80, 0x90, // int 0x80; nop
    ];
    let mut at = 0;
    while at < header.len() {
        file[at] = header[at];
        at += 1;
    }
    let mut at = 0;
    while at < code.len() {
        file[header.len() + at] = code[at];
        at += 1;
    }
    file
};

#[test]
fn sections_and_programs_of_32_bits() {
    let exit_code = |c: &Container<'_>| {
        let program = c.dir().join("rootfs/setpriority");
        fs::write(&program, SETPRIORITY_32).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        c.start();
        let code = c
            .berth(&["exec", c.name, "--", "/setpriority"])
            .status
            .code();
        let native = call(c, nix::libc::SYS_setpriority, "7, 0, 0");
        c.stop();
        (code.unwrap().to_string(), native)
    };
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\n", "");
        assert_eq!(exit_code(&c), ("22".into(), "22".into()));
        for (policy, both) in [
            ("setpriority errno 77", "77"),
            ("[all]\nsetpriority errno 77", "77"),
            // On a machine that runs such programs a section's rules count for all of them.
            ("[x86]\nsetpriority errno 77", "77"),
            ("[X86_64]\nsetpriority errno 77", "77"),
            ("[x32]\nsetpriority errno 77", "77"),
            ("[arm64]\nsetpriority errno 77", "22"),
            ("[s390x]\nsetpriority kill\n[all]\nacct kill", "22"),
        ] {
            write_policy(&c, &format!("2\ndenylist\n{policy}\n"));
            assert_eq!(exit_code(&c), (both.into(), both.into()), "{policy}");
        }
        // Version 1 has numbers of this machine's own, so other programs have no calls at all.
        let all: String = (0..1024).map(|number| format!("{number}\n")).collect();
        write_policy(&c, &format!("1\nallowlist\n{all}"));
        let (code, native) = exit_code(&c);
        assert_eq!((code.as_str(), native.as_str()), ("159", "22"));
        c.destroy();
    });
}
