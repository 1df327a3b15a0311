//! What runs may be, and what all logs may hold: `run`, `limits.runs_per_session` and the budgets.

use bytes::Bytes;
use headcount::{
    ConfigBuilder as B, MESSAGE_OVERHEAD, Message, OpenRunError, Part, PartKind, RunError,
    RunEvent, RunId, Target,
};

use super::key::Row;
use crate::support::{World, config, ms, secs, text_of_cost, thread, user, who};

/// Alice opens a run in her thread.
fn open(world: &mut World, run: &str) -> Result<(), OpenRunError> {
    let (alice, run) = (user("alice"), RunId::new(run).unwrap());
    let mut scope = world.registry.scope(&alice);
    scope.open_run(world.now, &thread("main"), &run, "agent", Bytes::new()).map(drop)
}

fn tell(world: &mut World, run: &str, bytes: usize) -> Result<(), RunError> {
    event(world, run, &RunEvent::Progress(vec![b'x'; bytes].into()))
}

/// An event of Alice's run.
fn event(world: &mut World, run: &str, event: &RunEvent<'_>) -> Result<(), RunError> {
    let (alice, run) = (user("alice"), RunId::new(run).unwrap());
    world.registry.scope(&alice).run_event(world.now, &run, event).map(drop)
}

/// Alice's run begins a tool call.
fn begin(world: &mut World, run: &str, call: &str) -> Result<(), RunError> {
    event(world, run, &RunEvent::ToolExecuting { call, expect: None, payload: Bytes::new() })
}

/// What Alice's tab is told of a run that says something every minute.
fn told_of_a_slow_run(world: &mut World) -> Vec<String> {
    let alice = world.tab("alice", "main");
    world.answers(alice);
    open(world, "r").unwrap();
    for _ in 0..3 {
        world.run(secs(60));
        let _ = tell(world, "r", 0);
    }
    world.run(secs(30));
    world
        .seen(alice)
        .iter()
        .filter(|what| what.contains("Failed"))
        .map(ToString::to_string)
        .collect()
}

/// How many messages are kept of two users who are sent four each, all handed out.
fn kept_of_two(world: &mut World) -> [u32; 2] {
    kept_of(world, "alice", "bob")
}

/// The same of two users of one tenant.
fn kept_of_two_of_a_tenant(world: &mut World) -> [u32; 2] {
    for name in ["alice", "bob"] {
        world.open_as(who(name, "main").with_tenant("acme".parse().unwrap()));
    }
    kept_of(world, "alice", "bob")
}

fn kept_of(world: &mut World, one: &str, other: &str) -> [u32; 2] {
    let conns = [one, other].map(|name| world.tab(name, "main"));
    for conn in conns.iter().cycle().take(8) {
        world.run(ms(1));
        let session = world.session(*conn);
        world.send(Target::Session(session), Message::text(text_of_cost(250)));
    }
    conns.map(|conn| world.registry.session(world.session(conn)).unwrap().entries())
}

pub(crate) const ROWS: &[Row] = &[
    ("limits.runs_per_session", |key| {
        let outcomes = [(1, Err(OpenRunError::Runs)), (2, Ok(()))];
        key.decides(B::runs_per_session, config(), outcomes, |world| {
            open(world, "one").unwrap();
            open(world, "two")
        });
    }),
    ("run.silence", |key| {
        let failed = vec!["r Failed Silence ".to_owned()];
        let outcomes = [(secs(59), failed), (secs(61), Vec::new())];
        key.decides(B::run_silence, config(), outcomes, told_of_a_slow_run);
    }),
    ("run.max_length", |key| {
        let failed = vec!["r Failed Length ".to_owned()];
        let outcomes = [(secs(150), failed), (secs(300), Vec::new())];
        key.decides(B::run_max_length, config(), outcomes, told_of_a_slow_run);
    }),
    ("run.linger", |key| {
        let outcomes = [(secs(59), 0), (secs(61), 2)];
        key.decides(B::run_linger, config().stream_history(0), outcomes, |world| {
            open(world, "r").unwrap();
            event(world, "r", &RunEvent::Completed(Bytes::new())).unwrap();
            world.run(secs(60));
            world.registry.stats().log_messages
        });
    }),
    ("run.events", |key| {
        let outcomes = [(3, Err(RunError::Full)), (4, Ok(()))];
        key.decides(B::run_events, config(), outcomes, |world| {
            open(world, "r").unwrap();
            tell(world, "r", 0).unwrap();
            tell(world, "r", 0)
        });
    }),
    ("run.bytes", |key| {
        // A fourth is reserved for the terminal event.
        let outcomes = [(2_000, Err(RunError::Full)), (4_000, Ok(()))];
        key.decides(B::run_bytes, config(), outcomes, |world| {
            open(world, "r").unwrap();
            tell(world, "r", 1_500 - MESSAGE_OVERHEAD as usize)
        });
    }),
    ("run.calls", |key| {
        let outcomes = [(1, Err(RunError::Calls)), (2, Ok(()))];
        key.decides(B::run_calls, config(), outcomes, |world| {
            open(world, "r").unwrap();
            begin(world, "r", "one").unwrap();
            begin(world, "r", "two")
        });
    }),
    ("run.parts", |key| {
        let outcomes = [(1, Err(RunError::Parts)), (2, Ok(()))];
        key.decides(B::run_parts, config(), outcomes, |world| {
            open(world, "r").unwrap();
            event(world, "r", &RunEvent::text("said")).unwrap();
            let part = Part { id: "thought", kind: PartKind::Reasoning };
            event(world, "r", &RunEvent::Delta { part, text: "hm" })
        });
    }),
    ("outbound.user_bytes", |key| {
        let outcomes = [(750, [3, 3]), (1_000, [4, 4])];
        key.decides(B::user_bytes, config().process_bytes(10_000), outcomes, kept_of_two);
    }),
    ("outbound.tenant_bytes", |key| {
        let outcomes = [(1_500, [3, 3]), (2_000, [4, 4])];
        key.decides(B::tenant_bytes, config(), outcomes, kept_of_two_of_a_tenant);
    }),
    ("outbound.process_bytes", |key| {
        let outcomes = [(1_500, [3, 3]), (2_000, [4, 4])];
        let config = config().user_bytes(1_000).tenant_bytes(1_000).direct_bytes(1_000);
        key.decides(B::process_bytes, config, outcomes, kept_of_two);
    }),
];
