//! The JavaScript client as the gateway serves it, in a real browser where there is one.

mod common;

use common::{Server, request};

#[test]
fn the_module_can_be_loaded_by_pages_of_this_machine() {
    let server = Server::start();
    let origin = [("origin", "http://localhost:3000")];
    let answer = request(server.admin, "GET", "/client.js", &origin, "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/javascript; charset=utf-8"), "{answer:?}");
    assert!(answer.head.contains("access-control-allow-origin: *"), "{answer:?}");
    assert_eq!(answer.body, include_str!("../../../clients/js/headcount.js"));
    let foreign = [("origin", "https://example.com")];
    assert_eq!(request(server.admin, "GET", "/client.js", &foreign, "").status, 403);
}
