//! `server_frames.json`.

use std::time::Duration;

use bytes::Bytes;
use headcount::{
    CloseReason, Part, PartKind, Position, Recovered, RunEventKind, RunFact, RunId, RunText,
    Timestamp,
};
use headcount_protocol::anchor::Anchor;
use headcount_protocol::handles::{show_connection, show_session};
use headcount_protocol::json::millis;
use headcount_protocol::run_events;
use headcount_protocol::server_frames::{self, Event, EventOfRun, Followed, Frame, SESSION, parse};
use serde_json::{Map, Value, json};

use crate::{cases, put, put_json, put_position, text, written};

fn word(recovered: Recovered) -> &'static str {
    match recovered {
        Recovered::Fresh => "fresh",
        Recovered::All => "all",
        _ => "gap",
    }
}

fn listed(runs: &[(RunId, String)]) -> Vec<Value> {
    runs.iter().map(|(run, agent)| json!({"run": run.as_str(), "agent": agent})).collect()
}

fn fields(frame: &Frame<'_>) -> Value {
    let mut fields = Map::new();
    let all = &mut fields;
    let (kind, id) = match frame {
        Frame::Welcome(welcome) => {
            let named = welcome.connection;
            put(all, "connection", show_connection(named.instance, named.handle));
            put(all, "user", welcome.user.as_str());
            put(all, "thread", welcome.thread.as_str());
            let mut session = Map::new();
            put_position(&mut session, welcome.session);
            put(all, "session", session);
            put(all, "recovered", word(welcome.recovered));
            put(all, "runs", listed(&welcome.runs));
            put(all, "ping_interval_ms", millis(welcome.terms.ping_interval));
            put(all, "max_message_bytes", welcome.terms.max_message_bytes);
            let range = [millis(welcome.reconnect.start), millis(welcome.reconnect.end)];
            put(all, "reconnect_ms", range.to_vec());
            ("welcome", None)
        }
        Frame::Event(Event { place, run, data }) => {
            if let Some((stream, offset)) = place {
                put(all, "stream", stream.name());
                put(all, "offset", *offset);
            }
            if let Some(EventOfRun { event, run, agent, at, part }) = run {
                put(all, "event", &**event);
                put(all, "run", run.as_str());
                put(all, "agent", &**agent);
                put(all, "at", millis(*at));
                if let Some((part, kind)) = part {
                    put(all, "part", &**part);
                    put(all, "kind", &**kind);
                }
            }
            put_json(all, "data", Some(data));
            ("event", None)
        }
        Frame::Gap { stream, from, to } => {
            put(all, "stream", stream.name());
            put(all, "from", *from);
            put(all, "to", *to);
            ("gap", None)
        }
        Frame::Joined { room, position, recovered, request } => {
            put(all, "room", room.as_str());
            put_position(all, *position);
            put(all, "recovered", word(*recovered));
            ("joined", *request)
        }
        Frame::Left { room, request } => {
            put(all, "room", room.as_str());
            ("left", *request)
        }
        Frame::Followed(followed) => {
            let Followed { thread, session, position, recovered, runs, request } = &**followed;
            put(all, "thread", thread.as_str());
            put(all, "session", show_session(session.instance, session.handle));
            put_position(all, *position);
            put(all, "recovered", word(*recovered));
            put(all, "runs", listed(runs));
            ("followed", *request)
        }
        Frame::Unfollowed { thread, sent_away, request } => {
            put(all, "thread", thread.as_str());
            if let Some((session, reason)) = sent_away {
                put(all, "session", show_session(session.instance, session.handle));
                put(all, "reason", &**reason);
            }
            ("unfollowed", *request)
        }
        Frame::Ok { request } => ("ok", *request),
        Frame::Error { code, message, request } => {
            put(all, "code", &**code);
            put(all, "message", &**message);
            ("error", *request)
        }
        Frame::Draining { reconnect } => {
            put(all, "reconnect_ms", vec![millis(reconnect.start), millis(reconnect.end)]);
            ("draining", None)
        }
        Frame::Other(kind) => (&**kind, None),
        other => panic!("{other:?}"),
    };
    put(all, "type", kind);
    put_json(all, "request", id);
    fields.into()
}

/// What the encoders make of a frame; `None`: there is none for it.
fn encoded(frame: &Frame<'_>) -> Option<String> {
    Some(match frame {
        Frame::Welcome(welcome) => {
            let connection =
                show_connection(welcome.connection.instance, welcome.connection.handle);
            let who = (&welcome.user, &welcome.thread);
            let (session, recovered) = (welcome.session, welcome.recovered);
            let runs = encoded_runs(&welcome.runs);
            server_frames::welcome(&connection, who, session, recovered, &runs, welcome.terms)
        }
        Frame::Event(event) => encoded_event(event),
        Frame::Gap { stream, from, to } => server_frames::gap(&stream.name(), *from, *to),
        Frame::Joined { room, position, recovered, request } => {
            server_frames::joined(room, *position, *recovered, *request)
        }
        Frame::Left { room, request } => server_frames::left(room, *request),
        Frame::Followed(followed) => {
            let Followed { thread, session, position, recovered, runs, request } = &**followed;
            let session = show_session(session.instance, session.handle);
            let (of, runs) = ((thread, &*session), encoded_runs(runs));
            server_frames::followed(of, *position, *recovered, &runs, *request)
        }
        Frame::Unfollowed { thread, sent_away, request } => match sent_away {
            None => server_frames::unfollowed(thread, *request),
            Some((session, reason)) => {
                let session = show_session(session.instance, session.handle);
                let reason = CloseReason::ALL.iter().find(|it| it.name() == reason);
                server_frames::sent_away(thread, &session, *reason.expect("a reason"))
            }
        },
        Frame::Ok { request } => server_frames::ok(*request),
        Frame::Error { code, message, request } => server_frames::error(code, message, *request),
        Frame::Draining { reconnect } => server_frames::draining(reconnect),
        _ => return None,
    })
}

fn encoded_runs(runs: &[(RunId, String)]) -> String {
    run_events::list(runs.iter().map(|(run, agent)| (run, &**agent)))
}

fn encoded_event(Event { place, run, data }: &Event<'_>) -> String {
    let Some((stream, offset)) = place else { return server_frames::direct_event(data) };
    let (stream, position) = (stream.name(), Position { epoch: 0, offset: *offset });
    let mut out = Vec::new();
    match run {
        None => server_frames::event(&stream, position, data.as_bytes(), &mut out),
        Some(EventOfRun { event, run, agent, at, part }) => {
            // The stamp of the instant at which stamps were zero.
            let (anchor, at) = (Anchor::new(*at), Timestamp::ZERO);
            if event == run_events::TEXT {
                let data: Value = serde_json::from_str(data).expect(data);
                let part = part.as_ref().map_or(Part::TEXT, |(id, name)| Part {
                    id,
                    kind: PartKind::ALL.into_iter().find(|kind| kind.name() == name).expect(name),
                });
                let text = text(&data, "delta");
                let text = RunText { run, agent, at, part, text };
                run_events::text(&stream, position, &text, anchor, &mut out);
            } else {
                let kind =
                    RunEventKind::ALL.into_iter().find(|kind| run_events::name(*kind) == event);
                let kind = kind.expect(event);
                let payload = Bytes::copy_from_slice(data.as_bytes());
                let fact = RunFact { run, agent, kind, failure: None, at, payload: &payload };
                run_events::fact(&stream, position, &fact, anchor, &mut out);
            }
        }
    }
    String::from_utf8(out).expect("a text")
}

#[test]
fn frames_of_servers_are_decoded_and_encoded() {
    for case in cases("server_frames.json") {
        match parse(text(&case, "text")) {
            Ok(frame) => {
                assert_eq!(fields(&frame), case["fields"], "{case}");
                assert_eq!(encoded(&frame).as_deref(), written(&case), "{case}");
            }
            Err(unreadable) => {
                assert_eq!(case["error"]["field"], unreadable.field(), "{case}");
            }
        }
    }
}

#[test]
fn what_the_server_itself_has_failed_says_why() {
    let run = headcount::RunId::new("r").unwrap();
    let (kind, at, payload) = (RunEventKind::Failed, Timestamp::ZERO, Bytes::new());
    let failure = Some(headcount::RunFailure::Length);
    let fact = RunFact { run: &run, agent: "a", kind, failure, at, payload: &payload };
    let mut out = Vec::new();
    let position = Position { epoch: 1, offset: 2 };
    run_events::fact(SESSION, position, &fact, Anchor::new(Duration::ZERO), &mut out);
    let frame = String::from_utf8(out).unwrap();
    let Ok(Frame::Event(event)) = parse(&frame) else { panic!("{frame}") };
    assert!(event.data.starts_with(r#"{"error":"length: "#), "{frame}");
}
