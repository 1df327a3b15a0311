//! `headcount replay --check`: journals of any kind agree with the model.

use headcount::Registry;
use headcount_harness::history::History;
use headcount_harness::recorded::Recorded;
use headcount_harness::seen::Seen;
use headcount_harness::settings::with_tick_budget;
use headcount_harness::world::World;
use headcount_journal::{OwnedInput, Reader, Recorder, Recording, Replay};
use serde_json::json;

use crate::common::File;
use crate::journal::{Folder, replay, serve};
use crate::runs::{opened, told};

/// How many random histories are recorded.
const SEEDS: u64 = 40;

fn take(registry: &mut Registry) -> &[u8] {
    registry.tap_mut::<Recorder>().map_or(&[], Recorder::take)
}

/// The journal of a random history, up to where it rests.
fn history(seed: u64, recording: Recording) -> Vec<u8> {
    let history = History::from_seed(seed);
    let (config, population) = history.settings();
    let mut world = World::around(|| Recorder::registry(config, recording), population);
    for op in &history.ops {
        world.apply(op).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    let mut journal = take(world.registry_mut()).to_vec();
    world.wind_up().unwrap();
    journal.extend_from_slice(take(world.registry_mut()));
    journal
}

/// The journal of a registry with another budget of its ticks, which is given the inputs of a journal.
fn with_other_ticks(journal: &[u8], deadlines: u32) -> Vec<u8> {
    let mut reader = Reader::new(journal).unwrap();
    let config = with_tick_budget(reader.config(), reader.config(), deadlines);
    let mut registry = Recorder::registry(config, Recording::new(1).with_names());
    while let Some((at, input)) = reader.next_input().unwrap() {
        input.apply(&mut registry, at, |_| {});
    }
    take(&mut registry).to_vec()
}

#[test]
fn random_histories_agree() {
    let folder = Folder::new();
    let file = folder.file("history");
    let agrees = |what: &str, journal: &[u8]| {
        std::fs::write(&file, journal).unwrap();
        let (code, stdout, stderr) = replay(&file, &["--check"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{what}");
        assert!(stdout.ends_with("actions agree with the model\n"), "{what}: {stdout}");
    };
    for seed in 0..SEEDS {
        let journal = history(seed, Recording::new(seed.into()));
        agrees(&format!("seed {seed}"), &journal);
        let whole = history(seed, Recording::new(1).with_names().with_payloads());
        let deadlines = if seed % 2 == 0 { 2 } else { 256 };
        let what = format!("seed {seed} with {deadlines} deadlines a tick");
        agrees(&what, &with_other_ticks(&whole, deadlines));
    }
}

#[test]
fn what_a_server_did_agrees() {
    let folder = Folder::new();
    let journal = folder.file("life");
    let settings = File::new("[limits]\nconnections_per_user = 3\n[run]\nsilence = \"200ms\"\n");
    let path = settings.path().to_str().unwrap().to_owned();
    let server = serve(&journal, &["--config", &path]);
    let mut tabs: Vec<_> = (0..3).map(|_| server.connect("user=a")).collect();
    let mut other = server.connect("user=b&thread=work");
    for client in tabs.iter_mut().chain([&mut other]) {
        assert_eq!(client.ask(r#"{"type":"join","room":"lobby"}"#)["type"], "joined");
    }
    server.publish(r#"{"room":"lobby"}"#, r#""hello""#);
    server.publish(r#"{"everyone":true}"#, r#""all""#);
    opened(&server, "r");
    told(&server, "r", json!({"event": "text", "delta": "an answer"}));
    server.until(|stats| stats["runs"]["open"] == 0);
    // One that comes over the cap, and one that takes over.
    let late = server.connect("user=a");
    let previous = late.connection().to_owned();
    drop(late);
    let again = server.connect(&format!("user=a&previous={previous}"));
    settings.write("[limits]\nconnections_per_user = 1\n");
    server.post("/v1/reload", "");
    server.post("/v1/users/b/revoke", "");
    server.signal("TERM");
    drop((tabs, other, again));
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");

    let (code, stdout, stderr) = replay(&journal, &["--check"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let (_, _, plain) = replay(&journal, &[]);
    let counts = plain.trim_start_matches("replayed ").trim();
    assert_eq!(stdout.trim(), format!("{counts} agree with the model"));
    // The first part of it does, too.
    let (code, stdout, _) = replay(&journal, &["--check", "--until", "9"]);
    assert_eq!((code, stdout.starts_with("9 inputs and ")), (Some(0), true), "{stdout}");
}

#[test]
fn an_action_that_was_not_polled_is_missed() {
    let journal = history(3, Recording::new(1));
    let mut replay = Replay::new(&journal).unwrap();
    let mut recorded = Recorded::new(replay.reader().config(), (1, 1));
    let mut seen: Vec<Seen> = Vec::new();
    while let Some(step) = replay.step(|action| seen.push(action.into())).unwrap() {
        let done = match &step.input {
            OwnedInput::Polled { count, .. } => {
                let is_missing = seen.pop().is_some();
                let done = recorded.polled(*count, &seen);
                if is_missing {
                    let told = done.unwrap_err();
                    assert!(told.wrong.starts_with("polled None, and Some("), "{told:?}");
                    assert_eq!(told.agreed, step.number - 1);
                    return;
                }
                done
            }
            OwnedInput::Noticed { count } => recorded.noticed(*count),
            input => {
                let registry = replay.registry();
                input.lend(|input| recorded.input(step.at, input, registry)).unwrap()
            }
        };
        done.unwrap();
    }
    panic!("nothing was polled");
}

#[test]
fn a_journal_that_ends_early_is_checked_as_far_as_it_is_whole() {
    let folder = Folder::new();
    let file = folder.file("cut");
    let journal = history(3, Recording::new(1));
    std::fs::write(&file, &journal[..journal.len() - 1]).unwrap();
    let (code, stdout, stderr) = replay(&file, &["--check"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("ends within a record") && stderr.contains("\nchecked "), "{stderr}");
    let (code, _, stderr) = replay(&file, &["--check", "--inputs"]);
    assert_eq!(code, Some(2), "{stderr}");
}
