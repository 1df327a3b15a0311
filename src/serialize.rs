//! What is shown, as serde writes it: feature `serde`. Nothing is read back.
//!
//! Names and values that the gateway shows are named and written as it does. A unit that a number has
//! stands in its name: whole milliseconds, microseconds, bytes, and for a [`Timestamp`] nanoseconds of the
//! embedder's own clock. An epoch is 16 hexadecimal digits in a text, for JavaScript's numbers can't hold
//! it. What is `None` is `null`.

use alloc::vec::Vec;
use core::time::Duration;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::action::{CloseReason, Position, Retry, StreamRef};
use crate::bound::MemoryBreakdown;
use crate::config::{Config, ConfigValue, OverCap};
use crate::ends::{RoomEnd, RunEnd, RunEnded, SessionEnd};
use crate::id::{ConnId, Key, RoomId, RunId, SessionId, TenantId, ThreadId, UserId};
use crate::principal::ConnKind;
use crate::profile::Profile;
use crate::registry::{
    CallView, Closed, ConnView, CursorView, RoomView, RunView, SessionView, TenantView, Upcoming,
    UserView,
};
use crate::run::{PartKind, RunEventKind, RunFailure, RunState};
use crate::stats::{ConnState, Stats};
use crate::time::Timestamp;

/// Written as [`Display`](core::fmt::Display) does.
macro_rules! as_text {
    ($($type:ty)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_text! { ConnId SessionId CloseReason ConnKind ConnState RoomEnd RunEnd SessionEnd }
as_text! { RunState PartKind RunEventKind RunFailure }
as_text! { ConfigValue OverCap Profile }

/// Written whole, hidden characters included.
macro_rules! as_name {
    ($($type:ty)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

as_name! { Key RoomId RunId TenantId ThreadId UserId }

/// Every field is taken apart, so that a new one must be named here.
macro_rules! fields {
    ($($type:ident { $($field:ident),* } => { $($name:literal: $value:expr,)+ })+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Self { $($field),* } = self;
                let mut shown =
                    serializer.serialize_struct(stringify!($type), [$($name),+].len())?;
                $(shown.serialize_field($name, &$value)?;)+
                shown.end()
            }
        }
    )+};
}

fields! {
    Position { epoch, offset } => { "epoch": Epoch(*epoch), "offset": offset, }

    RunEnded { how, at } => { "how": how, "at_ns": at, }

    Closed { conn, session, user, thread, label, reason, at, age, flushed, undelivered } => {
        "connection": conn,
        "session": session,
        "user": user,
        "thread": thread,
        "label": label.as_deref(),
        "reason": reason,
        "code": reason.code(),
        "reconnect": reason.retry() == Retry::Reconnect,
        "closed_at_ns": at,
        "age_ms": Millis(*age),
        "bytes": flushed,
        "undelivered": undelivered,
    }

    Next { what, why, at } => { "what": what, "why": why, "at_ns": at, }
}

/// What a view says, asked when it is shown.
macro_rules! views {
    ($($type:ident($view:ident) => { $($name:literal: $value:expr,)+ })+) => {$(
        impl Serialize for $type<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $view = self;
                let mut shown =
                    serializer.serialize_struct(stringify!($type), [$($name),+].len())?;
                $(shown.serialize_field($name, &$value)?;)+
                shown.end()
            }
        }
    )+};
}

views! {
    ConnView(conn) => {
        "connection": conn.id(),
        "user": conn.user(),
        "label": conn.label(),
        "session": conn.session(),
        "state": conn.state(),
        "kind": conn.kind(),
        "reason": conn.reason(),
        "age_ms": Millis(conn.age()),
        "silent_ms": Millis(conn.silence()),
        "rtt_us": conn.round_trip().map(Micros),
        "flushed_bytes": conn.flushed(),
        "in_flight_bytes": conn.load(),
        "stuck_ms": conn.stuck_for().map(Millis),
        "paused": conn.is_paused(),
        "expires_at_ns": conn.expires_at(),
        "next": conn.next().map(|(at, due)| Next::of(at, due)),
        "cursors": List(|| conn.cursors()),
    }

    CursorView(cursor) => {
        "session": match cursor.stream { StreamRef::Session(session) => Some(session), _ => None },
        "room": match cursor.stream { StreamRef::Room(room) => Some(room), _ => None },
        "epoch": Epoch(cursor.position.epoch),
        "offset": cursor.position.offset,
        "head": cursor.head,
        "backlog": cursor.backlog,
        "acknowledged": cursor.acknowledged,
        "behind": cursor.lagging,
    }

    SessionView(session) => {
        "session": session.id(),
        "user": session.user(),
        "thread": session.thread(),
        "age_ms": Millis(session.age()),
        "connections": List(|| session.connections().map(|conn| conn.id())),
        "ends_at_ns": session.ends_at(),
        "epoch": Epoch(session.position().epoch),
        "offset": session.position().offset,
        "stored": session.entries(),
        "stored_bytes": session.bytes(),
        "lost_to": session.lost(),
    }

    UserView(user) => {
        "user": user.id(),
        "online": user.is_online(),
        "connections": List(|| user.connections().map(|conn| conn.id())),
        "sessions": List(|| user.sessions().map(|session| session.id())),
    }

    TenantView(tenant) => {
        "tenant": tenant.id(),
        "users": tenant.user_count(),
        "connections": tenant.connection_count(),
        "sessions": tenant.session_count(),
        "stored_bytes": tenant.bytes(),
    }

    RoomView(room) => {
        "room": room.id(),
        "members": room.member_count(),
        "behind": room.lagging(),
        "epoch": Epoch(room.position().epoch),
        "offset": room.position().offset,
        "stored": room.entries(),
        "stored_bytes": room.bytes(),
        "lost_to": room.lost(),
    }

    RunView(run) => {
        "run": run.id(),
        "session": run.session(),
        "agent": run.agent(),
        "state": run.state(),
        "cancel_requested": run.is_cancel_requested(),
        "age_ms": Millis(run.age()),
        "offset": run.first(),
        "end_offset": run.end_offset(),
        "end": run.end(),
        "lingers_until_ns": run.lingers_until(),
        "calls": List(|| run.calls()),
        "events": run.events(),
        "bytes": run.cost(),
        "next": run.fails().map(|(at, why)| Next { what: "fail", why: Some(why.name()), at }),
    }

    CallView(call) => { "call": call.call, "expected_by_ns": call.expected_by, }
}

/// A list that is made when it is shown.
struct List<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for List<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// What comes next, when, and for what reason, if it has one.
struct Next {
    what: &'static str,
    why: Option<&'static str>,
    at: Timestamp,
}

impl Next {
    const fn of(at: Timestamp, due: Upcoming) -> Self {
        let (what, why) = match due {
            Upcoming::Ping => ("ping", None),
            Upcoming::Suspect => ("suspect", None),
            Upcoming::Close(reason) => ("close", Some(reason.name())),
            Upcoming::Cleanup => ("cleanup", None),
        };
        Self { what, why, at }
    }
}

struct Epoch(u64);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

struct Millis(Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
    }
}

struct Micros(Duration);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.as_nanos())
    }
}

/// Each key with its value as a file of settings has it. The seed is not shown.
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Self::KEYS.iter().map(|key| (key.name, self.get(key.name))))
    }
}

impl Serialize for MemoryBreakdown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.terms())
    }
}

/// A figure, or several under one name.
enum Figure<'a> {
    Count(u64),
    Group(&'a [(&'static str, Self)]),
}

impl Serialize for Figure<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Group(group) => serializer.collect_map(group.iter().map(|(name, it)| (name, it))),
        }
    }
}

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use Figure::{Count, Group};
        // Taken apart, so that a new field must be named here. Those that are left out are counted below.
        let Self {
            opened,
            live,
            open,
            pending,
            abandoned,
            sessions_opened,
            sessions,
            sessions_ended,
            refused,
            runs_opened,
            runs_requested,
            runs,
            calls,
            pings_sent,
            pongs_received,
            pong_timeouts,
            recovered,
            pauses,
            level_changes,
            probed,
            released,
            sent,
            deferred,
            stored,
            gaps,
            shed,
            skipped,
            acknowledged,
            log_messages,
            log_bytes,
            users,
            rooms,
            rooms_opened,
            late_stamps,
            notices_lost,
            closed: _,
            runs_ended: _,
            sessions_ended_by: _,
            rooms_ended_by: _,
        } = self;
        let count = |few: u32| Count(few.into());
        let reasons = CloseReason::ALL.iter();
        let closed_by: Vec<_> = reasons.map(|it| (it.name(), Count(self.closed(*it)))).collect();
        let ends = SessionEnd::ALL.iter();
        let sessions_by: Vec<_> =
            ends.map(|it| (it.name(), Count(self.sessions_ended_by(*it)))).collect();
        let ends = RoomEnd::ALL.iter();
        let rooms_by: Vec<_> =
            ends.map(|it| (it.name(), Count(self.rooms_ended_by(*it)))).collect();
        let ends = RunEnd::ALL.iter();
        let runs_by: Vec<_> = ends.map(|it| (it.name(), Count(self.runs_ended(*it)))).collect();
        let connections = [
            ("opened", Count(*opened)),
            ("live", count(*live)),
            ("open", count(*open)),
            ("pending", count(*pending)),
            ("abandoned", Count(*abandoned)),
            ("closed", Group(&closed_by)),
        ];
        let of_sessions = [
            ("opened", Count(*sessions_opened)),
            ("live", count(*sessions)),
            ("ended", Count(*sessions_ended)),
            ("ended_by", Group(&sessions_by)),
            ("refused", Count(*refused)),
        ];
        let of_runs = [
            ("opened", Count(*runs_opened)),
            ("requested", Count(*runs_requested)),
            ("open", count(*runs)),
            ("calls", count(*calls)),
            ("ended", Group(&runs_by)),
        ];
        let heartbeat = [
            ("pings_sent", Count(*pings_sent)),
            ("pongs_received", Count(*pongs_received)),
            ("timeouts", Count(*pong_timeouts)),
            ("recovered", Count(*recovered)),
            ("pauses", Count(*pauses)),
        ];
        let pressure = [
            ("level_changes", Count(*level_changes)),
            ("probed", Count(*probed)),
            ("released", Count(*released)),
        ];
        let delivery = [
            ("sent", Count(*sent)),
            ("deferred", Count(*deferred)),
            ("stored", Count(*stored)),
            ("gaps", Count(*gaps)),
            ("shed", Count(*shed)),
            ("skipped", Count(*skipped)),
            ("acknowledged", Count(*acknowledged)),
        ];
        let log = [("messages", Count(*log_messages)), ("bytes", Count(*log_bytes))];
        Group(&[
            ("connections", Group(&connections)),
            ("sessions", Group(&of_sessions)),
            ("users", count(*users)),
            ("rooms", count(*rooms)),
            ("rooms_opened", Count(*rooms_opened)),
            ("rooms_ended", Group(&rooms_by)),
            ("runs", Group(&of_runs)),
            ("heartbeat", Group(&heartbeat)),
            ("pressure", Group(&pressure)),
            ("delivery", Group(&delivery)),
            ("log", Group(&log)),
            ("late_stamps", Count(*late_stamps)),
            ("notices_lost", Count(*notices_lost)),
        ])
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use serde_json::{Value, json};

    use super::*;
    use crate::{Message, Principal, Registry, Start, Target};

    fn shown(value: &impl Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn views_are_shown_with_units() {
        let mut now = Timestamp::from_secs(1);
        let mut registry = Registry::new(Config::new(7));
        let who = Principal::new("alice".parse().unwrap()).with_thread("main".parse().unwrap());
        let (conn, admitted) = registry.admit(now, who, Start::OpenRuns, None).unwrap();
        let own = admitted.followed.unwrap().session;
        registry.join(now, conn, &"lobby".parse().unwrap(), Start::Now).unwrap();
        registry.send(now, Target::Session(own), Message::text("hello"));
        now += Duration::from_millis(1_500);
        registry.advance(now);
        let connection = shown(&registry.connection(conn));
        assert_eq!((&connection["state"], &connection["age_ms"]), (&json!("open"), &json!(1_500)));
        assert_eq!((&connection["reason"], &connection["stuck_ms"]), (&Value::Null, &Value::Null));
        assert_eq!(connection["next"]["what"], "ping");
        let (at, _) = registry.connection(conn).unwrap().next().unwrap();
        assert_eq!(connection["next"]["at_ns"], at.as_nanos());
        let [of_session, of_room] = &connection["cursors"].as_array().unwrap()[..] else {
            unreachable!()
        };
        assert_eq!(of_session["session"], alloc::format!("{own}"));
        assert_eq!((&of_session["room"], &of_session["backlog"]), (&Value::Null, &json!(1)));
        assert_eq!((&of_room["room"], &of_room["behind"]), (&json!("lobby"), &json!(false)));

        let session = shown(&registry.session(own));
        let head = registry.session(own).unwrap().position();
        assert_eq!(session["epoch"], shown(&head)["epoch"]);
        assert_eq!(session["epoch"].as_str().map(str::len), Some(16));
        assert_eq!(session["connections"], json!([alloc::format!("{conn}")]));
        assert_eq!((&session["offset"], &session["stored_bytes"]), (&json!(1), &json!(69)));

        registry.close(now, Target::Conn(conn), CloseReason::Evicted);
        let closed = registry.closed().next().map(shown).unwrap();
        assert_eq!((&closed["reason"], &closed["code"]), (&json!("evicted"), &json!(4504)));
        assert_eq!(closed["reconnect"], false);
    }

    #[test]
    fn statistics_are_in_groups_and_name_every_reason() {
        let stats = shown(&Registry::new(Config::new(7)).stats());
        assert_eq!(stats["connections"]["closed"]["evicted"], 0);
        assert_eq!(stats["runs"]["ended"].as_object().unwrap().len(), RunEnd::ALL.len());
        assert_eq!(stats["sessions"]["ended_by"].as_object().unwrap().len(), SessionEnd::ALL.len());
        assert_eq!(stats["rooms_ended"].as_object().unwrap().len(), RoomEnd::ALL.len());
    }

    #[test]
    fn a_configuration_is_shown_as_a_file_of_settings_has_it() {
        let config = shown(&Config::new(7));
        assert_eq!(config.as_object().unwrap().len(), Config::KEYS.len());
        assert_eq!(
            config["session.linger"],
            Config::new(1).get("session.linger").unwrap().to_string()
        );
        let memory = shown(&Config::new(7).memory_breakdown(0));
        let sum: u64 = memory.as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, Config::new(7).memory_bound(0));
    }
}
