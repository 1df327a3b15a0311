//! `upgrade_queries.json`.

use headcount::Start;
use headcount_protocol::handles::show_connection;
use headcount_protocol::identity::{Identity, from_query};
use serde_json::{Map, Value, json};

use crate::{INSTANCE, cases, put, put_position, text};

fn fields(Identity { who, start, previous }: &Identity) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "user", who.user().as_str());
    let thread = who.thread().map(|thread| thread.as_str());
    thread.into_iter().for_each(|thread| put(&mut fields, "thread", thread));
    match start {
        Start::After(position) => put_position(&mut fields, *position),
        Start::Run(run) => put(&mut fields, "run", run.as_str()),
        Start::Recent => put(&mut fields, "recent", true),
        Start::OpenRuns => {}
        other => panic!("no query begins with {other:?}"),
    }
    let previous = previous.map(|conn| show_connection(INSTANCE, conn));
    previous.into_iter().for_each(|previous| put(&mut fields, "previous", previous));
    fields.into()
}

#[test]
fn queries_of_upgrades_are_decoded() {
    for case in cases("upgrade_queries.json") {
        match from_query(text(&case, "query"), INSTANCE) {
            Ok(identity) => assert_eq!(fields(&identity), case["fields"], "{case}"),
            Err(problem) => {
                let error = json!({"status": problem.status(), "code": problem.code()});
                assert_eq!(error, case["error"], "{case}");
            }
        }
    }
}
