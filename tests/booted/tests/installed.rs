//! What the manifest puts on a host, as that host sees it.

use berth_test_harness::{Host, Image, Result};

#[test]
fn everything_is_in_place_and_nothing_fails() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let modes = "stat -c '%a %U:%G %n' /usr/bin/berth /usr/libexec/berth/* /run/berth/*";
    let expected = "755 root:root /usr/bin/berth\n\
        755 root:root /usr/libexec/berth/berth-boot\n\
        755 root:root /usr/libexec/berth/berth-net\n\
        755 root:root /usr/libexec/berth/berth-seccomp\n\
        755 root:root /usr/libexec/berth/berth-session-helper\n\
        4755 root:root /usr/libexec/berth/berth-usernic\n\
        755 root:root /usr/libexec/berth/berthd\n\
        755 root:root /run/berth/launch\n\
        755 root:root /run/berth/net\n\
        700 root:root /run/berth/usernic\n";
    assert_eq!(host.root(modes)?.ok()?, expected);

    let setuid = "find / -xdev -path /proc -prune -o -perm /6000 -path '*berth*' -print";
    assert_eq!(
        host.root(setuid)?.ok()?,
        "/usr/libexec/berth/berth-usernic\n"
    );
    let words = "grep -rE '@[A-Z]+@' /usr/lib/systemd/system/*berth* /usr/lib/tmpfiles.d/berth.conf \
        /usr/share/pam-configs/cgroup-berth /usr/share/berth /etc/berth";
    assert_eq!(host.root(words)?.fails(1)?, "", "every word is filled in");

    let pam = host.root("grep -l pam_berth.so /etc/pam.d/*")?.ok()?;
    assert_eq!(pam, "/etc/pam.d/berth-user\n/etc/pam.d/common-session\n");
    let verify = "systemd-analyze verify --man=no berth-net.service berth-user@1000.service \
        berth-session-helper@1000.service berth-session-helper@1000.socket 2>&1 | grep -i berth";
    assert_eq!(host.root(verify)?.stdout, "");
    alice
        .run("cat /etc/berth/net.toml /usr/share/berth/config/user.conf")?
        .ok()?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}
