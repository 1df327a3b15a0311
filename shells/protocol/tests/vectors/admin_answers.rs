//! `admin_answers.json`.

use std::time::Duration;

use headcount::Position;
use headcount_protocol::admin::delivery::{Outcome, PUBLISHED, TOLD};
use headcount_protocol::admin::membership::Joined;
use headcount_protocol::admin::{closing, drain, membership, revocation};
use headcount_protocol::epoch::parse_epoch;
use headcount_protocol::problem::Problem;
use serde_json::Value;

use crate::{cases, text};

fn number(fields: &Value, name: &str) -> u64 {
    fields[name].as_u64().unwrap_or_else(|| panic!("{name} is no number: {fields}"))
}

/// What was sent, and the stream that all of it is in.
fn outcome(fields: &Value) -> (Outcome, &str) {
    let positions = fields["positions"].as_array().expect("positions");
    let stream = positions.first().map_or("session", |position| text(position, "stream"));
    let position = |at: &Value| Position {
        epoch: parse_epoch(text(at, "epoch")),
        offset: number(at, "offset"),
    };
    let count = |name: &str| fields[name].as_u64().map_or(0, |n| u32::try_from(n).expect("few"));
    let outcome = Outcome {
        live: count("sent") + count("addressed"),
        behind: count("deferred"),
        full: fields["full"] == true,
        positions: positions.iter().map(position).collect(),
    };
    (outcome, stream)
}

fn encoded(call: &str, fields: &Value) -> String {
    match call {
        "publish" if fields["addressed"].is_u64() => outcome(fields).0.announced(),
        "publish" => {
            let (outcome, stream) = outcome(fields);
            outcome.json(&PUBLISHED, stream)
        }
        "open_run" | "report_run_event" => {
            let (outcome, stream) = outcome(fields);
            outcome.json(&TOLD, stream)
        }
        "join" => {
            let code = fields.get("code").map(|_| "rooms_per_user");
            Joined {
                joined: number(fields, "joined"),
                already: number(fields, "already"),
                refused: number(fields, "refused"),
                reason: code.map(|code| (code, text(fields, "reason").to_owned())),
            }
            .json()
        }
        "leave" => membership::left(number(fields, "left"), number(fields, "absent")),
        "close" => closing::closing(number(fields, "closing")),
        "revoke" => revocation::revoked(number(fields, "closing"), fields["sessions"].as_u64()),
        "drain" => {
            let deadline = Duration::from_millis(number(fields, "deadline_ms"));
            drain::draining(number(fields, "connections"), deadline)
        }
        "cancel_drain" => {
            drain::cancelled(fields["cancelled"] == true, number(fields, "connections"))
        }
        "error" => Problem::new(400, "bad_id", text(&fields["error"], "message")).json(),
        other => panic!("{other}"),
    }
}

#[test]
fn answers_are_encoded() {
    for case in cases("admin_answers.json") {
        let (call, expected) = (text(&case, "call"), text(&case, "text"));
        assert_eq!(encoded(call, &case["fields"]), expected, "{case}");
        let read: Value = serde_json::from_str(expected).expect(expected);
        assert_eq!(read, case["fields"], "{case}");
    }
}
