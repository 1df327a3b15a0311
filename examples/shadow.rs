//! For those who migrate: a registry in the shadow of the manager that is in service. It is told
//! what happens, sends nothing, and this prints where the two differ, since when, and why.
//!
//! `cargo run --example shadow` plays the sample below, `-- FILE` a trace of yours, `-- -` one from
//! standard input: a line per event, with the time in seconds. The manager's own pings have to come
//! more often than `heartbeat.interval`: the registry's are not sent, and nobody answers them.

use headcount::*;
use std::{collections::*, error::Error, io, process::ExitCode, time::Duration};

const EVENTS: &str = "connect USER THREAD SOCKET (counted from now on), heard SOCKET (any frame), \
    closed SOCKET (it has ended), removed SOCKET (not counted any more)";

const SAMPLE: &str = "
     0.000 connect alice main a1
     0.250 connect alice notes a2
     1.000 connect bob main b1
    # A tab is closed, and counted until a sweep comes by.
     5.000 closed a2
    # Bob's laptop is shut: nothing says so but its silence.
    20.000 heard a1
    40.000 heard a1
    60.000 heard a1
    60.000 removed a2
    80.000 heard a1
    # A cache forgets who is still there: messages to her are lost from now on.
    81.500 removed a1
    95.000 closed a1";

struct Socket {
    /// What the registry made of it.
    conn: Result<ConnId, Refused>,
    /// Whether the manager in service counts it.
    counted: bool,
    /// Since when the registry says otherwise.
    differs: Option<Timestamp>,
}

struct Shadow {
    registry: Registry,
    now: Timestamp,
    /// All that the trace has named, and those that one of the two counts.
    names: BTreeSet<String>,
    sockets: BTreeMap<String, Socket>,
    dropped: usize,
}

impl Shadow {
    /// One line of the trace, after time has passed up to it.
    fn play(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let words: Vec<_> = line.split_whitespace().collect();
        let seconds = words[0].parse().ok().and_then(|time| Duration::try_from_secs_f64(time).ok());
        let now = seconds.map(|time| Timestamp::ZERO + time).filter(|now| *now >= self.now);
        let now = now.ok_or("it has to begin with a time in seconds, none before the last one")?;
        self.pass(now);
        if let ["connect", user, thread, name] = words[1..] {
            let who = Principal::new(user.parse()?).with_thread(thread.parse()?);
            let conn = self.registry.admit(now, who, Start::OpenRuns, None).map(|(conn, _)| conn);
            let socket = Socket { conn, counted: true, differs: None };
            self.names.insert(name.to_owned());
            let before = self.sockets.insert(name.to_owned(), socket);
            return before.map_or(Ok(()), |_| Err("there is such a socket already".into()));
        }
        let [event @ ("heard" | "closed" | "removed"), name] = words[1..] else {
            return Err(format!("it is none of {EVENTS}").into());
        };
        self.names.get(name).ok_or_else(|| format!("no socket is {name}"))?;
        // What neither counts any more is no difference.
        let Some(socket) = self.sockets.get_mut(name) else { return Ok(()) };
        let heard = Inbound::Bytes { bytes: 0, partial: false };
        match (event, socket.conn) {
            ("heard", Ok(conn)) if self.registry.message(now, conn, heard).is_err() => {
                say(now, name, "is heard, and the registry does not count it");
            }
            // That it has gone is no news about one that the registry had given up.
            ("closed", Ok(conn)) => drop(self.registry.disconnect(now, conn)),
            ("removed", _) => socket.counted = false,
            _ => {}
        }
        Ok(())
    }

    /// Time passes: what is due before `end` happens at its time.
    fn pass(&mut self, end: Timestamp) {
        while self.now < end {
            self.settle();
            let next = self.registry.poll_timeout().unwrap_or(end);
            self.now = next.clamp(self.now, end);
        }
    }

    /// Acts on what is due, drops what would be sent, and says where a difference begins or ends.
    fn settle(&mut self) {
        self.registry.tick(self.now);
        self.dropped += std::iter::from_fn(|| self.registry.poll_action().map(drop)).count();
        let (registry, now) = (&self.registry, self.now);
        self.sockets.retain(|name, socket| {
            let state =
                socket.conn.ok().and_then(|conn| registry.connection(conn).map(|it| it.state()));
            let open = matches!(state, Some(ConnState::Open | ConnState::Suspect));
            let differs = socket.counted != open;
            if let (false, Some(since)) = (differs, socket.differs) {
                let lasted = now.saturating_since(since);
                say(now, name, &format!("is no difference any more, after {lasted:?}"));
            } else if differs && socket.differs.is_none() {
                say(now, name, &why(registry, socket));
            }
            socket.differs = differs.then(|| socket.differs.unwrap_or(now));
            socket.counted || differs
        });
    }
}

/// Why the registry says otherwise.
fn why(registry: &Registry, socket: &Socket) -> String {
    let conn = match socket.conn {
        Ok(conn) => conn,
        Err(refused) => return format!("is counted, and was refused: {refused}"),
    };
    let silence = registry.connection(conn).map_or(Duration::ZERO, |it| it.silence());
    match registry.closed().rev().find(|closed| closed.conn == conn) {
        Some(closed) => format!("is counted, and has closed: {}", closed.reason.name()),
        None => format!("is open, heard {silence:?} ago, and not counted"),
    }
}

fn say(at: Timestamp, name: &str, what: &str) {
    println!("{:9.3} {name} {what}", at.saturating_since(Timestamp::ZERO).as_secs_f64());
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let trace = match std::env::args().nth(1).as_deref() {
        None => SAMPLE.to_owned(),
        Some("-") => io::read_to_string(io::stdin())?,
        Some(file) => std::fs::read_to_string(file)?,
    };
    // Here go the limits and times to be tried. Nothing is written, so no flush is reported.
    let registry = Registry::new(Config::builder(7).without_flush_reports().build()?);
    let (now, names, sockets) = (Timestamp::ZERO, BTreeSet::new(), BTreeMap::new());
    let mut shadow = Shadow { registry, now, names, sockets, dropped: 0 };
    let lines = (1..).zip(trace.lines().map(str::trim));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if let Err(wrong) = shadow.play(line) {
            eprintln!("line {number}: {line}: {wrong}");
            return Ok(ExitCode::from(2));
        }
    }
    shadow.settle();
    let counted = shadow.sockets.values().filter(|socket| socket.counted).count();
    let (open, dropped) = (shadow.registry.stats().open, shadow.dropped);
    println!("the manager counts {counted}, the registry {open}; {dropped} actions were dropped");
    Ok(ExitCode::SUCCESS)
}
