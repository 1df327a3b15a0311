//! Every public item and every method of the registry has an example, or links one in which it occurs.
//!
//! Whether the examples compile and hold is for `cargo test --doc`.

use super::{File, files, none};

/// What the methods of must have an example each: what an embedder calls.
const CALLED: [&str; 2] = ["Registry", "UserScope"];
/// What stands before the name in a declaration.
const BEFORE_A_NAME: [&str; 7] = ["pub", "const", "fn", "struct", "enum", "trait", "crate"];

/// A declaration that is documented.
struct Item<'a> {
    /// The type in whose `impl` it stands.
    owner: Option<String>,
    name: String,
    /// What it is declared as: of a function the arguments and the result, too.
    declaration: String,
    doc: Vec<&'a str>,
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The type of an `impl` block that begins with this line.
fn implemented(line: &str) -> Option<String> {
    let rest = line.strip_prefix("impl")?.strip_suffix('{')?;
    let rest = rest.strip_prefix('<').and_then(|it| Some(it.split_once('>')?.1)).unwrap_or(rest);
    let of = rest.split_once(" for ").map_or(rest, |(_, of)| of);
    Some(words(of).next()?.into())
}

/// The items of a file that are documented. It reads lines as the formatter leaves them.
fn items(text: &str) -> Vec<Item<'_>> {
    let (mut items, mut doc, mut block) = (Vec::new(), Vec::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if let Some(comment) = code.strip_prefix("///") {
            doc.push(comment.strip_prefix(' ').unwrap_or(comment));
        } else if let Some(owner) = implemented(code) {
            block = Some((indent, owner));
            doc.clear();
        } else if code == "}" && block.as_ref().is_some_and(|(begun, _)| *begun == indent) {
            block = None;
        } else if !doc.is_empty() && !code.starts_with("#[") && !code.starts_with("$(#[") {
            let Some(name) = words(code).find(|word| !BEFORE_A_NAME.contains(word)) else {
                continue;
            };
            let mut declaration = code.to_owned();
            if words(code).any(|word| word == "fn") {
                while !declaration.ends_with(['{', '}', ';']) {
                    declaration += lines.next().expect("a signature ends");
                }
            }
            let owner = block.as_ref().map(|(_, owner): &(_, String)| owner.clone());
            items.push(Item {
                owner,
                name: name.into(),
                declaration,
                doc: std::mem::take(&mut doc),
            });
        }
    }
    items
}

impl Item<'_> {
    /// The docs of the crate.
    fn of_crate(lib: &str) -> Item<'_> {
        let doc = lib.lines().map_while(|line| line.strip_prefix("//!"));
        let doc = doc.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        Item { owner: None, name: "crate".into(), declaration: String::new(), doc }
    }

    fn path(&self) -> String {
        self.owner.iter().chain([&self.name]).cloned().collect::<Vec<_>>().join("::")
    }

    /// The lines of its docs outside of blocks of code, and those within that are Rust and are shown.
    fn text_and_code(&self) -> (String, String) {
        let (mut text, mut code, mut block) = (String::new(), String::new(), None);
        for line in &self.doc {
            match (line.trim_start().strip_prefix("```"), block) {
                (Some(language), None) => block = Some(language),
                (Some(_), Some(_)) => block = None,
                (None, None) => text += &format!("{line} "),
                (None, Some("")) if *line != "#" && !line.starts_with("# ") => {
                    code += &format!("{line}\n");
                }
                (None, Some(_)) => {}
            }
        }
        (text, code)
    }

    /// Whether it has an example in which this name occurs: in the code, or as what the code is about.
    fn shows(&self, name: &str) -> bool {
        let (_, code) = self.text_and_code();
        let about = [&self.declaration, &self.path(), &code];
        !code.is_empty() && about.iter().any(|text| words(text).any(|word| word == name))
    }

    /// The paths that its docs link, as [`Item::path`] has them.
    fn links(&self) -> Vec<String> {
        let (text, _) = self.text_and_code();
        let links = text.split('[').skip(1).filter_map(|rest| {
            let (shown, rest) = rest.split_once(']')?;
            let target = rest.strip_prefix('(').and_then(|rest| Some(rest.split_once(')')?.0));
            let target = target.unwrap_or(shown).trim_matches('`');
            let target = target.split_once('#').map_or(target, |(path, _)| path);
            let this = self.owner.as_ref().unwrap_or(&self.name);
            Some(target.trim_start_matches("crate::").replace("Self", this))
        });
        links.collect()
    }
}

/// Whether one of the items that have this path has an example, or links one in which it occurs.
fn has_example(all: &[Item<'_>], path: &str) -> bool {
    all.iter().filter(|item| item.path() == path).any(|item| {
        let links = item.links();
        let linked = all.iter().filter(|other| links.contains(&other.path()));
        linked.chain([item]).any(|other| other.shows(&item.name))
    })
}

/// What the root of the crate exports.
fn exported(lib: &str) -> Vec<String> {
    let uses = lib.split("\npub use ").skip(1).filter_map(|rest| rest.split_once(';'));
    uses.flat_map(|(names, _)| words(names).skip(1).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn what_is_public_has_an_example_or_links_one() {
    let files: Vec<File> = files().into_iter().filter(|it| it.name.starts_with("src/")).collect();
    let lib = files.iter().find(|file| file.name == "src/lib.rs").expect("the root of the crate");
    let mut all: Vec<Item<'_>> = files.iter().flat_map(|file| items(&file.text)).collect();
    all.push(Item::of_crate(&lib.text));

    let types = exported(&lib.text);
    let called = all.iter().filter(|item| {
        let of = item.owner.as_ref().is_some_and(|owner| CALLED.contains(&owner.as_str()));
        of && ["pub fn ", "pub const fn "].iter().any(|it| item.declaration.starts_with(it))
    });
    let methods: Vec<String> = called.map(Item::path).collect();
    println!("{} public items, {} methods of {CALLED:?}", types.len(), methods.len());
    assert!(types.len() > 90 && methods.len() > 50, "items or methods were not found");
    let without = types.into_iter().chain(methods).filter(|path| !has_example(&all, path));
    none(
        without.map(|path| format!("{path}: it has no example, and links none with it")).collect(),
    );
}

#[test]
fn an_example_counts_for_what_occurs_in_it() {
    let all = items(
        "/// [`Door::open`] has an example.
pub struct Door;

impl Door {
    /// ```
    /// # let hinge = Hinge;
    /// door.open();
    /// ```
    #[must_use]
    pub fn open(
        &self,
    ) -> Width {
    }

    /// See [opening](Self::open).
    pub fn close(&self) {}
}

/// [`Door::open`] makes one.
pub struct Width;

/// [`Door::open`] needs one.
pub struct Hinge;

/// ```text
/// Lock
/// ```
pub struct Lock;
",
    );
    let shown = ["Door", "Door::open", "Door::close", "Width", "Hinge", "Lock", "Key"];
    let shown: Vec<_> = shown.into_iter().filter(|path| has_example(&all, path)).collect();
    assert_eq!(shown, ["Door", "Door::open", "Width"]);
}
