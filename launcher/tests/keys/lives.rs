//! One life of a container after the other.

use std::time::{Duration, Instant};

use crate::world::{Owner, in_container};

#[test]
fn a_start_right_after_a_kill() {
    in_container(Owner::User, "", |container| {
        for _ in 0..5 {
            container.stop();
            container.start();
            assert_eq!(container.sh("echo lives"), "lives");
        }
    });
}

#[test]
fn a_reboot_ends_what_the_owner_put_into_the_container() {
    in_container(Owner::User, "", |container| {
        let procs = container.cgroup().join("payload/cgroup.procs");
        let join = format!("echo $$ > {} && exec sleep 1000", procs.display());
        let mut guest = container.command("sh").args(["-c", &join]).spawn().unwrap();
        let boot = container.sh("touch /run/first-life; cat /proc/1/stat | cut -d' ' -f22");
        container.sh("kill -TERM 1");
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < limit, "{}", container.log());
            let again = ["exec", container.name, "--", "cut", "-d", " ", "-f22"];
            let output = container.berth(&[&again[..], &["/proc/1/stat"]].concat());
            let started = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if output.status.success() && started != boot {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!guest.wait().unwrap().success());
    });
}
