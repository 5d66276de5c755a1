//! Manual pages: from the command line's own definition, the key table of container configurations,
//! and prose.
//!
//! `docs/man/prose/` holds a file for `berth` and for each verb, and whole pages whose tables are
//! filled in. What comes out lies in `docs/man`, committed, so that building and installing need
//! none of this.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use berth_container_config::key::manual::{self, Users};
use berth_container_config::key::{Action, Key, keys};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: &str = "docs/man";
const PROSE: &str = "docs/man/prose";
const MANUAL: &str = "Berth";
/// The section of the commands that people type.
const COMMANDS: &str = "1";
/// The page about container configurations, whose tables come from the key table.
const KEYS_PAGE: &str = "berth-container.conf.5";
/// Pages that are no command's.
const OTHER_PAGES: [&str; 10] = [
    "berth-container.conf(5)",
    "berth.toml(5)",
    "berth-usernet(5)",
    "berth-usernic(8)",
    "berth-net.toml(5)",
    "berth-net(8)",
    "pam_berth(8)",
    "berth-boot(8)",
    "berthd(8)",
    "berthd.toml(5)",
];
/// In a page of prose: this page's name, section and version.
const TITLE: &str = ".\\\" title";

/// What most verbs' exit codes mean.
const EXIT_STATUS: &str = "\
.SH EXIT STATUS
.TP
.B 0
It is done.
.TP
.B 1
It could not be done; standard error says why.
.TP
.B 2
The command line was not understood.
";

/// Writes all pages, and removes those that are none any more.
pub fn write(workspace: &Workspace) -> Result<String> {
    let files = generate(workspace)?;
    for (path, content) in &files {
        let path = workspace.root.join(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for path in left_over(workspace, &files)? {
        let path = workspace.root.join(path);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(format!("wrote {} files in {PAGES}", files.len()))
}

/// Compares with what is committed.
pub fn check(workspace: &Workspace) -> Result<String> {
    let files = generate(workspace)?;
    let mut stale = Vec::new();
    for (path, content) in &files {
        match fs::read_to_string(workspace.root.join(path)) {
            Ok(present) if present == *content => {}
            Ok(_) => stale.push(format!("{} is not up to date", path.display())),
            Err(error) => stale.push(format!("{}: {error}", path.display())),
        }
    }
    let left_over = left_over(workspace, &files)?;
    stale.extend(
        left_over
            .iter()
            .map(|path| format!("nothing makes {} any more", path.display())),
    );
    if !stale.is_empty() {
        bail!("{}\ncargo xtask man writes them anew", stale.join("\n"));
    }
    Ok(format!("{} manual pages are up to date", files.len()))
}

/// Every file by its path in the repository.
fn generate(workspace: &Workspace) -> Result<BTreeMap<PathBuf, String>> {
    let mut command = berth::cli::Cli::command().disable_help_subcommand(true);
    command.build();
    let mut prose = Prose::read(&workspace.root.join(PROSE))?;
    let mut files = BTreeMap::new();
    let mut pages = vec![command.clone()];
    pages.extend(seen_verbs(&command).cloned());
    for page in pages {
        let man = Man::new(page.clone());
        let path = Path::new(PAGES).join(man.get_filename());
        files.insert(path, command_page(&man, page, &mut prose)?);
    }
    for (name, text) in prose.pages() {
        files.insert(Path::new(PAGES).join(&name), whole_page(&name, &text)?);
    }
    prose.all_used()?;
    Ok(files)
}

/// Verbs that people type.
fn seen_verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// Generated files of former times.
fn left_over(
    workspace: &Workspace,
    files: &BTreeMap<PathBuf, String>,
) -> Result<BTreeSet<PathBuf>> {
    let mut left_over = BTreeSet::new();
    let entries = match fs::read_dir(workspace.root.join(PAGES)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(left_over),
        other => other.with_context(|| format!("cannot list {PAGES}"))?,
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {PAGES}"))?;
        let path = Path::new(PAGES).join(entry.file_name());
        if entry.path().is_file() && !files.contains_key(&path) {
            left_over.insert(path);
        }
    }
    Ok(left_over)
}

/// The texts in `docs/man/prose`, by file name.
struct Prose {
    texts: BTreeMap<String, String>,
}

impl Prose {
    fn read(dir: &Path) -> Result<Self> {
        let mut texts = BTreeMap::new();
        let entries =
            fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
            let path = entry.path();
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            texts.insert(entry.file_name().to_string_lossy().into_owned(), text);
        }
        Ok(Self { texts })
    }

    /// What goes into a command's page: the end of its description, and sections of its own.
    fn of_command(&mut self, name: &str) -> Result<(String, String)> {
        let text = self
            .texts
            .remove(&format!("{name}.man"))
            .with_context(|| format!("{PROSE}/{name}.man is missing: every verb is explained"))?;
        let sections = match text.starts_with(".SH ") {
            true => 0,
            false => text.find("\n.SH ").map_or(text.len(), |at| at + 1),
        };
        let (description, sections) = text.split_at(sections);
        Ok((description.to_owned(), sections.to_owned()))
    }

    /// Whole pages, by name with section.
    fn pages(&mut self) -> BTreeMap<String, String> {
        let is_page = |name: &String| !name.ends_with(".man");
        let names: Vec<String> = self
            .texts
            .keys()
            .filter(|name| is_page(name))
            .cloned()
            .collect();
        names
            .into_iter()
            .filter_map(|name| self.texts.remove_entry(&name))
            .collect()
    }

    fn all_used(&self) -> Result<()> {
        match self.texts.keys().next() {
            None => Ok(()),
            Some(name) => bail!("{PROSE}/{name} belongs to no verb"),
        }
    }
}

/// The page of `berth` or of one verb.
fn command_page(man: &Man, mut command: Command, prose: &mut Prose) -> Result<String> {
    let name = display_name(&command).to_owned();
    let (description, sections) = prose.of_command(&name)?;
    let render = |part: fn(&Man, &mut dyn std::io::Write) -> std::io::Result<()>| {
        let mut bytes = Vec::new();
        part(man, &mut bytes).with_context(|| format!("cannot make the page {name}"))?;
        String::from_utf8(bytes).context("a page is not UTF-8")
    };
    let mut page = String::from(HEADER);
    page += &title(&name, COMMANDS);
    page += &without_preamble(&render(Man::render_name_section)?);
    page += &synopsis(&mut command);
    page += &format!(
        ".SH DESCRIPTION\n{}\n.PP\n{description}",
        sentence(&command)
    );
    page += &without_preamble(&render(Man::render_options_section)?);
    if command.has_subcommands() {
        page += &commands(&command);
    }
    page += &sections;
    if !sections.contains(".SH EXIT STATUS") {
        page += EXIT_STATUS;
    }
    page += &see_also(&command, &name);
    Ok(page)
}

const HEADER: &str = ".\\\" Written by cargo xtask man; the source is in docs/man/prose and \
                      launcher/src/cli.rs.\n\
                      .ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Each part begins with the same two lines that set up quotes, which the page has already.
fn without_preamble(part: &str) -> String {
    part.lines()
        .skip_while(|line| !line.starts_with(".SH") && !line.starts_with(".TH"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn display_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// What the command is for, with a full stop.
fn sentence(command: &Command) -> String {
    let about = escape(&about(command));
    match about.ends_with('.') {
        true => about,
        false => about + ".",
    }
}

/// A page's first line. Without a date, which would change with every build.
fn title(name: &str, section: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".TH {} {section} \"\" \"Berth {version}\" {MANUAL}\n",
        escape(name)
    )
}

fn synopsis(command: &mut Command) -> String {
    format!(".SH SYNOPSIS\n.B {}\n", escape(&usage(command)))
}

/// As `--help` shows it.
fn usage(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string);
    about.unwrap_or_default()
}

/// A verb has a page of its own; what belongs to a verb is told on its page.
fn commands(command: &Command) -> String {
    let mut text = String::from(".SH COMMANDS\n");
    let verbs_of_berth = command
        .get_display_name()
        .is_none_or(|name| name == "berth");
    for verb in seen_verbs(command) {
        text += &match verbs_of_berth {
            true => verb_with_page(verb),
            false => verb_without_page(verb.clone()),
        };
    }
    text
}

fn verb_with_page(verb: &Command) -> String {
    let names: Vec<&str> = [verb.get_name()]
        .into_iter()
        .chain(verb.get_visible_aliases())
        .collect();
    format!(
        ".TP\n.B {}\n{}; see\n.BR {} (1).\n",
        escape(&names.join(", ")),
        escape(&about(verb)),
        escape(display_name(verb))
    )
}

fn verb_without_page(mut verb: Command) -> String {
    let usage = usage(&mut verb);
    let mut text = format!(".TP\n.B {}\n{}\n", escape(&usage), sentence(&verb));
    let own = |argument: &&clap::Arg| {
        !argument.is_hide_set()
            && !argument.is_global_set()
            && !matches!(argument.get_id().as_str(), "help" | "version")
    };
    for argument in verb.get_arguments().filter(own) {
        let help = argument.get_help().map(ToString::to_string);
        text += &format!(
            ".RS\n.TP\n.B {}\n{}\n.RE\n",
            escape(&argument.to_string()),
            escape(&help.unwrap_or_default())
        );
    }
    text
}

fn see_also(command: &Command, name: &str) -> String {
    let pages: Vec<String> = match name {
        "berth" => seen_verbs(command)
            .map(|verb| format!("{}(1)", display_name(verb)))
            .chain(OTHER_PAGES.map(str::to_owned))
            .collect(),
        _ => vec!["berth(1)".to_owned(), "berth-container.conf(5)".to_owned()],
    };
    let pages: Vec<String> = pages.iter().map(|page| escape(page)).collect();
    format!(".SH SEE ALSO\n{}\n", pages.join(",\n"))
}

/// A page of prose with its title and tables.
fn whole_page(file: &str, text: &str) -> Result<String> {
    let (name, section) = file
        .rsplit_once('.')
        .filter(|(_, section)| section.bytes().all(|b| b.is_ascii_digit()) && *section != COMMANDS)
        .with_context(|| format!("{PROSE}/{file}: expected NAME.SECTION or VERB.man"))?;
    if !text.starts_with(TITLE) {
        bail!("{PROSE}/{file}: the first line must be {TITLE}");
    }
    let head = ".\\\" Written by cargo xtask man from docs/man/prose.\n";
    let title = head.to_owned() + &title(name, section);
    let mut page = text.replacen(&format!("{TITLE}\n"), &title, 1);
    if file == KEYS_PAGE {
        for (marker, table) in [
            (
                ".\\\" table obeyed\n",
                table(|key| matches!(key.action, Action::Include | Action::Obeyed { .. })),
            ),
            (".\\\" table renamed\n", renamed()),
        ] {
            if !page.contains(marker) {
                bail!("{PROSE}/{file}: the line {} is missing", marker.trim());
            }
            page = page.replacen(marker, &table, 1);
        }
    }
    Ok(page)
}

fn table(is_in: impl Fn(&Key) -> bool) -> String {
    let mut text = String::new();
    for key in keys().filter(|key| is_in(key)) {
        let _ = write!(
            text,
            ".TP\n.B {}\n{}.\n",
            escape(key.pattern),
            escape(&capitalised(key.summary))
        );
        if let Some(entry) = manual::entry(key.pattern) {
            text += &values(entry);
        }
    }
    text
}

/// What a key takes, without it, and whose containers it is for.
fn values(entry: &manual::Entry) -> String {
    let mut text = format!("Value: {}", escape(entry.values));
    if !entry.default.is_empty() {
        let _ = write!(text, "; default: {}", escape(entry.default));
    }
    text += ".\n";
    match entry.users {
        Users::All => {}
        Users::Less(what) => {
            let _ = writeln!(text, "For ordinary users: {}.", escape(what));
        }
        Users::Root => text += "Root\\(aqs containers only.\n",
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn renamed() -> String {
    let mut text = String::new();
    for key in keys() {
        let instead = match key.action {
            Action::Renamed(new) => new.to_owned(),
            Action::Gone(why) => format!("nothing: {why}"),
            _ => continue,
        };
        let _ = write!(
            text,
            ".TP\n.B {}\n{}\n",
            escape(key.pattern),
            escape(&instead)
        );
    }
    text
}

/// Plain text as troff reads it.
fn escape(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('…', "...")
        .replace('\n', " ");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    fn prose(file: &str) -> String {
        fs::read_to_string(root().join(PROSE).join(file)).unwrap()
    }

    #[test]
    fn what_is_committed_is_up_to_date() {
        let workspace = Workspace::find().unwrap();
        check(&workspace).unwrap();
    }

    #[test]
    fn the_command_line_is_consistent() {
        berth::cli::Cli::command().debug_assert();
    }

    #[test]
    fn every_key_of_the_network_is_explained() {
        let shipped = fs::read_to_string(root().join("packaging/etc/net.toml")).unwrap();
        let page = prose("berth-net.toml.5");
        // Below its heading a section has names of containers.
        let (keys, sections) = shipped.split_once("#[").unwrap();
        let keys = keys
            .lines()
            .filter_map(|line| line.strip_prefix('#')?.split_once(" = "))
            .map(|(key, _)| key);
        let sections = sections
            .lines()
            .next()
            .map(|line| line.trim_end_matches(']'));
        let sections: Vec<String> = sections.iter().map(|name| format!("[{name}]")).collect();
        let keys: Vec<&str> = keys.chain(sections.iter().map(String::as_str)).collect();
        assert!(keys.len() >= 9, "{keys:?}");
        for key in keys {
            let entry = format!("\n.BR {} ", escape(key));
            assert!(
                page.contains(&entry),
                "{key} is missing in berth-net.toml(5)"
            );
        }
    }

    /// The texts of all files below `dir` that end like this, but for build directories.
    fn texts(dir: &Path, ending: &str, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                texts(&path, ending, into);
            } else if name.ends_with(ending) {
                into.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn tests_that_the_threat_model_names_exist() {
        let model = fs::read_to_string(root().join("docs/security.md")).unwrap();
        let mut sources = Vec::new();
        texts(root(), ".rs", &mut sources);
        let named = model.split('`').skip(1).step_by(2);
        let tests: Vec<(&str, &str)> = named.filter_map(|name| name.rsplit_once("::")).collect();
        assert!(tests.len() >= 10, "{tests:?}");
        for (module, test) in tests {
            // A program's own module, one of its files, or the tests in a file.
            let in_file = module.strip_suffix("::tests").unwrap_or(module);
            let file = in_file.rsplit("::").next().unwrap();
            let exists = sources.iter().any(|(path, text)| {
                let dir = path.parent().and_then(Path::file_name);
                (path.file_stem().is_some_and(|stem| stem == file)
                    || dir.is_some_and(|dir| dir == file))
                    && text.contains(&format!("fn {test}("))
            });
            assert!(
                exists,
                "docs/security.md: there is no test {module}::{test}"
            );
        }
    }

    #[test]
    fn links_between_documents_lead_somewhere() {
        let mut documents = Vec::new();
        texts(root(), ".md", &mut documents);
        let mut checked = 0;
        for (path, text) in &documents {
            for target in text.split("](").skip(1) {
                let target = target.split([')', '#']).next().unwrap();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                let file = path.parent().unwrap().join(target);
                assert!(file.exists(), "{}: {target} does not exist", path.display());
                checked += 1;
            }
        }
        assert!(checked >= 5, "{checked}");
    }

    #[test]
    fn a_page_says_where_its_prose_is_missing() {
        let mut prose = Prose {
            texts: BTreeMap::from([(
                "berth-new.man".to_owned(),
                "Text.\n.SH FILES\nx\n".to_owned(),
            )]),
        };
        let error = prose.of_command("berth-other").unwrap_err().to_string();
        assert!(error.contains("docs/man/prose/berth-other.man"), "{error}");
        assert!(prose.all_used().is_err());
        let (description, sections) = prose.of_command("berth-new").unwrap();
        assert_eq!(
            (description.as_str(), sections.as_str()),
            ("Text.\n", ".SH FILES\nx\n")
        );
        assert!(prose.all_used().is_ok());
        assert!(whole_page("x.conf", TITLE).is_err());
        assert!(whole_page("x.5", "text").is_err());
    }

    #[test]
    fn troffs_own_characters_are_text() {
        assert_eq!(escape(".a-b\\c"), "\\&.a\\-b\\ec");
    }
}
