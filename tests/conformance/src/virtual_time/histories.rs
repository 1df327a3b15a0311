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
    a_resume,
    a_close_by_the_application,
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
        ],
    )
}
