//! What an embedder writes for common tasks, each as short as the interface allows. A task that needs more
//! lines than it has here shows where the interface is awkward.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use headcount::{
    Action, CloseReason, CloseWords, Config, ConnId, Ended, Inbound, InboundError, Intake, Message,
    Principal, Refused, Registry, RoomId, RunEvent, RunId, Start, Target, TenantId, ThreadId,
    Timestamp, UserId,
};
use serde_json::json;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

const NOW: Timestamp = Timestamp::from_secs(1);

fn tab(registry: &mut Registry, user: &str, thread: &str) -> Done<ConnId> {
    let who = Principal::new(user.parse()?).with_thread(thread.parse()?);
    Ok(registry.admit(NOW, who, Start::OpenRuns, None)?.0)
}

/// What comes out for each connection, in order.
fn outputs(registry: &mut Registry) -> HashMap<ConnId, Vec<String>> {
    let mut outputs = HashMap::<_, Vec<_>>::new();
    while let Some(action) = registry.poll_action() {
        let said = match &action {
            Action::Send { body, .. } => String::from_utf8_lossy(body.as_bytes()).into_owned(),
            Action::Close { code, text, .. } => format!("close {code} {text}"),
            other => format!("{other:?}"),
        };
        action.recipients().iter().for_each(|conn| {
            outputs.entry(*conn).or_default().push(said.clone());
        });
    }
    outputs
}

fn registry() -> Registry {
    Registry::new(Config::new(42))
}

#[test]
fn a_chat_room() -> Done {
    let mut registry = registry();
    let lobby: RoomId = "lobby".parse()?;
    let (alice, bob) = (tab(&mut registry, "alice", "t")?, tab(&mut registry, "bob", "t")?);
    for conn in [alice, bob] {
        registry.join(NOW, conn, &lobby, Start::Kept)?;
    }
    registry.send(NOW, Target::Room(&lobby), Message::from("hello").except_connection(alice));
    let outputs = outputs(&mut registry);
    assert_eq!((outputs.get(&alice), &outputs[&bob][..]), (None, &["hello".to_owned()][..]));
    Ok(())
}

#[test]
fn typed_json_to_all_but_the_tabs_of_the_sender() -> Done {
    let mut registry = registry();
    let lobby: RoomId = "lobby".parse()?;
    let alice = [tab(&mut registry, "alice", "t")?, tab(&mut registry, "alice", "other")?];
    let bob = tab(&mut registry, "bob", "t")?;
    for conn in [alice[0], alice[1], bob] {
        registry.join(NOW, conn, &lobby, Start::Kept)?;
    }
    let typing = json!({ "type": "typing", "by": "alice" }).to_string();
    registry.send(NOW, Target::Room(&lobby), Message::from(typing).except_user(alice[0]));
    let expected = r#"{"by":"alice","type":"typing"}"#.to_owned();
    assert_eq!(outputs(&mut registry), HashMap::from([(bob, vec![expected])]));
    Ok(())
}

#[test]
fn an_agent_stream_with_a_late_tab() -> Done {
    let mut registry = registry();
    let (alice, main, run): (UserId, ThreadId, RunId) =
        ("alice".parse()?, "main".parse()?, "answer".parse()?);
    let mut scope = registry.scope(&alice);
    scope.open_run(NOW, &main, &run, "agent", Bytes::new())?;
    for word in ["Hello", ", ", "Alice"] {
        scope.run_event(NOW, &run, &RunEvent::text(word))?;
    }
    let late = tab(&mut registry, "alice", "main")?;
    assert_eq!(outputs(&mut registry)[&late], ["", "Hello, Alice"], "from its start, merged");
    Ok(())
}

#[test]
fn an_admin_kicks_a_user_with_a_reason() -> Done {
    let mut registry = registry();
    let conn = tab(&mut registry, "mallory", "t")?;
    let words = CloseWords::new(4200, "account suspended")?;
    assert_eq!(registry.close(NOW, Target::User(&"mallory".parse()?), words), 1);
    assert_eq!(outputs(&mut registry)[&conn], ["close 4200 account suspended"]);
    Ok(())
}

#[test]
fn several_chats_over_one_socket() -> Done {
    let mut registry = registry();
    let (conn, _) = registry.admit(NOW, Principal::new("alice".parse()?), Start::OpenRuns, None)?;
    let garden = registry.follow(NOW, conn, &"garden".parse()?, Start::OpenRuns)?;
    registry.follow(NOW, conn, &"kitchen".parse()?, Start::OpenRuns)?;
    registry.send(NOW, Target::Session(garden.session), Message::from("it rains"));
    registry.unfollow(NOW, conn, garden.session)?;
    registry.send(NOW, Target::UserOf(conn), Message::from("tea is ready"));
    assert_eq!(outputs(&mut registry)[&conn], ["tea is ready"], "nothing of it after unfollow");
    Ok(())
}

#[test]
fn a_loop_of_ones_own_with_back_pressure() -> Done {
    let config = Config::builder(42).send_window(1 << 10).build()?;
    let mut registry = Registry::new(config);
    let conn = tab(&mut registry, "alice", "t")?;
    registry.send(NOW, Target::SessionOf(conn), Message::from("x".repeat(2_000)));
    let mut handed_out = 0;
    while let Some(action) = registry.poll_action() {
        handed_out += action.cost();
    }
    // The peer reads nothing: its input waits until it does.
    let data = Inbound::Data { bytes: 5 };
    assert_eq!(registry.message(NOW, conn, data), Ok(Intake::Paused));
    registry.flushed_many(NOW, &[(conn, handed_out)], |_, goes_on| assert_eq!(goes_on, Ok(true)));
    assert_eq!(registry.message(NOW, conn, data), Ok(Intake::Taken));
    Ok(())
}

#[test]
fn a_graceful_shutdown() -> Done {
    let mut registry = registry();
    let conn = tab(&mut registry, "alice", "t")?;
    registry.drain(NOW, Some(Duration::from_secs(10)));
    while !registry.is_drained() {
        for said in outputs(&mut registry).remove(&conn).unwrap_or_default() {
            if said.starts_with("close 1012") {
                registry.disconnect(NOW, conn)?; // the socket has ended
            }
        }
        registry.tick(registry.poll_timeout().unwrap_or(NOW));
    }
    assert_eq!(registry.stats().closed_total(), 1);
    Ok(())
}

#[test]
fn rate_limits() -> Done {
    let config = Config::builder(42).message_rate(10).message_burst(2).build()?;
    let mut registry = Registry::new(config);
    let conn = tab(&mut registry, "alice", "t")?;
    let said = [(); 3].map(|()| registry.message(NOW, conn, Inbound::Data { bytes: 5 }));
    assert_eq!(said, [Ok(Intake::Taken), Ok(Intake::Taken), Err(InboundError::RateLimited)]);
    Ok(())
}

#[test]
fn state_of_ones_own_for_each_connection() -> Done {
    let mut registry = registry();
    let conn = tab(&mut registry, "alice", "t")?;
    let mut drafts = HashMap::from([(conn, "half a sentence")]);
    registry.disconnect(NOW, conn)?;
    while let Some(action) = registry.poll_action() {
        if let Action::Cleanup { what: Ended::Conn(conn), .. } = action {
            drafts.remove(&conn);
        }
    }
    assert!(drafts.is_empty(), "exactly one Cleanup for each");
    Ok(())
}

#[test]
fn a_list_of_who_is_online() -> Done {
    let mut registry = Registry::new(Config::builder(42).with_presence().build()?);
    let mut online = HashSet::new();
    let mut update = |registry: &mut Registry| {
        while let Some(action) = registry.poll_action() {
            match action {
                Action::Presence { user, online: true } => online.insert(user.clone()),
                Action::Presence { user, online: false } => online.remove(user),
                _ => continue,
            };
        }
        online.len()
    };
    tab(&mut registry, "alice", "t")?;
    tab(&mut registry, "bob", "t")?;
    assert_eq!(update(&mut registry), 2);
    registry.close(NOW, Target::User(&"bob".parse()?), CloseReason::Application);
    assert_eq!(update(&mut registry), 1);
    Ok(())
}

#[test]
fn tenant_quotas() -> Done {
    let config = Config::builder(42).connections_per_tenant(2).tenant_bytes(1 << 20).build()?;
    let mut registry = Registry::new(config);
    let acme: TenantId = "acme".parse()?;
    let mut admit = |user: &str, tenant: &TenantId| -> Done<_> {
        let who = Principal::new(user.parse()?).with_tenant(tenant.clone());
        Ok(registry.admit(NOW, who, Start::OpenRuns, None).map(|(conn, _)| conn))
    };
    assert!(admit("alice", &acme)?.is_ok() && admit("bob", &acme)?.is_ok());
    assert_eq!(admit("carol", &acme)?, Err(Refused::ConnectionsPerTenant));
    assert!(admit("dave", &"other".parse()?)?.is_ok(), "it has places of its own");
    let tenant = registry.tenant(&acme).ok_or("a user of it is here")?;
    assert_eq!((tenant.user_count(), tenant.connection_count()), (2, 2));
    Ok(())
}
