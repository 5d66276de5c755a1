//! What the tree below each image is made from.

use crate::apt;
use crate::hash::Hash;
use berth_test_harness::Image;

/// A tree of Debian packages with users and services, below one image or more.
#[derive(Debug)]
pub struct Recipe {
    /// Begins the name of its directory.
    pub name: &'static str,
    /// Debian's release.
    pub suite: &'static str,
    /// Texts with a package a line; `#` begins a comment.
    packages: &'static [&'static str],
    /// Parts of the shell script that finishes the tree, in their order.
    scripts: &'static [&'static str],
}

const COMMON_PACKAGES: &str = include_str!("../../image/common.packages");
const SYSTEMD_PACKAGES: &str = include_str!("../../image/systemd.packages");
const TOOLS_PACKAGES: &str = include_str!("../../image/tools.packages");
const SYSVINIT_PACKAGES: &str = include_str!("../../image/sysvinit.packages");
const OPENRC_PACKAGES: &str = include_str!("../../image/openrc.packages");
const COMMON: &str = include_str!("../../image/common.sh");
const SYSTEMD: &str = include_str!("../../image/systemd.sh");
const TOOLS: &str = include_str!("../../image/tools.sh");
const INITTAB: &str = include_str!("../../image/inittab.sh");
const SYSVINIT: &str = include_str!("../../image/sysvinit.sh");
const OPENRC: &str = include_str!("../../image/openrc.sh");
/// Programs of systemd 258 and later say ENOSYS without it. The mount namespace is the script's own.
const PROC: &str = "mount -t proc proc \"$tree/proc\"\n";

static DEBIAN_12: Recipe = Recipe {
    name: "base-debian12",
    suite: apt::SUITE,
    packages: &[COMMON_PACKAGES, SYSTEMD_PACKAGES],
    scripts: &[COMMON, SYSTEMD],
};

static DEBIAN_13: Recipe = Recipe {
    name: "base-debian13",
    suite: "trixie",
    packages: &[COMMON_PACKAGES, SYSTEMD_PACKAGES],
    scripts: &[COMMON, SYSTEMD],
};

static TESTING: Recipe = Recipe {
    name: "base-testing",
    suite: apt::TESTING,
    packages: &[COMMON_PACKAGES, SYSTEMD_PACKAGES],
    scripts: &[COMMON, PROC, SYSTEMD],
};

static TOOLBOX: Recipe = Recipe {
    name: "base-tools",
    suite: apt::SUITE,
    packages: &[COMMON_PACKAGES, SYSTEMD_PACKAGES, TOOLS_PACKAGES],
    scripts: &[COMMON, SYSTEMD, TOOLS],
};

static SYSVINIT_HOST: Recipe = Recipe {
    name: "base-sysvinit",
    suite: apt::SUITE,
    packages: &[COMMON_PACKAGES, SYSVINIT_PACKAGES],
    scripts: &[COMMON, INITTAB, SYSVINIT],
};

static OPENRC_HOST: Recipe = Recipe {
    name: "base-openrc",
    suite: apt::SUITE,
    packages: &[COMMON_PACKAGES, SYSVINIT_PACKAGES, OPENRC_PACKAGES],
    scripts: &[COMMON, INITTAB, OPENRC],
};

/// What is below `image`.
pub fn of(image: Image) -> &'static Recipe {
    match image {
        Image::Stock | Image::Berth => &DEBIAN_12,
        Image::Trixie => &DEBIAN_13,
        Image::Tools => &TOOLBOX,
        Image::Sysvinit => &SYSVINIT_HOST,
        Image::Openrc => &OPENRC_HOST,
        Image::Forky => &TESTING,
    }
}

impl Recipe {
    /// Names of the packages, as mmdebstrap takes them.
    pub fn packages(&self) -> String {
        let lines = self.packages.iter().flat_map(|text| text.lines());
        let names = lines
            .map(|line| line.split('#').next().unwrap_or("").trim())
            .filter(|name| !name.is_empty());
        names.collect::<Vec<_>>().join(",")
    }

    /// The script that finishes the tree: `script TREE PUBLIC_KEY MODULES`.
    pub fn script(&self) -> String {
        self.scripts.concat()
    }

    /// Its directory; `kernel` tells the kernels apart whose modules the tree has.
    pub fn dir_name(&self, kernel: &str) -> String {
        let mut hash = Hash::new();
        hash.add(self.packages())
            .add(self.script())
            .add(self.suite)
            .add(kernel);
        format!("{}-{}", self.name, hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_packages() {
        for image in Image::ALL {
            let packages = of(image).packages();
            assert!(packages.split(',').count() > 20, "{packages}");
            let plain = |c: char| c.is_ascii_alphanumeric() || "-.+,".contains(c);
            assert!(packages.chars().all(plain), "{packages}");
        }
    }

    #[test]
    fn images_share_a_tree_only_when_it_is_the_same() {
        assert_eq!(of(Image::Stock).name, of(Image::Berth).name);
        let mut names: Vec<_> = Image::ALL
            .iter()
            .map(|image| of(*image).dir_name("6.1"))
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Image::ALL.len() - 1);
    }
}
