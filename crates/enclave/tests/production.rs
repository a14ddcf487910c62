//! A build without the feature `simulated` has nothing of the simulated platform.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;

/// The certificate that the simulated platform hands out: in every build that can simulate.
const CERTIFICATE: &[u8] = include_bytes!("../../attest/simulated/vcek.der");

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn simulates(program: &Path) -> bool {
    let program = std::fs::read(program).unwrap();
    program.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE)
}

#[test]
fn the_feature_alone_brings_the_simulated_platform() {
    let tree = |features: &[&str]| {
        let arguments = ["tree", "--offline", "-p", "adyton-enclave", "-e", "normal,features"];
        cargo(&[&arguments, features].concat())
    };
    let has =
        |tree: &str| tree.contains("adyton-attest feature \"simulated\"") || tree.contains("p384");
    assert!(has(&tree(&[])));
    assert!(!has(&tree(&["--no-default-features"])));
    assert!(simulates(Path::new(env!("CARGO_BIN_EXE_adyton-enclave"))));
}

#[test]
#[ignore = "builds the enclave once more; .ci/run names this test"]
fn a_production_build_cannot_simulate() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("production");
    let folder = target.to_str().unwrap();
    cargo(&[
        "build",
        "--offline",
        "--no-default-features",
        "--bin",
        "adyton-enclave",
        "--target-dir",
        folder,
    ]);
    let program = target.join("debug/adyton-enclave");
    assert!(!simulates(&program));
    let scratch = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", scratch.path().join("socket").display());
    for name in [["--platform", "simulated"].as_slice(), &["--simulated"]] {
        let output = Command::new(&program)
            .args(["--listen", &listen, "--state", scratch.path().to_str().unwrap()])
            .args(name)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("no platform \"simulated\"; there are auto, tdx"), "{told}");
    }
}
