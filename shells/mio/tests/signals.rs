//! Signals. Alone in its process, because signals are for all of it.

mod common;

use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use headcount_mio::Options;
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;
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

    // A SIGHUP stops it too, unless the handler has another use for it. The others don't kill it.
    let server = TestServer::bind(config(), Options::new().signals(true)).run();
    let mut client = Client::admitted(server.address, "alice");
    for signal in [SIGUSR1, SIGUSR2, SIGXFSZ] {
        raise(signal).unwrap();
        client.say("still here?");
        assert_eq!(client.text(), "still here?");
    }
    raise(SIGHUP).unwrap();
    client.expect_drain();
    drop(client);
    server.join().unwrap();
}

/// A wait for events is interrupted by any signal that the loop's thread gets.
#[test]
fn a_signal_that_is_somebody_elses_business_interrupts_nothing() {
    let caught = Arc::new(AtomicBool::new(false));
    flag::register(SIGUSR1, Arc::clone(&caught)).unwrap();
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    for round in 0..200 {
        pthread_kill(server.thread().as_pthread_t(), Signal::SIGUSR1).unwrap();
        if round % 10 == 0 {
            client.say("still here?");
            assert_eq!(client.text(), "still here?");
        }
    }
    assert!(caught.load(Ordering::Relaxed));
    server.handle.stop();
    client.expect_drain();
    drop(client);
    server.join().unwrap();
}
