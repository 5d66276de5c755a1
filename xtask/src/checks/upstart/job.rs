//! The stanza grammar of upstart's job files, as init(5) of 1.13 has it; text in, a job out.

use std::collections::BTreeMap;

/// What a file says that is wrong, and on which line (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 is the file as a whole.
    pub line: usize,
    /// What.
    pub text: String,
}

pub fn problem(line: usize, text: impl Into<String>) -> Problem {
    Problem {
        line,
        text: text.into(),
    }
}

/// A process of a job: what it runs, and whether that is a script.
#[derive(Clone, Debug)]
pub struct Process {
    pub line: usize,
    pub script: bool,
    pub text: String,
}

/// An event expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    Event {
        name: String,
        arguments: Vec<String>,
    },
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

impl Expr {
    /// Every event in it.
    pub fn events(&self) -> Vec<(&str, &[String])> {
        match self {
            Self::Event { name, arguments } => vec![(name, arguments)],
            Self::And(a, b) | Self::Or(a, b) => {
                let mut all = a.events();
                all.extend(b.events());
                all
            }
        }
    }
}

/// A job as its file defines it.
#[derive(Clone, Debug, Default)]
pub struct Job {
    pub name: String,
    pub start_on: Option<(usize, Expr)>,
    pub stop_on: Option<(usize, Expr)>,
    pub emits: Vec<String>,
    pub instance: Option<String>,
    pub usage: bool,
    pub description: bool,
    pub task: bool,
    pub respawn: bool,
    pub expect: Option<String>,
    pub main: Option<Process>,
    pub hooks: BTreeMap<&'static str, Process>,
    /// The newest stanza that it uses: since which 1.N, which, where.
    pub newest: Option<(u32, String, usize)>,
}

/// Stanzas that are younger than 1.5, with the 1.N that brought them.
const SINCE: [(&str, u32); 3] = [("apparmor", 9), ("reload", 10), ("cgroup", 13)];
const HOOKS: [&str; 4] = ["pre-start", "post-start", "pre-stop", "post-stop"];
const RESOURCES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
    "locks",
    "rttime",
];

/// Parses a file; all that is wrong with it, or the job.
pub fn parse(name: &str, text: &str) -> (Job, Vec<Problem>) {
    let mut parser = Parser {
        lines: text.lines().collect(),
        at: 0,
        job: Job {
            name: name.to_owned(),
            ..Job::default()
        },
        problems: Vec::new(),
    };
    while parser.at < parser.lines.len() {
        let line = parser.at + 1;
        if let Err(text) = parser.stanza() {
            parser.problems.push(problem(line, text));
        }
    }
    (parser.job, parser.problems)
}

struct Parser<'a> {
    lines: Vec<&'a str>,
    at: usize,
    job: Job,
    problems: Vec<Problem>,
}

type Done = Result<(), String>;

impl Parser<'_> {
    /// A logical line: those that end in a backslash, and those within parentheses, go on.
    fn logical(&mut self) -> String {
        let mut text = String::new();
        let mut depth = 0_i32;
        while let Some(line) = self.lines.get(self.at) {
            self.at += 1;
            let (line, goes_on) = match line.strip_suffix('\\') {
                Some(line) => (line, true),
                None => (*line, false),
            };
            text.push_str(line);
            let first = text.split_whitespace().next();
            if matches!(first, Some("start" | "stop")) {
                depth = depth_of(&text);
            }
            if !goes_on && depth <= 0 {
                break;
            }
            text.push(' ');
        }
        text
    }

    fn stanza(&mut self) -> Done {
        let line = self.at + 1;
        let text = self.logical();
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return Ok(());
        }
        let (word, rest) = match trimmed.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim()),
            None => (trimmed, ""),
        };
        if let Some((_, since)) = SINCE.iter().find(|(known, _)| *known == word)
            && self
                .job
                .newest
                .as_ref()
                .is_none_or(|(newest, ..)| newest < since)
        {
            self.job.newest = Some((*since, word.to_owned(), line));
        }
        if let Some(hook) = HOOKS.into_iter().find(|hook| *hook == word) {
            let process = self.process(line, rest)?;
            return match self.job.hooks.insert(hook, process) {
                None => Ok(()),
                Some(_) => Err(format!(
                    "{hook} stands here a second time: upstart takes the last"
                )),
            };
        }
        if matches!(word, "exec" | "script") {
            let process = self.process(line, trimmed)?;
            return match self.job.main.replace(process) {
                None => Ok(()),
                Some(_) => Err("exec and script: exactly one is the main process".to_owned()),
            };
        }
        if matches!(word, "start" | "stop") {
            return self.on(line, word, rest);
        }
        self.plain(word, &words(rest)?)
    }

    /// `exec …` or `script` with its block.
    fn process(&mut self, line: usize, rest: &str) -> Result<Process, String> {
        if let Some(command) = rest
            .strip_prefix("exec")
            .filter(|it| it.is_empty() || it.starts_with(char::is_whitespace))
        {
            let command = command.trim();
            if command.is_empty() {
                return Err("exec: a command is needed".to_owned());
            }
            return Ok(Process {
                line,
                script: false,
                text: command.to_owned(),
            });
        }
        if words(rest)? != ["script"] {
            return Err(format!("exec or script is needed, not “{rest}”"));
        }
        let mut text = String::new();
        while let Some(line) = self.lines.get(self.at) {
            self.at += 1;
            let mut parts = line.split_whitespace();
            if (parts.next(), parts.next()) == (Some("end"), Some("script")) {
                return Ok(Process {
                    line: self.at - text.lines().count(),
                    script: true,
                    text,
                });
            }
            text.push_str(line);
            text.push('\n');
        }
        Err("script without “end script”".to_owned())
    }

    fn on(&mut self, line: usize, word: &str, rest: &str) -> Done {
        let expression = rest
            .strip_prefix("on")
            .filter(|it| it.starts_with([' ', '\t', '(']))
            .ok_or_else(|| format!("{word}: “on” is needed"))?;
        let tokens = event_tokens(expression)?;
        let mut at = 0;
        let expr = expression_of(&tokens, &mut at)?;
        if at < tokens.len() {
            return Err(format!("{word} on: “{}” is not expected", tokens[at].text));
        }
        let place = match word {
            "start" => &mut self.job.start_on,
            _ => &mut self.job.stop_on,
        };
        match place.replace((line, expr)) {
            None => Ok(()),
            Some(_) => Err(format!(
                "{word} on stands here a second time: upstart takes the last"
            )),
        }
    }

    fn plain(&mut self, word: &str, arguments: &[String]) -> Done {
        let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let number = |text: &str| text.parse::<i64>().ok();
        let bad = |wanted: &str| {
            Err(format!(
                "{word}: {wanted} is needed, not “{}”",
                texts.join(" ")
            ))
        };
        match (word, texts.as_slice()) {
            ("description", [_]) => self.job.description = true,
            ("usage", [_]) => self.job.usage = true,
            ("author" | "version" | "chroot" | "chdir" | "setuid" | "setgid", [_]) => {}
            ("instance", [value]) => self.job.instance = Some((*value).to_owned()),
            (
                "description" | "usage" | "author" | "version" | "chroot" | "chdir" | "setuid"
                | "setgid" | "instance",
                _,
            ) => return bad("one word, or one in quotes,"),
            ("task", []) => self.job.task = true,
            ("manual", []) => self.job.start_on = None,
            ("debug", _) => {}
            ("task" | "manual", _) => return bad("nothing"),
            ("emits", [_, ..]) => self.job.emits.extend(arguments.iter().cloned()),
            ("export", [_, ..]) if arguments.iter().all(|it| is_variable(it)) => {}
            ("env", [one]) if is_variable(one.split('=').next().unwrap_or("")) => {}
            ("env", _) => return bad("NAME=VALUE"),
            ("emits", _) => return bad("an event"),
            ("export", _) => return bad("a variable's name"),
            ("expect", [how @ ("stop" | "daemon" | "fork" | "none")]) => {
                self.job.expect = Some((*how).to_owned());
            }
            ("expect", _) => return bad("stop, daemon, fork or none"),
            ("respawn", []) => self.job.respawn = true,
            ("respawn", ["limit", "unlimited"]) => {}
            ("respawn", ["limit", count, seconds])
                if number(count).is_some_and(|n| n >= 0)
                    && number(seconds).is_some_and(|n| n > 0) => {}
            ("respawn", _) => return bad("nothing, “limit COUNT SECONDS” or “limit unlimited”"),
            ("normal", ["exit", first @ .., last])
                if first
                    .iter()
                    .chain([last])
                    .all(|it| number(it).is_some_and(|n| n >= 0) || is_signal(it)) => {}
            ("normal", _) => return bad("“exit” with codes and signals"),
            ("kill", ["timeout", seconds]) if number(seconds).is_some_and(|n| n >= 0) => {}
            ("kill" | "reload", ["signal", signal]) if is_signal(signal) => {}
            ("kill", _) => return bad("“signal SIGNAL” or “timeout SECONDS”"),
            ("reload", _) => return bad("“signal SIGNAL”"),
            ("console", ["log" | "none" | "output" | "owner"]) => {}
            ("console", _) => return bad("log, none, output or owner"),
            ("umask", [mask]) if u32::from_str_radix(mask, 8).is_ok_and(|mask| mask <= 0o777) => {}
            ("umask", _) => return bad("an octal mask"),
            ("nice", [level]) if number(level).is_some_and(|n| (-20..=19).contains(&n)) => {}
            ("nice", _) => return bad("a number from -20 to 19"),
            ("oom", ["score", score])
                if *score == "never"
                    || number(score).is_some_and(|n| (-999..=1000).contains(&n)) => {}
            ("oom", [score])
                if *score == "never" || number(score).is_some_and(|n| (-16..=15).contains(&n)) => {}
            ("oom", _) => return bad("“score” with a number from -999 to 1000, or never,"),
            ("limit", [resource, soft, hard])
                if RESOURCES.contains(resource)
                    && [soft, hard]
                        .iter()
                        .all(|it| **it == "unlimited" || number(it).is_some()) => {}
            ("limit", _) => return bad("RESOURCE SOFT HARD"),
            ("apparmor", ["load" | "switch", _]) => {}
            ("apparmor", _) => return bad("“load PATH” or “switch PROFILE”"),
            ("cgroup", [_] | [_, _] | [_, _, _] | [_, _, _, _]) => {}
            ("cgroup", _) => return bad("CONTROLLER [NAME] [KEY VALUE]"),
            _ => return Err(format!("there is no stanza “{word}”")),
        }
        Ok(())
    }
}

fn is_variable(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// With or without SIG; numbers are no names to upstart's `kill signal`, but codes elsewhere.
fn is_signal(text: &str) -> bool {
    const SIGNALS: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM \
                           STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO \
                           PWR SYS";
    let name = text.strip_prefix("SIG").unwrap_or(text);
    SIGNALS.split_whitespace().any(|known| known == name)
}

/// Words of a stanza: in quotes or not, up to a comment.
fn words(text: &str) -> Result<Vec<String>, String> {
    let tokens = tokens(text, false)?;
    Ok(tokens.into_iter().map(|token| token.text).collect())
}

fn event_tokens(text: &str) -> Result<Vec<Token>, String> {
    tokens(text, true)
}

struct Token {
    text: String,
    /// In quotes: never a keyword or a parenthesis.
    quoted: bool,
}

impl Token {
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text == word
    }
}

fn tokens(text: &str, parens: bool) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut now: Option<Token> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => found.extend(now.take()),
            '#' if now.is_none() => break,
            '(' | ')' if parens => {
                found.extend(now.take());
                found.push(Token {
                    text: c.to_string(),
                    quoted: false,
                });
            }
            c => {
                let token = now.get_or_insert(Token {
                    text: String::new(),
                    quoted: false,
                });
                match c {
                    '"' | '\'' => {
                        token.quoted = true;
                        loop {
                            match chars.next() {
                                Some(end) if end == c => break,
                                Some('\\') => token.text.extend(chars.next()),
                                Some(inside) => token.text.push(inside),
                                None => return Err("a quote is not closed".to_owned()),
                            }
                        }
                    }
                    '\\' => token.text.extend(chars.next()),
                    c => token.text.push(c),
                }
            }
        }
    }
    found.extend(now);
    Ok(found)
}

fn depth_of(text: &str) -> i32 {
    let found = event_tokens(text).unwrap_or_default();
    let open = found.iter().filter(|token| token.is("(")).count();
    let closed = found.iter().filter(|token| token.is(")")).count();
    i32::try_from(open).unwrap_or(0) - i32::try_from(closed).unwrap_or(0)
}

/// `and` and `or` have equal rank and group to the left, as upstart has it.
fn expression_of(tokens: &[Token], at: &mut usize) -> Result<Expr, String> {
    let mut left = operand(tokens, at)?;
    while let Some(token) = tokens.get(*at) {
        let both = token.is("and");
        if !both && !token.is("or") {
            break;
        }
        *at += 1;
        let right = operand(tokens, at)?;
        left = match both {
            true => Expr::And(Box::new(left), Box::new(right)),
            false => Expr::Or(Box::new(left), Box::new(right)),
        };
    }
    Ok(left)
}

fn operand(tokens: &[Token], at: &mut usize) -> Result<Expr, String> {
    let token = tokens.get(*at).ok_or("an event is needed")?;
    *at += 1;
    if token.is("(") {
        let inner = expression_of(tokens, at)?;
        return match tokens.get(*at) {
            Some(token) if token.is(")") => {
                *at += 1;
                Ok(inner)
            }
            _ => Err("a parenthesis is not closed".to_owned()),
        };
    }
    if [")", "and", "or"].iter().any(|word| token.is(word)) {
        return Err(format!("an event is needed before “{}”", token.text));
    }
    let name = token.text.clone();
    let mut arguments: Vec<String> = Vec::new();
    while let Some(token) = tokens.get(*at) {
        if ["(", ")", "and", "or"].iter().any(|word| token.is(word)) {
            break;
        }
        let named = token.text.contains('=');
        if !named && arguments.iter().any(|it| it.contains('=')) {
            return Err(format!(
                "“{}”: a value by place comes before those by name",
                token.text
            ));
        }
        arguments.push(token.text.clone());
        *at += 1;
    }
    Ok(Expr::Event { name, arguments })
}
