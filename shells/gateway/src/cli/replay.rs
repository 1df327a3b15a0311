//! `headcount replay`: what a journal did, again.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Display, PathBuf};
use std::process::ExitCode;

use clap::Args;
use headcount::{ConnId, Registry, Timestamp};
use headcount_journal::{JournalError, Line, OwnedInput, Reader, Replay as Replayed};
use headcount_protocol::epoch::hex;
use headcount_protocol::handles::{Named, parse_connection};

use super::replay_check;
use crate::admin::calls::explain;

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A journal that `serve --journal` wrote
    file: PathBuf,

    /// Print the inputs too, each with its number and its time in seconds
    #[arg(long)]
    inputs: bool,

    /// Stop after input NUMBER
    #[arg(long, value_name = "NUMBER")]
    until: Option<u64>,

    /// Stop after the last input of this TIME, in seconds as `--inputs` prints them
    #[arg(long, value_name = "TIME", conflicts_with = "until")]
    at: Option<String>,

    /// Check what the registry did against the model, its executable specification, instead of printing the
    /// actions
    #[arg(long, conflicts_with_all = ["inputs", "explain"])]
    check: bool,

    /// Print the explanation of a connection where the replay stops, instead of the actions; takes its
    /// name in logs and calls, or the 16 digits that actions show
    #[arg(long, value_name = "CONNECTION")]
    explain: Option<String>,
}

/// Prints the actions on standard output, one a line, and how it ended on standard error. Exit code
/// 1: the journal does not end well, and what is whole of it was replayed. An error is about what was
/// asked for.
pub(crate) fn run(arguments: &Replay) -> Result<ExitCode, String> {
    let wanted = arguments.explain.as_deref().map(Wanted::read).transpose()?;
    let at = arguments.at.as_deref().map(seconds).transpose()?;
    let path = arguments.file.display();
    let journal = fs::read(&arguments.file).map_err(|error| {
        format!("{path}: cannot read it: {error}; name a journal that is there")
    })?;
    let mut replay = match Replayed::new(&journal) {
        Ok(replay) => replay,
        Err(error @ JournalError::NotAJournal) => {
            return Err(format!("{path}: {error}; `headcount serve --journal FILE` writes one"));
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "headcount: {path}: {error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let until = arguments.until.or_else(|| at.map(|at| inputs_up_to(&journal, at)));
    if arguments.check && replay.reader().is_continuation() {
        return Err(format!(
            "{path}: --check begins with an empty registry, and this segment goes on from another one; check \
             the first segment of the server's life"
        ));
    }
    if arguments.check {
        return Ok(check(&path, &journal, until));
    }
    let mut out = Output { to: BufWriter::new(io::stdout().lock()), error: None };
    let end = out.replay(&mut replay, arguments, until);
    let mut code = ExitCode::SUCCESS;
    let Tally { inputs, actions, at } = match end {
        (tally, Ok(())) => tally,
        (tally, Err(error)) => {
            let _ = writeln!(io::stderr(), "headcount: {path}: {error}");
            code = ExitCode::FAILURE;
            tally
        }
    };
    if let Some(wanted) = wanted {
        let conn = wanted.of(replay.registry());
        match conn.and_then(|conn| known(replay.registry(), at, conn)) {
            Some(known) => out.line(format_args!("{known}")),
            None => {
                let _ = writeln!(
                    io::stderr(),
                    "headcount: after input {inputs} there is no such connection, and none that \
                     closed not long before"
                );
                code = ExitCode::FAILURE;
            }
        }
    }
    let _ = writeln!(io::stderr(), "replayed {inputs} inputs and {actions} actions");
    match out.to.flush().err().or(out.error) {
        // The reader of the output has ended, as `head` does: that is no failure.
        Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(code),
        Some(error) => {
            let _ = writeln!(io::stderr(), "headcount: cannot write the actions: {error}");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(code),
    }
}

/// One line on standard output if all agrees, or what is wrong on standard error.
fn check(path: &Display<'_>, journal: &[u8], until: Option<u64>) -> ExitCode {
    // The model may find out by a panic that the registry has done what can't be.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (Tally { inputs, actions, .. }, end) = replay_check::check(journal, until);
    std::panic::set_hook(before);
    match end {
        Ok(()) => {
            let _ = writeln!(
                io::stdout(),
                "{inputs} inputs and {actions} actions agree with the model"
            );
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "headcount: {path}: {wrong}");
            let _ = writeln!(io::stderr(), "checked {inputs} inputs and {actions} actions");
            ExitCode::FAILURE
        }
    }
}

/// A time as a replay prints it: seconds, with nine digits behind the point at most.
fn seconds(text: &str) -> Result<Timestamp, String> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    let nanos = || -> Option<u64> {
        let secs: u64 = Some(secs).filter(|it| is_number(it))?.parse().ok()?;
        let fraction = Some(fraction).filter(|it| is_number(it) && it.len() <= 9)?;
        let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
        secs.checked_mul(1_000_000_000)?.checked_add(nanos)
    };
    let nanos = nanos();
    let wrong = || format!("--at {text}: give seconds as `--inputs` prints them, such as 12.5");
    nanos.map(Timestamp::from_nanos).ok_or_else(wrong)
}

/// A time as a replay prints it.
pub(super) struct Seconds(pub(super) Timestamp);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

/// How many inputs come before the first one that is later. One that can't be read ends the count, and the
/// replay says what is wrong with it.
fn inputs_up_to(journal: &[u8], at: Timestamp) -> u64 {
    let Ok(mut reader) = Reader::new(journal) else { return 0 };
    let mut inputs = 0;
    loop {
        match reader.next_input() {
            Ok(Some((stamp, _))) if stamp <= at => inputs += 1,
            Ok(Some(_)) => return inputs,
            Ok(None) | Err(_) => return u64::MAX,
        }
    }
}

/// Which connection is meant: as logs and calls name it, or by its handle alone, as the actions do.
enum Wanted {
    Named(Named<ConnId>),
    Handle(ConnId),
}

impl Wanted {
    fn read(text: &str) -> Result<Self, String> {
        let handle = || hex(text).and_then(ConnId::from_bits).map(Self::Handle);
        parse_connection(text).map(Self::Named).or_else(handle).ok_or_else(|| {
            format!(
                "--explain {text}: give what logs and calls name it by, or the 16 digits of an action"
            )
        })
    }

    /// `None`: it was a connection of another process.
    fn of(self, registry: &Registry) -> Option<ConnId> {
        match self {
            Self::Named(named) => named.of(registry.config().instance()),
            Self::Handle(conn) => Some(conn),
        }
    }
}

/// As the calls of the admin port tell it: one that is there, or one of the last that closed.
fn known(registry: &Registry, now: Timestamp, conn: ConnId) -> Option<String> {
    let instance = registry.config().instance();
    if let Some(conn) = registry.connection(conn) {
        return Some(explain::connection(instance, now, conn, true));
    }
    let closed = registry.closed().find(|closed| closed.conn == conn)?;
    Some(explain::closed(instance, closed, now))
}

/// How far a replay has come.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) inputs: u64,
    pub(super) actions: u64,
    pub(super) at: Timestamp,
}

/// Standard output, until its reader ends.
struct Output<W> {
    to: W,
    error: Option<io::Error>,
}

impl<W: Write> Output<W> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if self.error.is_none() {
            self.error = writeln!(self.to, "{line}").err();
        }
    }

    fn replay(
        &mut self,
        replay: &mut Replayed<'_>,
        arguments: &Replay,
        until: Option<u64>,
    ) -> (Tally, Result<(), JournalError>) {
        let mut tally = Tally::default();
        let payloads = replay.reader().has_payloads();
        let shows_actions = arguments.explain.is_none();
        while until.is_none_or(|until| tally.inputs < until) && self.error.is_none() {
            let step = replay.step(|action| {
                tally.actions += 1;
                if shows_actions {
                    self.line(format_args!("{}", Line::new(action).with_payloads(payloads)));
                }
            });
            match step {
                Ok(Some(step)) => {
                    (tally.inputs, tally.at) = (step.number, step.at);
                    // What was polled has been printed, as actions.
                    if arguments.inputs && !matches!(step.input, OwnedInput::Polled { .. }) {
                        let (number, at) = (step.number, Seconds(step.at));
                        self.line(format_args!("> {number} {at} {}", step.input));
                    }
                }
                Ok(None) => break,
                Err(error) => return (tally, Err(error)),
            }
        }
        (tally, Ok(()))
    }
}
