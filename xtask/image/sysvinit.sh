
# The part of a test host with sysvinit's own scripts; inittab.sh comes before it.

# Debian mounts no control groups there. The kernel's command line says how a test wants them.
cat >"$tree/usr/local/sbin/test-cgroups" <<'SCRIPT'
#!/bin/sh
read -r words </proc/cmdline
case " $words " in
*' test.cgroups=v1 '*) layout=v1 ;;
*' test.cgroups=hybrid '*) layout=hybrid ;;
*)
    mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
    exit
    ;;
esac
mount -t tmpfs -o mode=0755,nosuid,nodev,noexec cgroup /sys/fs/cgroup
while read -r controller _ _ enabled; do
    [ "$enabled" = 1 ] || continue
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "nosuid,nodev,noexec,$controller" cgroup "/sys/fs/cgroup/$controller"
done </proc/cgroups
if [ $layout = hybrid ]; then
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup/unified
fi
SCRIPT
chmod 0755 "$tree/usr/local/sbin/test-cgroups"

# One script after the other: with one processor startpar gains nothing, and it was seen to wait
# for ever when the machine was busy.
touch "$tree/etc/init.d/.legacy-bootordering"
