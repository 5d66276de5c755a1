use super::*;
use std::collections::BTreeMap;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn our_jobs_are_right() {
    let dirs = [
        ("upstart-jobs", Level::System),
        ("upstart-jobs/session", Level::Session),
    ];
    for (dir, level) in dirs {
        let found = check_dir(&root().join(dir), level).unwrap();
        assert!(found.is_empty(), "{found:#?}");
    }
    let (job, _) = job::parse(
        "berth-user",
        &fs::read_to_string(root().join("upstart-jobs/berth-user.conf")).unwrap(),
    );
    assert_eq!(job.instance.as_deref(), Some("$USERNAME"));
    assert_eq!(job.expect.as_deref(), Some("stop"));
    assert!(job.respawn && job.main.is_some());
}

/// The leading comments of each file say what has to be found, one a line: `# LINE: text`, and
/// `# with FILE` names files that are read with it. A file that asserts nothing is right.
#[test]
fn wrong_ones_are_found_with_their_lines() {
    let dir = root().join("xtask/fixtures/upstart");
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 20, "{}", paths.len());
    let mut wrong = Vec::new();
    let mut kinds = BTreeMap::<bool, usize>::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let comments = text.lines().map_while(|line| line.strip_prefix("# "));
        let (mut wanted, mut together) = (Vec::new(), vec![path.clone()]);
        for comment in comments {
            match comment.strip_prefix("with ") {
                Some(name) => together.push(dir.join(name)),
                None => wanted.push(comment.to_owned()),
            }
        }
        let found = check_files(&together, Level::System).unwrap();
        let of_it = found.iter().filter(|(of, _)| *of == path);
        let lines: Vec<String> = of_it
            .map(|(_, it)| format!("{}: {}", it.line, it.text))
            .collect();
        *kinds.entry(wanted.is_empty()).or_default() += 1;
        let said = |wanted: &String| lines.iter().any(|line| line.starts_with(wanted));
        if lines.len() != wanted.len() || !wanted.iter().all(said) {
            wrong.push(format!(
                "{}: {lines:#?}, and not {wanted:#?}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(kinds[&false] > 20 && kinds[&true] >= 2, "{kinds:?}");
}
