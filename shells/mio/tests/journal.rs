//! A server that writes a journal: its replay ends where the server ended.

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Client, TestServer, config};
use headcount::{CloseReason, ConnId};
use headcount_journal::{OwnedInput, Recorder, Recording, Replay};
use headcount_mio::{JournalSink, Options};

/// A folder in memory: a file for each segment.
#[derive(Clone)]
struct Memory(Arc<Mutex<Vec<Vec<u8>>>>);

impl Memory {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(vec![Vec::new()])))
    }

    fn files(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }
}

impl JournalSink for Memory {
    fn begin_segment(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().push(Vec::new());
        Ok(())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().last_mut().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_journal_of_a_server_is_its_whole_life() {
    let folder = Memory::new();
    let mut bound = TestServer::bind(config(), Options::new());
    bound.server = bound.server.journal(Recording::new(1).with_names(), folder.clone());
    let server = bound.run();
    let mut clients: Vec<Client> =
        (0..5).map(|number| Client::admitted(server.address, &format!("user-{number}"))).collect();
    let conn: ConnId = clients[3].conn();
    clients[0].say("to all: hello");
    for client in &mut clients {
        assert_eq!(client.text(), "hello");
    }
    clients[1].say("close me");
    clients[1].expect_close(CloseReason::Application.code());
    clients.remove(2).reset();
    server.until("one was reset", |stats| stats.closed(CloseReason::PeerGone) == 1);
    let stats = server.stats();
    server.handle.stop();
    for client in &mut clients {
        let _ = client.stream.shutdown(std::net::Shutdown::Both);
    }
    server.join().unwrap();

    let [journal] = &folder.files()[..] else { panic!("one segment") };
    let mut replay = Replay::new(journal).unwrap();
    let (mut sends, mut replies, mut opened, mut live_conn) = (0, 0, 0, false);
    while let Some(step) = replay
        .step(|action| sends += u32::from(matches!(action, headcount::Action::Send { .. })))
        .unwrap()
    {
        replies += u32::from(matches!(step.input, OwnedInput::ReplyAtOnce { .. }));
        replay.registry().check().unwrap();
        opened += u64::from(matches!(step.input, OwnedInput::Connect { .. }));
        live_conn |= replay.registry().connection(conn).is_some();
    }
    let end = replay.registry().stats();
    assert_eq!((end.opened, opened, end.live), (stats.opened, 5, 0));
    assert!(end.closed(CloseReason::PeerGone) >= 1);
    assert_eq!(end.closed(CloseReason::Application), 1);
    // Each is welcomed with a reply, and all read what one has said.
    assert!(live_conn && sends >= 1 && replies >= 5, "{sends} {replies}");
}

/// A disk with room for so many bytes, which must not be waited for then.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        panic!("the loop waits for a disk that has refused")
    }
}

impl JournalSink for Full {
    fn begin_segment(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_journal_in_segments_goes_on_where_the_last_one_ended() {
    let folder = Memory::new();
    let mut bound = TestServer::bind(config(), Options::new());
    let recording = Recording::new(1).segments(2_000, Duration::from_secs(3_600));
    bound.server = bound.server.journal(recording, folder.clone());
    let server = bound.run();
    let mut clients = Vec::new();
    while folder.files().len() < 5 {
        let mut client = Client::admitted(server.address, &format!("user-{}", clients.len()));
        client.say("something");
        assert_eq!(client.text(), "something");
        clients.push(client);
    }
    server.handle.stop();
    drop(clients);
    server.join().unwrap();
    let mut before = None;
    for segment in folder.files() {
        let mut replay = Replay::new(&segment).unwrap();
        let begins = replay.registry().fingerprint();
        assert_eq!(begins, before.unwrap_or(begins));
        while replay.step(|_| {}).unwrap().is_some() {}
        before = Some(replay.registry().fingerprint());
    }
}

#[test]
fn a_journal_that_can_t_be_written_ends_and_the_server_does_not() {
    let mut bound = TestServer::bind(config(), Options::new());
    bound.server = bound.server.journal(Recording::new(1), Full(4_000));
    let server = bound.run();
    let recording =
        || server.handle.call(|context| context.registry.tap::<Recorder>().is_some()).unwrap();
    assert!(recording());
    while recording() {
        let mut client = Client::admitted(server.address, "alice");
        client.say("something");
        assert_eq!(client.text(), "something");
    }
    let mut client = Client::admitted(server.address, "bob");
    client.say("still there");
    assert_eq!(client.text(), "still there");
}
