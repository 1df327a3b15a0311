//! Parts of a run: several texts that grow at once.

use headcount::{Action, Body, Message, Part, PartKind, RunError, RunEvent, Target};

use super::{bytes, open, since, tell};
use crate::support::{World, config, secs, user};

const REASONING: Part<'_> = Part { id: "r1", kind: PartKind::Reasoning };
const ARGUMENTS: Part<'_> = Part { id: "call-1", kind: PartKind::ToolArguments };

fn delta<'a>(part: Part<'a>, text: &'a str) -> RunEvent<'a> {
    RunEvent::Delta { part, text }
}

/// Every stretch of text that comes out, with its part.
fn stretches(world: &mut World) -> Vec<String> {
    let mut stretches = Vec::new();
    while let Some(action) = world.registry.poll_action() {
        if let Action::Send { body: Body::Text(text), .. } = action {
            let Part { id, kind } = text.part;
            stretches.push(format!("{} {id}: {}", kind.name(), text.text));
        }
    }
    stretches
}

#[test]
fn neighbours_of_one_part_are_joined_and_no_others() {
    let mut world = World::new();
    open(&mut world, "r").unwrap();
    for (part, text) in [
        (REASONING, "let "),
        (REASONING, "me see"),
        (ARGUMENTS, "{\"city\":"),
        (Part::TEXT, "I look"),
        (ARGUMENTS, "\"Bonn\"}"),
        (Part::TEXT, " it up"),
        (Part::TEXT, "."),
    ] {
        tell(&mut world, "r", delta(part, text)).unwrap();
    }
    let _late = world.tab("alice", "main");
    assert_eq!(
        stretches(&mut world),
        [
            "reasoning r1: let me see",
            "tool_arguments call-1: {\"city\":",
            "text : I look",
            "tool_arguments call-1: \"Bonn\"}",
            "text :  it up.",
        ]
    );
}

#[test]
fn a_client_resumes_within_a_part() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", delta(REASONING, "aäb")).unwrap();
    tell(&mut world, "r", delta(ARGUMENTS, "{}")).unwrap();
    stretches(&mut world);
    // The start has the offset 1, the bytes of the text those from 2 to 5.
    let two = since(&world, conn, 2);
    world.resume("alice", "main", two);
    assert_eq!(stretches(&mut world), ["reasoning r1: äb", "tool_arguments call-1: {}"]);
    // Within the character: it stands before it.
    let three = since(&world, conn, 3);
    world.resume("alice", "main", three);
    assert_eq!(stretches(&mut world), ["reasoning r1: äb", "tool_arguments call-1: {}"]);
}

#[test]
fn the_name_and_the_kind_of_a_part_have_rules() {
    let mut world = World::with(config().run_parts(2));
    open(&mut world, "r").unwrap();
    let long = "x".repeat(129);
    for part in [
        Part { id: &long, kind: PartKind::Text },
        Part { id: "", kind: PartKind::Reasoning },
        Part { id: "", kind: PartKind::ToolArguments },
    ] {
        assert_eq!(tell(&mut world, "r", delta(part, "x")), Err(RunError::BadPart));
        assert_eq!(tell(&mut world, "r", delta(part, "")), Err(RunError::BadPart));
    }
    tell(&mut world, "r", delta(REASONING, "hm")).unwrap();
    let other = Part { kind: PartKind::Text, ..REASONING };
    assert_eq!(tell(&mut world, "r", delta(other, "x")), Err(RunError::PartKind));
    tell(&mut world, "r", RunEvent::text("so")).unwrap();
    assert_eq!(tell(&mut world, "r", delta(ARGUMENTS, "{")), Err(RunError::Parts));
    assert_eq!(tell(&mut world, "r", delta(ARGUMENTS, "")), Err(RunError::Parts));
    tell(&mut world, "r", delta(REASONING, "...")).unwrap();
}

#[test]
fn a_name_is_charged_for_each_stretch() {
    let stored = |parts: &[Part<'_>]| {
        let mut world = World::new();
        open(&mut world, "r").unwrap();
        let before = world.registry.stats().log_bytes;
        for part in parts {
            tell(&mut world, "r", delta(*part, "1234")).unwrap();
        }
        world.registry.stats().log_bytes - before
    };
    assert_eq!(stored(&[Part::TEXT]), 4 + 64);
    assert_eq!(stored(&[REASONING]), 4 + 64 + 128);
    assert_eq!(stored(&[REASONING, REASONING]), 8 + 64 + 128);
    assert_eq!(stored(&[REASONING, Part::TEXT, REASONING]), 3 * (4 + 64) + 2 * 128);
}

#[test]
fn a_part_begins_anew_when_the_log_keeps_nothing_of_it() {
    // Room for one message beside the run; the budget takes what open runs have last.
    let mut world = World::with(config().process_bytes(1_000).user_bytes(1_000).run_parts(1));
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", delta(REASONING, &"x".repeat(300))).unwrap();
    assert_eq!(tell(&mut world, "r", RunEvent::text("y")), Err(RunError::Parts));
    world.send(Target::User(&user("alice")), Message::binary(vec![0; 900]));
    let again = Part { kind: PartKind::Text, ..REASONING };
    tell(&mut world, "r", delta(again, "y")).unwrap();
}

#[test]
fn an_interrupted_run_has_ended_and_is_no_failure() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", super::executing("c1")).unwrap();
    tell(&mut world, "r", RunEvent::Interrupted(bytes("may I?"))).unwrap();
    world.settle();
    assert_eq!(world.seen(conn).last(), Some(&"r Interrupted may I?"));
    world.run(secs(1_000));
    let stats = world.registry.stats();
    let ended = headcount::RunEnd::ALL.iter().map(|end| (*end, stats.runs_ended(*end)));
    let ended: Vec<_> = ended.filter(|(_, count)| *count > 0).collect();
    assert_eq!(ended, [(headcount::RunEnd::Interrupted, 1)]);
}
