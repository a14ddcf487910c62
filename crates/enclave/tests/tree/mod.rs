//! Counts the crates and the lines of code that the enclave consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{CargoOpt, MetadataCommand};

/// Crates by name and version, with their lines of code.
pub(crate) type Tree = BTreeMap<String, usize>;

/// The crates linked into the enclave as it is published: without the simulated platform, for Linux on x86-64. Crates that run in the
/// compiler alone (procedural macros, build scripts) are no part of it.
pub(crate) fn count() -> Tree {
    let names = linked();
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .features(CargoOpt::NoDefaultFeatures)
        .other_options(["--offline".to_owned(), "--locked".to_owned()])
        .exec()
        .unwrap();
    let folders: BTreeMap<String, PathBuf> = metadata
        .packages
        .iter()
        .map(|package| {
            let folder = package.manifest_path.parent().unwrap();
            (format!("{} {}", package.name, package.version), folder.join("src").into())
        })
        .collect();
    names.into_iter().map(|name| (name.clone(), lines_below(&folders[&name]))).collect()
}

fn linked() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "adyton-enclave"])
        .args(["--no-default-features", "--edges", "normal,no-proc-macro"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some(format!("{name} {version}"))
    };
    told.lines().filter_map(name).collect()
}

fn lines_below(folder: &Path) -> usize {
    let mut lines = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            lines += if name == "tests" { 0 } else { lines_below(&path) };
        } else if name.ends_with(".rs") && name != "tests.rs" {
            lines += lines_of_code(&std::fs::read_to_string(&path).unwrap());
        }
    }
    lines
}

/// Lines that are neither blank nor a comment, up to the tests at a file's end.
pub(crate) fn lines_of_code(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let tests = line == "#[cfg(test)]";
        if tests && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
        {
            break;
        }
        count += usize::from(!line.is_empty() && !line.starts_with("//"));
    }
    count
}

/// Whether a crate is of this repository.
pub(crate) fn own(name: &str) -> bool {
    name.starts_with("adyton-")
}

/// Totals: own crates and their lines, others and theirs.
pub(crate) fn totals(tree: &Tree) -> [(usize, usize); 2] {
    let sum = |mine: bool| {
        let some = tree.iter().filter(|(name, _)| own(name) == mine);
        some.fold((0, 0), |(crates, lines), (_, more)| (crates + 1, lines + more))
    };
    [sum(true), sum(false)]
}
