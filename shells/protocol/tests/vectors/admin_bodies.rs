//! `admin_bodies.json`.

use headcount::{Class, Part, RunEvent};
use headcount_protocol::admin::audience::Audience;
use headcount_protocol::admin::closing::Closing;
use headcount_protocol::admin::membership::{Membership, Whom};
use headcount_protocol::admin::opening::Opening;
use headcount_protocol::admin::publication::Publication;
use headcount_protocol::admin::redact::Unchanged;
use headcount_protocol::admin::report::{Report, ReportedEvent};
use headcount_protocol::admin::revocation::Revocation;
use headcount_protocol::admin::{Halves, drain, nothing};
use headcount_protocol::handles::show_connection;
use headcount_protocol::json::millis;
use headcount_protocol::problem::Problem;
use serde_json::{Map, Value, json};

use crate::{cases, put, text};

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn to(audience: &Audience) -> Value {
    match audience {
        Audience::User(user) => json!({"user": user.as_str()}),
        Audience::Session(user, thread) => {
            json!({"user": user.as_str(), "thread": thread.as_str()})
        }
        Audience::Run(user, run) => json!({"user": user.as_str(), "run": run.as_str()}),
        Audience::Conn(conn) => {
            json!({"connection": show_connection(conn.instance, conn.handle)})
        }
        Audience::Room(room) => json!({"room": room.as_str()}),
        Audience::Everyone => json!({"everyone": true}),
    }
}

fn publication(Publication { audience, data, class }: &Publication) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "to", to(audience));
    put(&mut fields, "data", json_of(data.get().as_bytes()));
    match class {
        Class::Latest(key) => {
            put(&mut fields, "class", "latest");
            put(&mut fields, "key", key.as_str());
        }
        Class::Droppable => put(&mut fields, "class", "droppable"),
        _ => put(&mut fields, "class", "critical"),
    }
    fields.into()
}

fn report(report: &Report) -> Value {
    let (event, waits) = report.after(Halves::default());
    assert_eq!(waits, Halves::default(), "a vector stands for itself");
    let mut fields = Map::new();
    put(&mut fields, "user", report.user.as_str());
    if let ReportedEvent::ToolExecuting { expect: Some(expect), .. } = &event {
        put(&mut fields, "expect_ms", millis(*expect));
    }
    let (name, call, data) = match event.event() {
        RunEvent::Thinking(payload) => ("agent_thinking", None, payload),
        RunEvent::ToolExecuting { call, payload, .. } => ("tool_executing", Some(call), payload),
        RunEvent::ToolCompleted { call, payload } => ("tool_completed", Some(call), payload),
        RunEvent::Progress(payload) => ("progress", None, payload),
        RunEvent::Completed(payload) => ("agent_completed", None, payload),
        RunEvent::Failed(payload) => ("agent_failed", None, payload),
        RunEvent::Cancelled(payload) => ("agent_cancelled", None, payload),
        RunEvent::Interrupted(payload) => ("agent_interrupted", None, payload),
        RunEvent::Delta { part, text: delta } => {
            put(&mut fields, "event", "text");
            if part != Part::TEXT {
                put(&mut fields, "part", part.id);
                put(&mut fields, "kind", part.kind.name());
            }
            put(&mut fields, "delta", delta);
            return fields.into();
        }
    };
    put(&mut fields, "event", name);
    put(&mut fields, "data", json_of(&data));
    call.into_iter().for_each(|call| put(&mut fields, "call", call));
    fields.into()
}

fn membership(Membership { whom, room }: &Membership) -> Value {
    match whom {
        Whom::User(user) => json!({"user": user.as_str(), "room": room.as_str()}),
        Whom::Conn(conn) => {
            let connection = show_connection(conn.instance, conn.handle);
            json!({"connection": connection, "room": room.as_str()})
        }
    }
}

fn decoded(call: &str, body: &str) -> Result<Value, Problem> {
    Ok(match call {
        "publish" => publication(&Publication::parse(body)?),
        "open_run" => {
            let opening = Opening::parse(body, &Unchanged)?;
            json!({
                "user": opening.user.as_str(), "thread": opening.thread.as_str(),
                "run": opening.run.as_str(), "agent": opening.agent,
                "data": json_of(&opening.payload),
            })
        }
        "report_run_event" => report(&Report::parse(body, &Unchanged)?),
        "join" | "leave" => membership(&Membership::parse(body)?),
        "close" => {
            let Closing { audience, reason, words } = Closing::parse(body)?;
            let mut fields = Map::new();
            put(&mut fields, "to", to(&audience));
            put(&mut fields, "reason", reason);
            if let Some(words) = words {
                put(&mut fields, "code", words.code());
                put(&mut fields, "text", words.text());
            }
            fields.into()
        }
        "revoke" => match Revocation::parse(body)? {
            Revocation::User(user) => json!({"user": user.as_str()}),
            Revocation::Token(id) => json!({"token_id": id}),
        },
        "drain" => match drain::parse(body)? {
            Some(deadline) => json!({"deadline_ms": millis(deadline)}),
            None => json!({}),
        },
        "check" => {
            nothing::parse(body)?;
            json!({})
        }
        other => panic!("{other}"),
    })
}

#[test]
fn bodies_are_decoded() {
    for case in cases("admin_bodies.json") {
        match decoded(text(&case, "call"), text(&case, "body")) {
            Ok(fields) => assert_eq!(fields, case["fields"], "{case}"),
            Err(problem) => {
                let error = json!({"status": problem.status(), "code": problem.code()});
                assert_eq!(error, case["error"], "{case}: {problem:?}");
            }
        }
    }
}
