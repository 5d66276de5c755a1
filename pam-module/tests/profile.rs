//! Where Debian's pam-auth-update puts the module's line. Needs root and the machine's own
//! `pam-auth-update`, which works on a directory of the test's; says so instead of passing.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A stand-in for the profile of a login manager's module, alike in Debian's libpam-systemd and
/// libpam-elogind but for the module.
fn login_manager(module: &str) -> String {
    format!(
        "Name: Register user sessions\nDefault: yes\nPriority: 0\nSession-Interactive-Only: yes\n\
         Session-Type: Additional\nSession:\n\toptional\t{module}\n"
    )
}

/// A root directory with profiles, and a debconf with answers of its own; gone when dropped.
struct Root(PathBuf);

impl Root {
    fn new(profile: &str, module: &str) -> Self {
        let name = format!("berth-profile-{}-{profile}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        for dir in ["usr/share/pam-configs", "etc/pam.d", "var/lib/pam"] {
            std::fs::create_dir_all(root.0.join(dir)).unwrap();
        }
        let profiles = root.0.join("usr/share/pam-configs");
        std::fs::write(profiles.join(profile), login_manager(module)).unwrap();
        let unix = Path::new("/usr/share/pam-configs/unix");
        std::fs::copy(unix, profiles.join("unix")).unwrap();
        let templates = Path::new("/var/cache/debconf/templates.dat");
        std::fs::copy(templates, root.0.join("templates.dat")).unwrap();
        let here = root.0.display();
        let debconf = format!(
            "Config: answers\nTemplates: templates\n\n\
             Name: answers\nDriver: File\nFilename: {here}/answers.dat\n\n\
             Name: templates\nDriver: File\nFilename: {here}/templates.dat\n"
        );
        std::fs::write(root.0.join("debconf.conf"), debconf).unwrap();
        root
    }

    fn update(&self, arguments: &[&str]) {
        let done = Command::new("pam-auth-update")
            .args(["--root".as_ref(), self.0.as_os_str()])
            .args(arguments)
            .env("DEBCONF_SYSTEMRC", self.0.join("debconf.conf"))
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .expect("this test needs Debian's pam-auth-update");
        assert!(done.status.success(), "{done:?}");
    }

    fn install_ours(&self) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/pam-configs");
        let name = "cgroup-berth";
        let place = self.0.join("usr/share/pam-configs").join(name);
        std::fs::copy(ours.join(name), place).unwrap();
    }

    /// The modules of a stack that come by profiles of "Additional" kind, in order.
    fn stack(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("etc/pam.d").join(file)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let modules = lines.filter_map(|line| line.split_whitespace().nth(2));
        modules
            .filter(|module| !matches!(*module, "pam_permit.so" | "pam_deny.so"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_line_comes_right_after_the_login_managers_and_goes_again() {
    for (profile, module) in [("systemd", "pam_systemd.so"), ("elogind", "pam_elogind.so")] {
        let root = Root::new(profile, module);
        root.update(&["--package", "--force"]);
        let without = ["pam_unix.so", module];
        assert_eq!(root.stack("common-session"), without);
        // As the package's postinst and prerm do.
        root.install_ours();
        root.update(&["--package"]);
        let with = ["pam_unix.so", module, "pam_berth.so"];
        assert_eq!(root.stack("common-session"), with);
        assert_eq!(root.stack("common-session-noninteractive"), ["pam_unix.so"]);
        root.update(&["--package", "--remove", "cgroup-berth"]);
        assert_eq!(root.stack("common-session"), without);
    }
}
