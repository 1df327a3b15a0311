//! The histories of the conformance tests in virtual time, over the testkit and over the sockets of this
//! shell: all of it but the poll, the listener and the clock.

use std::io::{self, IoSlice};

use headcount::{Admitted, SessionId};
use headcount_conformance::virtual_time::{
    InVirtualTime, Line, assert_histories, assert_random_histories,
};
use headcount_conformance::{Application, DRAINING, LEFT, Verdict as Asked, gap};

use super::*;

#[derive(Default)]
struct Conforming {
    gone: Vec<(ConnId, CloseReason)>,
}

impl Handler for Conforming {
    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        match Application::verdict(request.query().unwrap_or_default()) {
            Asked::Admit(who, start) => Verdict::Admit { who, start, previous: None },
            Asked::Pending => Verdict::Pending,
            Asked::Refuse => panic!("no history asks for it"),
        }
    }

    fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, _: Admitted) {
        let welcome = Application.admitted(context.registry, context.now, conn);
        reply(context, conn, &welcome);
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        let said = match payload {
            Payload::Text(text) => Message::text(text),
            Payload::Binary(bytes) => Message::binary(bytes.to_vec()),
        };
        if let Some(answer) = Application.message(context.registry, context.now, conn, said) {
            reply(context, conn, &answer);
        }
        Outcome::Done
    }

    fn encode_gap(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        from: u64,
        to: u64,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(gap(from, to).as_bytes());
        FrameKind::Text
    }

    fn encode_left(
        &mut self,
        _: Dialect,
        _: SessionId,
        _: CloseReason,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(LEFT.as_bytes());
        FrameKind::Text
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        _: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(DRAINING.as_bytes());
        FrameKind::Text
    }

    fn presence(&mut self, context: &mut Context<'_>, user: &UserId, online: bool) {
        Application.presence(context.registry, context.now, user, online);
    }

    fn cleanup(&mut self, what: Ended, reason: CloseReason) {
        if let Ended::Conn(conn) = what {
            self.gone.push((conn, reason));
        }
    }
}

fn reply(context: &mut Context<'_>, conn: ConnId, message: &Message) {
    let payload = &message.payload()[..];
    let answer = match str::from_utf8(payload) {
        Ok(text) if message.is_text() => Payload::Text(text),
        _ => Payload::Binary(payload),
    };
    context.reply(conn, answer).unwrap();
}

impl Stream for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::read(self, buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter()).copied().collect();
        Self::write(self, &bytes)
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shut();
        Ok(())
    }
}

/// More turns than anything takes, and more deadlines than an hour has.
const MOST: usize = 10_000;

struct Mio {
    rig: Rig<Line, Conforming>,
    lines: Vec<(ConnId, Line)>,
}

impl Mio {
    /// Turns until a turn moves nothing.
    fn settle(&mut self) {
        for _ in 0..MOST {
            let before = self.moves();
            for (conn, line) in &self.lines {
                let Some(socket) = self.rig.sockets.get_mut(*conn) else { continue };
                socket.note_readable(line.is_over());
                socket.note_writable();
                self.rig.sockets.note(*conn);
            }
            // As the loop does: what a flush lets in is read before more is handed out.
            self.rig.read();
            self.rig.act();
            if self.moves() == before && !self.rig.registry.has_actions() {
                return;
            }
        }
        panic!("it never settles");
    }

    fn moves(&self) -> u64 {
        self.lines.iter().map(|(_, line)| line.moves()).sum()
    }
}

impl InVirtualTime for Mio {
    const RESERVES_FIRST: bool = true;

    fn start(config: Config) -> Self {
        Self { rig: Rig::with(config, Conforming::default()), lines: Vec::new() }
    }

    fn connect(&mut self, query: &str) -> Option<(ConnId, Line)> {
        let conn = self.rig.registry.reserve(self.rig.now, None).ok()?;
        let (line, peer) = (Line::request(query), SocketAddr::from(([127, 0, 0, 1], 1)));
        self.rig.sockets.insert(Socket::new(conn, line.clone(), peer));
        self.lines.push((conn, line.clone()));
        self.settle();
        (line.status() == Some(101)).then_some((conn, line))
    }

    fn pass(&mut self, time: Duration) {
        self.settle();
        let end = self.rig.now + time;
        let mut acted = 0;
        while let Some(next) = self.rig.registry.poll_timeout().filter(|next| *next <= end) {
            acted += 1;
            assert!(acted < MOST, "what is due does not act");
            self.rig.now = self.rig.now.max(next);
            self.settle();
        }
        self.rig.now = end;
        self.settle();
    }

    fn call<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Option<R> {
        Some(f(&mut self.rig.registry, self.rig.now))
    }

    fn take_gone(&mut self) -> Vec<(ConnId, CloseReason)> {
        std::mem::take(&mut self.rig.handler.gone)
    }
}

#[test]
fn each_history_of_the_table_is_as_in_the_kit() {
    assert_histories::<Mio>();
}

#[test]
fn random_histories_are_as_in_the_kit() {
    assert_random_histories::<Mio>(0..100);
}
