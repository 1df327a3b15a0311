//! An agent works on a question while the user's laptop loses its network, comes back, and a second
//! tab opens: everyone sees the whole run, once and in order. `cargo run --example agent_chat`
//!
//! The clients are lines on the screen here. `examples/own_loop.rs` has sockets in their place.

use std::collections::BTreeMap;

use headcount::*;

struct Client {
    name: &'static str,
    /// The cost of everything that was written to it: what `flushed` is told.
    written: u64,
    /// What a browser keeps to come back with: the last place in the stream that it has seen.
    seen: Position,
}

struct Chat {
    registry: Registry,
    clock: Clock,
    clients: BTreeMap<ConnId, Client>,
}

type Done<T> = Result<T, Box<dyn std::error::Error>>;

impl Chat {
    /// A tab of Alice's connects.
    fn connect(&mut self, name: &'static str, start: Start) -> Done<ConnId> {
        let now = self.clock.now();
        let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
        let (conn, admitted) = self.registry.admit(now, who, start, None)?;
        let followed = admitted.followed.ok_or("it names a thread")?;
        println!(
            "{name:>8} is here: {:?}, its events begin after {}",
            followed.recovered, followed.position.offset
        );
        let session = self.registry.session(followed.session).ok_or("it has just begun")?;
        for run in session.runs().filter(|run| run.state() == RunState::Open) {
            println!(
                "{name:>8} is told that {} is at work on {:?}",
                run.agent(),
                run.id().as_str()
            );
        }
        self.clients.insert(conn, Client { name, written: 0, seen: followed.position });
        self.settle();
        Ok(conn)
    }

    /// The network of a client breaks. What it keeps is what it has seen.
    fn lose(&mut self, conn: ConnId) -> Done<Position> {
        let client = self.clients.remove(&conn).ok_or("no such client")?;
        println!("{:>8} is gone after {}", client.name, client.seen.offset);
        self.registry.disconnect(self.clock.now(), conn)?;
        self.settle();
        Ok(client.seen)
    }

    /// The agent says what it does. Events out of order are errors, and reach nobody.
    fn event(&mut self, run: &RunId, event: RunEvent<'_>) -> Done<()> {
        let (now, alice) = (self.clock.now(), "alice".parse()?);
        let delivery = self.registry.scope(&alice).run_event(now, run, &event)?;
        if delivery.live + delivery.behind == 0 {
            println!("{:>8} is there to see it: it waits in the log", "nobody");
        }
        self.settle();
        Ok(())
    }

    /// Carries out all actions. A real shell queues frames and reports what its sockets took.
    fn settle(&mut self) {
        let now = self.clock.now();
        self.registry.tick(now);
        while let Some(action) = self.registry.poll_action() {
            let cost = action.cost();
            let (to, position, line) = match &action {
                Action::Send { to, position, body, .. } => (*to, *position, show(body)),
                Action::Gap { conn, from, to, .. } => {
                    (std::slice::from_ref(conn), None, format!("{from} to {to} are lost"))
                }
                Action::Cleanup { .. } => continue,
                other => unreachable!("{other:?} does not happen in this story"),
            };
            for conn in to {
                let Some(client) = self.clients.get_mut(conn) else { continue };
                let offset = position.map(|position| position.offset.to_string());
                let offset = offset.unwrap_or_default();
                println!("{:>8} sees {offset:>3}  {line}", client.name);
                client.seen = position.unwrap_or(client.seen);
                client.written += cost;
            }
        }
        for (conn, client) in &self.clients {
            let _ = self.registry.flushed(now, *conn, client.written);
        }
    }
}

/// What a client shows of a frame.
fn show(body: &Body<'_>) -> String {
    let payload = String::from_utf8_lossy(body.as_bytes()).into_owned();
    match body {
        Body::Message(_) => payload,
        Body::Run(fact) => format!("{} {:?} {payload}", fact.agent, fact.kind),
        Body::Text(text) => format!("{} says {payload:?}", text.agent),
    }
}

fn main() -> Done<()> {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
    let registry = Registry::new(Config::new(seed));
    let mut chat = Chat { registry, clock: Clock::new(), clients: BTreeMap::new() };
    let (alice, main, run) = ("alice".parse()?, "main".parse()?, "report".parse::<RunId>()?);

    let laptop = chat.connect("laptop", Start::OpenRuns)?;
    let (now, started) = (chat.clock.now(), r#"{"question":"how many?"}"#.into());
    let opened = chat.registry.scope(&alice).open_run(now, &main, &run, "Counter", started)?;
    assert_eq!(opened.delivery.live, 1);
    chat.settle();
    chat.event(&run, RunEvent::Thinking(r#"{"text":"I should look it up"}"#.into()))?;
    let payload = r#"{"tool":"search"}"#.into();
    chat.event(&run, RunEvent::ToolExecuting { call: "1", expect: None, payload })?;

    let seen = chat.lose(laptop)?;
    let early = chat.event(&run, RunEvent::Completed("{}".into()));
    println!("{:>8} is refused: {}", "Counter", early.err().ok_or("a tool call is under way")?);
    let payload = r#"{"hits":3}"#.into();
    chat.event(&run, RunEvent::ToolCompleted { call: "1", payload })?;
    for delta in ["There ", "are ", "three"] {
        chat.event(&run, RunEvent::text(delta))?;
    }

    chat.connect("laptop", Start::After(seen))?;
    chat.connect("phone", Start::OpenRuns)?;
    chat.event(&run, RunEvent::text(", as far as I can see."))?;
    chat.event(&run, RunEvent::Completed(r#"{"answer":3}"#.into()))?;
    chat.registry.check()?;
    Ok(())
}
