//! Tests of a chat in virtual time: a night of heartbeats, a tunnel, and a client that never reads.
//! Each takes milliseconds. `cargo run --example virtual_time_test`

use std::error::Error;
use std::time::Duration;

use headcount::*;
use headcount_testkit::{Event, Received, Testkit};

/// The application: everyone is in the lobby, and what one says the others read.
fn chat(registry: &mut Registry, now: Timestamp, event: Event) {
    let lobby = RoomId::new("lobby").expect("a valid name");
    match event {
        Event::Admitted(conn, _) => drop(registry.join(now, conn, &lobby, Start::Now)),
        Event::Message(conn, said) => {
            registry.send(now, Target::Room(&lobby), said.except_connection(conn));
        }
        _ => {}
    }
}

fn who(user: &str) -> Result<Principal, IdError> {
    Ok(Principal::new(UserId::new(user)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    // A night: those who answer their pings are still there in the morning.
    let mut kit = Testkit::new(Config::new(1), chat);
    let (alice, bob) = (kit.admit(who("alice")?)?, kit.admit(who("bob")?)?);
    kit.pass(Duration::from_secs(8 * 3_600));
    assert!(kit.is_open(alice) && kit.is_open(bob));
    kit.say(alice, "good morning");
    assert_eq!(kit.read(bob), ["good morning"]);

    // A tunnel: bob answers nothing, and is closed after the ping and its timeout, not before.
    kit.fall_silent(bob);
    kit.pass(Duration::from_secs(10));
    assert!(kit.is_open(bob));
    kit.pass(Duration::from_secs(40));
    assert!(!kit.is_open(bob));
    let reads = kit.read(bob);
    assert!(matches!(reads[..], [Received::Closed { reason: CloseReason::PongTimeout, .. }]));

    // A client that never reads is closed alone, and costs the others nothing.
    let (carol, stuck) = (kit.admit(who("carol")?)?, kit.admit(who("stuck")?)?);
    kit.stall(stuck);
    for number in 0..100 {
        kit.say(alice, format!("line {number}"));
        kit.pass(Duration::from_millis(200));
    }
    assert_eq!(kit.read(carol).len(), 100);
    assert!(!kit.is_open(stuck) && kit.is_open(carol));

    // Everything ends, and the count is right.
    kit.finish();
    println!("a night, a tunnel and a stuck reader: all as they should be");
    Ok(())
}
