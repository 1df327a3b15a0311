//! Whom a message leaves out: a connection, the followers of a session, a user.

use headcount::{
    Action, CloseReason, ConnId, Key, Message, Outgoing, Position, Principal, Recovered, Registry,
    Start, Target,
};

use crate::support::{START, World, config, room, secs, text_of_cost, user};

const NOTHING: [&str; 0] = [];

/// Two chats of Alice, with two tabs in the first, and Bob, all in the lobby.
fn lobby() -> (World, [ConnId; 4]) {
    let mut world = World::with(config().room_history(100).session_linger(secs(60)));
    let conns = [("alice", "main"), ("alice", "main"), ("alice", "side"), ("bob", "main")];
    let conns = conns.map(|(name, thread)| world.open(name, thread));
    for conn in conns {
        world.join(conn, "lobby");
    }
    (world, conns)
}

fn say(world: &mut World, message: impl Into<Outgoing>) {
    world.send(Target::Room(&room("lobby")), message);
}

/// A message with each exception of a tab of Alice's, and how many of the lobby are left.
fn each_exception(tab: ConnId) -> [(Outgoing, u32); 3] {
    [
        (Message::text("connection").except_connection(tab), 3),
        (Message::text("session").except_session(tab), 2),
        (Message::text("user").except_user(tab), 1),
    ]
}

fn latest(text: &str) -> Message {
    Message::text(text).latest(Key::new("k").expect("a fine key"))
}

/// Joins the lobby with all that it keeps.
fn join_late(world: &mut World, name: &str, thread: &str) -> ConnId {
    let conn = world.open(name, thread);
    world.registry.join(world.now, conn, &room("lobby"), Start::Kept).expect("to join");
    world.settle();
    conn
}

#[test]
fn each_of_the_three_leaves_out_more() {
    let (mut world, [tab, other_tab, other_chat, bob]) = lobby();
    for (message, live) in each_exception(tab).into_iter().chain([(Message::text("all").into(), 4)])
    {
        say(&mut world, message);
        assert_eq!(world.reached(), (live, 0));
    }
    world.settle();
    assert_eq!(world.seen(tab), ["lobby: all"]);
    assert_eq!(world.seen(other_tab), ["lobby: connection", "lobby: all"]);
    assert_eq!(world.seen(other_chat), ["lobby: connection", "lobby: session", "lobby: all"]);
    let all = ["lobby: connection", "lobby: session", "lobby: user", "lobby: all"];
    assert_eq!(world.seen(bob), all);
    assert_eq!(world.registry.stats().gaps, 0, "what was not for them is no loss");
}

#[test]
fn tabs_that_come_later_are_left_out_with_their_session_and_with_their_user() {
    let (mut world, [tab, ..]) = lobby();
    say(&mut world, Message::text("connection").except_connection(tab));
    say(&mut world, Message::text("session").except_session(tab));
    say(&mut world, Message::text("user").except_user(tab));
    let same_chat = join_late(&mut world, "alice", "main");
    let third_chat = join_late(&mut world, "alice", "third");
    let carol = join_late(&mut world, "carol", "main");
    assert_eq!(world.seen(same_chat), ["lobby: connection"]);
    assert_eq!(world.seen(third_chat), ["lobby: connection", "lobby: session"]);
    assert_eq!(world.seen(carol), ["lobby: connection", "lobby: session", "lobby: user"]);
}

#[test]
fn a_session_is_left_out_as_long_as_it_is_followed() {
    let (mut world, [tab, _, other_chat, _]) = lobby();
    let main = world.session(tab);
    say(&mut world, Message::text("1").except_session(tab));
    world.follow(other_chat, "main", Start::Now);
    world.settle();
    assert_eq!(world.seen(other_chat), NOTHING, "it follows it when its turn comes");
    say(&mut world, Message::text("2").except_session(tab));
    world.registry.unfollow(world.now, other_chat, main).expect("a connection");
    world.settle();
    assert_eq!(world.seen(other_chat), ["lobby: 2"]);
}

#[test]
fn the_session_is_the_one_that_the_sender_follows_longest() {
    let (mut world, [tab, _, other_chat, bob]) = lobby();
    world.follow(tab, "side", Start::Now);
    say(&mut world, Message::text("1").except_session(tab));
    world.settle();
    assert_eq!((world.seen(tab), world.seen(other_chat)), (vec![], vec!["lobby: 1"]));
    let nowhere = world.open_as(Principal::new(user("bob")));
    say(&mut world, Message::text("2").except_session(nowhere));
    world.settle();
    assert_eq!(world.seen(bob), ["lobby: 1", "lobby: 2"], "it follows none");
}

#[test]
fn all_other_chats_of_a_user_are_told() {
    let (mut world, [tab, other_tab, other_chat, _]) = lobby();
    world.send(Target::UserOf(tab), Message::text("read").except_session(tab));
    assert_eq!((world.reached(), world.delivery.stored().len()), ((1, 0), 2));
    world.send(Target::UserOf(tab), Message::text("none").except_user(tab));
    assert_eq!(world.reached(), (0, 0));
    world.settle();
    assert_eq!((world.seen(tab), world.seen(other_tab)), (vec![], vec![]));
    assert_eq!(world.seen(other_chat), ["read"]);
}

#[test]
fn a_resume_of_another_tab_passes_over_what_left_its_user_out() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    let position = world.registry.session(world.session(alice)).expect("a session").position();
    world.send(Target::SessionOf(alice), Message::text("1").except_user(alice));
    world.send(Target::SessionOf(alice), Message::text("2").except_session(alice));
    world.send(Target::SessionOf(alice), Message::text("3").except_connection(alice));
    world.tell_session(alice, "4");
    world.settle();
    let (back, followed) = world.resume("alice", "main", Position { offset: 0, ..position });
    assert_eq!(followed.recovered, Recovered::All);
    world.settle();
    assert_eq!((world.seen(alice), world.seen(back)), (vec!["4"], vec!["3", "4"]));
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn who_takes_the_place_of_a_user_in_memory_gets_everything() {
    // One user at a time beside Bob, whose record and session have the places of the one before.
    let short = config().room_history(100).session_linger(secs(0)).stream_history(0);
    let mut world = World::with(short);
    let bob = world.open("bob", "main");
    world.join(bob, "lobby");
    let alice = world.open("alice", "main");
    say(&mut world, Message::text("user").except_user(alice));
    say(&mut world, Message::text("session").except_session(alice));
    say(&mut world, Message::text("connection").except_connection(alice));
    let slot = world.session(alice).index();
    world.hang_up(alice);
    world.settle();
    let all = ["lobby: user", "lobby: session", "lobby: connection"];
    // The registry has forgotten who Alice was, too.
    for name in ["carol", "alice"] {
        let tenant = join_late(&mut world, name, "main");
        assert_eq!((tenant.index(), world.session(tenant).index()), (alice.index(), slot));
        assert_eq!(world.seen(tenant), all, "{name}");
        world.hang_up(tenant);
        world.settle();
    }
}

#[test]
fn a_user_is_left_out_while_a_session_lingers_and_after_its_sender_has_closed() {
    let (mut world, [tab, other_tab, other_chat, bob]) = lobby();
    world.hang_up(tab);
    say(&mut world, Message::text("1").except_user(tab));
    say(&mut world, Message::text("2").except_session(tab));
    world.settle();
    assert_eq!((world.seen(other_tab), world.seen(other_chat)), (vec![], vec!["lobby: 2"]));
    for conn in [other_tab, other_chat] {
        world.hang_up(conn);
    }
    world.settle();
    let back = join_late(&mut world, "alice", "main");
    assert_eq!(world.seen(back), NOTHING);
    // Its `Cleanup` was polled: the exception does nothing.
    say(&mut world, Message::text("3").except_user(tab));
    assert_eq!(world.reached(), (2, 0));
    world.settle();
    assert_eq!((world.seen(back), world.seen(bob).len()), (vec!["lobby: 3"], 3));
}

#[test]
fn those_who_are_behind_pass_over_it_without_a_gap() {
    let narrow = config().send_window(1_000).reply_reserve(200);
    let mut world = World::with(narrow);
    let [quick, behind] = [(); 2].map(|()| world.open("alice", "main"));
    for conn in [quick, behind] {
        world.join(conn, "lobby");
    }
    world.tell_conn(behind, &text_of_cost(1_000));
    world.drain();
    world.take(behind);
    say(&mut world, Message::text("1"));
    world.drain();
    say(&mut world, Message::text("2").except_user(quick));
    assert_eq!(world.reached(), (0, 0));
    say(&mut world, Message::text("3").except_session(quick));
    say(&mut world, Message::text("4").droppable().except_user(quick));
    say(&mut world, Message::text("5"));
    assert_eq!(world.reached(), (1, 1));
    world.settle();
    world.flush(behind);
    world.settle();
    assert_eq!(world.take(behind), ["lobby: 1", "lobby: 5"]);
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn the_latest_of_a_key_takes_the_place_of_the_one_before_for_those_it_leaves_out() {
    let (mut world, [tab, other_tab, other_chat, bob]) = lobby();
    say(&mut world, latest("1").except_user(bob));
    say(&mut world, latest("2").except_session(tab));
    world.settle();
    assert_eq!((world.seen(tab), world.seen(other_tab)), (vec![], vec![]));
    assert_eq!((world.seen(other_chat), world.seen(bob)), (vec!["lobby: 2"], vec!["lobby: 2"]));
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn an_announcement_leaves_out_as_a_room_does() {
    let (mut world, [tab, other_tab, other_chat, bob]) = lobby();
    for (message, live) in each_exception(tab) {
        world.send(Target::Everyone, message);
        assert_eq!(world.reached(), (live, 0));
    }
    world.settle();
    let all = ["everyone: connection", "everyone: session", "everyone: user"];
    let seen = [tab, other_tab, other_chat, bob].map(|conn| world.seen(conn));
    assert_eq!(seen, [&[][..], &all[..1], &all[..2], &all[..]]);
}

#[test]
fn a_message_to_one_connection_may_leave_it_out() {
    let (mut world, [tab, other_tab, other_chat, bob]) = lobby();
    for (to, reached) in [(tab, 0), (other_tab, 0), (other_chat, 1), (bob, 1)] {
        world.send(Target::Conn(to), Message::text("x").except_session(tab));
        assert_eq!(world.reached(), (reached, 0));
        world.send(Target::Conn(to), Message::text("x").except_user(tab));
        assert_eq!(world.reached(), (u32::from(to == bob), 0));
    }
}

#[test]
fn one_that_was_never_admitted_has_neither_a_session_nor_a_user() {
    let (mut world, _) = lobby();
    let pending = world.reserve();
    say(&mut world, Message::text("x").except_session(pending));
    assert_eq!(world.reached(), (4, 0));
    say(&mut world, Message::text("x").except_user(pending));
    assert_eq!(world.reached(), (4, 0));
    world.connect(pending, "alice", "main").expect("to be admitted");
    world.registry.join(world.now, pending, &room("lobby"), Start::Kept).expect("to join");
    world.settle();
    assert_eq!(world.seen(pending).len(), 2, "it had no user when they were sent");
}

/// Tabs of users who have no thread, in the lobby, which keeps what was said.
struct Threadless(Registry);

impl Threadless {
    fn new() -> Self {
        Self(Registry::new(config().room_history(100).build().unwrap()))
    }

    fn open(&mut self, name: &str, previous: Option<ConnId>) -> ConnId {
        let who = Principal::new(user(name));
        let (conn, _) = self.0.admit(START, who, Start::Now, previous).unwrap();
        self.0.join(START, conn, &room("lobby"), Start::Kept).unwrap();
        conn
    }

    fn say_to_others(&mut self, sender: ConnId) -> u32 {
        let message = Message::text("hello").except_user(sender);
        self.0.send(START, Target::Room(&room("lobby")), message).live
    }

    /// Whom the lobby's messages are handed out to, in order.
    fn recipients(&mut self) -> Vec<ConnId> {
        let mut recipients = Vec::new();
        while let Some(action) = self.0.poll_action() {
            if let Action::Send { to, .. } = action {
                recipients.extend_from_slice(to);
            }
        }
        recipients
    }
}

#[test]
fn except_user_survives_a_takeover_of_the_only_connection_of_a_user_who_has_no_thread() {
    let mut lobby = Threadless::new();
    let bob = lobby.open("bob", None);
    let first = lobby.open("alice", None);
    assert_eq!(lobby.say_to_others(first), 1, "Bob alone");
    let second = lobby.open("alice", Some(first));
    assert_eq!(lobby.recipients(), [bob], "it was sent before the takeover");
    // The handler of the first tab comes to an end after the second has taken it over.
    assert_eq!((lobby.say_to_others(first), lobby.say_to_others(second)), (1, 1));
    assert_eq!(lobby.recipients(), [bob, bob]);
}

#[test]
fn a_user_who_comes_back_before_the_cleanup_of_its_only_connection_is_the_same() {
    let mut lobby = Threadless::new();
    let bob = lobby.open("bob", None);
    let first = lobby.open("alice", None);
    lobby.say_to_others(first);
    lobby.0.close(START, Target::Conn(first), CloseReason::PeerClosed);
    lobby.0.disconnect(START, first).unwrap();
    lobby.open("alice", None);
    assert_eq!(lobby.say_to_others(first), 1);
    assert_eq!(lobby.recipients(), [bob, bob]);
}
