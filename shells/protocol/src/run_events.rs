//! Agent runs on the wire: what their events are called, and the frames that carry them.

use bytes::BufMut;
use headcount::{
    Part, Position, Registry, RunEventKind, RunFact, RunFailure, RunId, RunState, RunText,
    SessionId, Timestamp,
};

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

/// The runs of a session that have not ended, as a client is told of them when it comes: a [`list`].
#[must_use]
pub fn open(registry: &Registry, session: SessionId) -> String {
    let runs = registry.session(session).into_iter().flat_map(|session| session.runs());
    let open = runs.filter(|run| run.state() != RunState::Ended);
    list(open.map(|run| (run.id(), run.agent())))
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

#[cfg(test)]
mod tests {
    use headcount::{
        Action, Config, Message, Principal, RunEvent, Start, Target, ThreadId, UserId,
    };

    use super::*;
    use crate::server_frames::{self, SESSION, Terms};

    #[test]
    fn what_a_registry_hands_out_is_written_and_what_has_ended_is_not_listed() {
        let (now, mut registry) = (Timestamp::from_secs(1), Registry::new(Config::new(7)));
        let (user, thread) = (UserId::new("a").unwrap(), ThreadId::new("main").unwrap());
        let who = Principal::new(user.clone()).with_thread(thread.clone());
        let (conn, admitted) = registry.admit(now, who, Start::OpenRuns, None).unwrap();
        let session = admitted.followed.unwrap().session;
        let [one, two, three] = ["one", "two", "three"].map(|run| RunId::new(run).unwrap());
        for (run, agent) in [(&one, "Ada"), (&two, "Bo")] {
            let mut scope = registry.scope(&user);
            scope.open_run(now, &thread, run, agent, "{}".into()).unwrap();
        }
        registry.scope(&user).run_event(now, &one, &RunEvent::text("hi")).unwrap();
        registry.scope(&user).run_event(now, &two, &RunEvent::Completed("[]".into())).unwrap();
        registry.request_run(now, conn, None, &three, requested("1").into()).unwrap();
        let listed = r#"[{"run":"one","agent":"Ada"},{"run":"three","agent":""}]"#;
        assert_eq!(open(&registry, session), listed);

        let (mut written, anchor) = (Vec::new(), Anchor::new(core::time::Duration::ZERO));
        registry.send(now, Target::Session(session), Message::text("7"));
        while let Some(action) = registry.poll_action() {
            let Action::Send { position: Some(position), body, .. } = action else { continue };
            let mut out = Vec::new();
            server_frames::entry(SESSION, position, &body, anchor, &mut out);
            let text = String::from_utf8(out).unwrap();
            let (_, rest) = text.split_once(r#","offset":"#).unwrap();
            written.push(rest.split_once(',').unwrap().1.to_owned());
        }
        let run = |event, run, agent, data| {
            format!(
                r#""event":"{event}","run":"{run}","agent":"{agent}","at":1000,"data":{data}}}"#
            )
        };
        let wanted = [
            run("agent_started", "one", "Ada", "{}"),
            run("agent_started", "two", "Bo", "{}"),
            run("text", "one", "Ada", r#"{"delta":"hi"}"#),
            run("agent_completed", "two", "Bo", "[]"),
            run("run_requested", "three", "", r#"{"input":1}"#),
            r#""data":7}"#.to_owned(),
        ];
        assert_eq!(written, wanted);

        let terms = Terms::from(registry.config());
        assert_eq!(terms.max_message_bytes, registry.config().message_bytes());
    }
}
