//! `client_frames.json`.

use headcount::Start;
use headcount_protocol::client_frames::{Ask, Auth, Frame, parse};
use headcount_protocol::handles::show_connection;
use serde_json::{Map, Value};

use crate::{cases, put, put_json, put_position, text, written};

fn put_start(fields: &mut Map<String, Value>, start: &Start) {
    match start {
        Start::After(position) => put_position(fields, *position),
        Start::Run(run) => put(fields, "run", run.as_str()),
        Start::Recent => put(fields, "recent", true),
        Start::OpenRuns => {}
        other => panic!("no frame begins with {other:?}"),
    }
}

fn fields(frame: &Frame<'_>) -> Value {
    let mut fields = Map::new();
    let kind = match &frame.ask {
        Ask::Join { room, since } => {
            put(&mut fields, "room", room.as_str());
            since.iter().for_each(|since| put_position(&mut fields, *since));
            "join"
        }
        Ask::Leave { room } => {
            put(&mut fields, "room", room.as_str());
            "leave"
        }
        Ask::Follow { thread, start } => {
            put(&mut fields, "thread", thread.as_str());
            put_start(&mut fields, start);
            "follow"
        }
        Ask::Unfollow { thread } => {
            put(&mut fields, "thread", thread.as_str());
            "unfollow"
        }
        Ask::Ack { stream, offset } => {
            put(&mut fields, "stream", stream.name());
            put(&mut fields, "offset", *offset);
            "ack"
        }
        Ask::Ping => "ping",
        Ask::Auth(Auth { token, thread, start, previous }) => {
            put(&mut fields, "token", token.reveal());
            thread.iter().for_each(|thread| put(&mut fields, "thread", thread.as_str()));
            put_start(&mut fields, start);
            let previous = previous.map(|named| show_connection(named.instance, named.handle));
            previous.into_iter().for_each(|previous| put(&mut fields, "previous", previous));
            "auth"
        }
        Ask::Refresh { token } => {
            put(&mut fields, "token", token.reveal());
            "refresh"
        }
        Ask::RunRequest { thread, run, input } => {
            thread.iter().for_each(|thread| put(&mut fields, "thread", thread.as_str()));
            put(&mut fields, "run", run.as_str());
            put_json(&mut fields, "input", Some(input));
            "run_request"
        }
        Ask::RunCancel { run, reason } => {
            put(&mut fields, "run", run.as_str());
            reason.iter().for_each(|reason| put(&mut fields, "reason", &**reason));
            "run_cancel"
        }
    };
    put(&mut fields, "type", kind);
    put_json(&mut fields, "id", frame.request);
    fields.into()
}

#[test]
fn frames_of_clients_are_decoded_and_encoded() {
    for case in cases("client_frames.json") {
        match parse(text(&case, "text")) {
            Ok(frame) => {
                assert_eq!(fields(&frame), case["fields"], "{case}");
                assert_eq!(Some(&*frame.json()), written(&case), "{case}");
            }
            Err(wrong) => {
                assert_eq!(wrong.code, text(&case["error"], "code"), "{case}");
                let mut request = Map::new();
                put_json(&mut request, "request", wrong.request);
                assert_eq!(request.get("request"), case["error"].get("request"), "{case}");
            }
        }
    }
}
