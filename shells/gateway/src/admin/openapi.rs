//! `GET /openapi.json`: the calls of the admin port as an OpenAPI 3.1 document, made of the tables that
//! the router and the decoders use, and that answers are written by. What the tables do not know is a plain
//! object, and is said to be.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use axum::response::Response;
use headcount::MAX_ID_BYTES;
use headcount_protocol::admin::form::{Field, Form, Shape};
use serde_json::{Map, Value, json};

use super::call::{Answer, Body, Call};
use super::http::access::Access;
use super::idempotency;
use super::routes::{Queries, ROUTES, Route};

pub(super) static CALL: Call = Call {
    name: "openapi",
    says: "This document.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&Form::open(&[])),
    refusals: &[],
};

/// What all refusals are.
static PROBLEM: Form = Form::open(&[Field::needed(
    "error",
    Shape::Nested(&Form::open(&[
        Field::needed("error.code", Shape::Text, "What is wrong, for programs: stable."),
        Field::needed("error.message", Shape::Text, "What is wrong and what to do, for people."),
    ])),
    "",
)]);

pub(super) async fn show() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    super::json(DOCUMENT.get_or_init(|| document().to_string()).clone())
}

fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.name().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "headcount: admin port",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A back end publishes here, and people look and operate. A body is one JSON \
                object. A field or a query that a call does not know is refused.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": { "Problem": object(&PROBLEM) },
            "responses": { "Problem": {
                "description": "The call is refused; `error.code` says why.",
                "content": content(json!({ "$ref": "#/components/schemas/Problem" })),
            } },
            "securitySchemes": { "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "An admin key with the scope that the call names. A server without \
                    admin keys asks for none.",
            } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let call = route.call;
    let (status, success) = match call.answer {
        Answer::Json(form) => ("200", content(object(form))),
        Answer::Created(form) => ("201", content(object(form))),
        Answer::Text(kind) => ("200", json!({ kind: { "schema": { "type": "string" } } })),
    };
    let mut responses = Map::new();
    responses.insert(status.into(), json!({ "description": "Done.", "content": success }));
    let refused = json!({ "$ref": "#/components/responses/Problem" });
    for status in refusals(route) {
        responses.insert(status.to_string(), refused.clone());
    }
    responses.insert("default".into(), refused);
    let security = match route.access {
        Access::Open => json!([]),
        Access::Scope(scope) => json!([{ "key": [scope.name()] }, {}]),
    };
    let mut operation = json!({
        "operationId": call.name,
        "description": call.says,
        "security": security,
        "parameters": parameters(route),
        "responses": responses,
    });
    let body = match call.body {
        Body::None => return operation,
        Body::Object(form) => json!({ "required": true, "content": content(object(form)) }),
        Body::MayBeEmpty(form) => json!({
            "required": false,
            "description": "May be empty. The content type is required all the same.",
            "content": content(object(form)),
        }),
        Body::OneOf(forms) => {
            let forms: Vec<Value> = forms.iter().map(object).collect();
            json!({ "required": true, "content": content(json!({ "oneOf": forms })) })
        }
    };
    operation["requestBody"] = body;
    operation
}

/// The statuses of a call's refusals.
fn refusals(route: &Route) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = route.call.refusals.iter().copied().collect();
    // The host or the page is not served, or the key lacks the scope.
    statuses.insert(403);
    if route.access != Access::Open {
        // The second: the loop has no room for more, or the server stops.
        statuses.extend([401, 503]);
    }
    if !matches!(route.queries, Queries::Anything) {
        statuses.insert(400);
    }
    if !matches!(route.call.body, Body::None) {
        statuses.extend([400, 408, 413, 415]);
    }
    if route.call.once {
        statuses.insert(422);
    }
    statuses
}

fn parameters(route: &Route) -> Value {
    let mut parameters = Vec::new();
    for segment in route.path.split('/') {
        if let Some(name) = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            let schema = json!({ "type": "string", "minLength": 1 });
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
    }
    if let Queries::Own(fields) = route.queries {
        parameters.extend(fields.iter().map(|field| {
            let (name, required) = (field.name, field.needed);
            json!({
                "name": name,
                "in": "query",
                "required": required,
                "description": field.says,
                "schema": value(field.shape),
            })
        }));
    }
    if route.call.once {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "Of two requests with the same key and body one is done, and both get its \
                answer. Visible ASCII characters.",
            "schema": { "type": "string", "minLength": 1, "maxLength": idempotency::MAX_KEY },
        }));
    }
    Value::Array(parameters)
}

fn content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn object(form: &Form) -> Value {
    let mut properties = Map::new();
    for field in form.fields {
        let mut schema = value(field.shape);
        if !field.says.is_empty() {
            schema["description"] = field.says.into();
        }
        properties.insert(field.own_name().into(), schema);
    }
    let needed: Vec<_> =
        form.fields.iter().filter(|field| field.needed).map(Field::own_name).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": form.is_open,
    });
    if !form.one_of.is_empty() {
        let alone = |set: &&[&str]| {
            let others: Vec<_> = form
                .fields
                .iter()
                .filter(|field| !field.needed && !set.contains(&field.own_name()))
                .filter(|field| form.one_of.iter().any(|set| set.contains(&field.own_name())))
                .map(|field| json!({ "required": [field.own_name()] }))
                .collect();
            json!({ "required": set, "not": { "anyOf": others } })
        };
        schema["oneOf"] = form.one_of.iter().map(alone).collect();
    }
    schema
}

fn value(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        // The bound is of bytes: no text of more characters has so few.
        Shape::Id => json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES }),
        Shape::Exactly(text) => json!({ "const": text }),
        Shape::Among(texts) => json!({ "enum": texts }),
        Shape::Between(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::AtLeast(least) => json!({ "type": "integer", "minimum": least }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Yes => json!({ "const": true }),
        Shape::Any => json!({}),
        Shape::Plain => json!({ "type": "object", "additionalProperties": true }),
        Shape::Nested(form) => object(form),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::List(form) => json!({ "type": "array", "items": object(form) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_calls_have_one_name() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.call.name).collect();
        assert_eq!(names.len(), ROUTES.len());
    }
}
