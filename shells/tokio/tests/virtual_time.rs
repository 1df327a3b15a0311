//! The hub and its sockets in virtual time, over pipes.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use headcount_tokio::headcount::{
    Action, Config, ConnId, Message, Principal, Refused, Registry, Start, Target, Timestamp, UserId,
};
use headcount_tokio::{
    Adapter, Dialect, Handle, Handler, Hub, HubError, Incoming, Tungstenite, payload,
};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Echoes. A pending client names itself.
struct Echo;

impl Handler for Echo {
    fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, said: Message) {
        if registry.connection(conn).and_then(|it| it.user()).is_some() {
            registry.reply(now, conn, said).unwrap();
        } else if registry.connect(now, conn, alice(), Start::Now, None).is_err() {
            let reason = headcount_tokio::headcount::CloseReason::TryLater;
            registry.close(now, Target::Conn(conn), reason);
        }
    }

    fn encode(&mut self, _: Dialect, action: &Action<'_>) -> Message {
        match action {
            Action::Send { body, .. } => payload(*body),
            _ => "other".into(),
        }
    }
}

fn alice() -> Principal {
    Principal::new(UserId::new("alice").unwrap())
}

fn start(config: Config) -> (JoinHandle<()>, Handle) {
    let (hub, handle) = Hub::new(config, Echo);
    (tokio::spawn(hub.run()), handle)
}

async fn server(stream: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(stream, Role::Server, None).await
}

/// A client of alice whose socket is served.
async fn client(handle: &Handle) -> WebSocketStream<DuplexStream> {
    let (client, server_end) = tokio::io::duplex(4096);
    let place = handle.admit(alice(), Start::Now, None).await.unwrap();
    tokio::spawn(place.serve(server(server_end).await, Tungstenite));
    WebSocketStream::from_raw_socket(client, Role::Client, None).await
}

/// Until the registry says that so many connections are there.
async fn until_live(handle: &Handle, live: u32) {
    while handle.call(|registry, _| registry.stats().live).await.unwrap() != live {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_dropped_is_given_back() {
    let (_hub, handle) = start(Config::new(1));
    let place = handle.admit(alice(), Start::Now, None).await.unwrap();
    until_live(&handle, 1).await;
    drop(place);
    until_live(&handle, 0).await;
    let place = handle.reserve(None).await.unwrap();
    assert_eq!(handle.call(|registry, _| registry.stats().pending).await, Ok(1));
    drop(place);
    while handle.call(|registry, _| registry.stats().pending).await.unwrap() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_aborted_gives_its_place_back() {
    let (_hub, handle) = start(Config::new(1));
    let (_client, server_end) = tokio::io::duplex(4096);
    let place = handle.admit(alice(), Start::Now, None).await.unwrap();
    let task = tokio::spawn(place.serve(server(server_end).await, Tungstenite));
    until_live(&handle, 1).await;
    task.abort();
    until_live(&handle, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_ends_takes_its_sockets_along_and_says_so() {
    let (hub, handle) = start(Config::new(1));
    let mut client = client(&handle).await;
    hub.abort();
    assert!(client.next().await.is_none_or(|read| read.is_err()));
    assert!(hub.await.unwrap_err().is_cancelled());
    let refused = handle.admit(alice(), Start::Now, None).await.err();
    assert_eq!(refused, Some(HubError::Stopped));
    assert_eq!(handle.post(|_, _| ()), Err(HubError::Stopped));
}

/// Clients that come back every second and name themselves later: they could never be admitted.
#[tokio::test(start_paused = true)]
async fn newcomers_that_are_not_authenticated_do_not_delay_a_stop() {
    let minute = Duration::from_secs(60);
    let config = Config::builder(1).drain_deadline(minute).auth_deadline(minute).build().unwrap();
    let (hub, handle) = start(config);
    let (_quiet, server_end) = tokio::io::duplex(4096);
    let place = handle.reserve(None).await.unwrap();
    tokio::spawn(place.serve(server(server_end).await, Tungstenite));
    let stopping = handle.clone();
    tokio::spawn(async move { stopping.stop().await });
    sleep(Duration::from_millis(1)).await;
    let refused = handle.reserve(None).await.err();
    assert!(matches!(refused, Some(HubError::Refused(Refused::Draining { .. }))), "{refused:?}");
    timeout(Duration::from_secs(10), hub).await.expect("they are told to go at once").unwrap();
}

/// Its client reads nothing, so that it never leaves of its own accord.
#[tokio::test(start_paused = true)]
async fn a_second_stop_ends_the_hub_at_once() {
    let (hub, handle) = start(Config::new(1));
    let (_unread, server_end) = tokio::io::duplex(4096);
    let place = handle.admit(alice(), Start::Now, None).await.unwrap();
    let served = tokio::spawn(place.serve(server(server_end).await, Tungstenite));
    let stopping = handle.clone();
    tokio::spawn(async move { stopping.stop().await });
    sleep(Duration::from_secs(1)).await;
    assert!(!hub.is_finished(), "the first one gives clients time");
    timeout(Duration::from_millis(10), handle.stop()).await.expect("it waits for a client");
    hub.await.unwrap();
    served.await.unwrap();
}

/// Pings below the message rate, of a client that reads no pong, for ten minutes.
#[tokio::test(start_paused = true)]
async fn a_client_that_pings_and_does_not_read_makes_no_queue() {
    let (_hub, handle) = start(Config::new(1));
    let (client, server_end) = tokio::io::duplex(4096);
    let place = handle.admit(alice(), Start::Now, None).await.unwrap();
    tokio::spawn(place.serve(server(server_end).await, Tungstenite));
    let (_unread, mut writer) = tokio::io::split(client);
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.extend([b'x'; 125]);
    let pinging = async {
        for _ in 0..600 {
            for _ in 0..700 {
                // It waits when its pings are not read, and fails when it is closed.
                if writer.write_all(&ping).await.is_err() {
                    return;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("all of its pings were read");
    };
    let _ = timeout(Duration::from_secs(600), pinging).await;
    // Nothing of it is heard any more: it is silent, and goes.
    until_live(&handle, 0).await;
}

/// The client has answered in time, and neither its socket nor the hub had a turn before the deadline.
#[tokio::test(start_paused = true)]
async fn a_pong_that_waits_counts_before_its_deadline_acts() {
    let deadline = Duration::from_secs(10);
    let (_hub, handle) = start(Config::builder(1).pong_timeout(deadline).build().unwrap());
    let mut client = client(&handle).await;
    assert!(client.next().await.unwrap().unwrap().is_ping());
    client.flush().await.unwrap();
    advance(deadline + Duration::from_millis(1)).await;
    let stats = handle.call(|registry, _| registry.stats()).await.unwrap();
    assert_eq!((stats.pongs_received, stats.pong_timeouts), (1, 0));
}

/// A message that is kept must not keep the buffer that it was read into.
#[test]
fn what_was_read_is_a_buffer_of_its_own() {
    let buffer = bytes::Bytes::from(vec![b'x'; 60_000]);
    let frame = tokio_tungstenite::tungstenite::Message::Binary(buffer.slice(..2));
    let Some(Incoming::Data(message)) = Tungstenite.incoming(frame) else { panic!("no message") };
    assert!(!buffer.as_ptr_range().contains(&message.payload().as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays_for_a_day_and_a_silent_one_does_not() {
    let (_hub, handle) = start(Config::new(1));
    let mut client = client(&handle).await;
    let day = Duration::from_secs(24 * 3_600);
    let reading = async { while client.next().await.is_some_and(|read| read.is_ok()) {} };
    assert!(timeout(day, reading).await.is_err(), "it was closed");
    until_live(&handle, 1).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(handle.call(|registry, _| registry.stats().pong_timeouts).await, Ok(1));
}
