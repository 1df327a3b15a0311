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

/// The forms of each variant: the one that is simpler in any case, if there is one, then those of one field
/// after the other.
macro_rules! forms {
    ($type:ident { $($name:ident $fields:tt $(=> $simpler:expr)?),* $(,)? }) => {
        impl Simpler for $type {
            fn simpler(&self) -> Vec<Self> {
                match *self {
                    $(forms!(@pattern $type $name $fields) => {
                        let simpler: Vec<Self> = vec![$($simpler)?];
                        [simpler, forms!(@each $type $name $fields $fields)].concat()
                    })*
                }
            }
        }
    };
    (@pattern $type:ident $name:ident ()) => { $type::$name };
    (@pattern $type:ident $name:ident ($($field:ident),+)) => { $type::$name($($field),+) };
    (@pattern $type:ident $name:ident { $($field:ident),+ }) => { $type::$name { $($field),+ } };
    (@each $type:ident $name:ident () $all:tt) => { Vec::new() };
    (@each $type:ident $name:ident ($($field:ident),+) $all:tt) => {
        [$(with(&$field, |$field| forms!(@pattern $type $name $all))),+].concat()
    };
    (@each $type:ident $name:ident { $($field:ident),+ } $all:tt) => {
        forms!(@each $type $name ($($field),+) $all)
    };
}

forms!(Pick {
    Known(number),
    Open(number) => Self::Known(number),
    Newest(number) => Self::Known(0),
    Ever(number) => Self::Known(number),
});

forms!(To {
    Conn(pick),
    Session(pick),
    User(user),
    Room(room),
    Own(user) => Self::User(user),
    Thread(user, thread),
    Run(user, run),
    Everyone(),
});

forms!(Class { Critical(), Latest(key) => Self::Critical, Droppable() => Self::Critical });

forms!(Since {
    Fresh(),
    Unseen() => Self::Fresh,
    Head() => Self::Fresh,
    Zero() => Self::Fresh,
    Last() => Self::Fresh,
    Behind(some) => Self::Fresh,
    Beyond(some) => Self::Fresh,
    Foreign(some) => Self::Fresh,
});

forms!(Flush {
    All(),
    Some(some) => Self::All,
    Half() => Self::All,
    Nothing() => Self::All,
    Beyond() => Self::All,
    Backwards() => Self::All,
});

impl Simpler for Incoming {
    fn simpler(&self) -> Vec<Self> {
        if *self == Self::Data { Vec::new() } else { vec![Self::Data] }
    }
}

forms!(Advance {
    Exactly(),
    Before() => Self::Exactly,
    Nanos(some) => Self::Exactly,
    Millis(some) => Self::Exactly,
    Past(some) => Self::Exactly,
    Far(some) => Self::Exactly,
    Ages(some) => Self::Exactly,
});

forms!(RunReport {
    Progress(size),
    Thinking(size) => Self::Progress(size),
    Text(size),
    Completed(size),
    Failed(size),
    Cancelled(size),
    Executing { call, size, expect } => Self::Progress(size),
    Executed { call, size } => Self::Progress(size),
});

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

forms!(Op {
    FlushAll(),
    CancelDrain(),
    Tick(),
    PollAll(),
    Reserve { source },
    Arrive(arrival),
    Admit(arrival) => Self::Arrive(arrival),
    Upgraded { conn },
    Connect { conn, arrival },
    Message { conn, kind },
    Chatter { conn, kind, count },
    Flushed { conn, how },
    Disconnect { conn },
    Refresh { conn, expiry },
    Revoke { user },
    Drain { deadline },
    Reload { choice, dry_run },
    Live { deadlines },
    Advance(advance),
    Skew { millis },
    Send { to, size, class, except, text },
    Reply { conn, size },
    Join { conn, room, since },
    Acknowledge { conn, room, upto },
    Leave { conn, room },
    Vacate { room },
    Close { to, reason },
    OpenRun { user, thread, run, size },
    RunEvent { user, run, event },
    Talk { run, pieces, size },
    Poll { count } => Self::PollAll,
    Notices { count },
});
