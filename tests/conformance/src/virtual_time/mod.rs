//! A shell in virtual time beside the testkit: the same history, and the same transcript.
//!
//! A history is run over [`Testkit`](headcount_testkit::Testkit) and over a shell whose sockets are in
//! memory. After each step a transcript has what each client has read, which connections have ended and why,
//! and what the registry has counted. So what a test of an application sees in the kit is what clients of
//! the shell see.

mod histories;
mod kit;
mod line;
mod random;
mod wired;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use headcount::{
    CloseReason, CloseWords, Config, ConfigBuilder, ConnId, Message, Registry, Stats, Target,
    Timestamp, UserId,
};

use self::histories::HISTORIES;
use self::kit::Kit;
pub use self::line::Line;
use self::random::{SEEN, random};
use self::wired::Wired;
use crate::server::since;

/// A shell in virtual time, without a network. It serves the [`Application`](crate::Application).
pub trait InVirtualTime {
    /// Whether a socket has a place before the shell knows its user. A client that is refused has used up a
    /// serial then, and the first ping of a connection is jittered by its serial.
    const RESERVES_FIRST: bool;

    /// A shell without clients.
    fn start(config: Config) -> Self;

    /// A client connects with this query, as [`Application::verdict`](crate::Application::verdict) reads it.
    /// `None`: it is refused.
    fn connect(&mut self, query: &str) -> Option<(ConnId, Line)>;

    /// Time passes: whole milliseconds. What waits to be done is done before. What is due acts at its own
    /// time, the end included, and what comes of it is done when this returns.
    fn pass(&mut self, time: Duration);

    /// Runs `f` where the registry lives, and what it makes the registry do. `None`: the shell has ended, for
    /// its registry [is drained](Registry::is_drained).
    fn call<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Option<R>;

    /// The connections that the application was told to have ended since the last call, and why.
    fn take_gone(&mut self) -> Vec<(ConnId, CloseReason)>;
}

/// A step of a history. Clients are numbered in the order in which they came; one that was refused has a
/// number, too, and does nothing.
#[derive(Clone, Debug)]
enum Step {
    /// A client connects with this query.
    Come(String),
    /// A client connects that reads on where the session of this one was when it went.
    ComeBack(usize),
    /// A client says this.
    Say(usize, Message),
    /// A client reads nothing until it goes on.
    Stall(usize),
    /// A client answers nothing until it goes on.
    FallSilent(usize),
    /// A client reads and answers again.
    GoOn(usize),
    /// A client says goodbye.
    Leave(usize),
    /// The socket of a client ends.
    Vanish(usize),
    /// Time passes.
    Pass(Duration),
    /// A user is sent this.
    Tell(&'static str, String),
    /// The connections of a user are closed with words of the application.
    Dismiss(&'static str),
    /// All clients are to go.
    Drain,
}

/// A history.
#[derive(Clone, Debug)]
struct History {
    /// What it is about.
    name: String,
    /// What the shell is configured with.
    config: ConfigBuilder,
    /// The steps. Each takes a millisecond, beside those that pass in it.
    steps: Vec<Step>,
    /// What is seen of it, among other things.
    sees: &'static [&'static str],
}

/// Runs each history of a table over the kit and over a shell.
///
/// # Panics
/// What was seen was not the same.
pub fn assert_histories<S: InVirtualTime>() {
    for history in HISTORIES {
        assert_as_the_kit::<S>(&history());
    }
}

/// Runs random histories, of these seeds. They are enough to see what is rare: a hundred are.
///
/// # Panics
/// What was seen was not the same.
pub fn assert_random_histories<S: InVirtualTime>(seeds: Range<u64>) {
    let seen: Vec<_> = seeds.flat_map(|seed| assert_as_the_kit::<S>(&random(seed))).collect();
    let sees = |what: &str| seen.iter().any(|line| line.contains(what));
    for what in SEEN {
        assert!(sees(what), "no history sees {what:?}");
    }
}

/// Runs a history over the kit and over a shell, and compares what was seen, which is returned.
fn assert_as_the_kit<S: InVirtualTime>(history: &History) -> Vec<String> {
    let config = || history.config.clone().build().expect("a valid configuration");
    let kit = transcript(Kit::new(config(), S::RESERVES_FIRST), history);
    let shell = transcript(Wired::<S>::new(config()), history);
    let differs = kit.iter().zip(&shell).position(|(kit, shell)| kit != shell);
    let at = differs.unwrap_or_else(|| kit.len().min(shell.len()));
    assert!(
        kit == shell,
        "{}: the kit and the shell differ behind\n{}\nthe kit:   {:?}\nthe shell: {:?}",
        history.name,
        kit[at.saturating_sub(12)..at].join("\n"),
        kit.get(at),
        shell.get(at)
    );
    for what in history.sees {
        assert!(
            kit.iter().any(|line| line.contains(what)),
            "{}: {what:?} is not seen",
            history.name
        );
    }
    kit
}

/// What a history is run over.
trait Stage {
    fn connect(&mut self, query: &str) -> Option<ConnId>;
    /// What a client does: a step that names it.
    fn act(&mut self, conn: ConnId, step: &Step);
    fn pass(&mut self, time: Duration);
    fn call<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Option<R>;
    fn read(&mut self, conn: ConnId) -> Vec<String>;
    fn take_gone(&mut self) -> Vec<(ConnId, CloseReason)>;
    /// Everything ends, and nothing is left.
    fn finish(self);
}

/// What a history knows of a client.
struct Known {
    /// `None`: it was refused.
    conn: Option<ConnId>,
    query: String,
    /// It says nothing any more: it was told to go, or has left, or is gone.
    is_over: bool,
}

/// Runs a history, and notes what is seen of it.
fn transcript(mut stage: impl Stage, history: &History) -> Vec<String> {
    let (mut clients, mut lines) = (Vec::<Known>::new(), Vec::new());
    for (number, step) in history.steps.iter().enumerate() {
        take(&mut stage, &mut clients, step);
        stage.pass(Duration::from_millis(1));
        lines.push(format!("step {number}: {step:?}"));
        for (client, known) in clients.iter_mut().enumerate() {
            let Some(conn) = known.conn else { continue };
            for read in stage.read(conn) {
                known.is_over |= read.starts_with("close");
                lines.push(format!("  {client} reads {read}"));
            }
        }
        let gone: BTreeMap<_, _> = stage.take_gone().into_iter().collect();
        for (client, known) in clients.iter_mut().enumerate() {
            if let Some(reason) = known.conn.and_then(|conn| gone.get(&conn)) {
                known.is_over = true;
                lines.push(format!("  {client} is gone: {reason:?}"));
            }
        }
        let going_on =
            |registry: &mut Registry, _| (!registry.is_drained()).then(|| registry.stats());
        let Some(stats) = stage.call(going_on).flatten() else {
            lines.push("  the server has ended".into());
            break;
        };
        lines.push(format!("  {}", counted(&stats)));
    }
    for (client, known) in clients.iter().enumerate() {
        lines.push(format!(
            "{client} was {}",
            if known.conn.is_some() { "there" } else { "refused" }
        ));
    }
    stage.finish();
    lines
}

/// Takes a step.
fn take(stage: &mut impl Stage, clients: &mut Vec<Known>, step: &Step) {
    match step {
        Step::Come(query) => {
            let conn = stage.connect(query);
            clients.push(Known { conn, query: query.clone(), is_over: false });
        }
        Step::ComeBack(client) => {
            let query = clients[*client].query.clone();
            let conn = stage.connect(&query);
            clients.push(Known { conn, query, is_over: false });
        }
        Step::Pass(time) => stage.pass(*time),
        Step::Tell(user, text) => {
            let (user, message) = (UserId::new(*user).expect("a valid name"), Message::text(text));
            stage.call(move |registry, now| drop(registry.send(now, Target::User(&user), message)));
        }
        Step::Dismiss(user) => {
            let user = UserId::new(*user).expect("a valid name");
            let words = CloseWords::new(4200, "lunch").expect("a code of the application");
            stage.call(move |registry, now| registry.close(now, Target::User(&user), words));
        }
        Step::Drain => _ = stage.call(|registry, now| registry.drain(now, None)),
        Step::Say(client, _)
        | Step::Stall(client)
        | Step::FallSilent(client)
        | Step::GoOn(client)
        | Step::Leave(client)
        | Step::Vanish(client) => {
            let known = &mut clients[*client];
            let Some(conn) = known.conn else { return };
            let ends = matches!(step, Step::Leave(_) | Step::Vanish(_));
            if known.is_over && (ends || matches!(step, Step::Say(..))) {
                return;
            }
            if ends {
                known.is_over = true;
                let position = stage.call(move |registry, _| {
                    let session = registry.connection(conn)?.session()?;
                    Some(registry.session(session)?.position())
                });
                if let (Some(position), None) = (position.flatten(), known.query.find("&since=")) {
                    known.query.push_str(&since(position));
                }
            }
            stage.act(conn, step);
        }
    }
}

/// What both have to count alike.
fn counted(stats: &Stats) -> String {
    let closed: Vec<_> = CloseReason::ALL
        .iter()
        .filter(|reason| stats.closed(**reason) > 0)
        .map(|reason| format!("{reason:?} {}", stats.closed(*reason)))
        .collect();
    format!(
        "opened {} live {} open {} pending {} refused {} sessions {}+{} users {} rooms {} pings {} pongs {} \
         silent {} sent {} deferred {} stored {} gaps {} skipped {} shed {} logs {} closed {closed:?}",
        stats.opened,
        stats.live,
        stats.open,
        stats.pending,
        stats.refused,
        stats.sessions,
        stats.sessions_ended,
        stats.users,
        stats.rooms,
        stats.pings_sent,
        stats.pongs_received,
        stats.pong_timeouts,
        stats.sent,
        stats.deferred,
        stats.stored,
        stats.gaps,
        stats.skipped,
        stats.shed,
        stats.log_messages,
    )
}

/// The answer to the close frame of a client.
const ECHO: &str = "close, in answer to its own";

fn shown_message(message: &Message) -> String {
    match str::from_utf8(message.payload()) {
        Ok(text) if message.is_text() => format!("{text:?}"),
        _ => format!("{:?}", message.payload()),
    }
}

fn shown_close(code: u16, text: &str) -> String {
    format!("close {code} {text:?}")
}
