use super::*;
use std::os::unix::fs::PermissionsExt;

/// A cache of the caller's, removed at the end, with a file that stands for the library.
struct Scratch {
    cache: Cache,
    dir: PathBuf,
}

const KEY: &[u8] = b"0.1.0 x86_64 6.1.0 compiler 1 2 3 4\n2\ndenylist\nmount\n";

impl Scratch {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("berth-cache-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("lib so"), "tables").unwrap();
        let cache = Cache {
            path: dir.join("deep/er"),
            owner: berth_kernel::cred::effective_uid(),
        };
        Self { cache, dir }
    }

    fn library(&self) -> String {
        self.dir.join("lib so").display().to_string()
    }

    fn put(&self, program: &Program) {
        self.cache.put(KEY, &self.library(), program).unwrap();
        assert_eq!(self.cache.get(KEY).as_ref(), Some(program));
    }

    fn file(&self) -> PathBuf {
        self.cache.path.join(name(KEY))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn program() -> Program {
    Program::from_bytes(&[6; 64]).unwrap()
}

#[test]
fn what_was_put_is_found_under_its_key_alone() {
    let scratch = Scratch::new("found");
    assert_eq!(scratch.cache.get(KEY), None);
    scratch.put(&program());
    assert_eq!(scratch.cache.get(&[KEY, b"#"].concat()), None);
    // A file that another key's name leads to is not that key's.
    let other = [KEY, b"umount2\n"].concat();
    std::fs::copy(scratch.file(), scratch.cache.path.join(name(&other))).unwrap();
    assert_eq!(scratch.cache.get(&other), None);
}

#[test]
fn each_damaged_byte_and_each_missing_end_is_noticed() {
    let scratch = Scratch::new("damaged");
    scratch.put(&program());
    let whole = std::fs::read(scratch.file()).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert_eq!(decode(&damaged, KEY), None, "byte {at}");
        assert_eq!(decode(&whole[..at], KEY), None, "cut at {at}");
    }
    assert_eq!(decode(&[&whole[..], b"x"].concat(), KEY), None);
    assert_eq!(decode(&whole, KEY), Some(program()));
}

#[test]
fn a_new_library_makes_old_programs_worthless() {
    let scratch = Scratch::new("library");
    scratch.put(&program());
    std::fs::write(scratch.dir.join("lib so"), "newer tables").unwrap();
    assert_eq!(scratch.cache.get(KEY), None);
    scratch.put(&program());
    std::fs::remove_file(scratch.dir.join("lib so")).unwrap();
    assert_eq!(scratch.cache.get(KEY), None);
}

#[test]
fn what_others_can_write_or_own_is_not_believed() {
    let scratch = Scratch::new("others");
    scratch.put(&program());
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, bad, good) in [
        (scratch.file(), 0o620, 0o600),
        (scratch.cache.path.clone(), 0o702, 0o700),
    ] {
        mode(&path, bad);
        assert_eq!(scratch.cache.get(KEY), None, "{}", path.display());
        mode(&path, good);
        assert!(scratch.cache.get(KEY).is_some());
    }
    let elsewhere = scratch.dir.join("elsewhere");
    std::fs::rename(scratch.file(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, scratch.file()).unwrap();
    assert_eq!(scratch.cache.get(KEY), None, "a link");
    let others = Cache {
        path: scratch.cache.path.clone(),
        owner: Uid::new(scratch.cache.owner.raw() + 1).unwrap(),
    };
    assert_eq!(others.get(KEY), None);
}

#[test]
fn a_full_cache_is_emptied() {
    let scratch = Scratch::new("full");
    for number in 0..=MAX_FILES {
        let key = [KEY, number.to_string().as_bytes()].concat();
        scratch
            .cache
            .put(&key, &scratch.library(), &program())
            .unwrap();
    }
    let left = std::fs::read_dir(&scratch.cache.path).unwrap().count();
    assert!(left < MAX_FILES, "{left}");
}
