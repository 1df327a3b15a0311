//! The JSON of the gateway: what clients and back ends send is understood as a general parser says
//! it, and what the gateway writes is JSON that a general parser reads back, whatever is in it.
//!
//! The first 24 bytes are numbers, the rest is text.

#![no_main]

mod asks;
mod bodies;
mod queries;
mod written;

use std::sync::LazyLock;

use headcount_mio::Answer;
use headcount_protocol::problem::Problem;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// The longest sentence about a mistake: no more of what was sent goes back than helps.
const LONGEST_SENTENCE: usize = 1024;

/// A refusal that can be sent: a sentence, in JSON, with a status that fits it.
fn is_refusal(problem: &Problem) {
    assert!(matches!(problem.status(), 400 | 401), "{problem:?}");
    let json: Value = serde_json::from_str(&problem.json()).expect("JSON");
    let message = json["error"]["message"].as_str().expect("a message");
    assert!(!message.is_empty() && message.len() <= LONGEST_SENTENCE, "{message}");
    assert!(json["error"]["code"].as_str().is_some_and(|code| !code.is_empty()));
    // An upgrade is refused with the same body.
    let answer = Answer::json(problem.status(), problem.code(), problem.message());
    assert_eq!((answer.status(), answer.body()), (problem.status(), &*problem.json()));
}

/// What a field can hold that it should not.
static OTHERS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let others = json!([null, true, 0, -1, 1.5, "", "null", "room/", "+1", [], {}, u64::MAX]);
    others.as_array().cloned().unwrap_or_default()
});

/// Makes one field something else, or one of a field's own.
fn alter(value: &mut Value, choice: usize, other: usize) {
    if let Value::Object(fields) = value
        && !fields.is_empty()
    {
        let (field, choice) = (choice % fields.len(), choice / fields.len());
        let Some(field) = fields.values_mut().nth(field) else { return };
        if field.is_object() && choice % 4 != 0 {
            alter(field, choice / 4, other);
        } else {
            *field = OTHERS[other % OTHERS.len()].clone();
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((numbers, text)) = input.split_first_chunk::<24>() else { return };
    let numbers = [0, 8, 16].map(|at| {
        let bytes = numbers[at..].first_chunk().expect("eight more");
        u64::from_le_bytes(*bytes)
    });
    let text = &*String::from_utf8_lossy(text);
    let value = serde_json::from_str::<Value>(text).ok();
    // The same with each field once, and with numbers and escapes as serde_json writes them.
    let plain = value.as_ref().map(Value::to_string);
    asks::check(text, value.as_ref(), plain.as_deref());
    bodies::check(text, value.as_ref(), plain.as_deref());
    if let Some(mut value) = value.clone().filter(Value::is_object) {
        alter(&mut value, numbers[0] as usize, numbers[1] as usize);
        let plain = &*value.to_string();
        asks::check(plain, Some(&value), Some(plain));
        bodies::check(plain, Some(&value), Some(plain));
    }
    queries::check(text, numbers);
    written::check(text, value.as_ref(), numbers);
});
