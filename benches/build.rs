//! Builds the payload: a static program, since it must run in any root file system, and Cargo
//! has no way to link one program of a workspace statically.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let source = "payload/mark.rs";
    println!("cargo::rerun-if-changed={source}");
    let (Some(rustc), Some(dir)) = (std::env::var_os("RUSTC"), std::env::var_os("OUT_DIR")) else {
        println!("cargo::error=RUSTC and OUT_DIR are not set: this runs below Cargo only");
        return;
    };
    let mut command = Command::new(rustc);
    command
        .args(["--edition", "2024", "--crate-name", "mark", "-O"])
        .args(["-C", "panic=abort", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static"]);
    if let Ok(target) = std::env::var("TARGET") {
        command.args(["--target", &target]);
    }
    command.arg("-o").arg(PathBuf::from(dir).join("mark"));
    match command.arg(source).status() {
        Ok(status) if status.success() => {}
        Ok(status) => println!("cargo::error=building {source} failed: {status}"),
        Err(error) => println!("cargo::error=cannot run rustc: {error}"),
    }
}
