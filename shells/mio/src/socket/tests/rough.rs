//! Wires that cut, block and interrupt at random.

use super::*;

proptest! {
    /// However the wire cuts, blocks and interrupts, the peer sees what it would see on a calm one.
    #[test]
    fn a_rough_wire_changes_nothing(
        messages in prop::collection::vec((any::<bool>(), 0usize..300), 0..20),
        reads in prop::collection::vec(0usize..120, 0..200),
        writes in prop::collection::vec(0usize..120, 0..200),
        room in 0usize..2_000,
        end in 0..4,
    ) {
        let mut stream = UPGRADE.to_vec();
        for (number, (text, length)) in messages.iter().enumerate() {
            let payload = vec![b'a' + (number % 26) as u8; *length];
            let (front, back) = payload.split_at(length / 2);
            if *text {
                stream.extend(frame(0x81, &payload));
            } else {
                stream.extend(frame(0x02, front));
                stream.extend(frame(0x80, back));
            }
        }
        match end {
            0 => {}
            1 => stream.extend(frame(0x88, &4000u16.to_be_bytes())),
            2 => stream.extend([0xff; 20]),
            _ => stream.extend(frame(0x81, b"bye")),
        }
        let run = |rough: bool| {
            let mut rig = Rig::new(config().send_window(1_000).reply_reserve(400));
            let (conn, fake) = rig.accept();
            fake.0.borrow_mut().input.extend(&stream);
            if rough {
                let mut wire = fake.0.borrow_mut();
                wire.reads.extend(&reads);
                wire.writes.extend(&writes);
                wire.room = room;
            }
            for _ in 0..20 {
                rig.stir(conn);
                rig.turn();
            }
            fake.0.borrow_mut().room = usize::MAX;
            rig.settle(conn);
            assert_eq!(rig.registry.check(), Ok(()));
            assert_eq!(fake.0.borrow().shut, end == 2, "ours waits for the peer's");
            assert_eq!(rig.sockets.len(), usize::from(end != 1), "both have passed: the end");
            // The peer goes: nothing stays.
            fake.0.borrow_mut().eof = true;
            rig.settle(conn);
            assert!(rig.registry.is_idle() && rig.sockets.len() == 0);
            let output = fake.0.borrow().output.clone();
            (frames_of(&output), rig.handler.gone)
        };
        let (frames, gone) = run(true);
        prop_assert_eq!(&(frames.clone(), gone.clone()), &run(false));
        let (echoed, reason, code) = match end {
            0 => (messages.len(), CloseReason::PeerGone, None),
            1 => (messages.len(), CloseReason::PeerClosed, Some(4000u16)),
            2 => (messages.len(), CloseReason::ProtocolError, Some(1002)),
            _ => (messages.len(), CloseReason::Application, Some(4503)),
        };
        prop_assert_eq!(gone, vec![reason]);
        prop_assert_eq!(frames.len(), echoed + usize::from(code.is_some()));
        for ((first, payload), (text, length)) in frames.iter().zip(&messages) {
            prop_assert_eq!((*first, payload.len()), (if *text { 0x81 } else { 0x82 }, *length));
        }
        if let Some(code) = code {
            let (first, payload) = frames.last().unwrap();
            prop_assert_eq!((*first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        }
    }
}
