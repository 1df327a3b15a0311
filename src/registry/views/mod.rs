//! Views: what there is, as it is now. Reading changes nothing.
//!
//! A view is two words, borrows the registry, and looks when it is asked: each of its methods costs O(1)
//! unless it says otherwise. What belongs to a view are views; what a view belongs to it names by handle.

mod conn;
mod room;
mod run;
mod session;
mod tenant;
mod user;

use core::fmt;

use crate::action::Position;
use crate::id::{ConnId, RoomId, RunId, SessionId, TenantId, UserId};
use crate::stream::StreamKey;

use super::Registry;

pub use self::conn::{ConnView, CursorView, Upcoming};
pub use self::room::RoomView;
pub use self::run::{CallView, RunView};
pub use self::session::SessionView;
pub use self::tenant::TenantView;
pub use self::user::UserView;

/// # Looking
///
/// None of these changes anything. A lookup costs O(1), and so does what a view says, unless its method
/// names another cost.
impl Registry {
    /// One connection; `None`: its `Cleanup` was polled, or it never was.
    ///
    /// ```
    /// use headcount::{Config, ConnState, Message, Principal, Registry, Start, Target, Timestamp};
    ///
    /// let now = Timestamp::from_secs(1);
    /// let mut registry = Registry::new(Config::new(1));
    /// let alice = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// let (conn, _) = registry.admit(now, alice, Start::OpenRuns, None)?;
    /// let _ = registry.send(now, Target::Conn(conn), Message::text("hello"));
    ///
    /// let tab = registry.connection(conn).expect("it was admitted");
    /// assert_eq!((tab.state(), tab.load()), (ConnState::Open, 69));
    /// assert_eq!(tab.user().map(|user| user.as_str()), Some("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn connection(&self, conn: ConnId) -> Option<ConnView<'_>> {
        Some(ConnView { registry: self, key: self.conns.resolve(conn)? })
    }

    /// One session; `None`: it has ended, or never was. Lingering ones are found.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, admitted) = registry.admit(now, who, Start::Now, None)?;
    /// # let followed = admitted.followed.unwrap();
    /// registry.disconnect(now, conn)?;
    /// let session = registry.session(followed.session).expect("it lingers");
    /// assert_eq!((session.thread().as_str(), session.connection_count()), ("main", 0));
    /// assert_eq!(session.ends_at(), Some(now + registry.config().session_linger()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<SessionView<'_>> {
        Some(SessionView { registry: self, key: self.sessions.resolve(session)? })
    }

    /// One user; `None`: the user has neither a session nor an open connection, is not in the leave grace,
    /// and no [`Action::Presence`](crate::Action::Presence) of theirs waits to be polled.
    ///
    /// ```
    /// # use headcount::{Config, Principal, Registry, Start, Timestamp, UserId};
    /// # let now = Timestamp::from_secs(1);
    /// # let mut registry = Registry::new(Config::new(1));
    /// let alice = UserId::new("alice")?;
    /// assert!(registry.user(&alice).is_none());
    /// for _ in 0..2 {
    ///     registry.admit(now, Principal::new(alice.clone()), Start::OpenRuns, None)?;
    /// }
    /// let tabs = registry.user(&alice).into_iter().flat_map(|user| user.connections());
    /// assert_eq!(tabs.count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn user(&self, user: &UserId) -> Option<UserView<'_>> {
        let key = self.sessions.find_user(user)?;
        self.sessions.user(key).counts().then_some(UserView { registry: self, key })
    }

    /// One tenant; `None`: none of its users is here.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// for user in ["ann", "bob"] {
    ///     let who = Principal::new(user.parse()?).with_tenant("acme".parse()?);
    ///     registry.admit(now, who, Start::Now, None)?;
    /// }
    /// let acme = registry.tenant(&TenantId::new("acme")?).expect("its users are here");
    /// assert_eq!((acme.user_count(), acme.connection_count()), (2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tenant(&self, tenant: &TenantId) -> Option<TenantView<'_>> {
        Some(TenantView { registry: self, key: self.sessions.tenants().find(tenant)? })
    }

    /// One room; `None`: there is none of that name. A room without members is found while its log keeps
    /// something for a resume.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let lobby = RoomId::new("lobby")?;
    /// assert!(registry.room(&lobby).is_none());
    /// registry.join(now, conn, &lobby, Start::Now)?;
    /// let members = registry.room(&lobby).into_iter().flat_map(|room| room.members());
    /// assert_eq!(members.map(|member| member.id()).collect::<Vec<_>>(), [conn]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn room(&self, room: &RoomId) -> Option<RoomView<'_>> {
        Some(RoomView { registry: self, key: self.rooms.find(room)? })
    }

    /// One run of a user; `None`: there is none of that name, or it has ended and no log keeps anything of
    /// it. [`RunView::end`] has an example.
    #[must_use]
    pub fn run(&self, user: &UserId, run: &RunId) -> Option<RunView<'_>> {
        let key = self.runs.find(self.sessions.find_user(user)?, run)?;
        Some(RunView { registry: self, key })
    }

    /// The connections whose `Cleanup` was not polled, in the order of the table: all of them, or those that
    /// stand after one, which may have gone meanwhile. So a page goes on where the one before has ended.
    /// Costs O(slots passed).
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # for user in ["ann", "bob", "carol"] {
    /// #     registry.admit(now, Principal::new(user.parse()?), Start::Now, None)?;
    /// # }
    /// // Three are here, and a page has two.
    /// let page: Vec<_> = registry.connections(None).take(2).map(|tab| tab.id()).collect();
    /// let rest = registry.connections(page.last().copied());
    /// assert_eq!(rest.filter_map(|tab| tab.user()).collect::<Vec<_>>(), [&UserId::new("carol")?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connections(&self, after: Option<ConnId>) -> impl Iterator<Item = ConnView<'_>> {
        let from = after.map_or(0, |conn| conn.index() + 1);
        self.conns.iter_from(from).map(|(key, _)| ConnView { registry: self, key })
    }

    /// The sessions that have not ended, in the same way.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.disconnect(now, conn)?;
    /// let lingering = registry.sessions(None).filter(|session| session.ends_at().is_some());
    /// assert_eq!(lingering.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sessions(&self, after: Option<SessionId>) -> impl Iterator<Item = SessionView<'_>> {
        let from = after.map_or(0, |session| session.index() + 1);
        self.sessions.iter_live_from(from).map(|(key, _)| SessionView { registry: self, key })
    }

    fn members(&self, stream: StreamKey) -> impl Iterator<Item = ConnView<'_>> {
        let members = self.streams[stream].members.iter();
        members.map(|member| ConnView { registry: self, key: member.conn })
    }
}

/// What a view says of the log behind it.
macro_rules! log_of {
    ($($type:ident)*) => {$(
        impl $type<'_> {
            /// The head of its stream.
            #[must_use]
            pub fn position(&self) -> Position {
                let stream = self.stream();
                stream.position(stream.log.head())
            }

            /// How many entries its log keeps.
            #[must_use]
            pub fn entries(&self) -> u32 {
                self.stream().log.len() as u32
            }

            /// The bytes of these, overhead included.
            #[must_use]
            pub fn bytes(&self) -> u64 {
                self.stream().log.bytes()
            }

            /// Up to here everything is gone for good; 0 if nothing is. Behind it entries may be gone,
            /// too.
            #[must_use]
            pub fn lost(&self) -> u64 {
                self.stream().log.lost()
            }
        }
    )*};
}

log_of! { SessionView RoomView }

/// A view shows what it says, list by list.
macro_rules! debug {
    ($type:ident { $($method:ident)* } lists { $($list:ident)* }) => {
        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($method), &self.$method()))*
                    $(.field(stringify!($list), &Listed(|| self.$list())))*
                    .finish()
            }
        }
    };
}

debug! {
    ConnView {
        id state kind user reason age silence round_trip flushed load stuck_for is_paused
        expires_at next
    } lists { followed rooms cursors }
}
debug! {
    SessionView { id user thread age ends_at position entries bytes lost connection_count } lists {}
}
debug! { UserView { id is_online connection_count } lists {} }
debug! { TenantView { id user_count connection_count session_count bytes } lists {} }
debug! { RoomView { id member_count lagging position entries bytes lost } lists {} }
debug! {
    RunView {
        id session agent state is_cancel_requested age first end_offset end lingers_until events cost fails
    } lists { calls }
}

struct Listed<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: fmt::Debug>> fmt::Debug for Listed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0()).finish()
    }
}
