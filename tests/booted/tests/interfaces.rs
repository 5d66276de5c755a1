//! Interfaces of root's containers for which a kernel needs modules: Debian's has them.

use berth_test_harness::{Host, Image, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Starts the container with these lines beside what it is made with, has `inside` work in it and
/// `outside` on the host, and stops it; twice, for what the first has left.
fn with_lines(host: &Host, lines: &str, outside: &str, inside: &str) -> Result {
    let config = "/var/lib/lxc/web/config";
    host.root_with_input(
        &format!("cp {config}.made {config} && cat >> {config}"),
        lines,
    )?
    .ok()?;
    for _ in 0..2 {
        host.root_for("berth start web", LIMIT)?.ok()?;
        host.root(outside)?.ok()?;
        host.root(&format!("berth exec web -- sh -c '{inside}'"))?
            .ok()?;
        host.root_for("berth stop -k web", LIMIT)?.ok()?;
    }
    Ok(())
}

#[test]
fn vlans_and_ipvlan_reach_the_network() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root(
        "for module in 8021q ipvlan macvlan bridge; do modprobe $module; done; \
         ip link add up0 type veth peer name up1 && ip link set up0 up && ip link set up1 up && \
         ip addr add 10.5.0.1/24 dev up1 && \
         ip link add link up1 name up1.5 type vlan id 5 && ip link set up1.5 up && \
         ip addr add 10.6.0.1/24 dev up1.5 && \
         ip link add brv type bridge vlan_filtering 1 && ip link set brv up",
    )?
    .ok()?;
    host.root_for("berth create web -t busybox", LIMIT)?.ok()?;
    let config = "/var/lib/lxc/web/config";
    host.root(&format!(
        "echo 'lxc.net =' >> {config} && cp {config} {config}.made"
    ))?
    .ok()?;

    let vlan = "lxc.net.0.type = vlan\nlxc.net.0.link = up0\nlxc.net.0.vlan.id = 5\n\
                lxc.net.0.flags = up\nlxc.net.0.ipv4.address = 10.6.0.7/24\n";
    with_lines(&host, vlan, "true", "ping -c 1 -W 10 10.6.0.1")?;

    let pid = "$(berth info web | sed -n \"s/^PID[: ]*//p\")";
    for (mode, isolation) in [("l3", "bridge"), ("l3s", "private"), ("l2", "vepa")] {
        let lines = format!(
            "lxc.net.0.type = ipvlan\nlxc.net.0.link = up0\nlxc.net.0.ipvlan.mode = {mode}\n\
             lxc.net.0.ipvlan.isolation = {isolation}\nlxc.net.0.flags = up\n\
             lxc.net.0.ipv4.address = 10.5.0.7/24\n"
        );
        let seen = format!(
            "nsenter -n -t {pid} ip -d link show dev eth0 | grep 'ipvlan *mode {mode} {isolation}'"
        );
        // In its layer 3 modes the link's other side would have to be told where the address is.
        let inside = match mode {
            "l2" => "ping -c 1 -W 10 10.5.0.1",
            _ => "ip addr show dev eth0 | grep 10.5.0.7/24",
        };
        with_lines(&host, &lines, &seen, inside)?;
    }

    let port = "lxc.net.0.type = veth\nlxc.net.0.link = brv\nlxc.net.0.veth.pair = webhost\n\
                lxc.net.0.flags = up\n";
    let tagged = format!(
        "{port}lxc.net.0.veth.vlan.id = 5\nlxc.net.0.veth.vlan.tagged.id = 6\n\
         lxc.net.0.veth.vlan.tagged.id = 7\n"
    );
    let seen = "test \"$(bridge vlan show dev webhost | tail -n +2 | tr -s ' \\n' ' ')\" = \
                'webhost 5 PVID Egress Untagged 6 7 '";
    with_lines(&host, &tagged, seen, "true")?;
    let none = format!("{port}lxc.net.0.veth.vlan.id = none\n");
    with_lines(
        &host,
        &none,
        "! bridge vlan show dev webhost | grep -w 1",
        "true",
    )?;
    Ok(())
}

#[test]
fn the_link_answers_for_ipvlan_and_stops_with_the_container() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root(
        "modprobe ipvlan; ip link add up0 type veth peer name up1 && ip link set up0 up && \
         ip link set up1 up && sysctl -q net.ipv4.conf.up0.forwarding=1",
    )?
    .ok()?;
    host.root_for("berth create web -t busybox", LIMIT)?.ok()?;
    let config = "/var/lib/lxc/web/config";
    host.root(&format!(
        "echo 'lxc.net =' >> {config} && cp {config} {config}.made"
    ))?
    .ok()?;
    let lines = "lxc.net.0.type = ipvlan\nlxc.net.0.link = up0\nlxc.net.0.ipvlan.mode = l3s\n\
                 lxc.net.0.l2proxy = 1\nlxc.net.0.flags = up\n\
                 lxc.net.0.ipv4.address = 10.7.0.7/32\nlxc.net.0.ipv4.gateway = dev\n";
    let seen = "ip neigh show proxy | grep '10.7.0.7 dev up0' && ip route | grep '10.7.0.7 dev lo'";
    with_lines(&host, lines, seen, "ip route | grep 'default dev eth0'")?;
    host.root("test -z \"$(ip neigh show proxy)\" && ! ip route | grep 10.7.0.7")?
        .ok()?;
    Ok(())
}

/// Though it was told to take whatever looks like Ethernet.
#[test]
fn networkd_leaves_the_bridge_and_its_ports_alone() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root_for("berth grant alice --nics 2", LIMIT)?.ok()?;
    // The host has no udev, and networkd waits for that one unless /sys is read-only, as in a container.
    let no_udev = "/etc/systemd/system/systemd-networkd.service.d";
    host.root(&format!(
        "mkdir -p {no_udev} && printf '[Service]\\nReadOnlyPaths=/sys\\n' > {no_udev}/sys.conf && \
         systemctl daemon-reload"
    ))?
    .ok()?;
    host.root_with_input(
        "cat > /etc/systemd/network/99-all.network && systemctl unmask systemd-networkd && \
         systemctl start systemd-networkd",
        "[Match]\nName=berthbr* veth* other0\n[Network]\nDHCP=yes\n",
    )?
    .ok()?;
    let alice = host.login("alice")?;
    alice
        .run_for("berth create web && berth start web", LIMIT)?
        .ok()?;
    host.root("ip link add other0 type veth peer name other1 && ip link set other0 up")?
        .ok()?;
    let setup = |name: &str| format!("networkctl list --no-legend | grep -E ' {name} .* SETUP'");
    let is = |name: &str, state: &str| setup(name).replace("SETUP", state);
    // What is not ours it takes.
    host.wait_until(&is("other0", "(configuring|configured|carrier)"), LIMIT)?;
    for name in ["berthbr0", "veth1000_[^ ]*"] {
        host.wait_until(&is(name, "unmanaged"), LIMIT)?;
    }
    host.root("ip -o addr show berthbr0 | grep -q 10.209.0.1/24")?
        .ok()?;
    let waits =
        "until berth exec web -- ip -o addr show eth0 | grep -q 10.209.0.; do sleep 1; done";
    alice
        .run_for(&format!("timeout 60 sh -c '{waits}'"), LIMIT)?
        .ok()?;
    Ok(())
}

/// A second bridge, whose ports are members of virtual LANs.
#[test]
fn a_bridge_of_net_d_keeps_virtual_lans_apart() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root_with_input(
        "mkdir -p /etc/berth/net.d && cat > /etc/berth/net.d/lab.toml && \
         systemctl restart berth-net && berth net list",
        "bridge = \"br-lab\"\naddress = \"10.50.0.1/24\"\nvlan-filtering = true\nnat = false\n",
    )?
    .ok()?;
    let filters = "ip -d link show br-lab | grep -q 'vlan_filtering 1'";
    host.root(filters)?.ok()?;
    let create = |name: &str, vlan: u32, address: u32| {
        format!(
            "berth create {name} -t busybox && cat >> /var/lib/lxc/{name}/config <<E\nlxc.net =\n\
             lxc.net.0.type = veth\nlxc.net.0.link = br-lab\nlxc.net.0.veth.vlan.id = {vlan}\n\
             lxc.net.0.flags = up\nlxc.net.0.ipv4.address = 10.50.0.{address}/24\nE\n\
             berth start {name}"
        )
    };
    for (name, vlan, address) in [("a", 5, 11), ("b", 5, 12), ("c", 6, 13)] {
        host.root_for(&create(name, vlan, address), LIMIT)?.ok()?;
    }
    host.root_for("berth exec a -- ping -c 2 -W 10 10.50.0.12", LIMIT)?
        .ok()?;
    host.root_for("! berth exec a -- ping -c 2 -W 3 10.50.0.13", LIMIT)?
        .ok()?;
    host.root_for(
        "berth stop -k a && berth stop -k b && berth stop -k c",
        LIMIT,
    )?
    .ok()?;
    host.root_for(
        "rm /etc/berth/net.d/lab.toml && systemctl restart berth-net && ! ip link show br-lab",
        LIMIT,
    )?
    .ok()?;
    Ok(())
}
