//! Interfaces of root's containers on a bridge of Open vSwitch: ports are records of its database,
//! which do not go with the interface.

use crate::world::{Container, Owner, on_host};

/// The database in a file, in the words of ovs-vsctl(8), and its bridge.
const SWITCH: &str = r#"mkdir -p /run/sbin && cat >/run/sbin/ovs-vsctl <<'END'
#!/bin/sh
while :; do case $1 in -*) shift ;; *) break ;; esac; done
echo "$@" >>/run/ovs.log
case $1 in
br-exists) [ "$2" = ovs0 ] || exit 2 ;;
list-ports) cat /run/ovs-ports ;;
add-port) [ ! -e /run/ovs-full ] || { echo 'no room' >&2; exit 1; }; echo "$3" >>/run/ovs-ports ;;
del-port) grep -vx "$3" /run/ovs-ports >/run/ovs-rest; cat /run/ovs-rest >/run/ovs-ports ;;
*) exit 1 ;;
esac
END
chmod 755 /run/sbin/ovs-vsctl && mount --bind /run/sbin /usr/local/sbin && : >/run/ovs-ports &&
ip link add ovs0 type veth peer name ovs0p && ip link add plain0 type veth peer name plain0p"#;

#[test]
fn a_port_comes_and_goes_with_the_container() {
    on_host(|host| {
        let web = Container::create(host, Owner::Root, "web");
        web.on_host(SWITCH);
        web.append("lxc.net.0.type = veth\nlxc.net.0.link = plain0");
        web.start_is_refused("lxc.net.0.link: plain0 is no bridge");
        web.append(
            "lxc.net.0.link = ovs0\nlxc.net.0.veth.pair = webhost\nlxc.net.0.flags = up\n\
             lxc.net.0.veth.vlan.id = 5\nlxc.net.0.veth.vlan.tagged.id = 7\n\
             lxc.net.0.veth.vlan.tagged.id = 8",
        );
        let ports = || web.on_host("cat /run/ovs-ports");
        web.start();
        assert_eq!(ports(), "webhost");
        assert_eq!(
            web.on_host("grep add-port /run/ovs.log"),
            "add-port ovs0 webhost vlan_mode=native-untagged tag=5 trunks=7,8"
        );
        web.sh("ip link show eth0");
        // One port whatever happens, until the end.
        web.reboot();
        assert_eq!(ports(), "webhost");
        web.kill_monitor();
        web.start();
        assert_eq!(ports(), "webhost");
        web.stop();
        assert_eq!(ports(), "");
        web.start();
        web.kill_monitor();
        web.berth(&["stop", "web"]);
        assert_eq!(ports(), "");

        web.on_host("touch /run/ovs-full");
        web.start_is_refused("make webhost a port of ovs0: ovs-vsctl ended with code 1: no room");
        web.on_host("rm /run/ovs-full && ! ip link show webhost 2>/dev/null");
        web.append("lxc.init.cmd = /no/such/init");
        web.start_is_refused("there is no /no/such/init");
        assert_eq!(ports(), "");
        web.destroy();
    });
}
