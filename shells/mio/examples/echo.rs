//! Sends every message back: for conformance suites and load generators.
//!
//! `cargo run --release -p headcount-mio --example echo -- [address] [path]`, by default
//! `127.0.0.1:9001` and `/`. Stops on SIGTERM and SIGINT.

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::BuildHasher;
use std::ops::Range;
use std::time::Duration;

use headcount::{
    CloseReason, Config, ConnId, MESSAGE_OVERHEAD, Principal, ReplyError, Start, StreamRef, Target,
    ThreadId, UserId,
};
use headcount_mio::{
    BufMut, Context, Dialect, FrameKind, Handler, Options, Outcome, Payload, Request, Server,
    Verdict,
};

/// The longest message.
const LONGEST: u64 = 64 * 1024 * 1024;

struct Echo {
    /// All clients are this user.
    principal: Principal,
}

impl Handler for Echo {
    fn authenticate(&mut self, _: &Request<'_>) -> Verdict {
        Verdict::Admit { who: self.principal.clone(), start: Start::OpenRuns, previous: None }
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        if context.reply(conn, payload) == Err(ReplyError::Full) {
            // One reply to each message is sure to fit: the reserve is as long as a message may be.
            context.registry.close(context.now, Target::Conn(conn), CloseReason::InternalError);
        }
        Outcome::Done
    }

    fn encode_gap(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        _: u64,
        _: u64,
        _: &mut impl BufMut,
    ) -> FrameKind {
        // Nothing is ever sent to a stream.
        FrameKind::Binary
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        _: Range<Duration>,
        _: &mut impl BufMut,
    ) -> FrameKind {
        FrameKind::Binary
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let path = arguments.next().unwrap_or_else(|| "/".to_owned());
    let config = Config::builder(RandomState::new().hash_one(0))
        .connections(10_000)
        .connections_per_user(10_000)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .message_bytes(LONGEST)
        .reply_reserve(LONGEST + MESSAGE_OVERHEAD)
        .session_linger(Duration::ZERO)
        .build()?;
    let options = Options::new().paths([path.clone()]).signals(true);
    let server = Server::bind(address.parse()?, config, options)?;
    println!("ws://{}{path}", server.local_addr());
    let principal = Principal::new(UserId::new("everybody")?).with_thread(ThreadId::new("echo")?);
    server.run(Echo { principal })?;
    Ok(())
}
