
# The part of a test host without systemd; common.sh comes before it. What the test needs is
# started by /sbin/init itself: the distribution's services stay as they are.

mkdir -p "$tree/usr/local/sbin"
cat >"$tree/usr/local/sbin/test-boot" <<'SCRIPT'
#!/bin/sh
# Between the scripts that mount file systems and those of services. eth0 is a tap device in a
# network namespace of the test's; nothing there answers DHCP.
ip link set lo up
ip address add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1
mkdir -p /run/sshd
[ ! -x /usr/local/sbin/test-cgroups ] || /usr/local/sbin/test-cgroups
SCRIPT

# The log goes to a file, and to the serial line, where it outlives a power cut.
cat >"$tree/usr/local/sbin/test-log" <<'SCRIPT'
#!/bin/sh
{
    echo "boot $(cat /proc/sys/kernel/random/boot_id)"
    busybox klogd -n &
    exec busybox syslogd -n -O -
} | exec tee -a /var/log/messages /dev/ttyS0 >/dev/null
SCRIPT
chmod 0755 "$tree/usr/local/sbin"/test-*

# No login on consoles that are not there; ours before the line that runs the services' scripts.
sed -i -e '/^[1-6]:.*getty/d' -e '/^l0:/i\
tb::bootwait:/usr/local/sbin/test-boot\
tl:12345:respawn:/usr/local/sbin/test-log\
tr:12345:respawn:/usr/sbin/sshd -D -f /etc/ssh/sshd_test_root' "$tree/etc/inittab"

# The last of the services' scripts.
printf '%s\n' '#!/bin/sh' 'touch /run/test-booted' >"$tree/etc/rc.local"
chmod 0755 "$tree/etc/rc.local"
