//! `serve --journal` and `headcount replay`, as an operator uses them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::common::{Server, headcount};

/// A folder of one test. Removed when the test is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("headcount-journal-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn serve(journal: &Path, flags: &[&str]) -> Server {
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--journal"]);
    command.arg(journal).args(flags);
    Server::run(command)
}

/// Alice is told something, joins a room, leaves, and comes back. Returns her first connection's id.
fn a_life(journal: &Path, flags: &[&str]) -> String {
    let server = serve(journal, flags);
    let mut alice = server.connect("user=alice&thread=garden");
    let id = alice.connection().to_owned();
    assert_eq!(alice.ask(r#"{"type":"join","room":"tulips"}"#)["type"], "joined");
    server.publish(r#"{"user":"alice"}"#, r#"{"text":"rosebud"}"#);
    assert_eq!(alice.next()["data"]["text"], "rosebud");
    alice.socket.close(None).unwrap();
    alice.closed();
    drop(alice);
    server.until(|stats| stats["connections"]["live"] == 0);
    let again = server.connect("user=alice&thread=garden");
    server.until(|stats| stats["connections"]["live"] == 1);
    server.signal("TERM");
    drop(again);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    id
}

pub(crate) fn replay(journal: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = headcount();
    command.arg("replay").arg(journal).args(arguments).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_a_server_did_is_done_again_up_to_where_one_wants_to_look() {
    let folder = Folder::new();
    let journal = folder.file("life");
    let id = a_life(&journal, &["--journal-names", "--journal-payloads"]);
    let (instance, handle) = id.split_once('.').unwrap();
    let (code, actions, stderr) = replay(&journal, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    for part in ["rosebud", "cleanup", "peer_closed"] {
        assert!(actions.contains(part), "{part:?} is not in: {actions}");
    }
    assert_eq!(replay(&journal, &[]).1, actions);

    let (code, both, _) = replay(&journal, &["--inputs"]);
    assert_eq!(code, Some(0));
    let (inputs, rest): (Vec<_>, Vec<_>) = both.lines().partition(|line| line.starts_with("> "));
    assert_eq!(rest, actions.lines().collect::<Vec<_>>());
    let welcome = format!("reply at once to {handle} ");
    assert!(inputs.iter().any(|line| line.contains(&welcome)), "{welcome:?} is not in: {both}");
    let connect = format!("connect {handle} user alice thread garden");
    let place = inputs.iter().position(|line| line.ends_with(&connect));
    let number = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    let connected = number(inputs[place.unwrap()]);

    let (code, known, _) = replay(&journal, &["--until", &connected, "--explain", &id]);
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!((&known["user"], &known["state"]), (&json!("alice"), &json!("open")));
    // The time of that input is enough, too: what comes later is not replayed.
    let time = |line: &str| line.split(' ').nth(2).unwrap().to_owned();
    let (_, printed, _) = replay(&journal, &["--inputs", "--at", &time(inputs[place.unwrap()])]);
    let last = printed.lines().rfind(|line| line.starts_with("> ")).unwrap();
    let later = inputs.iter().position(|line| *line == last).unwrap() + 1;
    assert!(printed.contains(&connect) && time(last) == time(inputs[place.unwrap()]), "{printed}");
    assert!(inputs[later..].iter().all(|line| time(line) != time(last)), "{printed}");
    // At the end it is one of those that have closed.
    let (code, known, _) = replay(&journal, &["--explain", &id]);
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    assert_eq!((code, &known["reason"]), (Some(0), &json!("peer_closed")));
    assert_eq!(known["connection"], id.as_str());
    // So is its handle alone, and no connection of another process.
    assert_eq!(replay(&journal, &["--explain", handle]).0, Some(0));
    let foreign = format!("{:016x}.{handle}", !u64::from_str_radix(instance, 16).unwrap());
    assert_eq!(replay(&journal, &["--explain", &foreign]).0, Some(1));
    // Before it was there, nothing is known of it.
    let (code, known, stderr) = replay(&journal, &["--until", "0", "--explain", &id]);
    assert_eq!((code, known.as_str()), (Some(1), ""), "{stderr}");
}

#[test]
fn names_and_payloads_stay_out_unless_asked_for() {
    let folder = Folder::new();
    let journal = folder.file("life");
    let id = a_life(&journal, &[]);
    let bytes = std::fs::read(&journal).unwrap();
    for secret in ["alice", "garden", "tulips", "rosebud"] {
        assert!(!bytes.windows(secret.len()).any(|at| at == secret.as_bytes()), "{secret}");
    }
    let (code, lines, stderr) = replay(&journal, &["--inputs"]);
    assert_eq!(code, Some(0), "{stderr}");
    let name = |id: &str| {
        let line = lines.lines().find(|line| line.contains(&format!("connect {id} user ")));
        line.unwrap().split(' ').nth(6).unwrap().to_owned()
    };
    let (_, handle) = id.split_once('.').unwrap();
    let pseudonym = name(handle);
    assert!(pseudonym.starts_with('~') && pseudonym.len() == 17, "{pseudonym}");
    // It is the same wherever she comes up.
    assert!(lines.matches(&pseudonym).count() >= 3, "{lines}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_journal() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let journal = folder.file("life");
    a_life(&journal, &[]);
    let mode = std::fs::metadata(&journal).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_journal_cut_anywhere_is_replayed_as_far_as_it_is_whole() {
    let folder = Folder::new();
    let journal = folder.file("life");
    a_life(&journal, &["--journal-names"]);
    let whole = std::fs::read(&journal).unwrap();
    let (_, all, _) = replay(&journal, &[]);
    let cut = folder.file("cut");
    let mut ends = 0;
    for place in [0, 5, 30, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&cut, &whole[..place]).unwrap();
        let (code, some, stderr) = replay(&cut, &[]);
        assert!(all.starts_with(&some), "{place}");
        if code == Some(1) {
            assert!(stderr.contains("ends within a record"), "{stderr}");
        } else {
            // Between two records, there is nothing to tell an end from a cut.
            ends += 1;
        }
    }
    assert!(ends <= 1, "{ends}");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    std::fs::write(&cut, &damaged).unwrap();
    let (code, some, stderr) = replay(&cut, &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(all.starts_with(&some) && some.len() < all.len());
}

#[test]
fn a_journal_of_an_earlier_life_is_kept() {
    let folder = Folder::new();
    let journal = folder.file("life");
    a_life(&journal, &[]);
    let first = std::fs::read(&journal).unwrap();
    a_life(&journal, &[]);
    assert_eq!(std::fs::read(folder.file("life.1")).unwrap(), first);
    assert_eq!(replay(&journal, &[]).0, Some(0));
}

#[test]
fn a_journal_in_segments_is_replayed_from_the_middle() {
    let folder = Folder::new();
    let journal = folder.file("life");
    let flags = ["--journal-segment-bytes", "2KiB", "--journal-keep", "2"];
    let server = serve(&journal, &flags);
    let early = server.connect("user=early&thread=garden");
    let (_, handle) = early.connection().split_once('.').unwrap();
    let mut others = Vec::new();
    while !folder.file("life.5").exists() {
        let other = server.connect(&format!("user=user-{}", others.len()));
        server.publish(r#"{"user":"early"}"#, r#"{"text":"rosebud"}"#);
        others.push(other);
    }
    server.signal("TERM");
    drop(others);
    let handle = handle.to_owned();
    drop(early);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let mut kept: Vec<_> =
        std::fs::read_dir(&folder.0).unwrap().map(|it| it.unwrap().path()).collect();
    kept.sort();
    assert_eq!(kept.len(), 3, "{kept:?}");
    for segment in &kept {
        let (code, _, stderr) = replay(segment, &[]);
        assert_eq!(code, Some(0), "{segment:?}: {stderr}");
    }
    let (code, _, stderr) = replay(&kept[1], &["--check"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("goes on from another one"), "{stderr}");
    // It was admitted in a segment that is gone.
    let (code, known, stderr) = replay(&kept[1], &["--until", "0", "--explain", &handle]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(known.contains(&handle) && !known.contains("rosebud"), "{known}");
}

#[test]
fn segments_of_no_size_are_refused() {
    for (flag, value) in [
        ("--journal-segment-bytes", "0"),
        ("--journal-segment-age", "soon"),
        ("--journal-keep", "-1"),
    ] {
        let mut command = headcount();
        command.args(["serve", "--journal", "/dev/null", &format!("{flag}={value}")]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(flag) && stderr.contains(value), "{stderr}");
    }
}

#[test]
fn a_disk_that_refuses_ends_the_journal_and_not_the_server() {
    let server = serve(Path::new("/dev/full"), &[]);
    // Each makes a turn, and the disk is another thread's.
    let clients = ["a", "b", "c"].map(|user| server.connect(&format!("user={user}")));
    server.logged(&["the journal ends here"]);
    drop((clients, server.connect("user=bob")));
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn mistakes_are_exit_code_2_and_one_line() {
    let folder = Folder::new();
    let other = folder.file("other");
    std::fs::write(&other, "GIF89a").unwrap();
    let absent = folder.file("absent");
    let cases: [(&Path, &[&str], &str); 6] = [
        (&absent, &[], "cannot read it"),
        (&other, &[], "not a journal"),
        (&absent, &["--check"], "cannot read it"),
        (&other, &["--check"], "not a journal"),
        (&other, &["--explain", "alice"], "16 digits"),
        (&other, &["--at", "noon"], "12.5"),
    ];
    for (file, arguments, part) in cases {
        let (code, stdout, stderr) = replay(file, arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--journal", "/nowhere/at/all"]);
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--journal /nowhere/at/all") && stderr.contains("choose another"));
}

#[test]
#[cfg(unix)]
fn an_empty_file_that_was_there_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let journal = folder.file("life");
    std::fs::write(&journal, "").unwrap();
    std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o666)).unwrap();
    let server = serve(&journal, &["--journal-names"]);
    let mode = std::fs::metadata(&journal).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.stats()["journal"], json!({"recording": true}));
}

#[test]
#[cfg(target_os = "linux")]
fn a_journal_that_ends_says_so_in_the_figures_and_the_server_goes_on() {
    let folder = Folder::new();
    let journal = folder.file("life");
    // 512 bytes each: a few turns.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 16; exec \"$@\"", "sh"]).arg(headcount().get_program());
    for (name, _) in headcount().get_envs() {
        command.env_remove(name);
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--journal"]);
    let server = Server::run({
        command.arg(&journal);
        command
    });
    assert!(server.get("/metrics").body.contains("\nheadcount_journal_recording 1\n"));
    let mut client = server.connect("user=a");
    let mut asked = 0;
    while server.stats()["journal"]["recording"] == true {
        client.ask(r#"{"type":"ping"}"#);
        asked += 1;
        assert!(asked < 10_000);
    }
    let ended = server.stats()["journal"].clone();
    assert_eq!((&ended["recording"], &ended["ended"]), (&json!(false), &json!("write_failed")));
    assert!(ended["why"].as_str().unwrap().contains("large"), "{ended}");
    server.logged(&["ERROR", "the journal ends here"]);
    let metrics = server.get("/metrics").body;
    for line in ["journal_recording 0", "journal_ended_total{why=\"write_failed\"} 1"] {
        assert!(metrics.contains(&format!("\nheadcount_{line}\n")), "{line} is not in {metrics}");
    }
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
    assert_eq!(Server::start().stats()["journal"], json!(null));
}
