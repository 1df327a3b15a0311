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
fn the_axes_of_the_plot_have_titles_and_units() {
    let scenario = Scenario::parse(SMALL, "small.toml").unwrap();
    let plot = simulate(&scenario, 1, &mut |_| {}).plot();
    for text in ["connections", "bytes, in B", "connections in 0.100 s", "4 B", "10 s"] {
        assert!(plot.contains(&format!(">{text}</text>")), "{text:?}: {plot}");
    }
    assert_eq!(plot.matches(">virtual time, in s</text>").count(), 3, "{plot}");
}

/// Where the plot of a simulation of 16 minutes has a mark, and how wide it is: 1 s is a pixel.
fn mark(plot: &str, label: &str) -> (u64, u64) {
    let line = plot.lines().find(|line| line.contains(&format!(">{label}</text>")));
    let line = line.unwrap_or_else(|| panic!("{label} is not in {plot}"));
    let number = |after: &str| -> Option<u64> {
        let digits = line.split_once(after)?.1.split(|char: char| !char.is_ascii_digit()).next();
        digits?.parse().ok()
    };
    // The axis begins at 110.
    (number("dasharray=\"4 3\" d=\"M").expect("a line") - 110, number("v200h-").unwrap_or(0))
}

#[test]
fn every_incident_is_marked_in_the_plot_for_as_long_as_it_lasts() {
    let incidents = "\"drain.deadline\" = \"20s\"\n\
        [[clients]]\nname = \"more\"\nusers = 50\n\
        [[incidents]]\nat = \"1m\"\nwhat = \"drop\"\nshare = 10\n\
        [[incidents]]\nat = \"2m\"\nwhat = \"clock\"\nforward = \"1h\"\n\
        [[incidents]]\nat = \"3m\"\nwhat = \"announce\"\n\
        [[incidents]]\nat = \"4m\"\nwhat = \"deploy\"\noverlap = true\n\
        [[incidents]]\nat = \"6m\"\nwhat = \"deploy\"\ndowntime = \"40s\"\n\
        [[incidents]]\nat = \"8m\"\nwhat = \"crash\"\ndowntime = \"30s\"\n\
        [[incidents]]\nat = \"20m\"\nwhat = \"announce\"\n";
    let text = format!("{}[server.set]\n{incidents}", SMALL.replace("\"10s\"", "\"16m\""));
    let scenario = Scenario::parse(&text, "marks.toml").unwrap();
    let plot = simulate(&scenario, 1, &mut |_| {}).plot();
    assert_eq!(mark(&plot, "drop at 0:01:00"), (60, 0));
    assert_eq!(mark(&plot, "clock at 0:02:00"), (120, 0));
    assert_eq!(mark(&plot, "announce at 0:03:00"), (180, 0));
    assert_eq!(mark(&plot, "crash at 0:08:00"), (480, 30));
    // A deploy lasts until the old server has drained, and without overlap until the next is there.
    for (label, start, shortest) in [("deploy at 0:04:00", 240, 1), ("deploy at 0:06:00", 360, 41)]
    {
        let (from, wide) = mark(&plot, label);
        assert!(from == start && (shortest..shortest + 20).contains(&wide), "{label}: {wide}");
    }
    assert_eq!(plot.matches("<g>").count(), 6, "what is after the end does not happen: {plot}");
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
