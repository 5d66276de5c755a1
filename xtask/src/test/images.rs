//! Which images the tests boot, as their source says: making one takes longer than most tests.

use super::libtest::Program;
use anyhow::{Context, Result};
use berth_test_harness::Image;

/// The images that the tests of `programs` whose names contain `filter` boot.
pub fn of(programs: &[Program], filter: Option<&str>) -> Result<Vec<Image>> {
    let mut used = Vec::new();
    for program in programs {
        let path = program.dir.join(format!("tests/{}.rs", program.name));
        // The package's own library is a test program too, without a file of its own.
        if !path.exists() {
            continue;
        }
        let source = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for test in program.list(filter)? {
            used.extend(named_for(&source, &test));
        }
    }
    // Whoever boots another one makes it himself: such tests are left out here.
    let all = Image::RELEASES.into_iter();
    Ok(all.filter(|image| used.contains(image)).collect())
}

/// How often the source of a program boots or waits, for letting the longest begin first.
pub fn pauses(program: &Program) -> usize {
    let path = program.dir.join(format!("tests/{}.rs", program.name));
    let source = std::fs::read_to_string(path).unwrap_or_default();
    ["boot", "wait_until", "shared("]
        .iter()
        .map(|word| source.matches(word).count())
        .sum()
}

/// The images that a test's own function names; else all that its file names, and if that names
/// none either, all there are.
fn named_for(source: &str, test: &str) -> Vec<Image> {
    let name = test.rsplit("::").next().unwrap_or(test);
    let functions = source.split("#[test]").skip(1);
    let mut functions = functions.map(|text| text.split("\n}\n").next().unwrap_or(text));
    let own = functions.find(|text| text.contains(&format!("fn {name}(")));
    let in_function = named_in(own.unwrap_or(""));
    if !in_function.is_empty() {
        return in_function;
    }
    let in_file = named_in(source);
    match in_file.is_empty() {
        false => in_file,
        true => Image::RELEASES.to_vec(),
    }
}

fn named_in(text: &str) -> Vec<Image> {
    let names: Vec<_> = text
        .split("Image::")
        .skip(1)
        .map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap_or("")
        })
        .collect();
    if names.contains(&"ALL") {
        return Image::RELEASES.to_vec();
    }
    let all = Image::ALL.into_iter();
    all.filter(|image| names.contains(&&*format!("{image:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "use Image;\n\n#[test]\nfn one() {\n    boot(Image::Stock);\n}\n\n\
        #[test]\nfn both() -> Result {\n    boot(Image::Berth)?;\n    boot(Image::Stock)\n}\n\n\
        #[test]\nfn by_help() {\n    help();\n}\n\nfn help() {\n    boot(Image::Trixie);\n}\n";

    #[test]
    fn a_test_needs_what_it_names() {
        assert_eq!(named_for(SOURCE, "one"), [Image::Stock]);
        assert_eq!(named_for(SOURCE, "both"), [Image::Stock, Image::Berth]);
    }

    #[test]
    fn a_test_that_names_none_needs_all_of_its_file_or_all() {
        let file = [Image::Stock, Image::Berth, Image::Trixie];
        assert_eq!(named_for(SOURCE, "by_help"), file);
        assert_eq!(named_for("fn x() {}", "x"), Image::RELEASES);
        assert_eq!(
            named_for("#[test]\nfn x() { Image::ALL }", "x"),
            Image::RELEASES
        );
    }
}
