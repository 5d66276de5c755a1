//! Root file systems in files: mounted by the kernel for root, served by a program for users.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_test_private_host::{ID, SUBID};

use crate::world::{Container, Owner, on_host};

/// Runs a program of the machine.
fn run(program: &str, arguments: &[&Path]) {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed here: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

/// A container whose root file system, with the ids that it has inside, is put into an image by
/// `make`.
fn with_image(owner: Owner, make: impl FnOnce(&Path, &Path), body: impl FnOnce(&Container<'_>)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        let rootfs = container.dir().join("rootfs");
        let (image, tree) = (container.dir().join("image"), container.dir().join("tree"));
        run("cp", &["-a".as_ref(), &rootfs, &tree]);
        run("chown", &["-hR".as_ref(), "0:0".as_ref(), &tree]);
        run("chown", &["7:8".as_ref(), &tree.join("root")]);
        make(&tree, &image);
        fs::remove_dir_all(&tree).unwrap();
        fs::set_permissions(&image, fs::Permissions::from_mode(0o600)).unwrap();
        if owner == Owner::User {
            chown(&image, Some(ID), Some(ID)).unwrap();
            usable_fuse_device();
        }
        body(&container);
        use_directory(&container);
        container.destroy();
    });
}

/// As udev makes it; this machine's may be root's alone.
fn usable_fuse_device() {
    let device = Path::new("/run/fuse");
    let arguments = ["-m", "666", "/run/fuse", "c", "10", "229"].map(Path::new);
    run("mknod", &arguments);
    run("mount", &["--bind".as_ref(), device, "/dev/fuse".as_ref()]);
}

fn set_rootfs(container: &Container<'_>, value: &str) {
    let text = fs::read_to_string(container.config()).unwrap();
    let lines = text.lines();
    let kept = lines.filter(|line| !line.starts_with("lxc.rootfs.path"));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    fs::write(container.config(), kept).unwrap();
    container.append(&format!("lxc.rootfs.path = {value}"));
}

fn use_image(container: &Container<'_>) -> PathBuf {
    let image = container.dir().join("image");
    set_rootfs(container, &format!("loop:{}", image.display()));
    image
}

fn use_directory(container: &Container<'_>) {
    set_rootfs(
        container,
        &format!("dir:{}", container.dir().join("rootfs").display()),
    );
}

fn ext4(tree: &Path, image: &Path) {
    let file = fs::File::create(image).unwrap();
    file.set_len(16 << 20).unwrap();
    run(
        "mke2fs",
        &[
            "-q".as_ref(),
            "-t".as_ref(),
            "ext4".as_ref(),
            "-d".as_ref(),
            tree,
            image,
        ],
    );
}

fn squashfs(tree: &Path, image: &Path) {
    run(
        "mksquashfs",
        &[tree, image, "-quiet".as_ref(), "-no-progress".as_ref()],
    );
}

fn erofs(tree: &Path, image: &Path) {
    run("mkfs.erofs", &["--quiet".as_ref(), image, tree]);
}

/// Loop devices that have a file of this container behind them.
fn loops(container: &Container<'_>) -> usize {
    let image = container.dir().join("image");
    let devices = fs::read_dir("/sys/block").unwrap();
    devices
        .filter(|device| {
            let path = device.as_ref().unwrap().path().join("loop/backing_file");
            fs::read_to_string(path).is_ok_and(|file| Path::new(file.trim()) == image)
        })
        .count()
}

fn no_loop_is_left(container: &Container<'_>) {
    soon("a loop device is left", || loops(container) == 0);
}

fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn root_starts_from_a_writable_image() {
    with_image(Owner::Root, ext4, |container| {
        let image = use_image(container);
        for _ in 0..2 {
            container.start();
            assert_eq!(loops(container), 1);
            assert_eq!(container.sh("stat -c %u:%g /root /bin"), "7:8\n0:0");
            container.sh("echo kept >> /etc/kept");
            container.stop();
            no_loop_is_left(container);
        }
        set_rootfs(container, &image.display().to_string());
        container.append("lxc.rootfs.options = ro");
        container.start();
        assert_eq!(
            container.sh("cat /etc/kept; touch /x 2>/dev/null || echo no"),
            "kept\nkept\nno"
        );
        // The monitor's end ends the container, and the device goes with its last mount.
        container.kill_monitor();
        no_loop_is_left(container);
        container.append("lxc.rootfs.options =\nlxc.init.cmd = /no/such/init");
        container.start_is_refused("there is no /no/such/init in the container");
        no_loop_is_left(container);
        container.append("lxc.init.cmd =");
    });
}

#[test]
fn root_starts_from_images_that_can_only_be_read() {
    for make in [squashfs, erofs] {
        with_image(Owner::Root, make, |container| {
            use_image(container);
            container.append(
                "lxc.idmap = u 0 1073741824 65536\nlxc.idmap = g 0 1073741824 65536\n\
                 lxc.rootfs.options = idmap=container",
            );
            container.start();
            assert_eq!(
                container.sh("stat -c %u:%g /root /bin; id -u"),
                "7:8\n0:0\n0"
            );
            assert_eq!(container.sh("touch /x 2>/dev/null || echo no"), "no");
            container.stop();
            no_loop_is_left(container);
        });
    }
}

#[test]
fn a_user_starts_from_a_writable_image() {
    with_image(Owner::User, ext4, |container| {
        use_image(container);
        for count in 1..=2 {
            container.start();
            assert_eq!(container.sh("stat -c %u:%g /root /bin"), "7:8\n0:0");
            container.sh("echo kept >> /etc/kept && chown 5:6 /etc/kept && chmod u+s /etc/kept");
            assert_eq!(
                container.sh("stat -c %u:%g /etc/kept; wc -l < /etc/kept"),
                format!("5:6\n{count}")
            );
            let boot = container.sh("cut -d' ' -f22 /proc/1/stat");
            container.sh("kill -TERM 1");
            soon("it reboots", || {
                let output = container.berth(&[
                    "exec",
                    "web",
                    "--",
                    "cut",
                    "-d",
                    " ",
                    "-f22",
                    "/proc/1/stat",
                ]);
                output.status.success() && String::from_utf8_lossy(&output.stdout).trim() != boot
            });
            assert_eq!(container.sh("wc -l < /etc/kept"), count.to_string());
            container.stop();
            nothing_serves();
        }
        assert_eq!(
            fs::metadata(container.dir().join("image")).unwrap().uid(),
            ID
        );
    });
}

/// No program that serves an image runs on this host.
fn nothing_serves() {
    soon("a program that serves images is left", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        !processes
            .filter_map(|process| fs::read_to_string(process.path().join("comm")).ok())
            .any(|name| name.contains("fuse"))
    });
}

#[test]
fn a_user_starts_from_an_image_that_can_only_be_read() {
    with_image(Owner::User, squashfs, |container| {
        use_image(container);
        container.start();
        assert_eq!(
            container.sh("stat -c %u:%g /root /bin; id -u"),
            "7:8\n0:0\n0"
        );
        assert_eq!(container.sh("touch /x 2>/dev/null || echo no"), "no");
        // Who serves the image is none of the container's processes.
        assert_eq!(
            container.sh("grep -l fuse /proc/[0-9]*/comm || echo none"),
            "none"
        );
        container.stop();
        nothing_serves();
        container.start();
        container.kill_monitor();
        nothing_serves();
    });
}

#[test]
fn images_that_cannot_be_had_are_refused() {
    with_image(Owner::User, squashfs, |container| {
        let image = use_image(container);
        let before = fs::read(&image).unwrap();
        let refused = |bytes: &[u8], text: &str| {
            fs::write(&image, bytes).unwrap();
            container.start_is_refused(text);
        };
        refused(
            b"nothing",
            "expected an ext4, xfs, btrfs, squashfs or erofs file system",
        );
        let mut erofs = vec![0; 4096];
        erofs[1024..1028].copy_from_slice(b"\xe2\xe1\xf5\xe0");
        container
            .on_host("[ ! -e /usr/bin/erofsfuse ] || mount --bind /dev/null /usr/bin/erofsfuse");
        refused(
            &erofs,
            "the kernel lets only root mount erofs, and erofsfuse is missing",
        );
        refused(b"XFSB", "no program serves it");
        // One that begins well.
        refused(&before[..1000], "cannot mount");
        nothing_serves();
        fs::write(&image, &before).unwrap();
        fs::set_permissions(&image, fs::Permissions::from_mode(0o622)).unwrap();
        container.start_is_refused("others may write to it");
        fs::set_permissions(&image, fs::Permissions::from_mode(0o644)).unwrap();
        chown(&image, Some(SUBID), None).unwrap();
        container.start_is_refused("it belongs to somebody else");
        chown(&image, Some(ID), None).unwrap();
        container.append("lxc.rootfs.options = compress=zstd");
        container.start_is_refused("a program serves the image and not the kernel");
        container.append("lxc.rootfs.options =");
        set_rootfs(container, "lvm:/dev/null");
        container.start_is_refused("it is no block device");
        use_image(container);
        fs::set_permissions("/dev/fuse", fs::Permissions::from_mode(0o600)).unwrap();
        container.start_is_refused("modprobe fuse");
    });
}

#[test]
fn a_program_that_hangs_does_not_hold_up_a_start_for_ever() {
    with_image(Owner::User, squashfs, |container| {
        use_image(container);
        let bin = container.host.home().join("bin");
        fs::create_dir(&bin).unwrap();
        let hangs = bin.join("squashfuse_ll");
        fs::write(&hangs, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).unwrap();
        let mut start = container.command("berth");
        let path = format!("{}:/run/berth-test/bin:/usr/bin:/bin", bin.display());
        let output = start
            .args(["start", "--here", "web"])
            .env("PATH", path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("did not mount"), "{said}");
        // One that serves and then does not is killed with the container.
        container.start();
        let processes = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|process| process.path());
        for process in processes {
            if fs::read_to_string(process.join("comm")).is_ok_and(|name| name.contains("fuse")) {
                run(
                    "kill",
                    &["-STOP".as_ref(), process.file_name().unwrap().as_ref()],
                );
            }
        }
        container.stop();
        nothing_serves();
    });
}
