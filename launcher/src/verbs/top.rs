//! `berth top`

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use berth::cli;
use berth::commands::top::{Observer, Order, Usage, sort};
use berth::error::{Error, Result};
use berth::place::Place;
use berth::printable::printable;
use berth::time;
use berth_common::exit;
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, RawMode};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

use super::print::{dash, json_line, out, table};

/// How long the first look waits for a second one: without it there is nothing to compare with.
const FIRST: Duration = Duration::from_millis(200);
/// Ctrl-C as a terminal in raw mode has it.
const INTERRUPT: u8 = 3;
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

pub fn top_verb(place: &Place, options: &cli::Top) -> Result<u8> {
    for name in &options.names {
        place.require(name)?;
    }
    let mut observer = Observer::default();
    observer.look(place, &options.names)?;
    let live = !options.batch && !options.json && tty::is_terminal(std::io::stdout());
    if live && tty::is_terminal(std::io::stdin()) {
        return watch(place, options, observer);
    }
    let looks = options.count.unwrap_or(1);
    for number in 0..looks {
        std::thread::sleep(if number == 0 { FIRST } else { options.delay });
        let mut found = observer.look(place, &options.names)?;
        sort(&mut found, options.sort, options.reverse);
        if options.json {
            json_line(&found)?;
            continue;
        }
        if number > 0 {
            out("")?;
        }
        for line in lines(&found) {
            out(&line)?;
        }
    }
    Ok(exit::OK)
}

/// At a terminal, again and again, until a key ends it.
fn watch(place: &Place, options: &cli::Top, mut observer: Observer) -> Result<u8> {
    let stdin = std::io::stdin();
    let mut signals = SignalQueue::new(&ENDS).map_err(|error| Error::os("watch signals", error))?;
    let raw = RawMode::enter(stdin.as_fd())
        .map_err(|error| Error::os("switch the terminal to raw mode", error))?;
    let (mut order, mut reverse) = (options.sort, options.reverse);
    let mut pause = FIRST;
    let mut looks = 0;
    let ended = loop {
        match next_key(&mut signals, stdin.as_fd(), pause)? {
            Key::None => {}
            Key::End => break Ok(exit::OK),
            Key::Signal(number) => break Ok(berth::exec::by_signal(number)),
            Key::Order(wanted) if wanted == order => reverse = !reverse,
            Key::Order(wanted) => (order, reverse) = (wanted, false),
        }
        pause = options.delay;
        let mut found = observer.look(place, &options.names)?;
        sort(&mut found, order, reverse);
        if !show(&found, order) {
            break Ok(exit::OK);
        }
        looks += 1;
        if options.count == Some(looks) {
            break Ok(exit::OK);
        }
    };
    drop(raw);
    let _ = writeln!(std::io::stdout());
    ended
}

enum Key {
    None,
    End,
    Signal(i32),
    Order(Order),
}

/// What is typed or sent within that time; other keys are passed over.
fn next_key(
    signals: &mut SignalQueue,
    stdin: std::os::fd::BorrowedFd<'_>,
    pause: Duration,
) -> Result<Key> {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [
            PollFd::new(stdin, PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, time::poll_timeout(left)) {
            Ok(0) => return Ok(Key::None),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Error::os("wait for a key", errno)),
        }
        let typed = fds[0].any().unwrap_or_default();
        let taken = signals.take();
        if let Some(number) = taken.map_err(|error| Error::os("watch signals", error))? {
            return Ok(Key::Signal(number));
        }
        if !typed {
            continue;
        }
        let mut key = [0];
        // The end of what is typed: the terminal is gone.
        if !matches!(nix::unistd::read(stdin, &mut key), Ok(1)) {
            return Ok(Key::End);
        }
        match key[0] {
            b'q' | INTERRUPT => return Ok(Key::End),
            b'c' => return Ok(Key::Order(Order::Cpu)),
            b'm' => return Ok(Key::Order(Order::Memory)),
            b'i' => return Ok(Key::Order(Order::Io)),
            b'p' => return Ok(Key::Order(Order::Processes)),
            b'n' => return Ok(Key::Order(Order::Name)),
            _ => {}
        }
    }
}

/// Draws the screen anew; `false` if nobody sees it any more.
fn show(found: &[Usage], order: Order) -> bool {
    let size = tty::window_size(std::io::stdout().as_fd()).ok();
    let rows = size.map_or(24, |size| usize::from(size.ws_row).max(3));
    let columns = size.map_or(80, |size| usize::from(size.ws_col).max(20));
    let by = format!("{order:?}").to_lowercase();
    let running = format!(
        "{} running, sorted by {by} (keys: c m i p n, q ends)",
        found.len()
    );
    let mut text = "\x1b[H".to_owned();
    for line in [running, String::new()]
        .into_iter()
        .chain(lines(found))
        .take(rows - 1)
    {
        let line: String = printable(&line).chars().take(columns).collect();
        text.push_str(&line);
        text.push_str("\x1b[K\r\n");
    }
    text.push_str("\x1b[J");
    let mut stdout = std::io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .is_ok()
}

fn lines(found: &[Usage]) -> Vec<String> {
    let head = [
        "NAME",
        "STATE",
        "CPU",
        "CPU TIME",
        "MEMORY",
        "READ",
        "WRITTEN",
        "PROCESSES",
    ];
    let bytes = |count: Option<u64>| count.map_or_else(dash, time::bytes);
    let row = |usage: &Usage| {
        [
            usage.name.clone(),
            usage.state.word().to_owned(),
            usage
                .cpu_percent
                .map_or_else(dash, |used| format!("{used:.1} %")),
            usage
                .cpu_usec
                .map_or_else(dash, |used| format!("{:.2} s", used as f64 / 1e6)),
            bytes(usage.memory),
            bytes(usage.io_read),
            bytes(usage.io_written),
            usage.processes.map_or_else(dash, |count| count.to_string()),
        ]
    };
    let head = [head.map(str::to_owned)];
    table(
        &head
            .into_iter()
            .chain(found.iter().map(row))
            .collect::<Vec<_>>(),
    )
}
