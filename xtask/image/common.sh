# Turns a fresh Debian tree into the tree of a test host, as far as that is the same under every
# init; the part for its init follows. As root, in a mount namespace of its own:
# TREE PUBLIC_KEY MODULES
set -eu
tree=$1 key=$2 modules=$3

mkdir -p "$tree/usr/lib/modules"
cp -a "$modules"/. "$tree/usr/lib/modules/"

echo host >"$tree/etc/hostname"
printf '%s\n' '127.0.0.1 localhost' '127.0.1.1 host' '192.0.2.1 machine' >"$tree/etc/hosts"
echo '/dev/ubda / ext4 defaults,errors=remount-ro 0 1' >"$tree/etc/fstab"
echo 'LANG=C.UTF-8' >"$tree/etc/default/locale"

# Commands of root that are no login: an sshd without PAM, reachable only from the test.
cat >"$tree/etc/ssh/sshd_test_root" <<'CONF'
Port 2222
UsePAM no
AllowUsers root
AuthenticationMethods publickey
PidFile none
MaxSessions 100
CONF

# Many channels over one connection are one login with many commands.
mkdir -p "$tree/etc/ssh/sshd_config.d"
echo 'MaxSessions 100' >"$tree/etc/ssh/sshd_config.d/test.conf"

chroot "$tree" sh -eu <<'CHROOT'
update-alternatives --quiet --set iptables /usr/sbin/iptables-legacy
update-alternatives --quiet --set ip6tables /usr/sbin/ip6tables-legacy
for user in alice:1000 bob:1001; do
    useradd --create-home --uid "${user#*:}" --user-group --shell /bin/bash "${user%:*}"
    chmod 0700 "/home/${user%:*}"
done
apt-get clean
rm -rf /var/lib/apt/lists/*
CHROOT

for home in root:0 home/alice:1000 home/bob:1001; do
    dir=$tree/${home%:*} id=${home#*:}
    install -d -m 0700 -o "$id" -g "$id" "$dir/.ssh"
    install -m 0600 -o "$id" -g "$id" "$key" "$dir/.ssh/authorized_keys"
done
