//! Inits that end by themselves.

use std::time::{Duration, Instant};

use crate::beside::settings;
use crate::world::{Container, Owner, eventually, in_container, on_host};

#[test]
fn an_init_that_fails_is_started_again_until_that_is_too_often() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.append("lxc.init.cmd = /bin/sh -c \"echo life >> /lives; exit 7\"");
        settings(
            &web,
            "[restart]\npolicy = \"on-failure\"\ndelay = \"50ms\"\nlimit = 3\n",
        );
        web.start();
        web.ok(&["wait", "web", "--timeout", "30"]);
        assert!(
            web.info("Note")
                .contains("started again 3 times within 10 min")
        );
        assert_eq!(web.info("Restarts"), "3");
        assert!(web.info("Last ended").contains("exit code 7"));
        assert_eq!(
            web.on_host(&format!("wc -l < {}/rootfs/lives", web.dir().display())),
            "4"
        );
        // One that ends in order is not started again by this policy.
        web.append("lxc.init.cmd = /bin/sh -c \"exit 0\"");
        web.start();
        web.ok(&["wait", "web", "--timeout", "30"]);
        assert!(!web.ok(&["info", "web"]).contains("Restarts"));
        web.destroy();
    });
}

#[test]
fn a_stop_always_wins() {
    in_container(Owner::User, "", |web| {
        web.stop();
        settings(
            web,
            "[restart]\npolicy = \"always\"\ndelay = \"1h\"\ndelay-max = \"1h\"\n",
        );
        web.start();
        web.ok(&["stop", "--timeout", "30", "web"]);
        web.start();
        web.stop();
        web.start();
        let init = web.info("PID");
        web.on_host(&format!("kill -9 {init}"));
        web.ok(&["wait", "web", "--state", "restarting", "--timeout", "20"]);
        let refused = web.berth(&["exec", "web", "--", "true"]);
        assert_eq!(refused.status.code(), Some(125));
        let begun = Instant::now();
        web.ok(&["stop", "web"]);
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(web.info("State"), "stopped");
    });
}

#[test]
fn what_runs_again_is_whole_and_can_be_frozen_before() {
    in_container(Owner::User, "", |web| {
        web.stop();
        settings(web, "[restart]\npolicy = \"always\"\ndelay = \"50ms\"\n");
        web.start();
        for frozen in [false, true] {
            let init = web.info("PID");
            if frozen {
                web.ok(&["freeze", "web"]);
            }
            web.on_host(&format!("kill -9 {init}"));
            eventually("the next life", || {
                let info = web.ok(&["info", "web"]);
                info.contains("running") && !info.contains(&format!(" {init}\n"))
            });
            assert_eq!(web.sh("echo lives"), "lives");
        }
        assert_eq!(web.info("Restarts"), "2");
    });
}
