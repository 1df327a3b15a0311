//! Each rule by example, and each thing that the sanitizer of the replaced system let through.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use headcount_redaction::{Error, MAX_DEPTH, MAX_NESTING, PayloadKind, Policy};

fn redact(kind: PayloadKind, json: &str) -> String {
    let redacted = Policy::default().redact(kind, json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert!(serde_json::from_str::<serde_json::Value>(&redacted).is_ok(), "{redacted}");
    redacted.into_owned()
}

fn parameters(json: &str) -> String {
    redact(PayloadKind::Parameters, json)
}

/// The text is returned as it was, without a copy.
fn untouched(kind: PayloadKind, json: &str) {
    let redacted = Policy::default().redact(kind, json);
    assert!(matches!(redacted, Ok(Cow::Borrowed(same)) if same == json), "{json}: {redacted:?}");
}

#[test]
fn keys_are_compared_by_whole_words() {
    for key in
        ["api_key", "apiKey", "API-KEY", "x-api-key", "apikey", "APIKey", "api.key", "api key"]
    {
        let expected = format!(r#"{{"{key}":"[redacted]"}}"#);
        assert_eq!(parameters(&format!(r#"{{"{key}":"v"}}"#)), expected);
    }
    for key in ["password", "userPassword", "password_2", "auth", "access_token", "Authorization"] {
        assert!(parameters(&format!(r#"{{"{key}":"v"}}"#)).contains("[redacted]"), "{key}");
    }
    for key in
        ["keyword", "author", "authority", "monkey", "key", "tokens", "max_tokens", "tokenizer"]
    {
        untouched(PayloadKind::Parameters, &format!(r#"{{"{key}":"v"}}"#));
    }
}

#[test]
fn a_secret_is_one_too_where_its_name_is_written_as_one_word() {
    for key in [
        "accesstoken",
        "APITOKEN",
        "authtoken",
        "x-authtoken",
        "bearertoken",
        "csrftoken",
        "idtoken",
        "refreshtoken",
        "sessiontoken",
        "apisecret",
        "clientsecret",
        "CLIENTSECRET",
        "secretkey",
        "authkey",
        "dbpassword",
        "PGPASSWORD",
        "userpassword",
    ] {
        let expected = format!(r#"{{"{key}":"[redacted]"}}"#);
        assert_eq!(parameters(&format!(r#"{{"{key}":"v"}}"#)), expected);
    }
    for key in ["accesstokens", "idtokenizer", "authkeyword", "nonsecretkeys", "clientsecretary"] {
        untouched(PayloadKind::Parameters, &format!(r#"{{"{key}":"v"}}"#));
    }
}

#[test]
fn lists_are_looked_into() {
    assert_eq!(
        parameters(r#"{"items":[{"password":"x"},[{"token":1}]]}"#),
        r#"{"items":[{"password":"[redacted]"},[{"token":"[redacted]"}]]}"#
    );
    assert_eq!(parameters(r#"[{"secret":1}]"#), r#"[{"secret":"[redacted]"}]"#);
}

#[test]
fn a_secret_goes_whatever_it_is() {
    for value in ["1", "null", "true", "{\"a\":[1]}", "[1,2]", "\"\"", "\"\\ud83d\"", "1E9"] {
        let json = format!("{{ \"a\" : 1 , \"password\" : {value} , \"b\":2}}");
        assert_eq!(parameters(&json), r#"{ "a" : 1 , "password" : "[redacted]" , "b":2}"#);
    }
}

#[test]
fn results_and_errors_lose_their_secrets_too() {
    for kind in [PayloadKind::Thinking, PayloadKind::Result, PayloadKind::Error] {
        assert_eq!(
            redact(kind, r#"{"rows":[{"id":1,"api_key":"x"}]}"#),
            r#"{"rows":[{"id":1,"api_key":"[redacted]"}]}"#
        );
    }
}

#[test]
fn internal_fields_go_at_any_depth_with_their_comma() {
    for kind in [PayloadKind::Thinking, PayloadKind::Result, PayloadKind::Error] {
        for (json, expected) in [
            (r#"{"system_prompt":"x"}"#, "{}"),
            (r#"{ "system_prompt" : "x" , "a":1}"#, r#"{ "a":1}"#),
            (r#"{"a":1,"debug_info":{"b":[1]}}"#, r#"{"a":1}"#),
            (r#"{"a":1 , "debugInfo":2 , "b":3}"#, r#"{"a":1 , "b":3}"#),
            (
                r#"{"debug_info":1,"internal_reasoning":2,"a":3,"system_prompt":4,"debug_info":5}"#,
                r#"{"a":3}"#,
            ),
            (r#"[{"x":{"Internal-Reasoning":"y"}}]"#, r#"[{"x":{}}]"#),
            (r#"{"debug_info":1,"system_prompt":2}"#, "{}"),
        ] {
            assert_eq!(redact(kind, json), expected, "{json}");
        }
        untouched(kind, r#"{"system":"x","prompt":"y","debug":1,"information":2}"#);
    }
    untouched(PayloadKind::Parameters, r#"{"system_prompt":"x"}"#);
}

#[test]
fn every_other_byte_stays() {
    let json = concat!(
        " { \"n\" : [ 1E2 , 1e+02, -0.0, 123456789012345678901234567890, 0.1000 ] ,\n",
        "\t\"s\":\"\\u0041\\/\\ud83d\\ude00\\ud83d\", \"n\":null, \"\":{ } } "
    );
    untouched(PayloadKind::Result, json);
    let secret = json.replace("\"\":", "\"pwd\":");
    let expected = secret.replace("{ }", "\"[redacted]\"");
    assert_eq!(Policy::default().redact(PayloadKind::Result, &secret).unwrap(), expected);
}

#[test]
fn a_key_is_read_as_it_is_meant() {
    assert_eq!(parameters(r#"{"p\u0061ssword":1}"#), r#"{"p\u0061ssword":"[redacted]"}"#);
    assert_eq!(parameters("{\"pass\u{200b}word\":1}"), "{\"pass\u{200b}word\":\"[redacted]\"}");
    assert_eq!(
        parameters(r#"{"password":1,"a":2,"password":3}"#),
        r#"{"password":"[redacted]","a":2,"password":"[redacted]"}"#
    );
    let key = "x".repeat(10_000);
    let long = parameters(&format!(r#"{{"{key}":1,"{key}_password":2}}"#));
    assert_eq!(long.matches("bytes cut]\":").count(), 2);
    assert!(long.ends_with(r#"bytes cut]":"[redacted]"}"#) && long.len() < 9_000);
}

#[test]
fn long_texts_and_lists_say_how_much_went() {
    let long = format!(r#"{{"q":"{}"}}"#, "y".repeat(5_000));
    let cut = parameters(&long);
    assert_eq!(cut, format!(r#"{{"q":"{}… [924 bytes cut]"}}"#, "y".repeat(4_076)));
    untouched(PayloadKind::Result, &long);
    let list = |items: usize| format!("[{}]", vec!["7"; items].join(","));
    untouched(PayloadKind::Result, &list(1_000));
    assert_eq!(
        redact(PayloadKind::Result, &list(1_001)),
        list(999).replace(']', r#","[2 items cut]"]"#)
    );
    let policy = Policy::builder().max_items(1).build().unwrap();
    let of_one = policy.redact(PayloadKind::Result, r#"[{"token":1},{"token":2}]"#).unwrap();
    assert_eq!(of_one, r#"["[2 items cut]"]"#);
    let policy = Policy::builder().max_items(2).build().unwrap();
    let of_two =
        policy.redact(PayloadKind::Result, r#"[{"token":1}, {"token":2}, {"token":3} ,4 ]"#);
    assert_eq!(of_two.unwrap(), r#"[{"token":"[redacted]"}, "[3 items cut]" ]"#);
}

#[test]
fn a_text_is_cut_between_characters() {
    let policy = Policy::builder().max_output(64).build().unwrap();
    for text in ["é", "日", "😀", r"\u00e9", r"\ud83d\ude00"] {
        let json = format!("\"{}\"", text.repeat(100));
        let cut = policy.redact(PayloadKind::Result, &json).unwrap();
        let text: String = serde_json::from_str(&cut).unwrap();
        assert!(text.ends_with(" bytes cut]") && text.len() <= 64 && !text.contains('\u{fffd}'));
    }
}

#[test]
fn local_paths_go_from_errors_with_the_name_of_the_user() {
    let json = r#"{"error":"no /home/alice/x or C:\\Users\\alice\\y","at":["/Users/alice/z"],"/home/alice":1}"#;
    let redacted = redact(PayloadKind::Error, json);
    assert_eq!(redacted, r#"{"error":"no [path] or [path]","at":["[path]"],"[path]":1}"#);
    let json =
        r#"{"file":"/home/alice/x","toolError":{"trace":["/home/alice/x"]},"stderr":"/home/a/b"}"#;
    let expected = r#"{"file":"/home/alice/x","toolError":{"trace":["[path]"]},"stderr":"[path]"}"#;
    for kind in [PayloadKind::Parameters, PayloadKind::Thinking, PayloadKind::Result] {
        assert_eq!(redact(kind, json), expected);
    }
    assert_eq!(redact(PayloadKind::Error, r#""file:///home/alice/x""#), r#""[path]""#);
}

#[test]
fn json_in_a_string_is_json() {
    assert_eq!(
        parameters(r#"{"arguments":"{\"password\":\"x\",\"n\":1E2}"}"#),
        r#"{"arguments":"{\"password\":\"[redacted]\",\"n\":1E2}"}"#
    );
    assert_eq!(
        redact(PayloadKind::Result, r#""[{\"debug_info\":1}]\n{\"token\":2}\n""#),
        r#""[{}]\n{\"token\":\"[redacted]\"}\n""#
    );
    // What is no JSON as a whole is text.
    untouched(
        PayloadKind::Result,
        r#"["{\"password\":\"x\"", "[1] and {\"token\":2}", "{password: x}"]"#,
    );
    untouched(PayloadKind::Result, r#"["{\"a\":[1, \"\\u0041\"]}", "[redacted]"]"#);
    assert_eq!(
        parameters(r#"{"a":"\"{\\\"password\\\":1}\""}"#),
        r#"{"a":"\"{\\\"password\\\":\\\"[redacted]\\\"}\""}"#
    );
    // A path may look like JSON's own escapes.
    assert_eq!(redact(PayloadKind::Error, r#""in \"C:\\new\" ""#), r#""in \"[path]\" ""#);
    assert_eq!(redact(PayloadKind::Error, r#""\"C:\\new\"""#), r#""\"[path]\"""#);
    // Without its paths it is JSON.
    assert_eq!(
        redact(PayloadKind::Error, r#""{\"password\":\"x\",\"f\":\"C:\\Users\\x\"}""#),
        r#""{\"password\":\"[redacted]\",\"f\":\"[path]\"}""#
    );
}

#[test]
fn json_in_a_string_may_be_written_as_python_and_windows_write_it() {
    for number in ["NaN", "Infinity", "-Infinity"] {
        let json = |secret: &str| {
            let inner = format!(r#"{{"score": {number}, "rows": [{number}], "token": {secret}}}"#);
            format!("[{}]", serde_json::to_string(&inner).unwrap())
        };
        assert_eq!(parameters(&json("1")), json(r#""[redacted]""#));
        // Outside of a string it is no JSON, and the client could not read it.
        assert!(Policy::default().redact(PayloadKind::Result, number).is_err());
    }
    let marked = |secret: &str| format!("[\"\u{feff}{{\\\"token\\\":{secret}}}\"]");
    assert_eq!(parameters(&marked("1")), marked(r#"\"[redacted]\""#));
    untouched(PayloadKind::Result, r#"["{NaN}", "[Infinit]", "{\"token\": -NaN}"]"#);
}

#[test]
fn strings_in_strings_are_looked_into_as_deep_as_is_promised() {
    let nested = |levels: usize, json: &str| {
        (0..levels)
            .fold(json.to_owned(), |json, _| format!("[{}]", serde_json::to_string(&json).unwrap()))
    };
    for levels in 0..=MAX_NESTING {
        let json = nested(levels, r#"{"password":"x","a":1}"#);
        assert_eq!(parameters(&json), nested(levels, r#"{"password":"[redacted]","a":1}"#));
        untouched(PayloadKind::Parameters, &nested(levels, r#"{"a":1}"#));
    }
    let deeper = parameters(&nested(MAX_NESTING + 1, r#"{"a":1}"#));
    assert_eq!(deeper, nested(MAX_NESTING, r#"["[redacted]"]"#));
}

#[test]
fn depth_is_bounded() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    untouched(PayloadKind::Result, &deep(MAX_DEPTH));
    for depth in [MAX_DEPTH + 1, 1_000_000] {
        let json = deep(depth);
        let refused = Policy::default().redact(PayloadKind::Result, &json);
        assert_eq!(refused, Err(Error::TooDeep { at: MAX_DEPTH }));
    }
    let in_a_string = format!("[\"{}\"]", deep(MAX_DEPTH));
    assert_eq!(redact(PayloadKind::Result, &in_a_string), r#"["[redacted]"]"#);
    let below_a_secret = format!("{{\"token\":{}}}", deep(MAX_DEPTH));
    assert!(Policy::default().redact(PayloadKind::Result, &below_a_secret).is_err());
}

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    for (json, at) in [
        ("", 0),
        ("{", 1),
        ("{\"a\"}", 4),
        ("[1,]", 3),
        ("01", 1),
        ("1 2", 2),
        ("\"\n\"", 1),
        ("\"\\x\"", 1),
        ("\"\\u12\"", 1),
        ("nul", 0),
        ("{\"a\":1,}", 7),
        ("+1", 0),
        ("1.", 2),
        ("é", 0),
    ] {
        let refused = Policy::default().redact(PayloadKind::Result, json);
        assert_eq!(refused, Err(Error::Malformed { at }), "{json}");
    }
}

#[test]
fn the_time_grows_with_the_length() {
    // Each of these would take minutes at this length if a part of it were read again and again.
    let length = 1 << 20;
    let fill = |piece: &str| piece.repeat(length / piece.len());
    let of_errors = [
        fill("/home/a b/c "),
        fill("'/home/a "),
        fill("a'C:\\\\x"),
        fill("C:\\\\Users\\\\A B "),
        fill("https://"),
        fill(":"),
        fill("(/home/"),
        fill("/home/a,"),
        fill("\\\""),
        fill("[{"),
    ];
    let mut texts: Vec<String> = of_errors.iter().map(|text| format!("\"{text}\"")).collect();
    texts.push(format!("[{}]", fill("\"[[[\",").trim_end_matches(',')));
    texts.push(format!("{{\"{}\":1}}", fill("aB_")));
    texts.push(format!("{{{}}}", fill("\"debug_info\":1,").trim_end_matches(',')));
    texts.push(format!("[{}]", fill("{\"token\":[1,2]},").trim_end_matches(',')));
    texts.push(
        serde_json::to_string(&format!("[{}]", fill("\"[1]\",").trim_end_matches(','))).unwrap(),
    );
    for text in texts {
        let began = Instant::now();
        let redacted = Policy::default().redact(PayloadKind::Error, &text);
        let took = began.elapsed();
        assert!(redacted.is_ok() && took < Duration::from_secs(5), "{took:?}: {:.60}", text);
    }
}
