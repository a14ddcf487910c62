//! The one place that sets the condition: no feature does, so no build of `adyton-enclave` has it.

fn main() {
    use std::io::Write;
    let line = b"cargo::rustc-cfg=adyton_attacks\ncargo::rerun-if-changed=build.rs\n";
    // Cargo reads it; should that fail, the suite does not compile.
    let _ = std::io::stdout().write_all(line);
}
