//! `close_codes.json`.

use headcount::{CloseReason, Retry};
use headcount_protocol::close_codes::{retry, wait};

use serde_json::Value;

use crate::{cases, text};

#[test]
fn codes_say_what_a_client_does() {
    let cases = cases("close_codes.json");
    for case in &cases {
        let code = case["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap();
        let expected = match text(case, "retry") {
            "reconnect" => Retry::Reconnect,
            "stop" => Retry::Stop,
            other => panic!("{other}"),
        };
        assert_eq!(retry(code), expected, "{case}");
        let seconds = wait(text(case, "reason")).map(|wait| wait.as_secs());
        assert_eq!(seconds, case.get("wait_s").and_then(Value::as_u64), "{case}");
    }
}

#[test]
fn every_reason_of_the_server_is_there() {
    let cases = cases("close_codes.json");
    for reason in CloseReason::ALL {
        let is_it = |case: &&Value| case["name"] == reason.name() && case["code"] == reason.code();
        assert_eq!(cases.iter().filter(is_it).count(), 1, "{reason:?}");
    }
}
