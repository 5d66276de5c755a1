//! The NIC helper on a host with an older kernel (6.1), cgroup v2 and its controllers.

use berth_test_harness::{Host, Image, Login, Result};

const HELPER: &str = "/usr/libexec/berth/berth-usernic";
/// A stand-in for a container, in the background; its number is printed.
const STAND_IN: &str =
    "setsid unshare -Urn sleep 600 </dev/null >/dev/null 2>&1 & sleep 0.5; echo $!";

fn stand_in(user: &Login) -> Result<String> {
    Ok(user.run(STAND_IN)?.ok()?.trim().to_owned())
}

fn create(pid: &str, name: &str) -> String {
    format!("{HELPER} create /p web {pid} veth berthbr0 {name}")
}

fn ports(host: &Host, uid: u32) -> Result<usize> {
    let list = format!("ls /sys/class/net/berthbr0/brif | grep -c '^veth{uid}_' || true");
    Ok(host.root(&list)?.ok()?.trim().parse()?)
}

#[test]
fn forged_names_and_groups_count_for_nobody() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 1 && berth grant bob --nics 1")?
        .ok()?;
    let (alice, bob) = (host.login("alice")?, host.login("bob")?);
    // Kernels before 6.13 let her: a peer of any name and group, born in the host's namespace.
    let forge = "unshare -Urn ip link add v0 type veth peer name veth1001_fake group 1001 netns 1";
    let forged = alice.run(forge)?.code == 0;
    let seen = host.root("ip -o link show veth1001_fake")?.code == 0;
    // It goes with her namespace; the quota has to hold while it is there as well.
    let keep = "setsid unshare -Urn sh -c 'ip link add v0 type veth peer name veth1001_kept group \
        1001 netns 1; exec sleep 600' </dev/null >/dev/null 2>&1 & sleep 1";
    alice.run(keep)?.ok()?;
    let kept = host.root("ip -o link show veth1001_kept")?.code == 0;
    eprintln!("forged: {forged}, still seen: {seen}, kept: {kept}");

    let his = stand_in(&bob)?;
    let answer = bob.run(&create(&his, "eth0"))?.ok()?;
    assert!(answer.starts_with("eth0:2:veth1001_"), "{answer}");
    bob.run(&create(&his, "eth1"))?.fails(7)?;
    let hers = stand_in(&alice)?;
    alice.run(&create(&hers, "eth0"))?.ok()?;
    alice.run(&create(&hers, "eth1"))?.fails(7)?;
    assert_eq!((ports(&host, 1000)?, ports(&host, 1001)?), (1, 1));
    if kept {
        // An administrator sees it, and gets rid of it.
        let verified = host.root("berth nic verify")?;
        assert_eq!(verified.code, 1, "{}", verified.text());
        assert!(
            verified.stdout.contains("veth1001_kept"),
            "{}",
            verified.text()
        );
        host.root("berth nic gc")?.ok()?;
        host.root("ip link show veth1001_kept")?.fails(1)?;
    }
    let list = host.root("berth nic list")?.ok()?;
    assert!(list.contains("alice") && list.contains("bob"), "{list}");
    let view = host.root("cat /run/lxc/nics")?.ok()?;
    assert!(view.contains("bob veth berthbr0 veth1001_"), "{view}");
    let journal = host.journal()?;
    assert!(
        journal.contains("granted uid=1001 user=bob bridge=berthbr0"),
        "no audit line"
    );
    assert!(
        journal.contains("refused uid=1000: quota reached"),
        "no audit line"
    );
    Ok(())
}

#[test]
fn her_own_cgroup_holds_up_nobody_else() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 1 && berth grant bob --nics 1")?
        .ok()?;
    let (alice, bob) = (host.login("alice")?, host.login("bob")?);
    let (hers, his) = (stand_in(&alice)?, stand_in(&bob)?);
    // A cgroup of hers beside her shell's, in her delegated session.
    let made =
        "d=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/..; mkdir $d/nic && cd $d/nic && pwd";
    let dir = alice.run(made)?.ok()?.trim().to_owned();
    for delay in ["0.01", "0.02", "0.04", "0.08", "0.16"] {
        let script = format!(
            "sh -c 'echo $$ >{dir}/cgroup.procs; exec {}' </dev/null >/dev/null 2>&1 & \
             sleep {delay}; echo 1 >{dir}/cgroup.freeze",
            create(&hers, "eth0")
        );
        alice.run(&script)?.ok()?;
        bob.run(&create(&his, "eth0"))?.ok()?;
        assert!(ports(&host, 1000)? <= 1, "after {delay} s");
        let thaw = format!(
            "echo 0 >{dir}/cgroup.freeze; while grep -q 'populated 1' {dir}/cgroup.events; \
             do sleep 0.05; done"
        );
        alice.run(&thaw)?.ok()?;
        assert!(ports(&host, 1000)? <= 1, "after {delay} s");
        host.root("for p in /sys/class/net/berthbr0/brif/veth*; do ip link del ${p##*/}; done")?
            .ok()?;
    }
    Ok(())
}
