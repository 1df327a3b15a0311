//! The page for those who write a shell has the table of behaviours as it is.

use headcount_conformance::BEHAVIOURS;

#[test]
fn the_page_for_embedders_has_every_behaviour() {
    let page = include_str!("../../../docs/embedding.md");
    let (_, table) = page.split_once("| test | what every shell does |\n|---|---|\n").expect("it");
    let shown: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let row = |it: &headcount_conformance::Behaviour| format!("| `{}` | {} |", it.name, it.says);
    let wanted: Vec<_> = BEHAVIOURS.iter().map(row).collect();
    assert!(shown == wanted, "the rows should be:\n{}", wanted.join("\n"));
}
