//! SIGTERM. Alone in its process, because signals are for all of it.

mod common;

use common::*;
use headcount_mio::Options;
use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

#[test]
fn sigterm_stops_and_a_second_one_does_not_wait() {
    let server = TestServer::bind(config(), Options::new().signals(true)).run();
    let mut client = Client::admitted(server.address, "alice");
    raise(SIGTERM).unwrap();
    client.expect_drain();
    client.send(&frame(CLOSE, &close_payload(1012)));
    client.expect_end();
    drop(client);
    server.join().unwrap();

    let server = TestServer::bind(config(), Options::new().signals(true)).run();
    let mut client = Client::admitted(server.address, "alice");
    raise(SIGTERM).unwrap();
    client.expect_drain();
    raise(SIGTERM).unwrap();
    server.join().unwrap();
    client.expect_dropped();
}
