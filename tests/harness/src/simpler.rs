//! What is simpler than an operation and may do as well, the simplest first.

use super::op::{Advance, Arrival, Class, Flush, Incoming, Op, Pick, RunReport, Since, To};

pub(crate) trait Simpler: Sized {
    /// Forms that are strictly simpler, so that taking them one after the other comes to an end.
    fn simpler(&self) -> Vec<Self>;
}

macro_rules! number {
    ($($type:ty),*) => {
        $(impl Simpler for $type {
            fn simpler(&self) -> Vec<Self> {
                let mut forms = vec![0, self / 2, self.saturating_sub(1)];
                forms.dedup();
                forms.retain(|form| form < self);
                forms
            }
        })*
    };
}

number!(u8, u16);

impl Simpler for bool {
    fn simpler(&self) -> Vec<Self> {
        if *self { vec![false] } else { Vec::new() }
    }
}

impl<T: Simpler> Simpler for Option<T> {
    fn simpler(&self) -> Vec<Self> {
        let Some(value) = self else { return Vec::new() };
        core::iter::once(None).chain(value.simpler().into_iter().map(Some)).collect()
    }
}

/// The forms of one field, put in its place.
fn with<T: Simpler, R>(field: &T, put: impl Fn(T) -> R) -> Vec<R> {
    field.simpler().into_iter().map(put).collect()
}

impl Simpler for Pick {
    fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Known(number) => with(number, Self::Known),
            Self::Open(number) => [vec![Self::Known(*number)], with(number, Self::Open)].concat(),
            Self::Newest(number) => [vec![Self::Known(0)], with(number, Self::Newest)].concat(),
            Self::Ever(number) => [vec![Self::Known(*number)], with(number, Self::Ever)].concat(),
        }
    }
}

impl Simpler for To {
    fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Conn(pick) => with(pick, Self::Conn),
            Self::Session(pick) => with(pick, Self::Session),
            Self::User(user) => with(user, Self::User),
            Self::Room(room) => with(room, Self::Room),
            Self::Own(user) => [vec![Self::User(*user)], with(user, Self::Own)].concat(),
            Self::Thread(user, thread) => [
                with(user, |user| Self::Thread(user, *thread)),
                with(thread, |thread| Self::Thread(*user, thread)),
            ]
            .concat(),
            Self::Run(user, run) => {
                [with(user, |user| Self::Run(user, *run)), with(run, |run| Self::Run(*user, run))]
                    .concat()
            }
            Self::Everyone => Vec::new(),
        }
    }
}

impl Simpler for Class {
    fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Critical => Vec::new(),
            Self::Latest(key) => [vec![Self::Critical], with(key, Self::Latest)].concat(),
            Self::Droppable => vec![Self::Critical],
        }
    }
}

impl Simpler for Since {
    fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Fresh => Vec::new(),
            Self::Unseen | Self::Head | Self::Zero | Self::Last => vec![Self::Fresh],
            Self::Behind(some) => [vec![Self::Fresh], with(some, Self::Behind)].concat(),
            Self::Beyond(some) => [vec![Self::Fresh], with(some, Self::Beyond)].concat(),
            Self::Foreign(some) => [vec![Self::Fresh], with(some, Self::Foreign)].concat(),
        }
    }
}

impl Simpler for Flush {
    fn simpler(&self) -> Vec<Self> {
        match self {
            Self::All => Vec::new(),
            Self::Some(some) => [vec![Self::All], with(some, Self::Some)].concat(),
            Self::Half | Self::Nothing | Self::Beyond | Self::Backwards => vec![Self::All],
        }
    }
}

impl Simpler for Incoming {
    fn simpler(&self) -> Vec<Self> {
        if *self == Self::Data { Vec::new() } else { vec![Self::Data] }
    }
}

impl Simpler for Advance {
    fn simpler(&self) -> Vec<Self> {
        let exactly = || vec![Self::Exactly];
        match self {
            Self::Exactly => Vec::new(),
            Self::Before => exactly(),
            Self::Nanos(some) => [exactly(), with(some, Self::Nanos)].concat(),
            Self::Millis(some) => [exactly(), with(some, Self::Millis)].concat(),
            Self::Past(some) => [exactly(), with(some, Self::Past)].concat(),
            Self::Far(some) => [exactly(), with(some, Self::Far)].concat(),
            Self::Ages(some) => [exactly(), with(some, Self::Ages)].concat(),
        }
    }
}

impl Simpler for RunReport {
    fn simpler(&self) -> Vec<Self> {
        match *self {
            Self::Progress(size) => with(&size, Self::Progress),
            Self::Thinking(size) => {
                [vec![Self::Progress(size)], with(&size, Self::Thinking)].concat()
            }
            Self::Text(size) => with(&size, Self::Text),
            Self::Completed(size) => with(&size, Self::Completed),
            Self::Failed(size) => with(&size, Self::Failed),
            Self::Cancelled(size) => with(&size, Self::Cancelled),
            Self::Executing { call, size, expect } => [
                vec![Self::Progress(size)],
                with(&call, |call| Self::Executing { call, size, expect }),
                with(&size, |size| Self::Executing { call, size, expect }),
                with(&expect, |expect| Self::Executing { call, size, expect }),
            ]
            .concat(),
            Self::Executed { call, size } => [
                vec![Self::Progress(size)],
                with(&call, |call| Self::Executed { call, size }),
                with(&size, |size| Self::Executed { call, size }),
            ]
            .concat(),
        }
    }
}

impl Simpler for Arrival {
    fn simpler(&self) -> Vec<Self> {
        let it = *self;
        [
            with(&it.label, |label| Self { label, ..it }),
            with(&it.previous, |previous| Self { previous, ..it }),
            with(&it.expiry, |expiry| Self { expiry, ..it }),
            with(&it.limit, |limit| Self { limit, ..it }),
            with(&it.resume, |resume| Self { resume, ..it }),
            with(&it.user, |user| Self { user, ..it }),
            with(&it.thread, |thread| Self { thread, ..it }),
        ]
        .concat()
    }
}

/// All forms of an operation with several fields, one field after the other.
macro_rules! fields {
    ($name:ident { $($field:ident),* }) => {
        fields!(@ [$($field),*] $name $($field)*)
    };
    (@ $all:tt $name:ident $($field:ident)*) => {
        [$(fields!(# $all $name $field)),*].concat()
    };
    (# [$($all:ident),*] $name:ident $field:ident) => {
        with(&$field, |$field| Op::$name { $($all),* })
    };
}

impl Simpler for Op {
    fn simpler(&self) -> Vec<Self> {
        match *self {
            Self::FlushAll | Self::CancelDrain | Self::Tick | Self::PollAll => Vec::new(),
            Self::Reserve { source } => fields!(Reserve { source }),
            Self::Arrive(arrival) => with(&arrival, Self::Arrive),
            Self::Admit(arrival) => {
                [vec![Self::Arrive(arrival)], with(&arrival, Self::Admit)].concat()
            }
            Self::Upgraded { conn } => fields!(Upgraded { conn }),
            Self::Connect { conn, arrival } => fields!(Connect { conn, arrival }),
            Self::Message { conn, kind } => fields!(Message { conn, kind }),
            Self::Chatter { conn, kind, count } => fields!(Chatter { conn, kind, count }),
            Self::Flushed { conn, how } => fields!(Flushed { conn, how }),
            Self::Disconnect { conn } => fields!(Disconnect { conn }),
            Self::Refresh { conn, expiry } => fields!(Refresh { conn, expiry }),
            Self::Revoke { user } => fields!(Revoke { user }),
            Self::Drain { deadline } => fields!(Drain { deadline }),
            Self::Reload { choice, dry_run } => fields!(Reload { choice, dry_run }),
            Self::Live { deadlines } => fields!(Live { deadlines }),
            Self::Advance(advance) => with(&advance, Self::Advance),
            Self::Skew { millis } => fields!(Skew { millis }),
            Self::Send { to, size, class, except, text } => {
                fields!(Send { to, size, class, except, text })
            }
            Self::Reply { conn, size } => fields!(Reply { conn, size }),
            Self::Join { conn, room, since } => fields!(Join { conn, room, since }),
            Self::Acknowledge { conn, room, upto } => fields!(Acknowledge { conn, room, upto }),
            Self::Leave { conn, room } => fields!(Leave { conn, room }),
            Self::Vacate { room } => fields!(Vacate { room }),
            Self::Close { to, reason } => fields!(Close { to, reason }),
            Self::OpenRun { user, thread, run, size } => {
                fields!(OpenRun { user, thread, run, size })
            }
            Self::RunEvent { user, run, event } => fields!(RunEvent { user, run, event }),
            Self::Talk { run, pieces, size } => fields!(Talk { run, pieces, size }),
            Self::Poll { count } => [vec![Self::PollAll], fields!(Poll { count })].concat(),
            Self::Notices { count } => fields!(Notices { count }),
        }
    }
}
