//! `GET /openapi.json`: the document is about the calls as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::common::{Answer, File, Server, headcount, request};

/// A connection and a session that there are not.
const HANDLE: &str = "0000000000000001.00000001000000ff";

/// Every call, and the scope that it needs.
const CALLS: [(&str, &str, Option<&str>); 25] = [
    ("get", "/", None),
    ("get", "/livez", None),
    ("get", "/client.js", None),
    ("get", "/openapi.json", None),
    ("get", "/readyz", None),
    ("get", "/metrics", Some("read")),
    ("get", "/v1/stats", Some("read")),
    ("get", "/v1/connections", Some("read")),
    ("get", "/v1/connections/{id}", Some("read")),
    ("get", "/v1/sessions", Some("read")),
    ("get", "/v1/sessions/{id}", Some("read")),
    ("get", "/v1/closed", Some("read")),
    ("get", "/v1/runs", Some("read")),
    ("get", "/v1/runs/{run}", Some("read")),
    ("post", "/v1/publish", Some("publish")),
    ("post", "/v1/runs", Some("publish")),
    ("post", "/v1/runs/{run}/events", Some("publish")),
    ("post", "/v1/join", Some("publish")),
    ("post", "/v1/leave", Some("publish")),
    ("post", "/v1/close", Some("operate")),
    ("post", "/v1/revoke", Some("operate")),
    ("post", "/v1/drain", Some("operate")),
    ("delete", "/v1/drain", Some("operate")),
    ("post", "/v1/check", Some("operate")),
    ("post", "/v1/reload", Some("operate")),
];

fn document(server: &Server) -> Value {
    let answer = server.get("/openapi.json");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    answer.json()
}

/// The operations of a document: method, path, and what it says.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(|(method, it)| (&**method, &**path, it))
        })
        .collect()
}

/// The forms that a body can have.
fn forms(operation: &Value) -> Vec<Value> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match schema.get("oneOf") {
        Some(Value::Array(forms)) if schema.get("type").is_none() => forms.clone(),
        _ if schema.is_null() => Vec::new(),
        _ => vec![schema.clone()],
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().map_or(Vec::new(), |list| list.iter().map(|it| it.as_str().unwrap()).collect())
}

/// Objects of a form: with one set each of the fields that exclude each other, and all other fields.
fn objects(form: &Value) -> Vec<Map<String, Value>> {
    let properties = form["properties"].as_object().unwrap();
    let sets: Vec<Vec<&str>> = match form.get("oneOf") {
        Some(sets) => sets.as_array().unwrap().iter().map(|it| names(&it["required"])).collect(),
        None => vec![Vec::new()],
    };
    let exclusive: BTreeSet<&str> = sets.iter().flatten().copied().collect();
    let mut objects = Vec::new();
    for set in &sets {
        let mut all = vec![Map::new()];
        for (name, schema) in properties {
            if exclusive.contains(&**name) && !set.contains(&&**name) {
                continue;
            }
            let values = values(name, schema);
            all = all
                .iter()
                .flat_map(|object| {
                    values.iter().map(|value| {
                        let mut object = object.clone();
                        object.insert(name.clone(), value.clone());
                        object
                    })
                })
                .collect();
        }
        objects.append(&mut all);
    }
    objects
}

/// Values of a field.
fn values(name: &str, schema: &Value) -> Vec<Value> {
    if let Some(value) = schema.get("const") {
        return vec![value.clone()];
    }
    match schema["type"].as_str() {
        // Only the class that has a key goes with one.
        _ if name == "class" => vec![json!("latest")],
        _ if name == "connection" => vec![json!(HANDLE)],
        Some("string") => vec![json!("x")],
        Some("integer") => {
            ["minimum", "maximum"].iter().filter_map(|bound| schema.get(*bound).cloned()).collect()
        }
        Some("object") => objects(schema).into_iter().map(Value::Object).collect(),
        _ if schema.get("enum").is_some() => schema["enum"].as_array().unwrap().clone(),
        _ => vec![json!({ "any": [1] })],
    }
}

fn address(path: &str) -> String {
    path.replace("{id}", HANDLE).replace("{run}", "r")
}

/// What the query of a call needs, such as `user=a`; empty: nothing.
fn needed(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let needed = parameters.filter(|it| it["in"] == "query" && it["required"] == json!(true));
    needed.map(|it| format!("{}=a", it["name"].as_str().unwrap())).collect::<Vec<_>>().join("&")
}

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    request(server.admin, &method.to_ascii_uppercase(), path, &headers, &body.to_string())
}

#[test]
fn the_document_has_every_call_with_its_scope_and_nothing_else() {
    let server = Server::start();
    let document = document(&server);
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeMap::new();
    for (method, path, operation) in operations(&document) {
        let security = operation["security"].as_array().unwrap();
        let scope = security.first().map(|it| it["key"][0].as_str().unwrap());
        found.insert((method, path), scope);
        let answer = send(&server, method, &address(path), &json!({ "of no call": 1 }));
        assert_ne!(answer.status, 405, "{method} {path}");
        assert!(answer.status != 404 || answer.code() != "unknown_route", "{method} {path}");
        let parameters = operation["parameters"].as_array().unwrap().iter();
        let in_path: Vec<String> = parameters
            .filter(|it| it["in"] == "path")
            .map(|it| format!("{{{}}}", it["name"].as_str().unwrap()))
            .collect();
        let segments: Vec<&str> = path.split('/').filter(|it| it.starts_with('{')).collect();
        assert_eq!(in_path, segments, "{path}");
    }
    let expected: BTreeMap<_, _> =
        CALLS.into_iter().map(|(method, path, scope)| ((method, path), scope)).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_document_is_open_and_the_same_with_keys() {
    let plain = Server::start();
    let file = File::new("admin publish,read,operate key-of-everything-0123456789\n");
    let path = format!("auth.admin_keys_file={}", file.path().display());
    let keyed = Server::with(&[&path]);
    assert_eq!(document(&plain), document(&keyed));
}

#[test]
fn a_documented_body_is_taken_and_no_other() {
    let document = document(&Server::start());
    let mut bodies = 0;
    for (method, path, operation) in operations(&document) {
        // Some calls change what the next would find.
        let server = Server::start();
        let address = format!("{}?{}", address(path), needed(operation));
        let address = address.trim_end_matches('?').to_owned();
        let send = |body: &Value| send(&server, method, &address, body);
        for form in forms(operation) {
            let required = names(&form["required"]);
            for object in objects(&form) {
                let whole = Value::Object(object.clone());
                let answer = send(&whole);
                assert_ne!(answer.status, 400, "{path} {whole}: {answer:?}");
                bodies += 1;
                let mut more = whole.clone();
                more["undocumented"] = json!(1);
                let answer = send(&more);
                if form["additionalProperties"] == json!(true) {
                    assert_ne!(answer.status, 400, "{path} {more}: {answer:?}");
                } else {
                    assert_eq!(answer.status, 400, "{path} {more}");
                    assert!(answer.body.contains("is not a field"), "{path} {more}: {answer:?}");
                }
                let exclusive: Vec<&str> = form["oneOf"].as_array().map_or(Vec::new(), |sets| {
                    sets.iter().flat_map(|it| names(&it["required"])).collect()
                });
                for name in object.keys() {
                    let mut less = object.clone();
                    less.remove(name);
                    let less = Value::Object(less);
                    let answer = send(&less);
                    if required.contains(&&**name) {
                        assert_eq!(answer.status, 400, "{path} {less}: {answer:?}");
                        assert!(answer.body.contains(&format!("{name} is missing")), "{answer:?}");
                    } else if exclusive.contains(&&**name) {
                        assert_eq!(answer.status, 400, "{path} {less}: {answer:?}");
                    } else if !["class", "key", "code"].contains(&&**name) {
                        assert_ne!(answer.status, 400, "{path} {less}: {answer:?}");
                    }
                }
                if let Some(Value::Object(to)) = object.get("to") {
                    let (mut more, mut to) = (whole.clone(), to.clone());
                    to.insert("undocumented".to_owned(), json!(1));
                    more["to"] = to.into();
                    let answer = send(&more);
                    assert_eq!(answer.status, 400, "{path} {more}");
                    assert!(answer.body.contains("is not a field"), "{path} {more}: {answer:?}");
                }
            }
        }
        let none = request(
            server.admin,
            &method.to_ascii_uppercase(),
            &address,
            &[("content-type", "application/json")],
            "",
        );
        let needs_body = operation["requestBody"]["required"] == json!(true);
        assert_eq!(none.status == 400, needs_body, "{method} {path}: {none:?}");
    }
    assert!(bodies > 25, "{bodies}");
}

#[test]
fn a_documented_query_is_taken_and_no_other() {
    let server = Server::start();
    let document = document(&server);
    let mut taken = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let ask = |query: &str| {
            let needed = needed(operation);
            let more = if needed.is_empty() || query == needed { "" } else { "&" };
            let needed = if query == needed { "" } else { &needed };
            let path = format!("{}?{query}{more}{needed}", address(path));
            let headers = [("content-type", "application/json")];
            request(server.admin, &method.to_ascii_uppercase(), &path, &headers, "")
        };
        let answer = ask("undocumented=1");
        if operation["responses"].get("400").is_some() {
            assert_eq!((answer.status, &*answer.code()), (400, "bad_query"), "{method} {path}");
        } else {
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        }
        for parameter in operation["parameters"].as_array().unwrap() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let values = match name {
                "cursor" => vec![json!("10000001f")],
                _ => values(name, &parameter["schema"]),
            };
            for value in values {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let value =
                    if parameter["required"] == json!(true) { "a".to_owned() } else { value };
                let answer = ask(&format!("{name}={value}"));
                assert_ne!(answer.status, 400, "{path} {name}={value}: {answer:?}");
            }
            taken.insert((path, name));
        }
    }
    assert_eq!(taken.len(), 12, "{taken:?}");
}

/// What an answer has that its schema forbids, or does not name though it names others.
fn check(schema: &Value, value: &Value, place: &str) {
    if let Some(expected) = schema.get("const") {
        assert_eq!(value, expected, "{place}");
    }
    match schema["type"].as_str() {
        Some("string") => assert!(value.is_string(), "{place}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        Some("integer") => assert!(value.is_u64(), "{place}: {value}"),
        Some("array") => {
            for entry in value.as_array().expect(place) {
                check(&schema["items"], entry, place);
            }
        }
        Some("object") => {
            let object = value.as_object().expect(place);
            for name in names(&schema["required"]) {
                assert!(object.contains_key(name), "{place}: {value} lacks {name}");
            }
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            for (name, value) in object {
                match properties.get(name) {
                    Some(schema) => check(schema, value, &format!("{place} {name}")),
                    None => assert!(properties.is_empty(), "{place}: {name} is not documented"),
                }
            }
            if let Some(Value::Array(sets)) = schema.get("oneOf") {
                let has = |set: &Value| names(set).iter().all(|name| object.contains_key(*name));
                let met = sets.iter().filter(|set| {
                    let others = set["not"]["anyOf"].as_array().unwrap();
                    has(&set["required"]) && !others.iter().any(|other| has(&other["required"]))
                });
                assert_eq!(met.count(), 1, "{place}: {value}");
            }
        }
        _ => {}
    }
}

#[test]
fn answers_are_as_the_document_has_them() {
    let settings = File::new("");
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(settings.path());
    let server = Server::run(command);
    let document = document(&server);
    let client = server.connect("user=a&thread=t");
    let session = server.get("/v1/sessions").json()["sessions"][0]["session"].clone();
    // Where one is to be found, it is one that is there.
    let address = |path: &str, status: u16| match path {
        "/v1/connections/{id}" if status == 200 => path.replace("{id}", client.connection()),
        "/v1/sessions/{id}" if status == 200 => path.replace("{id}", session.as_str().unwrap()),
        _ => address(path),
    };
    let run = json!({ "user": "a", "thread": "t", "run": "r", "agent": "g" });
    let mut called = BTreeSet::new();
    for (method, path, body, status) in [
        ("post", "/v1/publish", json!({ "to": { "user": "a" }, "data": 1 }), 200),
        ("post", "/v1/publish", json!({ "to": { "everyone": true }, "data": 1 }), 200),
        ("post", "/v1/publish", json!({ "to": { "user": "" }, "data": 1 }), 400),
        ("post", "/v1/runs", run.clone(), 201),
        ("post", "/v1/runs", run, 409),
        ("post", "/v1/runs/{run}/events", json!({ "user": "a", "event": "progress" }), 200),
        ("post", "/v1/join", json!({ "user": "a", "room": "x" }), 200),
        ("post", "/v1/join", json!({ "user": "a", "room": "user:b" }), 200),
        ("get", "/v1/stats", Value::Null, 200),
        ("get", "/v1/connections", Value::Null, 200),
        ("get", "/v1/connections?limit=1", Value::Null, 200),
        ("get", "/v1/connections/{id}", Value::Null, 200),
        ("get", "/v1/connections/{id}", Value::Null, 404),
        ("get", "/v1/sessions", Value::Null, 200),
        ("get", "/v1/sessions/{id}", Value::Null, 200),
        ("get", "/v1/sessions/{id}", Value::Null, 404),
        ("get", "/v1/runs?user=a", Value::Null, 200),
        ("get", "/v1/runs", Value::Null, 400),
        ("get", "/v1/runs/{run}?user=a", Value::Null, 200),
        ("get", "/v1/runs/{run}?user=b", Value::Null, 404),
        ("get", "/livez", Value::Null, 200),
        ("get", "/readyz", Value::Null, 200),
        ("post", "/v1/leave", json!({ "user": "a", "room": "x" }), 200),
        ("post", "/v1/check", json!({}), 200),
        ("post", "/v1/reload?dry_run=1", json!({}), 200),
        ("post", "/v1/close", json!({ "to": { "user": "unknown" } }), 200),
        ("post", "/v1/revoke", json!({ "user": "unknown" }), 200),
        ("post", "/v1/revoke", json!({ "token_id": "x" }), 409),
        ("post", "/v1/revoke", json!({ "user": "a" }), 200),
        ("get", "/v1/closed", Value::Null, 200),
        ("post", "/v1/drain", json!({}), 200),
        ("get", "/readyz", Value::Null, 503),
        ("delete", "/v1/drain", Value::Null, 200),
        ("get", "/openapi.json", Value::Null, 200),
    ] {
        let answer = match &body {
            Value::Null => {
                let path = address(path, status);
                request(server.admin, &method.to_ascii_uppercase(), &path, &[], "")
            }
            body => send(&server, method, &address(path, status), body),
        };
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let path = path.split('?').next().unwrap();
        let operation = &document["paths"][path][method];
        let mut response = &operation["responses"][status.to_string()];
        if let Some(reference) = response.get("$ref") {
            assert_eq!(reference, "#/components/responses/Problem");
            response = &document["components"]["responses"]["Problem"];
        }
        let mut schema = &response["content"]["application/json"]["schema"];
        if let Some(reference) = schema.get("$ref") {
            assert_eq!(reference, "#/components/schemas/Problem");
            schema = &document["components"]["schemas"]["Problem"];
        }
        assert_eq!(schema["type"], "object", "{method} {path} {status}");
        check(schema, &answer.json(), path);
        called.insert((method, path));
    }
    for (method, path, operation) in operations(&document) {
        let success = ["200", "201"].iter().find_map(|it| operation["responses"].get(it)).unwrap();
        if success["content"].get("application/json").is_some() {
            assert!(called.contains(&(method, path)), "{method} {path} is not checked");
        } else {
            let kind = success["content"].as_object().unwrap().keys().next().unwrap();
            let answer = server.get(path);
            assert!(answer.head.contains(&format!("content-type: {kind}")), "{answer:?}");
        }
    }
}
