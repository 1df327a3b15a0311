//! Tokens that come in frames: the first of a connection whose request had none, and new ones later.

use headcount::{CloseReason, ConnId, Refused, Target};
use headcount_mio::{Context, Handler as _, Outcome, Payload};
use headcount_protocol::client_frames::{self, Ask, Auth, Frame};
use headcount_protocol::handles::show_connection;
use headcount_protocol::identity::{self, Identity};
use headcount_protocol::problem::Problem;
use headcount_protocol::secret::Secret;
use headcount_protocol::server_frames;
use tracing::debug;

use super::{Gateway, reply};
use crate::auth::entrance;
use crate::auth::grants::Grant;

impl Gateway {
    /// The first frame of a connection whose request had no token: it must bring one.
    pub(super) fn introduce(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
        has_waited: bool,
    ) -> Outcome {
        let (request, introduced) = match payload {
            Payload::Text(text) => match client_frames::parse(text) {
                Ok(Frame { request, ask: Ask::Auth(auth) }) => {
                    (request, self.read_auth(&auth, has_waited))
                }
                Ok(Frame { request, .. }) => (request, Err(not_auth())),
                Err(wrong) => (wrong.request, Err(Problem::new(400, wrong.code, wrong.message))),
            },
            Payload::Binary(_) => (None, Err(not_auth())),
        };
        let refused = match introduced {
            Ok(None) => return Outcome::Later,
            Ok(Some((Identity { who, start, previous }, grant))) => {
                match context.registry.connect(context.now, conn, who, start, previous) {
                    Ok(admitted) => {
                        self.arriving = Some(grant);
                        self.admitted(context, conn, admitted);
                        return Outcome::Done;
                    }
                    // It was closed in the meantime.
                    Err(Refused::NotPending | Refused::UnknownConn) => return Outcome::Done,
                    Err(refused) => (refused.name(), refused.to_string(), refused.close_reason()),
                }
            }
            Err(problem) => {
                let reason = match problem.status() {
                    401 => CloseReason::BadCredentials,
                    403 => CloseReason::Forbidden,
                    503 => CloseReason::TryLater,
                    _ => CloseReason::BadRequest,
                };
                (problem.code(), problem.message().to_owned(), reason)
            }
        };
        let (code, message, reason) = refused;
        self.counters.refusals.count(code);
        debug!(
            connection = show_connection(self.instance, conn),
            code, "a client was not admitted by its first frame"
        );
        let frame = server_frames::error(code, &message, request);
        reply(context, conn, &frame, &self.counters);
        context.registry.close(context.now, Target::Conn(conn), reason);
        Outcome::Done
    }

    /// `None`: the key of its token is on its way.
    fn read_auth(
        &mut self,
        auth: &Auth,
        has_waited: bool,
    ) -> Result<Option<(Identity, Grant)>, Problem> {
        let mut live = self.live_settings.lock();
        let token_auth = live.token_auth().ok_or_else(identity::no_key)?;
        let Some(claims) = entrance::granted(auth.token.reveal(), has_waited, token_auth)? else {
            return Ok(None);
        };
        // It closed with the process that it was a connection of.
        let previous = auth.previous.and_then(|previous| previous.of(self.instance));
        let begins = (auth.start.clone(), previous);
        entrance::admit(&claims, auth.thread.clone(), begins, token_auth, self.wall.anchor())
            .map(Some)
    }

    /// Takes new credentials of an open connection. `None`: their key is on its way.
    pub(super) fn refresh(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        token: &Secret,
        has_waited: bool,
    ) -> Result<Option<()>, Problem> {
        let mut live = self.live_settings.lock();
        let token_auth = live.token_auth().ok_or_else(identity::no_key)?;
        let Some(claims) = entrance::granted(token.reveal(), has_waited, token_auth)? else {
            return Ok(None);
        };
        let closing = || Problem::new(409, "closing", "the connection is closing");
        let known = context.registry.connection(conn).ok_or_else(closing)?;
        if *known.user().ok_or_else(closing)? != claims.user {
            let message = "the token is of another user than the connection";
            return Err(Problem::new(403, "other_user", message));
        }
        let follows_another = claims
            .thread
            .as_ref()
            .is_some_and(|thread| known.followed().any(|(_, followed)| followed != thread));
        if follows_another {
            let message = "the token is for one thread (its claim thread), and the connection follows another";
            return Err(Problem::new(403, "other_thread", message));
        }
        let ends = self.wall.anchor().stamp(entrance::ends(&claims, token_auth));
        context.registry.refresh(context.now, conn, Some(ends)).map_err(|_| closing())?;
        token_auth.grants.insert(conn, Grant::new(&claims));
        Ok(Some(()))
    }
}

fn not_auth() -> Problem {
    let message = "the request had no token, so the first frame must be auth with one: \
                   {\"type\":\"auth\",\"token\":\"…\"}";
    Problem::new(400, "auth_expected", message)
}
