//! Who a connection is, as the shell's authenticator says.

use alloc::boxed::Box;
use core::fmt;
use core::num::NonZeroU32;

use crate::error::IdError;
use crate::id::{MAX_ID_BYTES, TenantId, ThreadId, UserId};
use crate::snapshot::encoded;
use crate::time::Timestamp;

/// What a connection is to its client: which cap of the user counts it. [`Principal`](crate::Principal)
/// has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConnKind {
    /// A socket of its own, as a tab or a device has one: `limits.connections_per_user`.
    #[default]
    Socket,
    /// One stream of events among several of a page, as a client that makes a request for each chat has
    /// them: `limits.streams_per_user`.
    EventStream,
}

encoded! { enum ConnKind { 0 = Socket, 1 = EventStream } }

impl ConnKind {
    /// A stable name in `snake_case`, for logs and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::EventStream => "event_stream",
        }
    }
}

/// The stable name.
impl fmt::Display for ConnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who a connection is. Made by the shell's authenticator, never from a client's message.
///
/// ```
/// use headcount::{ConnKind, Principal};
///
/// let who = Principal::new("alice".parse()?)
///     .with_tenant("acme".parse()?)
///     .with_thread("main".parse()?)
///     .with_kind(ConnKind::EventStream)
///     .with_label("page 7")?;
/// assert_eq!((who.user().as_str(), who.label()), ("alice", Some("page 7")));
/// assert_eq!(who.expires_at(), None);
/// # Ok::<(), headcount::IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    pub(crate) user: UserId,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) thread: Option<ThreadId>,
    pub(crate) kind: ConnKind,
    pub(crate) label: Option<Box<str>>,
    pub(crate) expires_at: Timestamp,
    pub(crate) max_connections: Option<NonZeroU32>,
}

impl Principal {
    /// The given user, of no tenant, in no thread, without a label.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self {
            user,
            tenant: None,
            thread: None,
            kind: ConnKind::Socket,
            label: None,
            expires_at: Timestamp::MAX,
            max_connections: None,
        }
    }

    /// The user is of this tenant, whose users share `limits.connections_per_tenant`,
    /// `limits.sessions_per_tenant` and `outbound.tenant_bytes`.
    ///
    /// A user is of one tenant as long as it is here: it has a session or an open connection, or is in the
    /// leave grace. A user who is here without a tenant joins the first one that a principal of the user
    /// names, with its sessions, its connections and what their logs hold. A principal that names no tenant
    /// is of the tenant of its user. A principal that names another tenant is refused
    /// ([`Refused::OtherTenant`](crate::Refused::OtherTenant)).
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The connection follows the session of this thread from the start. Without a thread it follows
    /// none until [`Registry::follow`](crate::Registry::follow) is called.
    #[must_use]
    pub fn with_thread(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// The connection is of this kind. Without it, it is a socket.
    #[must_use]
    pub const fn with_kind(mut self, kind: ConnKind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds an opaque label that is echoed wherever the connection is explained: a device, a
    /// version, an address.
    ///
    /// # Errors
    /// [`IdError::TooLong`] above [`MAX_ID_BYTES`]; the content is not looked at.
    pub fn with_label(mut self, label: impl AsRef<str>) -> Result<Self, IdError> {
        let label = label.as_ref();
        if label.len() > MAX_ID_BYTES {
            return Err(IdError::TooLong { bytes: label.len() });
        }
        self.label = Some(label.into());
        Ok(self)
    }

    /// The connection ends `session.expiry_grace` after this instant, unless it is refreshed.
    #[must_use]
    pub const fn with_expiry(mut self, at: Timestamp) -> Self {
        self.expires_at = at;
        self
    }

    /// How many open sockets the user may have when this one is admitted, itself included. Where
    /// it is less than `limits.connections_per_user` it stands in its place, for this admission only:
    /// the connections that are too many go by `limits.over_cap`, or this one is refused. A larger
    /// one changes nothing, pressure is measured by the configured limit, and of an event stream it says
    /// nothing.
    #[must_use]
    pub const fn with_max_connections(mut self, limit: NonZeroU32) -> Self {
        self.max_connections = Some(limit);
        self
    }

    /// The user.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// The tenant that it names; `None`: it names none.
    #[must_use]
    pub const fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// The thread of the session that it follows from the start; `None`: it follows none then.
    #[must_use]
    pub const fn thread(&self) -> Option<&ThreadId> {
        self.thread.as_ref()
    }

    /// What kind of connection it is.
    #[must_use]
    pub const fn kind(&self) -> ConnKind {
        self.kind
    }

    /// The label; `None` if it was given none.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// When the credentials expire; `None`: never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at).filter(|at| *at != Timestamp::MAX)
    }

    /// The limit of open connections that comes with the credentials; `None`: the configuration's.
    #[must_use]
    pub const fn max_connections(&self) -> Option<NonZeroU32> {
        self.max_connections
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("user", &self.user)
            .field("tenant", &self.tenant)
            .field("thread", &self.thread)
            .field("label_bytes", &self.label.as_ref().map(|label| label.len()))
            .finish()
    }
}
