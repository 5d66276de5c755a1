//! What of a host's network an ordinary user cannot change.

use berth_test_private_host::BRIDGE;

use crate::world::{Container, Owner, each_refused, in_container, on_host};

fn veth(line: &str) -> String {
    format!("lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.{line}")
}

#[test]
fn other_types_are_roots() {
    let cases = ["vlan", "macvlan", "ipvlan", "phys"].map(|kind| {
        (
            format!("lxc.net.0.type = {kind}"),
            format!("lxc.net.0.type: an interface of type {kind} only root can have"),
        )
    });
    let cases = cases
        .each_ref()
        .map(|(line, text)| (line.as_str(), text.as_str()));
    each_refused(Owner::User, &format!("lxc.net.0.link = {BRIDGE}"), &cases);
}

#[test]
fn what_changes_the_host_is_roots() {
    let lines = [
        ("veth.mode = router", "use lxc.net.N.veth.mode = bridge"),
        (
            "veth.ipv4.route = 10.8.0.0/16",
            "routes inside the container are made there",
        ),
        (
            "veth.ipv6.route = fd00:8::/32",
            "routes inside the container are made there",
        ),
        (
            "veth.vlan.id = 5",
            "ask an administrator for a bridge of that VLAN",
        ),
        (
            "veth.vlan.tagged.id = 5",
            "ask an administrator for a bridge of that VLAN",
        ),
        ("veth.n_rxqueues = 2", "has one each way; remove the line"),
        ("veth.n_txqueues = 2", "has one each way; remove the line"),
        ("l2proxy = 1", "proxy entries only root can have"),
    ];
    let whole = lines.map(|(line, right)| (format!("lxc.net.0.{line}"), right));
    let cases = whole
        .each_ref()
        .map(|(line, right)| (line.as_str(), *right));
    each_refused(Owner::User, &veth("flags = up"), &cases);
}

#[test]
fn a_name_on_the_host_is_passed_over_with_a_word() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append(&veth("veth.pair = mine"));
        let output = container.berth(&["start", "--here", "web"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("lxc.net.0.veth.pair: not obeyed"), "{said}");
        let port = container.on_host(&format!("ip -o link show master {BRIDGE}"));
        assert!(port.contains("veth") && !port.contains("mine"), "{port}");
        container.destroy();
    });
}

#[test]
fn routes_inside_are_the_containers_own() {
    in_container(Owner::User, &veth("flags = up"), |container| {
        container.sh("ip route add 10.8.0.0/16 dev eth0");
        assert!(container.sh("ip route").contains("10.8.0.0/16"));
    });
}
