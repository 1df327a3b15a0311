//! Agent runs on the wire: what their events are called, and the frames that carry them.

use bytes::BufMut;
use headcount::{Part, Position, RunEventKind, RunFact, RunFailure, RunId, RunText, Timestamp};

use crate::anchor::Anchor;
use crate::json::{Object, array};

/// What a stretch of the text of a part is called.
pub const TEXT: &str = "text";

/// What clients and back ends call an event.
#[must_use]
pub const fn name(kind: RunEventKind) -> &'static str {
    match kind {
        RunEventKind::Started => "agent_started",
        RunEventKind::Thinking => "agent_thinking",
        RunEventKind::ToolExecuting => "tool_executing",
        RunEventKind::ToolCompleted => "tool_completed",
        RunEventKind::Completed => "agent_completed",
        RunEventKind::Failed => "agent_failed",
        RunEventKind::Cancelled => "agent_cancelled",
        RunEventKind::Interrupted => "agent_interrupted",
        RunEventKind::Progress => "progress",
        RunEventKind::Requested => "run_requested",
        RunEventKind::CancelRequested => "run_cancel_requested",
    }
}

/// The frame of an event. Its payload is JSON, or nothing if the registry itself has failed the run.
pub fn fact(
    stream: &str,
    position: Position,
    fact: &RunFact<'_>,
    anchor: Anchor,
    out: &mut impl BufMut,
) {
    let head = head(stream, position, name(fact.kind), (fact.run, fact.agent, fact.at), anchor);
    match fact.failure {
        Some(failure) => {
            let data = Object::new().text("error", cause(failure)).end();
            head.end_with_data(data.as_bytes(), out);
        }
        None => head.end_with_data(fact.payload, out),
    }
}

/// The frame of a stretch of text.
pub fn text(
    stream: &str,
    position: Position,
    text: &RunText<'_>,
    anchor: Anchor,
    out: &mut impl BufMut,
) {
    let data = Object::new().text("delta", text.text).end();
    let head = head(stream, position, TEXT, (text.run, text.agent, text.at), anchor);
    of_part(head, text.part).end_with_data(data.as_bytes(), out);
}

/// The fields of the part that a stretch of text is of; none for the text of a run that has one text.
#[must_use]
pub fn of_part(object: Object, part: Part<'_>) -> Object {
    if part == Part::TEXT {
        return object;
    }
    object.text("part", part.id).text("kind", part.kind.name())
}

/// The payload of [`RunEventKind::Requested`], out of JSON.
#[must_use]
pub fn requested(input: &str) -> String {
    Object::new().raw("input", input).end()
}

/// The payload of [`RunEventKind::CancelRequested`].
#[must_use]
pub fn cancel_requested(reason: Option<&str>) -> String {
    match reason {
        Some(reason) => Object::new().text("reason", reason).end(),
        None => Object::new().end(),
    }
}

/// The open runs that a welcome lists, and the requested ones with an empty name of the agent.
#[must_use]
pub fn list<'a>(runs: impl Iterator<Item = (&'a RunId, &'a str)>) -> String {
    let runs: Vec<String> = runs
        .map(|(run, agent)| Object::new().text("run", run.as_str()).text("agent", agent).end())
        .collect();
    array(&runs)
}

fn head(
    stream: &str,
    position: Position,
    event: &str,
    (run, agent, at): (&RunId, &str, Timestamp),
    anchor: Anchor,
) -> Object {
    Object::event(stream, position)
        .text("event", event)
        .text("run", run.as_str())
        .text("agent", agent)
        .number("at", anchor.millis(at))
}

const fn cause(failure: RunFailure) -> &'static str {
    match failure {
        RunFailure::Silence => "silence: the run had no event for as long as run.silence allows",
        RunFailure::Length => "length: the run was open for as long as run.max_length allows",
        _ => "the server has failed the run",
    }
}
