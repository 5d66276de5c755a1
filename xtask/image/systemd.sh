# The part of a test host with systemd; common.sh comes before it.

# eth0 is a tap device in a network namespace of the test's; nothing there answers DHCP.
cat >"$tree/etc/systemd/system/test-network.service" <<'UNIT'
[Unit]
Description=Network between the test and its host
DefaultDependencies=no
Before=network-pre.target network.target shutdown.target
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip address add 192.0.2.2/24 dev eth0
ExecStart=/sbin/ip link set eth0 up
ExecStart=/sbin/ip route add default via 192.0.2.1
[Install]
WantedBy=sysinit.target
UNIT

cat >"$tree/etc/systemd/system/test-root.service" <<'UNIT'
[Unit]
Description=Commands of root that are no login
After=test-network.service
[Service]
ExecStart=/usr/sbin/sshd -D -f /etc/ssh/sshd_test_root
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
KillMode=mixed
[Install]
WantedBy=multi-user.target
UNIT

# The journal outlives a power cut outside of the guest.
mkdir -p "$tree/etc/systemd/journald.conf.d" "$tree/var/log/journal"
cat >"$tree/etc/systemd/journald.conf.d/test.conf" <<'CONF'
[Journal]
ForwardToConsole=yes
TTYPath=/dev/ttyS0
MaxLevelConsole=info
CONF

chroot "$tree" sh -eu <<'CHROOT'
systemd-machine-id-setup --print >/dev/null
systemctl --quiet enable test-network.service test-root.service
systemctl --quiet set-default multi-user.target
systemctl --quiet disable getty@tty1.service e2scrub_reap.service
# Housekeeping that would disturb measurements.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer systemd-networkd.service getty-static.service \
    serial-getty@ttyS0.service
# Half a boot in which system calls are slow: modules that this kernel loads when they are needed,
# users who exist, a seed.
systemctl --quiet mask modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service \
    sys-kernel-config.mount kmod-static-nodes.service systemd-random-seed.service \
    systemd-sysusers.service systemd-update-utmp-runlevel.service systemd-fsckd.socket
CHROOT
