//! The table of histories.

use std::time::Duration;

use headcount::{ConfigBuilder, Message};

use super::{History, Step};
use crate::server::config;
use Step::{
    Come, ComeBack, Dismiss, Drain, FallSilent, GoOn, Leave, Pass, Say, Stall, Tell, Vanish,
};

/// All of them.
pub(super) const HISTORIES: &[fn() -> History] = &[
    a_chat,
    presence_is_told,
    a_pending_client_names_itself,
    bad_credentials,
    an_hour_of_heartbeats,
    a_slow_reader_is_told_what_it_has_lost,
    a_stuck_reader,
    the_input_of_a_slow_reader_waits,
    a_flood,
    a_newcomer_evicts,
    a_full_house,
    a_resume,
    a_resume_after_a_loss,
    a_session_ends_while_its_user_is_away,
    a_close_by_the_application,
    a_close_that_is_ignored,
    a_drain,
];

fn history(
    name: &str,
    config: ConfigBuilder,
    steps: impl IntoIterator<Item = Step>,
    sees: &'static [&'static str],
) -> History {
    History { name: name.to_owned(), config, steps: steps.into_iter().collect(), sees }
}

fn come(user: &str) -> Step {
    Come(format!("user={user}"))
}

fn say(client: usize, text: &str) -> Step {
    Say(client, text.into())
}

fn seconds(seconds: u64) -> Step {
    Pass(Duration::from_secs(seconds))
}

fn a_chat() -> History {
    let steps = [
        come("alice"),
        come("bob"),
        come("alice"),
        say(0, "to all: hello"),
        say(1, "to others: hello, alice"),
        say(2, "an echo"),
        Say(0, Message::binary(vec![0, 159, 146, 150])),
        Tell("alice", "for both of her tabs".into()),
        Leave(0),
        say(1, "to all: who is there?"),
        Vanish(1),
        say(2, "to all: nobody else"),
    ];
    history(
        "a chat",
        config(),
        steps,
        &[
            r#"0 reads "hello, alice""#,
            r#"2 reads "for both"#,
            "0 reads close, in answer",
            "0 is gone: PeerClosed",
            "1 is gone: PeerGone",
        ],
    )
}

fn presence_is_told() -> History {
    let config = config().with_presence().leave_grace(Duration::from_secs(3));
    let steps = [
        come("alice"),
        come("bob"),
        come("bob"),
        Vanish(1),
        seconds(5),
        Leave(2),
        seconds(1),
        come("bob"),
        Vanish(3),
        seconds(2),
        seconds(2),
    ];
    history(
        "presence is told",
        config,
        steps,
        &[r#"3 reads "bob is online""#, r#"0 reads "bob is offline""#],
    )
}

fn a_pending_client_names_itself() -> History {
    let steps = [
        Come(String::new()),
        come("bob"),
        say(0, "alice"),
        say(0, "to all: it is me"),
        Come(String::new()),
        seconds(120),
    ];
    history(
        "a pending client names itself",
        config(),
        steps,
        &[r#"1 reads "it is me""#, "2 is gone: AuthTimeout"],
    )
}

fn bad_credentials() -> History {
    let steps = [Come(String::new()), say(0, "null"), seconds(1)];
    history("bad credentials", config(), steps, &[r#"0 reads close 4500 "bad_credentials""#])
}

fn an_hour_of_heartbeats() -> History {
    let mut steps = vec![come("alice"), come("bob"), come("carol"), FallSilent(1), seconds(30)];
    steps.extend([FallSilent(2), seconds(18), GoOn(2)]);
    steps.extend((0..60).map(|_| seconds(60)));
    steps.push(say(0, "to all: still here"));
    history(
        "an hour of heartbeats",
        config(),
        steps,
        &["1 is gone: PongTimeout", "pings 2", r#"2 reads "still here""#],
    )
}

/// Windows and logs that a few messages fill.
fn narrow() -> ConfigBuilder {
    config()
        .send_window(400)
        .reply_reserve(200)
        .message_bytes(200)
        .room_messages(4)
        .slow_deadline(Duration::from_secs(10))
}

fn a_slow_reader_is_told_what_it_has_lost() -> History {
    let mut steps = vec![come("alice"), come("bob"), Stall(1)];
    steps.extend((0..20).map(|number| say(0, &format!("to all: {number}"))));
    steps.extend([seconds(5), GoOn(1), say(0, "to all: and on"), seconds(60)]);
    history(
        "a slow reader is told what it has lost",
        narrow(),
        steps,
        &["deferred 1", r#"1 reads "gap "#, r#"1 reads "and on""#],
    )
}

fn a_stuck_reader() -> History {
    let mut steps = vec![come("alice"), come("bob"), Stall(1)];
    steps.extend((0..20).map(|number| say(0, &format!("to all: {number}"))));
    steps.extend([seconds(9), seconds(2), seconds(60)]);
    history("a stuck reader", narrow(), steps, &["1 is gone: SlowConsumer"])
}

fn the_input_of_a_slow_reader_waits() -> History {
    let mut steps = vec![come("alice"), come("bob"), Stall(0)];
    steps.extend((0..12).map(|number| say(0, &format!("to others: {number}"))));
    steps.extend((0..12).map(|number| say(0, &format!("an echo of {number}"))));
    steps.extend([seconds(2), GoOn(0), Leave(0)]);
    history(
        "the input of a slow reader waits",
        narrow(),
        steps,
        &[r#"0 reads "an echo of 11""#, "0 is gone: PeerClosed"],
    )
}

fn a_flood() -> History {
    let mut steps = vec![come("alice"), come("bob")];
    steps.extend((0..30).map(|_| say(0, "me again")));
    steps.extend([seconds(3), say(1, "to all: what a day")]);
    history(
        "a flood",
        config().message_rate(1).message_burst(5),
        steps,
        &["0 reads close 4413", "0 is gone: RateLimited"],
    )
}

fn a_newcomer_evicts() -> History {
    let steps = [
        come("alice"),
        come("alice"),
        say(0, "the first"),
        come("alice"),
        seconds(1),
        say(2, "to all: the third"),
    ];
    history(
        "a newcomer evicts",
        config().connections_per_user(2),
        steps,
        &[r#"1 reads close 4504 "evicted""#],
    )
}

fn a_full_house() -> History {
    let steps = [
        come("alice"),
        come("bob"),
        come("carol"),
        Leave(0),
        come("carol"),
        say(1, "to all: full again"),
    ];
    let config = config().connections_per_user(2).sessions_per_user(2);
    history("a full house", config.connections(2), steps, &["2 was refused", "3 was there"])
}

/// Messages to a user who has gone, and comes back.
fn away(lost: ConfigBuilder) -> (ConfigBuilder, Vec<Step>) {
    let mut steps = vec![come("alice"), come("bob"), Tell("alice", "before".into()), Vanish(0)];
    steps.extend((0..5).map(|number| Tell("alice", format!("missed {number}"))));
    steps.extend([seconds(5), ComeBack(0), Tell("alice", "after".into()), Leave(2), ComeBack(2)]);
    (lost.session_linger(Duration::from_secs(30)), steps)
}

fn a_resume() -> History {
    let (config, steps) = away(config());
    history(
        "a resume",
        config,
        steps,
        &[r#"2 reads "missed 0""#, r#"2 reads "missed 4""#, r#"3 reads "welcome""#],
    )
}

fn a_resume_after_a_loss() -> History {
    let (config, steps) = away(config().stream_messages(2).stream_history(2));
    history("a resume after a loss", config, steps, &[r#"2 reads "gap "#, r#"2 reads "missed 4""#])
}

fn a_session_ends_while_its_user_is_away() -> History {
    let (config, mut steps) = away(config());
    steps.extend([Vanish(3), seconds(40), Tell("alice", "to none".into()), ComeBack(3)]);
    history(
        "a session ends while its user is away",
        config,
        steps,
        &["sessions 1+1", r#"4 reads "welcome""#],
    )
}

fn a_close_by_the_application() -> History {
    let steps = [
        come("alice"),
        come("alice"),
        come("bob"),
        Dismiss("alice"),
        say(2, "close me"),
        seconds(1),
    ];
    history(
        "a close by the application",
        config(),
        steps,
        &[r#"1 reads close 4200 "lunch""#, "2 reads close 4503"],
    )
}

fn a_close_that_is_ignored() -> History {
    let steps = [
        come("alice"),
        come("bob"),
        FallSilent(0),
        FallSilent(1),
        say(0, "close me"),
        say(1, "close me"),
        seconds(3),
        GoOn(1),
        seconds(6),
        seconds(2),
    ];
    history(
        "a close that is ignored",
        config(),
        steps,
        &["0 is gone: Application", "1 is gone: Application"],
    )
}

fn a_drain() -> History {
    let config = config().drain_deadline(Duration::from_secs(5));
    let mut steps: Vec<_> = (0..6).map(|it| come(&format!("user-{it}"))).collect();
    steps.extend([Stall(1), FallSilent(2), Drain, come("late"), say(0, "an echo")]);
    steps.extend([seconds(2), GoOn(1), seconds(4), seconds(20)]);
    history(
        "a drain",
        config,
        steps,
        &[
            r#"0 reads "draining""#,
            "0 reads close 1012",
            r#"1 reads "draining""#,
            "6 was refused",
            "2 is gone: Restart",
            "the server has ended",
        ],
    )
}
