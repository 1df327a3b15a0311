//! Random histories.

use std::collections::BTreeMap;
use std::mem::replace;
use std::time::Duration;

use headcount::Message;

use super::{History, Step};
use crate::server::config;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
const STEPS: usize = 120;

/// What is seen in a hundred of them: how connections end, what is told, and clients that are behind.
pub(super) const SEEN: &[&str] = &[
    "is gone: Application",
    "is gone: AuthTimeout",
    "is gone: BadCredentials",
    "is gone: Evicted",
    "is gone: PeerClosed",
    "is gone: PeerGone",
    "is gone: PongTimeout",
    "is gone: SlowConsumer",
    "reads \"gap ",
    "reads \"news ",
    "is offline",
    "was refused",
    "deferred 3",
];

/// A history of four users whose clients come, speak, stall, fall silent, go on, leave, vanish and come back,
/// with windows, logs and limits that are small enough to be met. A client that stalls or is silent goes on
/// before it leaves: how much of what waits for it is still written is the shell's own. One that stalls says
/// one thing at most: how much of what it has said is taken before what waits for it is handed out is the
/// shell's own, too.
pub(super) fn random(seed: u64) -> History {
    let (mut dice, mut steps, mut clients) = (Dice(seed), Vec::new(), 0);
    // Those that stall, and whether they have said something since.
    let mut stalling = BTreeMap::new();
    while steps.len() < STEPS {
        let number = steps.len();
        let client = dice.below(clients.max(1));
        let step = match dice.below(32) {
            _ if clients == 0 => Step::Come("user=alice".into()),
            0..=3 => {
                let thread = ["", "", "&thread=second"][dice.below(3)];
                Step::Come(format!("user={}{thread}", USERS[dice.below(4)]))
            }
            4 => Step::Come(String::new()),
            5 | 6 => Step::ComeBack(client),
            7..=11 => Step::Say(client, format!("to all: {number}").into()),
            12 | 13 => Step::Say(client, format!("to others: {number}").into()),
            14 => Step::Say(client, Message::binary(vec![number as u8; 40])),
            15 => Step::Say(client, USERS[dice.below(4)].into()),
            16 => Step::Say(client, "close me".into()),
            17 => Step::Tell(USERS[dice.below(4)], format!("news {number}")),
            18 if dice.below(4) == 0 => Step::Dismiss(USERS[dice.below(4)]),
            19 | 20 => Step::Stall(client),
            21 => Step::FallSilent(client),
            22..=24 => Step::GoOn(client),
            25 => Step::Leave(client),
            26 => Step::Vanish(client),
            // From some milliseconds to half a minute.
            _ => Step::Pass(Duration::from_millis(7 << dice.below(13))),
        };
        clients += usize::from(matches!(step, Step::Come(_) | Step::ComeBack(_)));
        let goes_on = match step {
            Step::Say(client, _) => stalling.get_mut(&client).is_some_and(|it| replace(it, true)),
            Step::Leave(_) => true,
            _ => false,
        };
        if goes_on {
            steps.push(Step::GoOn(client));
        }
        match step {
            Step::Stall(client) => {
                stalling.entry(client).or_insert(false);
            }
            _ if goes_on || matches!(step, Step::GoOn(_)) => {
                stalling.remove(&client);
            }
            _ => {}
        }
        steps.push(step);
    }
    let config = config()
        .connections(12)
        .connections_per_user(3)
        .sessions_per_user(4)
        .send_window(400)
        .reply_reserve(300)
        .message_bytes(200)
        .room_messages(2)
        .slow_deadline(Duration::from_secs(20))
        .session_linger(Duration::from_secs(20))
        .with_presence();
    History { name: format!("seed {seed}"), config, steps, sees: &[] }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
