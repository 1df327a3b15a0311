//! What clients ask of agents: runs, and the ends of them.

use headcount::{
    ConnId, Notice, Position, RequestCancelError, RequestRunError, RunEventKind, RunId, SessionId,
};

use super::Model;
use super::delivery::Delivered;
use super::names::Name;

impl Model {
    fn plan_request(
        &self,
        conn: ConnId,
        thread: Option<Name>,
        id: &RunId,
        bytes: usize,
    ) -> Result<SessionId, RequestRunError> {
        let conn = self.open_conn(conn).ok_or(RequestRunError::UnknownConn)?;
        let is_meant = |session: &&SessionId| {
            thread.is_none_or(|thread| thread == self.sessions[*session].thread)
        };
        let session = conn.sessions.iter().find(is_meant).copied();
        let session = session.ok_or(RequestRunError::NotInThread)?;
        if let Some(number) = self.find_run(self.sessions[&session].user, id) {
            return Err(RequestRunError::Exists { ended: self.runs[&number].end });
        }
        if !self.first_fits(bytes) {
            return Err(RequestRunError::Full);
        }
        if self.open_runs(session).count() >= self.config.runs_per_session() as usize {
            return Err(RequestRunError::Runs);
        }
        Ok(session)
    }

    pub(crate) fn request_run(
        &mut self,
        conn: ConnId,
        thread: Option<Name>,
        id: &RunId,
        input: &[u8],
    ) -> Result<(SessionId, Position, Delivered), RequestRunError> {
        let plan = self.plan_request(conn, thread, id, input.len());
        let session = plan.inspect_err(|why| self.marks.hit_for("no request", why))?;
        let is_further = self.conns[&conn].session() != Some(session);
        self.marks.hit_if(is_further, "a run was requested in a further session");
        let number = self.begin_run(self.sessions[&session].user, id, session);
        if let Some(run) = self.runs.get_mut(&number) {
            run.requested = true;
        }
        self.tally.runs_requested += 1;
        self.notice(Notice::RunRequested { session });
        let (position, delivered) = self.begin_with(number, RunEventKind::Requested, input);
        Ok((session, position, delivered))
    }

    pub(crate) fn request_cancel(
        &mut self,
        conn: ConnId,
        id: &RunId,
        reason: &[u8],
    ) -> Result<Delivered, RequestCancelError> {
        let asked = self.may_cancel(conn, id, reason.len());
        let number = asked.inspect_err(|why| self.marks.hit_for("no cancel", why))?;
        let Some(run) = self.runs.get_mut(&number) else { return Ok(Delivered::default()) };
        if core::mem::replace(&mut run.cancel_requested, true) {
            self.marks.hit("a wish to cancel was repeated");
            return Ok(Delivered::default());
        }
        let session = run.session;
        self.notice(Notice::RunCancelRequested { session });
        let content = self.fact(number, RunEventKind::CancelRequested, reason);
        Ok(self.store_of_run(number, content))
    }

    fn may_cancel(
        &self,
        conn: ConnId,
        id: &RunId,
        bytes: usize,
    ) -> Result<u64, RequestCancelError> {
        let conn = self.open_conn(conn).ok_or(RequestCancelError::UnknownConn)?;
        let known = conn.user().and_then(|user| self.find_run(user, id));
        let number = known.filter(|number| conn.sessions.contains(&self.runs[number].session));
        let number = number.ok_or(RequestCancelError::UnknownRun)?;
        let run = &self.runs[&number];
        if let Some(end) = run.end {
            return Err(RequestCancelError::Ended(end));
        }
        match run.cancel_requested || self.run_has_room(number, bytes) {
            true => Ok(number),
            false => Err(RequestCancelError::Full),
        }
    }
}
