
# The part of a test host with OpenRC; inittab.sh comes before it.

# OpenRC mounts control groups; the kernel's command line says how a test wants them.
cat >>"$tree/etc/rc.conf" <<'CONF'

read -r words </proc/cmdline 2>/dev/null || words=
case " $words " in
*' test.cgroups=v1 '*) rc_cgroup_mode=legacy ;;
*' test.cgroups=hybrid '*) rc_cgroup_mode=hybrid ;;
*) rc_cgroup_mode=unified ;;
esac
CONF

# Debian's script of AppArmor fails when it is stopped, and then OpenRC does not power off.
chroot "$tree" rc-update --quiet delete apparmor sysinit
