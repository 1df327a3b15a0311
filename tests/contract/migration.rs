//! The page for those who come from elsewhere refers to tests: they exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_migration_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/migration.md")).expect("the page");
    let mut named = 0;
    // What stands between back-ticks, in turns with what does not.
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some((file, test)) = quoted.split_once(".rs::") else { continue };
        let path = root.join("tests/contract").join(format!("{file}.rs"));
        let source = fs::read_to_string(&path).unwrap_or_else(|_| panic!("no file {path:?}"));
        assert!(source.contains(&format!("fn {test}()")), "{file}.rs has no test {test}");
        named += 1;
    }
    assert!(named > 20, "only {named} tests are named");
}
