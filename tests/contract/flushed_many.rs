//! Many reports of what kernels took, in one input.

use headcount::{ConnId, Intake, Timestamp, UnknownConn};

use crate::support::{World, config, ms, text_of_cost};

/// Connections whose windows take ten messages of a cost of 100.
fn world(names: &[&str]) -> (World, Vec<ConnId>) {
    let mut world = World::with(config().send_window(1_000).reply_reserve(200));
    let conns = names.iter().map(|name| world.open(name, "main")).collect();
    (world, conns)
}

/// What is answered to each report, in their order.
fn report(
    world: &mut World,
    reports: &[(ConnId, u64)],
) -> Vec<(ConnId, Result<bool, UnknownConn>)> {
    let mut answers = Vec::new();
    let answer = |conn, answer| answers.push((conn, answer));
    world.registry.flushed_many(world.now, reports, answer);
    world.check();
    answers
}

#[test]
fn each_report_is_answered_in_its_order_as_if_it_were_alone() {
    let (mut world, conns) = world(&["alice", "bob", "carol"]);
    let [alice, bob, carol] = conns[..] else { unreachable!() };
    for conn in [alice, bob] {
        for _ in 0..11 {
            world.tell_conn(conn, &text_of_cost(100));
        }
    }
    world.drain();
    assert_eq!(world.data(alice), Intake::Paused);
    assert_eq!(world.data(bob), Intake::Paused);
    let answers = report(&mut world, &[(bob, 599), (carol, 0), (alice, 600)]);
    assert_eq!(answers, [(bob, Ok(false)), (carol, Ok(true)), (alice, Ok(true))]);
    let load = |conn| world.registry.connection(conn).unwrap().load();
    assert_eq!((load(alice), load(bob), load(carol)), (500, 501, 0));
}

#[test]
fn a_dead_handle_is_an_answer_and_the_reports_behind_it_count() {
    let (mut world, conns) = world(&["alice", "bob"]);
    let [alice, bob] = conns[..] else { unreachable!() };
    world.tell_conn(bob, &text_of_cost(100));
    world.hang_up(alice);
    world.drain();
    let answers = report(&mut world, &[(alice, u64::MAX), (bob, 100)]);
    assert_eq!(answers, [(alice, Err(UnknownConn)), (bob, Ok(true))]);
    assert_eq!(world.registry.connection(bob).unwrap().load(), 0);
}

#[test]
fn a_connection_that_is_reported_twice_has_the_larger_total() {
    let (mut world, conns) = world(&["alice"]);
    let alice = conns[0];
    world.tell_conn(alice, &text_of_cost(100));
    world.drain();
    let answers = report(&mut world, &[(alice, 70), (alice, 30)]);
    assert_eq!(answers, [(alice, Ok(true)), (alice, Ok(true))]);
    assert_eq!(world.registry.connection(alice).unwrap().flushed(), 70);
}

#[test]
fn those_that_were_behind_go_on_in_the_order_of_the_reports() {
    let (mut world, conns) = world(&["alice", "bob"]);
    let [alice, bob] = conns[..] else { unreachable!() };
    for conn in [alice, bob] {
        for _ in 0..20 {
            world.tell_session(conn, &text_of_cost(100));
        }
    }
    world.drain();
    report(&mut world, &[(bob, 1_000), (alice, 1_000)]);
    let first = world.step().expect("there is room again");
    assert_eq!(first.to, [bob]);
    world.drain();
    assert_eq!((world.handed(alice), world.handed(bob)), (2_000, 2_000));
}

#[test]
fn it_takes_one_stamp_also_without_a_report() {
    let (mut world, conns) = world(&["alice", "bob"]);
    world.now += ms(10);
    assert_eq!(report(&mut world, &[]), []);
    world.now = Timestamp::from_nanos(world.now.as_nanos() - 1);
    let late = world.registry.stats().late_stamps;
    report(&mut world, &[(conns[0], 0), (conns[1], 0)]);
    assert_eq!(world.registry.stats().late_stamps, late + 1);
}
