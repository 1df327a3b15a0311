//! The decoders give the fields of the golden vectors, and the encoders write their texts.

mod admin_answers;
mod admin_bodies;
mod client_frames;
mod close_codes;
mod server_frames;
mod upgrade_queries;

use std::fs;

use headcount::Position;
use headcount_protocol::epoch::show_epoch;
use serde_json::{Map, Value};

/// The instance of the registry that the names of connections are of.
const INSTANCE: u64 = 11;

/// The cases of a file.
fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).expect(&path);
    let cases: Vec<Value> = serde_json::from_str(&text).expect(&path);
    assert!(!cases.is_empty(), "{path}");
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is no text: {case}"))
}

/// The text that an encoder writes; `None`: it writes no such thing.
fn written(case: &Value) -> Option<&str> {
    match case.get("written") {
        None => Some(text(case, "text")),
        Some(written) => written.as_str(),
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

fn put_position(fields: &mut Map<String, Value>, position: Position) {
    put(fields, "epoch", show_epoch(position.epoch));
    put(fields, "offset", position.offset);
}

/// The JSON of a client's `id`.
fn put_json(fields: &mut Map<String, Value>, name: &str, json: Option<&str>) {
    if let Some(json) = json {
        put(fields, name, serde_json::from_str::<Value>(json).expect(json));
    }
}
