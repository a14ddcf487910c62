//! The enclave does not grow unseen: what it consists of is listed in `tree.txt`, and the README tells the sum.
#![allow(clippy::unwrap_used, reason = "a test")]

mod tree;

use tree::{Tree, own};

const HELP: &str =
    "look at what came, then: cargo run -p adyton-enclave --example tree -- --accept";

fn listed() -> Tree {
    let parsed = include_str!("../tree.txt").lines().map(|line| {
        let (name, lines) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), lines.parse().unwrap())
    });
    parsed.collect()
}

/// What is in the tree and not listed, or larger than listed. Of own crates the list is a bound, of others exact.
fn unreviewed(found: &Tree, listed: &Tree) -> Vec<String> {
    let grown = found.iter().filter(|(name, lines)| match listed.get(*name) {
        Some(bound) if own(name) => *lines > bound,
        Some(known) => *lines != known,
        None => true,
    });
    grown.map(|(name, lines)| format!("{name}: {lines} lines")).collect()
}

#[test]
fn the_tree_holds_what_is_listed() {
    let (found, listed) = (tree::count(), listed());
    let grown = unreviewed(&found, &listed);
    assert!(grown.is_empty(), "{grown:#?}; {HELP}");
    let gone: Vec<_> = listed.keys().filter(|name| !found.contains_key(*name)).collect();
    assert!(gone.is_empty(), "listed, but no longer there: {gone:?}; {HELP}");
    // The README's figures, in thousands of lines.
    let [(mine, my_lines), (others, other_lines)] = tree::totals(&found);
    let readme = include_str!("../../../README.md");
    let crates = format!("{mine} crates of this repository and {others} of others");
    assert!(readme.contains(&crates), "README.md should say: {crates}");
    let told = |before: &str| -> usize {
        let (start, _) = readme.split_once(before).unwrap();
        let number = start.rsplit(|c: char| !c.is_ascii_digit()).next();
        number.unwrap().parse().unwrap()
    };
    let near = |told: usize, lines: usize| (told * 1000).abs_diff(lines) <= 1000;
    let (my_thousands, other_thousands) =
        (told(",000 lines of its own"), told(",000 lines of others"));
    assert!(near(my_thousands, my_lines), "README.md: {my_lines} lines of its own");
    assert!(near(other_thousands, other_lines), "README.md: {other_lines} lines of others");
}

#[test]
fn growth_is_seen() {
    let listed = listed();
    for (name, lines) in &listed {
        let mut found = listed.clone();
        found.insert(name.clone(), lines + 1);
        assert_eq!(unreviewed(&found, &listed).len(), 1, "{name}");
    }
    let mut found = listed.clone();
    found.insert("newcomer 1.0.0".to_owned(), 1);
    assert_eq!(unreviewed(&found, &listed), ["newcomer 1.0.0: 1 lines"]);
}

#[test]
fn blank_lines_comments_and_tests_do_not_count() {
    let text = "//! a\n\nuse x;\n// b\nfn f() {\n    /// c\n    #[cfg(test)]\n    g();\n}\n\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
    assert_eq!(tree::lines_of_code(text), 5);
}
