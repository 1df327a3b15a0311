//! The form of the Rust files, as far as the formatter and the lints don't check it.

mod examples;

use std::fs;
use std::path::{Path, PathBuf};

/// How many lines a file has at most: it is about one concept.
const LINES: usize = 500;
/// How many characters a line has at most. The formatter breaks code before that and leaves comments alone.
const COLUMNS: usize = 110;
/// Notes of what is left to do, and tests that are never run. Put together here, or this file would have
/// them, too.
const NEVER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[", "ignore")];
/// Persons who stand for things in the documentation: say connection, client, member or caller.
const PERSONS: [&str; 3] = ["whoever", "somebody", "anybody"];

/// A Rust file: its path from the root of the workspace, and its text.
struct File {
    name: String,
    text: String,
}

impl File {
    /// Its lines with what is wrong with each, if `wrong` says so.
    fn lines(&self, wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let found = self.text.lines().zip(1..).filter_map(|(line, number)| {
            wrong(line).map(|wrong| format!("{}:{number}: {wrong}", self.name))
        });
        found.collect()
    }

    /// Whether it is part of a crate that is published, and no test.
    fn is_documented(&self) -> bool {
        self.name.split('/').any(|folder| folder == "src") && !self.name.contains("tests")
    }
}

/// All Rust files of the workspace, and of what is beside it.
fn files() -> Vec<File> {
    fn visit(folder: &Path, paths: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().expect("the kind of an entry").is_dir() {
                // What is built, and what is hidden, is no part of the project.
                if name != "target" && name != "node_modules" && !name.starts_with('.') {
                    visit(&path, paths);
                }
            } else if name.ends_with(".rs") {
                paths.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    visit(root, &mut paths);
    paths.sort();
    let read = paths.iter().map(|path| File {
        name: path.strip_prefix(root).expect("a path below").to_string_lossy().into_owned(),
        text: fs::read_to_string(path).expect("a readable file"),
    });
    let files: Vec<_> = read.collect();
    assert!(files.len() > 300, "only {} files were found", files.len());
    files
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_file_begins_with_what_it_is() {
    let headless = files().into_iter().filter(|file| !file.text.starts_with("//! "));
    none(headless.map(|file| format!("{}: the first line is no `//! …`", file.name)).collect());
}

#[test]
fn a_file_is_short_enough_for_one_concept() {
    let long = files().into_iter().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > LINES).then(|| format!("{}: {lines} lines, at most {LINES}", file.name))
    });
    none(long.collect());
}

#[test]
fn a_line_is_narrow_enough_to_stand_beside_another() {
    let wide = files().into_iter().flat_map(|file| {
        file.lines(|line| {
            let columns = line.chars().count();
            let code = line.trim_start();
            let is_row = code.starts_with("/// |") || code.starts_with("//! |");
            // A row of a table and a text in quotes can't be broken.
            let is_text = !code.starts_with("//") && code.contains('"');
            let is_wide = columns > COLUMNS && !is_row && !is_text;
            is_wide.then(|| format!("{columns} characters, at most {COLUMNS}"))
        })
    });
    none(wide.collect());
}

#[test]
fn nothing_is_left_to_do_and_no_test_is_left_out() {
    let noted = files().into_iter().flat_map(|file| {
        file.lines(|line| Some(format!("`{}`", NEVER.iter().find(|note| line.contains(**note))?)))
    });
    none(noted.collect());
}

#[test]
fn the_documentation_speaks_of_things_and_not_of_persons() {
    let personal = files().into_iter().filter(File::is_documented).flat_map(|file| {
        file.lines(|line| {
            let comment = line.trim_start();
            let text = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"))?;
            let mut words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
            let word = words.find(|word| PERSONS.contains(&word.as_str()))?;
            Some(format!("`{word}` for a thing"))
        })
    });
    none(personal.collect());
}
