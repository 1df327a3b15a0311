//! What a client waits for while others send as much as they can.

use super::*;

/// Clients with this much unread input each.
fn flooders(rig: &mut Rig, clients: usize, input: &[u8]) -> Vec<(ConnId, Fake)> {
    let flooders: Vec<_> = (0..clients).map(|_| rig.open()).collect();
    for (conn, fake) in &flooders {
        fake.0.borrow_mut().input.extend(input);
        rig.stir(*conn);
    }
    flooders
}

fn unread(flooders: &[(ConnId, Fake)]) -> usize {
    flooders.iter().map(|(_, fake)| fake.0.borrow().input.len()).sum()
}

fn pongs(flooders: &[(ConnId, Fake)]) -> usize {
    flooders.iter().map(|(_, fake)| frames_of(&fake.0.borrow().output).len()).sum()
}

#[test]
fn a_quiet_client_waits_for_one_turn_however_many_flood_pings() {
    const CLIENTS: usize = 1_000;
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let flooders = flooders(&mut rig, CLIENTS, &frame(0x89, b"").repeat(500));
    // At first nobody is known to want more: it waits for each of them, eight steps, and for no more
    // of those that had their share.
    rig.assert_served_within(2 * CLIENTS * 8 / READ.steps + 1, &neighbour);
    while flooders.iter().any(|(_, fake)| frames_of(&fake.0.borrow().output).is_empty()) {
        rig.turn();
    }
    // Now they are known to want more, and it need not wait for them.
    for _ in 0..100 {
        let before = pongs(&flooders);
        rig.assert_served(&neighbour);
        let answered = pongs(&flooders) - before;
        assert!((1..=READ.steps).contains(&answered), "{answered} in one turn");
    }
}

#[test]
fn a_turn_reads_so_many_bytes_of_large_messages() {
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let message = frame(0x82, &[7; 60_000]);
    let flooders = flooders(&mut rig, 100, &message.repeat(4));
    let mut turns = 0;
    while unread(&flooders) > 0 {
        let before = (unread(&flooders), rig.handler.messages);
        rig.assert_served_within(2, &neighbour);
        let read = before.0 - unread(&flooders);
        assert!(read <= 2 * (READ.bytes + MOST.bytes), "{read} bytes in two turns");
        // A message of this length is 118 steps, the neighbour's is one.
        let taken = rig.handler.messages - before.1;
        assert!(taken <= 2 * (READ.steps / 118 + 1) + 1, "{taken} messages in two turns");
        turns += 1;
    }
    assert!(turns > 10);
    while rig.sockets.ready() > 0 {
        rig.turn();
    }
    assert_eq!(rig.handler.messages, 400 + turns, "nothing is lost by waiting");
}

#[test]
fn who_floods_is_read_all_the_same_and_time_goes_on() {
    // Newcomers' turns and theirs alternate: neither waits for ever.
    let mut rig = Rig::new(config().ping_interval(Duration::from_secs(1)));
    let quiet: Vec<_> = (0..1_000).map(|_| rig.open()).collect();
    let flooders = flooders(&mut rig, 200, &frame(0x89, b"").repeat(2_000));
    let (mut seen, mut ticks) = (pongs(&flooders), 0);
    for turn in 0..400 {
        rig.now += Duration::from_millis(10);
        for (conn, fake) in &quiet[turn % 20 * 50..][..50] {
            fake.0.borrow_mut().input.extend(frame(0x8a, b""));
            rig.stir(*conn);
        }
        rig.turn();
        let now = pongs(&flooders);
        assert!(now > seen, "turn {turn}: no flooder was read");
        seen = now;
        ticks += usize::from(rig.ticked);
    }
    // A round is each of them once, in turns of some 130 visits.
    assert!(ticks >= 400 / 10, "{ticks}");
    assert!(rig.handler.gone.is_empty(), "all of them were heard: {:?}", rig.handler.gone);
    assert_eq!(rig.registry.stats().open as usize, flooders.len() + quiet.len());
}

#[test]
fn a_pong_that_waits_behind_a_crowd_is_read_before_it_is_missed() {
    let timeout = Duration::from_secs(2);
    let config = config().ping_interval(Duration::from_secs(1)).pong_timeout(timeout);
    let mut rig = Rig::new(config.tick_budget(4_000));
    let crowd: Vec<_> = (0..4_000).map(|_| rig.open()).collect();
    // All are asked within a second, and all answer together, just before the first are missed.
    for _ in 0..11 {
        rig.now += Duration::from_millis(100);
        rig.turn();
    }
    assert_eq!(rig.registry.stats().pings_sent, 4_000);
    rig.now += timeout - Duration::from_millis(700);
    for (conn, fake) in &crowd {
        fake.0.borrow_mut().input.extend(frame(0x8a, b""));
        rig.stir(*conn);
    }
    rig.turn();
    assert!(rig.sockets.ready() > 1_000, "they are more than one turn can read");
    while rig.sockets.ready() > 0 {
        rig.now += Duration::from_millis(100);
        rig.turn();
    }
    assert_eq!(rig.registry.stats().pong_timeouts, 0);
    assert!(rig.handler.gone.is_empty());
}

#[test]
fn a_turn_makes_so_many_bytes_of_replies() {
    let mut rig = Rig::new(config());
    let askers = flooders(&mut rig, 100, &frame(0x81, b"long"));
    while unread(&askers) > 0 {
        let before = rig.handler.messages;
        rig.turn();
        let replies = rig.handler.messages - before;
        assert!((1..=READ.bytes / LONG + 1).contains(&replies), "{replies} in one turn");
    }
    let long = (0x82, vec![b'x'; LONG]);
    assert!(askers.iter().all(|(_, fake)| frames_of(&fake.0.borrow().output) == [long.clone()]));
}
