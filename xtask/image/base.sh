# Turns a fresh Debian tree into the tree of the test host. As root, in a mount namespace of its
# own: base.sh TREE PUBLIC_KEY MODULES
set -eu
tree=$1 key=$2 modules=$3

mkdir -p "$tree/usr/lib/modules"
cp -a "$modules"/. "$tree/usr/lib/modules/"

echo host >"$tree/etc/hostname"
printf '%s\n' '127.0.0.1 localhost' '127.0.1.1 host' '192.0.2.1 machine' >"$tree/etc/hosts"
echo '/dev/ubda / ext4 defaults,errors=remount-ro 0 1' >"$tree/etc/fstab"
echo 'LANG=C.UTF-8' >"$tree/etc/default/locale"

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

# Commands of root that are no login: an sshd without PAM, reachable only from the test.
cat >"$tree/etc/ssh/sshd_test_root" <<'CONF'
Port 2222
UsePAM no
AllowUsers root
AuthenticationMethods publickey
PidFile none
MaxSessions 100
CONF
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

# Many channels over one connection are one login with many commands.
mkdir -p "$tree/etc/ssh/sshd_config.d"
echo 'MaxSessions 100' >"$tree/etc/ssh/sshd_config.d/test.conf"

# The journal outlives a power cut outside of the guest.
mkdir -p "$tree/etc/systemd/journald.conf.d" "$tree/var/log/journal"
cat >"$tree/etc/systemd/journald.conf.d/test.conf" <<'CONF'
[Journal]
ForwardToConsole=yes
TTYPath=/dev/ttyS0
MaxLevelConsole=info
CONF

chroot "$tree" sh -eu <<'CHROOT'
update-alternatives --quiet --set iptables /usr/sbin/iptables-legacy
update-alternatives --quiet --set ip6tables /usr/sbin/ip6tables-legacy
systemd-machine-id-setup --print >/dev/null
for user in alice:1000 bob:1001; do
    useradd --create-home --uid "${user#*:}" --user-group --shell /bin/bash "${user%:*}"
    chmod 0700 "/home/${user%:*}"
done
systemctl --quiet enable test-network.service test-root.service
systemctl --quiet set-default multi-user.target
systemctl --quiet disable getty@tty1.service e2scrub_reap.service
# Housekeeping that would disturb measurements.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer systemd-networkd.service getty-static.service \
    serial-getty@ttyS0.service
apt-get clean
rm -rf /var/lib/apt/lists/*
CHROOT

for home in root:0 home/alice:1000 home/bob:1001; do
    dir=$tree/${home%:*} id=${home#*:}
    install -d -m 0700 -o "$id" -g "$id" "$dir/.ssh"
    install -m 0600 -o "$id" -g "$id" "$key" "$dir/.ssh/authorized_keys"
done
