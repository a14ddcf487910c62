//! What the enclave consists of: `cargo run -p adyton-enclave --example tree [-- --accept | --json]`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

#[path = "../tests/tree/mod.rs"]
mod tree;

/// Own code may grow to the next multiple of this before somebody must look.
const STEP: usize = 250;

fn main() {
    let found = tree::count();
    let option = std::env::args().nth(1);
    let [(own, own_lines), (others, other_lines)] = tree::totals(&found);
    if option.as_deref() == Some("--json") {
        let crates: Vec<_> =
            found.iter().map(|(name, lines)| format!("    \"{name}\": {lines}")).collect();
        println!("{{\n  \"own_crates\": {own},\n  \"own_lines\": {own_lines},");
        println!("  \"other_crates\": {others},\n  \"other_lines\": {other_lines},");
        println!("  \"crates\": {{\n{}\n  }}\n}}", crates.join(",\n"));
        return;
    }
    for (name, lines) in &found {
        println!("{lines:>7}  {name}");
    }
    println!("{own_lines:>7}  lines in {own} crates of this repository");
    println!("{other_lines:>7}  lines in {others} crates of others");
    if option.as_deref() == Some("--accept") {
        let list = found.iter().map(|(name, &lines)| match tree::own(name) {
            true => format!("{name} {}\n", lines.next_multiple_of(STEP)),
            false => format!("{name} {lines}\n"),
        });
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tree.txt");
        std::fs::write(path, list.collect::<String>()).unwrap();
        println!("accepted: {path}");
    }
}
