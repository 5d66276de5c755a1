
# The part of a test host with other tools on it; systemd.sh comes before it.

chroot "$tree" sh -eu <<'CHROOT'
# LXC's bridge would take its own network and dnsmasq; lxc.service and lxc-monitord serve root's
# containers, which no test has.
systemctl --quiet mask lxc-net.service lxc.service lxc-monitord.service podman.socket \
    podman.service podman-auto-update.timer podman-restart.service
CHROOT
