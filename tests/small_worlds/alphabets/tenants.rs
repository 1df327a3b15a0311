//! Tenants.

use super::*;

/// Two users, who come to a tenant with what they have, or without one. There is one tenant at a time, with
/// two places and room for one tool call.
pub(crate) fn tenants() -> Alphabet {
    let of = |tenant, user, thread| {
        vec![Op::Arrive(Arrival { tenant: Some(tenant), ..arrival(user, thread) })]
    };
    // A run of a user whose tool call is under way. The session is created if there is none.
    let call = |user| {
        let event = RunReport::Executing { call: 0, size: 0, expect: None };
        vec![
            Op::OpenRun { user, thread: 0, run: 0, size: 1 },
            Op::RunEvent { user, run: 200, event },
        ]
    };
    Alphabet {
        name: "tenants",
        config: build(
            config()
                .sessions_per_user(3)
                .tenants(1)
                .connections_per_tenant(2)
                .sessions_per_tenant(2)
                .tenant_bytes(300),
        ),
        population: Population { users: 2, threads: 2, rooms: 1, runs: 1 },
        before: vec![],
        letters: vec![
            of(0, 0, 0),
            of(0, 0, 1),
            of(0, 1, 0),
            of(0, 1, 200),
            of(1, 1, 1),
            vec![arrive(0, 200)],
            // A session that lingers is left.
            vec![arrive(1, 0), Op::Disconnect { conn: NEWEST }],
            vec![Op::Arrive(Arrival { tenant: Some(0), previous: Some(FIRST), ..arrival(0, 200) })],
            call(0),
            call(1),
            vec![Op::Disconnect { conn: FIRST }],
            all_is_well(),
            time_passes(),
        ],
        seen: vec![(
            4,
            &[
                "a connection was taken over",
                "a session made room within its tenant",
                "a session of one who joins a tenant made room",
                "a user was adopted by a tenant",
                "no event: TenantBytes",
                "refused: ConnectionsPerTenant",
                "refused: OtherTenant",
                "refused: SessionsPerTenant",
                "refused: TenantBytes",
                "refused: Tenants",
            ],
        )],
    }
}
