//! Busybox as init: how a container ends and comes back. (Other inits: `full_systems` and
//! `without_systemd` on booted hosts.)

use std::time::{Duration, Instant};

use crate::world::{Container, Owner, in_container};

fn wait_until(container: &Container, what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}: {}", container.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn busybox_reboots_ends_by_itself_and_stops_in_order() {
    in_container(Owner::User, "", |container| {
        let shutdowns = "grep -c going /var/log/shutdown";
        // Asked inside.
        container.sh("reboot");
        wait_until(container, "no reboot", || {
            container.log().contains("init ended: rebooted")
                && container.log().matches("running, init is").count() == 2
        });
        assert_eq!(container.sh(shutdowns), "1");
        container.sh("poweroff");
        wait_until(container, "no end", || {
            container.ok(&["ls"]).contains("stopped")
        });
        assert!(container.log().contains("init ended: halted"));
        // Asked outside.
        container.start();
        assert_eq!(container.sh(shutdowns), "2");
        container.ok(&["stop", container.name]);
        let log = container.log();
        assert!(
            log.contains("asked init to stop") && !log.contains("killed"),
            "{log}"
        );
        assert_eq!(log.matches("init ended: halted").count(), 2);
        container.start();
        assert_eq!(container.sh(shutdowns), "3");
    });
}
