//! `cargo xtask try`: boots a host with Berth on it and plays the whole way there, from login to
//! reboot.

mod story;

use crate::apt;
use crate::image;
use crate::install;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use berth_test_harness::{Host, HostOptions, Image, Login};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::Command;
use std::time::{Duration, Instant};
use story::{Line, Scene, Who};

/// For one command of the story.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// For something that others do meanwhile, such as DHCP.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to try.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Leave me in alice's login on that host instead
    #[arg(long)]
    shell: bool,
    /// The programs are built already
    #[arg(long, hide = true)]
    built: bool,
}

/// Makes everything that is needed, and plays.
pub fn try_it(workspace: &Workspace, progress: &Progress, options: &Options) -> Result<()> {
    if options.shell && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        bail!("--shell needs a terminal");
    }
    apt::install(
        progress,
        &[install::BUILD_PACKAGES, apt::IMAGE_PACKAGES].concat(),
    )?;
    if !apt::is_root()? {
        // Built as the one who asked, so that the build directory stays his.
        install::image_content(workspace, progress)?;
        return again_as_root(options);
    }
    let content = match options.built {
        true => install::built_image_content(workspace)?,
        false => install::image_content(workspace, progress)?,
    };
    image::make(workspace, progress, &[Image::Berth], Some(&content))?;
    let name = Some("try".to_owned());
    let host = progress.during("booting the test host", || {
        Host::boot_with(
            Image::Berth,
            HostOptions {
                name,
                ..Default::default()
            },
        )
    })?;
    let mut stage = Stage {
        host: &host,
        alice: None,
        known: BTreeMap::new(),
    };
    let played = if options.shell {
        stage.shell()
    } else {
        stage.play(story::whole())
    };
    if let Err(error) = played {
        let journal = host
            .keep_journal()
            .unwrap_or_else(|error| format!("{error:#}"));
        bail!("{error:#}\nThe host's journal: {journal}");
    }
    drop(stage);
    progress.during("powering the test host off", || host.poweroff())?;
    println!("{}", closing(workspace, &host));
    Ok(())
}

fn again_as_root(options: &Options) -> Result<()> {
    eprintln!("The image's files have owners, and the host a network of its own: that needs root.");
    let mut sudo = Command::new("sudo");
    for name in ["PATH", "CARGO", "BERTH_IMAGES"] {
        if let Some(value) = std::env::var_os(name) {
            sudo.arg(format!("{name}={}", value.to_string_lossy()));
        }
    }
    sudo.arg(std::env::current_exe().context("cannot find this program's path")?);
    sudo.args(["try", "--built"])
        .args(options.shell.then_some("--shell"));
    let status = sudo
        .status()
        .context("cannot run sudo; run this as root instead")?;
    if !status.success() {
        bail!("as root: {status}");
    }
    Ok(())
}

fn closing(workspace: &Workspace, host: &Host) -> String {
    format!(
        "That was a real Debian with its own kernel and systemd. On this machine it leaves\n  \
         {}  its disk images\n  \
         {}  its console and journal\n  \
         and the Debian packages named above, if any.\n\n\
         Next:\n  \
         cargo xtask try --shell   be alice on that host\n  \
         cargo xtask install       install Berth on this machine (README.md, “Install”)\n  \
         cargo xtask test          every test there is",
        workspace.images.display(),
        host.dir().display(),
    )
}

/// A host, who is logged in, and what has been told so far.
struct Stage<'a> {
    host: &'a Host,
    alice: Option<Login>,
    known: BTreeMap<&'static str, String>,
}

impl Stage<'_> {
    fn play(&mut self, scenes: Vec<Scene>) -> Result<()> {
        for scene in scenes {
            match scene {
                Scene::Chapter(title) => show(&format!("\n# {title}\n")),
                Scene::Command(line) => self.command(&line)?,
                Scene::Terminal(command, script) => self.terminal(command, script)?,
                Scene::LogIn => {
                    show("(alice logs in: ssh alice@host)\n");
                    self.alice = Some(self.host.login("alice")?);
                }
                Scene::LogOut => {
                    show("(alice logs out)\n");
                    if let Some(login) = self.alice.take() {
                        login.logout()?;
                    }
                }
                Scene::Reboot => self.reboot()?,
            }
        }
        show("\n");
        Ok(())
    }

    fn command(&mut self, line: &Line) -> Result<()> {
        let mut command = line.command.to_owned();
        for (name, value) in &self.known {
            command = command.replace(&format!("{{{name}}}"), value);
        }
        show(&format!("{}{command}\n", prompt(line.who)));
        let end = Instant::now() + PATIENCE;
        let text = loop {
            let output = self.run(line.who, &command)?;
            let wrong = wrong(line, output.code, &output.stdout);
            match wrong {
                Some(_) if line.patient && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(300));
                }
                Some(why) => {
                    show(&output.stdout);
                    bail!("`{command}` {why}");
                }
                None => break output.stdout,
            }
        };
        show(&text);
        if line.code != 0 {
            show(&format!("(exit code {})\n", line.code));
        }
        if let Some((name, find)) = line.tells {
            let found = find(&text).with_context(|| format!("`{command}` tells no {name}"))?;
            self.known.insert(name, found);
        }
        Ok(())
    }

    fn run(&self, who: Who, command: &str) -> Result<berth_test_harness::Output> {
        // Both streams in the order in which a terminal would show them.
        let command = format!("{{ {command}\n}} 2>&1");
        match who {
            Who::Root => self.host.root_for(&command, COMMAND_LIMIT),
            Who::Alice => self.login()?.run_for(&command, COMMAND_LIMIT),
        }
    }

    fn terminal(&self, command: &str, script: &[(&str, &str)]) -> Result<()> {
        show(&format!("{}{command}\n", prompt(Who::Alice)));
        let mut terminal = self.login()?.pty(command)?;
        for (wait_for, typed) in script {
            show(&plain(&terminal.expect(wait_for, PATIENCE)?));
            terminal.send(typed)?;
        }
        let seen = terminal.shown();
        let output = terminal.finish(PATIENCE)?;
        show(&plain(output.stdout.get(seen..).unwrap_or("")));
        output.ok()?;
        Ok(())
    }

    fn reboot(&self) -> Result<()> {
        show("root@host# systemctl reboot\n");
        let begin = Instant::now();
        self.host.reboot()?;
        show(&format!(
            "(the host is up again after {} s)\n",
            begin.elapsed().as_secs()
        ));
        Ok(())
    }

    /// Hands the terminal to the person.
    fn shell(&mut self) -> Result<()> {
        self.play(story::grant())?;
        let login = self.host.login("alice")?;
        show(
            "You are alice on the test host. Try: berth create web -t busybox; berth start web\n\
              Leave with exit or ctrl-D; the host is powered off then.\n\n",
        );
        let status = login.interactive().status().context("cannot run ssh")?;
        show(&format!("(left with {status})\n"));
        login.logout()
    }

    fn login(&self) -> Result<&Login> {
        self.alice
            .as_ref()
            .context("alice is not logged in at this point of the story")
    }
}

fn wrong(line: &Line, code: i32, text: &str) -> Option<String> {
    if code != line.code {
        return Some(format!("ended with code {code}, not {}", line.code));
    }
    let missing = line.shows.iter().find(|what| !text.contains(**what))?;
    Some(format!("did not show “{missing}”"))
}

fn prompt(who: Who) -> &'static str {
    match who {
        Who::Root => "root@host# ",
        Who::Alice => "alice@host$ ",
    }
}

/// What a terminal got, without its line ends and escape sequences.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().filter(|c| *c != '\r').peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if rest.next_if(|c| *c == '[').is_some() {
            // A control sequence ends with a letter or one of @ ~.
            while rest
                .next_if(|c| !c.is_ascii_alphabetic() && !"@~".contains(*c))
                .is_some()
            {}
            rest.next();
        }
    }
    out
}

fn show(text: &str) {
    let mut stdout = std::io::stdout();
    // A reader who has gone away needs no transcript.
    drop(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_left_out() {
        assert_eq!(plain("\u{1b}[?2004ha\r\n\u{1b}[1;31mb\u{1b}[0m~"), "a\nb~");
        assert_eq!(plain("\u{1b}"), "");
    }
}
