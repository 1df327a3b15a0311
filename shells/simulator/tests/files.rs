//! Scenario files: what the documentation shows is read, and mistakes are told by place.

use headcount_simulator::{Scenario, scenario, simulate};

const DOCUMENTATION: &str = include_str!("../../../docs/simulator.md");

/// The smallest scenario, for tests to break. Its lines are counted from 1.
const SMALL: &str =
    "about = \"small\"\nlength = \"10s\"\n[[clients]]\nname = \"tabs\"\nusers = 3\n";

fn mistake(text: &str) -> String {
    Scenario::parse(text, "storm.toml").expect_err("a mistake").to_string()
}

#[test]
fn the_example_of_the_documentation_is_a_scenario() {
    let (_, after) = DOCUMENTATION.split_once("```toml\n").expect("an example");
    let (example, _) = after.split_once("```").expect("its end");
    let scenario = Scenario::parse(example, "docs/simulator.md").unwrap();
    let report = simulate(&scenario.scaled(10), 1, &mut |_| {});
    assert!(report.is_sound(), "{report}");
    // Every key that the tables name is in the example, or is said to be absent from it.
    for line in DOCUMENTATION.lines().filter(|line| line.starts_with("| `")) {
        let key = line.split('`').nth(1).unwrap();
        assert!(example.contains(&format!("{key} = ")) || line.contains("†"), "{key}");
    }
}

#[test]
fn the_plot_is_an_svg() {
    let scenario = Scenario::parse(SMALL, "small.toml").unwrap();
    let plot = simulate(&scenario, 1, &mut |_| {}).plot();
    assert!(plot.starts_with("<svg ") && plot.ends_with("</svg>\n"), "{plot}");
    assert_eq!(plot.matches("<polyline").count(), 3);
}

#[test]
fn mistakes_name_the_file_the_line_and_the_key() {
    for (added, expected) in [
        ("tabz = 2", "storm.toml:6: unknown field `tabz`"),
        ("tabs = \"two\"", "storm.toml:6: tabs: invalid type"),
        ("tabs = 0", "storm.toml:4: name: clients \"tabs\": users and tabs must be at least 1"),
        ("over = \"5 minutes\"", "storm.toml:6: over: \"5 minutes\" is no length of time"),
        ("silent = 130", "storm.toml:6: silent: 130 is no share"),
        ("back_off = [\"5s\", \"1s\"]", "storm.toml:6: back_off: 5 s is more than 1 s"),
        ("[[traffic]]\nclients = \"tab\"\nper_minute = 1\nbytes = 1", "storm.toml:7: clients: "),
        ("[[incidents]]\nat = \"1s\"\nwhat = \"drop\"", "storm.toml:8: what: a drop needs a share"),
        (
            "[[incidents]]\nat = \"1s\"\nwhat = \"fire\"",
            "storm.toml:8: what: unknown variant `fire`",
        ),
        (
            "[server.set]\n\"limits.conections\" = 4",
            "storm.toml:7: limits.conections: the registry",
        ),
        (
            "[server.set]\n\"limits.connections\" = \"four\"",
            "storm.toml:7: limits.connections: expected a whole number",
        ),
        ("[server]\nprofile = \"prod\"", "storm.toml:7: profile: \"prod\" is no profile: expected"),
    ] {
        let sentence = mistake(&format!("{SMALL}{added}\n"));
        assert!(sentence.contains(expected), "{added}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence:?}");
    }
    assert!(mistake("about = \"x\"\nlength = ").starts_with("storm.toml:2: "));
    assert!(mistake("").starts_with("storm.toml"), "{}", mistake(""));
}

#[test]
fn an_unknown_name_lists_the_ready_ones() {
    let sentence = scenario("deploy-strom", None).unwrap_err().to_string();
    for part in ["deploy-strom", "deploy-storm", "tab-flood", "no file"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn the_longest_times_overflow_nothing() {
    let text = "about = \"long\"\nlength = \"720h\"\n[server.set]\n\"heartbeat.interval\" = \"720h\"\n\
                [network]\nlatency = [\"719h\", \"720h\"]\n\
                [[clients]]\nname = \"tabs\"\nusers = 2\narrive = \"720h\"\n\
                [[clients]]\nname = \"early\"\nusers = 2\nover = \"720h\"\ndrops = \"720h\"\n\
                [[runs]]\nclients = \"early\"\nper_minute = 1\nlasts = \"720h\"\nevery = \"720h\"\n\
                bytes = 1\nfrom = \"1h\"\nuntil = \"2h\"\n\
                [[incidents]]\nat = \"1h\"\nwhat = \"clock\"\nforward = \"720h\"\n";
    let scenario = Scenario::parse(text, "long.toml").unwrap();
    assert!(simulate(&scenario, 1, &mut |_| {}).is_sound());
}
