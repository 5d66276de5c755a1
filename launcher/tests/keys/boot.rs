//! What is started at boot, and in which order.

use crate::world::{Container, Owner, on_host};

#[test]
fn enabled_containers_are_taken_by_groups_and_in_order() {
    on_host(|host| {
        let all = [
            ("late", "lxc.start.auto = 1\nlxc.start.order = 5"),
            ("first", "lxc.start.auto = 1\nlxc.start.order = -3"),
            ("off", "lxc.start.auto = 0"),
            (
                "grouped",
                "lxc.start.auto = 1\nlxc.group = site, onboot\nlxc.start.order = 1",
            ),
        ];
        let containers = all.map(|(name, lines)| {
            let container = Container::create(host, Owner::User, name);
            container.append(lines);
            container
        });
        let [late, ..] = &containers;
        let listed = |options: &[&str]| -> Vec<String> {
            let arguments = [&["autostart", "--list"], options].concat();
            let printed = late.ok(&arguments);
            let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
            printed.lines().filter_map(first).collect()
        };
        assert_eq!(listed(&[]), ["first", "late"]);
        assert_eq!(listed(&["--shutdown", "-A", "-a"]), [""; 0]);
        assert_eq!(listed(&["-g", "site"]), ["grouped"]);
        assert_eq!(listed(&["-a"]), ["first", "grouped", "late"]);
        assert_eq!(listed(&["-A"]), ["first", "off", "late"]);
        late.append("lxc.start.auto =");
        assert_eq!(listed(&[]), ["first"]);
        for container in &containers {
            container.destroy();
        }
    });
}
