//! What holds for every text: it is compared with a parser that knows nothing of the rules.

use std::borrow::Cow;

use headcount_redaction::{Error, PayloadKind, Policy};
use proptest::prelude::*;
use serde_json::value::RawValue;

const KINDS: [PayloadKind; 4] =
    [PayloadKind::Parameters, PayloadKind::Thinking, PayloadKind::Result, PayloadKind::Error];

/// Stands only where a rule must find it.
const SENTINEL: &str = "s3ntinel";

/// Bounds that small texts reach.
fn tight() -> Policy {
    Policy::builder().max_input(64).max_output(96).max_items(3).build().unwrap()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Text out of pieces that the rules are about, and of any characters.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        r#"[a-z \\/:'"{}\[\],.()]{0,12}"#,
        prop::sample::select(vec![
            "/home/alice/x",
            "/Users/bob smith/y",
            r"C:\Users\Carol Jones\z",
            "file:///a b",
            "https://h/home/x",
            "'",
            "\"",
            " ",
            "\n",
            ":",
            "[path]",
            "[redacted]",
            "home",
            "/",
            "\\",
            "users/",
            "… [3 bytes cut]",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "a", "keyword", "author", "items", "error", "Traceback", "message", "text", "result",
        ])
        .prop_map(str::to_owned),
        1 => text(),
    ]
}

fn hidden_key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["password", "apiKey", "X-API-KEY", "access_token", "Authorization"])
}

/// JSON text as various writers would have it.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "1E2",
            "-0.50",
            "123456789012345678901234567890"
        ])
        .prop_map(str::to_owned),
        text().prop_map(|text| quoted(&text)),
        prop::sample::select(vec![r#""\ud83d""#, r#""\u0041\/\ud83d\ude00""#])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let member = prop_oneof![
            6 => (key(), inner.clone()).prop_map(|(key, json)| format!("{}: {json}", quoted(&key))),
            1 => (hidden_key(), inner.clone())
                .prop_map(|(key, json)| format!("{}:[{json} ,\"{SENTINEL}\"]", quoted(key))),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(member, 0..6)
                .prop_map(|members| format!("{{ {} }}", members.join(","))),
            inner.prop_map(|json| quoted(&json)),
        ]
    })
}

fn redact(policy: &Policy, kind: PayloadKind, json: &str) -> String {
    policy.redact(kind, json).unwrap_or_else(|error| panic!("{error}: {json}")).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn twice_is_once_and_json_stays_json(json in json()) {
        for policy in [Policy::default(), tight()] {
            for kind in KINDS {
                let once = redact(&policy, kind, &json);
                prop_assert!(serde_json::from_str::<&RawValue>(&once).is_ok(), "{json} became {once}");
                prop_assert!(!once.contains(SENTINEL), "{json} became {once}");
                prop_assert_eq!(&redact(&policy, kind, &once), &once, "{:?} of {}", kind, json);
            }
        }
    }

    #[test]
    fn what_is_json_is_what_a_parser_takes(
        json in json(),
        cut in any::<prop::sample::Index>(),
        c in any::<char>(),
    ) {
        let places: Vec<usize> = json.char_indices().map(|(place, _)| place).collect();
        let place = places[cut.index(places.len())];
        for text in [json[..place].to_owned(), format!("{}{c}{}", &json[..place], &json[place..])] {
            let taken = serde_json::from_str::<&RawValue>(&text).is_ok();
            let ours = Policy::default().redact(PayloadKind::Result, &text);
            prop_assert_eq!(ours.is_ok(), taken, "{}", text);
        }
    }

    #[test]
    fn without_a_rule_nothing_changes(json in json()) {
        let none = [""; 0];
        let policy = Policy::builder()
            .secret_keys(none)
            .removed_keys(none)
            .max_input(usize::MAX)
            .build()
            .unwrap();
        // Parts of it are below keys of errors, which no setting is about.
        if !json.to_lowercase().contains("error") && !json.contains("raceback") {
            let redacted = policy.redact(PayloadKind::Parameters, &json);
            prop_assert!(matches!(redacted, Ok(Cow::Borrowed(same)) if same == json), "{}", json);
        }
    }

    #[test]
    fn any_text_at_all_is_answered(text in any::<String>()) {
        for kind in KINDS {
            if let Err(Error::Malformed { at }) = Policy::default().redact(kind, &text) {
                prop_assert!(at <= text.len());
            }
        }
    }
}
