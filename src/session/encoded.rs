//! Users and sessions in a snapshot. The indexes of names follow from the records.

use crate::conn::Conns;
use crate::run::Runs;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};

use super::{Session, Sessions};

encoded! {
    struct Session {
        serial, user, thread, since, stream, attached, reason, extras, user_links, in_tenant, lingers,
        indexed, ended,
    }
}

impl Sessions {
    pub(crate) fn encode(&self, to: &mut Encoder<'_>) {
        let Self { users, records, names: _, last_user, threads: _, departed, tenants, .. } = self;
        users.encode(to);
        records.encode(to);
        last_user.encode(to);
        departed.encode(to);
        tenants.encode(to);
        let Self { ended, ended_closing, here, counted, .. } = self;
        [*ended, *ended_closing, *here, *counted].encode(to);
    }

    /// Fills it, when it is new.
    pub(crate) fn decode(&mut self, from: &mut Decoder<'_>) -> Result<(), Malformed> {
        self.users = Encoded::decode(from)?;
        self.users.iter().for_each(|(key, user)| self.names.insert(user.name.as_str(), key));
        self.records = Encoded::decode(from)?;
        for (key, record) in self.records.iter().filter(|(_, record)| record.indexed) {
            self.threads.insert((record.user, record.thread.as_str()), key);
        }
        self.last_user = Encoded::decode(from)?;
        self.departed.decode(from)?;
        self.tenants.decode(from)?;
        [self.ended, self.ended_closing, self.here, self.counted] = Encoded::decode(from)?;
        if self.ended <= self.records.len() { Ok(()) } else { Err(Malformed) }
    }

    /// The queues through connections, sessions and runs.
    pub(crate) fn encode_keys(&self, conns: &Conns, runs: &Runs, to: &mut Encoder<'_>) {
        let Self { users, records, lingering, absent, in_grace, unsaid, .. } = self;
        for (_, user) in users.iter() {
            user.encode_connections(conns, to);
            user.sessions.encode_keys(records, to);
            user.extras.idle.encode_keys(records, to);
        }
        for (_, session) in records.iter() {
            session.extras.runs.encode_keys(runs, to);
        }
        lingering.encode_keys(records, to);
        absent.encode_keys(users, to);
        in_grace.encode_keys(users, to);
        unsaid.encode_keys(users, to);
    }

    /// Fills them, when they are new.
    pub(crate) fn decode_keys(
        &mut self,
        conns: &mut Conns,
        runs: &mut Runs,
        from: &mut Decoder<'_>,
    ) -> Result<(), Malformed> {
        let Self { users, records, lingering, absent, in_grace, unsaid, .. } = self;
        for (_, user) in users.iter_mut() {
            user.decode_connections(conns, from)?;
            user.sessions.decode_keys(records, from)?;
            user.extras.edit(|it| it.idle.decode_keys(records, from))?;
        }
        for (_, session) in records.iter_mut() {
            session.extras.edit(|it| it.runs.decode_keys(runs, from))?;
        }
        lingering.decode_keys(records, from)?;
        absent.decode_keys(users, from)?;
        in_grace.decode_keys(users, from)?;
        unsaid.decode_keys(users, from)
    }

    /// Whether the tenants of users and sessions are there, and the sessions of tenants.
    pub(crate) fn tenants_are_known(&self) -> bool {
        let Self { users, records, tenants, .. } = self;
        let mut of_users = users.iter().filter_map(|(_, user)| user.tenant);
        let mut of_sessions = records.iter().filter_map(|(_, session)| session.in_tenant);
        of_users.all(|tenant| tenants.has(tenant))
            && of_sessions.all(|place| tenants.session(place).is_some())
            && tenants.are_known(|session| records.get(session).is_some())
    }
}
