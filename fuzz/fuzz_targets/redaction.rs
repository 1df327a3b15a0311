//! Any text as what an agent reports, under usual rules and under bounds that small texts reach.
//!
//! What is JSON is what a general parser takes, within the depth that is allowed. What comes back is
//! JSON, changes no more when it is redacted again, and has no value below a secret key: a parser
//! that knows nothing of the rules looks for one. Without rules nothing changes.

#![no_main]

use headcount_redaction::{Error, PayloadKind, Policy};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

const KINDS: [PayloadKind; 4] =
    [PayloadKind::Parameters, PayloadKind::Thinking, PayloadKind::Result, PayloadKind::Error];

/// Values below a key that is a secret however keys are cut into words.
fn secrets<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| secrets(item, found)),
        Value::Object(members) => {
            for (key, value) in members {
                if key.eq_ignore_ascii_case("password") {
                    found.push(value);
                }
                secrets(value, found);
            }
        }
        _ => {}
    }
}

fuzz_target!(|text: &str| {
    let taken = serde_json::from_str::<&RawValue>(text).is_ok();
    let tight = Policy::builder().max_input(64).max_output(96).max_items(3).build();
    for policy in [Policy::default(), tight.expect("rules that are valid")] {
        for kind in KINDS {
            let once = match policy.redact(kind, text) {
                Ok(once) => once,
                Err(Error::TooDeep { at }) => {
                    assert!(
                        text.as_bytes()[..at].iter().filter(|b| b"[{".contains(b)).count() >= 128
                    );
                    return;
                }
                Err(error) => {
                    assert!(!taken, "{error}");
                    return;
                }
            };
            assert!(taken);
            assert!(serde_json::from_str::<&RawValue>(&once).is_ok(), "{once}");
            assert_eq!(policy.redact(kind, &once).as_deref(), Ok(&*once));
            if let Ok(value) = serde_json::from_str::<Value>(&once) {
                let mut found = Vec::new();
                secrets(&value, &mut found);
                assert!(found.iter().all(|value| *value == "[redacted]"), "{once}");
            }
        }
    }
});
