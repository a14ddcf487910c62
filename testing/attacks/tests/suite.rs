//! The suite's table has no surprise, and the shipped enclave has nothing of what the suite takes away.

use std::path::Path;

use adyton_attacks::ATTACKS;

#[test]
fn attacks_succeed_without_the_defence_and_fail_with_it() {
    for attack in ATTACKS {
        let report = attack().unwrap();
        assert!(report.as_expected(), "{report:#?}");
    }
}

/// No feature of the enclave's package sets the condition, no build script of it does, and its program refuses to be built under it.
#[test]
fn a_shipped_build_has_all_defences() {
    let enclave = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/enclave");
    let manifest = std::fs::read_to_string(enclave.join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("adyton_attacks") && !manifest.contains("build ="));
    assert!(!enclave.join("build.rs").exists());
    let program = std::fs::read_to_string(enclave.join("src/main.rs")).unwrap();
    assert!(program.contains("#[cfg(adyton_attacks)]\ncompile_error!"));
}
