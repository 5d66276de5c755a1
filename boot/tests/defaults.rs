//! What `/etc/default/berth` and `/etc/default/lxc` switch, as the scripts of every init read them.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

/// Sources the shipped file under `sh -e`, with these two files in a mount namespace of its own, and
/// says which options and switches come out.
fn with(lxc: &str, berth: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/boot/boot-defaults");
    let script = r#"
        mount -t tmpfs none /etc/default
        printf '%s\n' "$LXC" >/etc/default/lxc
        [ -z "$BERTH" ] || printf '%s\n' "$BERTH" >/etc/default/berth
        exec sh -e -c '
            set -- start
            . "$0"
            net=off users=off daemon=off
            if berth_is "$BERTH_NET"; then net=on; fi
            if berth_is "$BERTH_USERS"; then users=on; fi
            if berth_is "${BERTHD:-false}"; then daemon=on; fi
            echo "$* net=$net users=$users berthd=$daemon"
        ' "$FILE"
    "#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-e", "-c", script])
        .env("LXC", lxc)
        .env("BERTH", berth)
        .env("FILE", file)
        .output()
        .expect("unshare can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn berths_own_file_counts_and_lxcs_where_it_is_silent() {
    const ALL: &str = "net=on users=on berthd=off";
    assert_eq!(with("", ""), format!("--stop-seconds 90 {ALL}"));
    // As Ubuntu ships it.
    let lxc = "LXC_AUTO=\"true\"\nBOOTGROUPS=\"onboot,\"\nUSE_LXC_BRIDGE=\"false\"\n\
               [ ! -f /etc/default/lxc-net ] || . /etc/default/lxc-net";
    assert_eq!(
        with(lxc, ""),
        format!("--stop-seconds 90 --groups onboot, {ALL}")
    );
    let off = "LXC_AUTO=\"false\"";
    assert_eq!(with(off, ""), format!("--stop-seconds 90 --no-start {ALL}"));
    assert_eq!(
        with(
            off,
            "BERTH_AUTO=yes\nBERTH_GROUPS=a,b\nBERTH_STOP_SECONDS=12"
        ),
        format!("--stop-seconds 12 --groups a,b {ALL}")
    );
}

#[test]
fn switches_are_words_and_nonsense_is_the_default() {
    for off in ["false", "no", "Off", "0"] {
        let said = with(
            "",
            &format!("BERTH_NET={off}\nBERTH_USERS={off}\nBERTH_STOP_SECONDS=soon"),
        );
        assert_eq!(said, "--stop-seconds 90 net=off users=off berthd=off");
    }
    assert!(with("", "BERTHD=true").ends_with("berthd=on"));
}
