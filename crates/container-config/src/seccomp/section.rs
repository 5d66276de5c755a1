//! For which machines the lines of a policy are.

/// The architecture that a `[section]` names.
///
/// A section that is foreign to a machine is passed over there. On others its rules count for the
/// programs of every architecture that the machine runs, as with LXC: who could make a call that
/// is forbidden by way of another architecture would not be kept from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section(&'static str);

/// Sections, and the machines (as Rust's `target_arch` names them) on which they count.
const SECTIONS: [(&str, &[&str]); 20] = [
    ("all", &[]),
    ("x86", &["x86", "x86_64"]),
    ("x32", &["x86_64"]),
    ("x86_64", &["x86_64"]),
    ("arm", &["arm", "aarch64"]),
    ("arm64", &["aarch64"]),
    ("loongarch64", &["loongarch64"]),
    // Rust has one name for both orders of bytes; the other one's calls have the same names.
    ("mips", &["mips", "mips64"]),
    ("mips64", &["mips64"]),
    ("mips64n32", &["mips64"]),
    ("mipsel", &["mips", "mips64"]),
    ("mipsel64", &["mips64"]),
    ("mipsel64n32", &["mips64"]),
    ("ppc", &["powerpc"]),
    ("ppc64", &["powerpc64"]),
    ("ppc64le", &["powerpc64"]),
    ("riscv64", &["riscv64"]),
    ("s390", &["s390", "s390x"]),
    ("s390x", &["s390x"]),
    ("aarch64", &["aarch64"]),
];

impl Section {
    /// `[all]`, and what stands above the first section.
    pub const ALL: Self = Self("all");

    /// By the name in brackets, in lower or upper case.
    pub fn named(name: &str) -> Option<Self> {
        SECTIONS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(known, _)| Self(known))
    }

    /// The name, in lower case.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Whether rules of this section count on a machine, by Rust's `target_arch` (`x86_64`,
    /// `aarch64`).
    pub fn counts_on(self, machine: &str) -> bool {
        let named = SECTIONS.iter().find(|(known, _)| *known == self.0);
        self == Self::ALL || named.is_some_and(|(_, machines)| machines.contains(&machine))
    }

    /// All names, for errors.
    pub(super) fn names() -> String {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_count_where_their_programs_run() {
        let counts = |name: &str, machine: &str| Section::named(name).unwrap().counts_on(machine);
        assert!(counts("all", "x86_64") && counts("ALL", "riscv64"));
        assert!(counts("x86", "x86_64") && counts("X86", "x86") && !counts("x86", "aarch64"));
        assert!(counts("x86_64", "x86_64") && !counts("x86_64", "x86"));
        assert!(counts("arm", "aarch64") && !counts("arm64", "arm"));
        assert_eq!(Section::named("pdp11"), None);
        assert_eq!(Section::named(""), None);
        for (name, _) in SECTIONS {
            assert_eq!(Section::named(name).unwrap().name(), name);
        }
    }
}
