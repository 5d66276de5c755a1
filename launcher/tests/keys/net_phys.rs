//! Interfaces of the host that no container gets.

use crate::world::{Container, Owner, on_host};

/// The mark of a radio is a link in its directory of sysfs.
#[test]
fn a_radio_is_not_moved() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(
            "ip link add wlan0 type veth peer name wlan0p && mkdir -p /run/radio/phy80211 &&
             mount --bind /run/radio /sys/devices/virtual/net/wlan0",
        );
        container.append("lxc.net.0.type = phys\nlxc.net.0.link = wlan0");
        container.start_is_refused("lxc.net.0.link: wlan0 is a radio, which Berth does not move");
        container.on_host("ip link show wlan0");
        container.on_host("umount /sys/devices/virtual/net/wlan0");
        container.destroy();
    });
}
