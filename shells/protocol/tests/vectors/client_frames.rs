//! `client_frames.json`.

use headcount_protocol::client_frames::{Ask, Auth, Frame, parse};
use headcount_protocol::handles::show_connection;
use headcount_protocol::server_frames::{SESSION, room_stream};
use serde_json::{Map, Value};

use crate::{cases, put, put_json, put_position, text, written};

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
        Ask::Ack { room, offset } => {
            let stream = room.as_ref().map_or_else(|| SESSION.to_owned(), room_stream);
            put(&mut fields, "stream", stream);
            put(&mut fields, "offset", *offset);
            "ack"
        }
        Ask::Ping => "ping",
        Ask::Auth(Auth { token, thread, since, previous }) => {
            put(&mut fields, "token", token.reveal());
            thread.iter().for_each(|thread| put(&mut fields, "thread", thread.as_str()));
            since.iter().for_each(|since| put_position(&mut fields, *since));
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
