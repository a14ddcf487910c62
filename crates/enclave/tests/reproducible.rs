//! Everybody who builds the enclave gets the same bytes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A copy of all that belongs to the repository, as it stands.
fn copy(to: &Path) {
    let list = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(source())
        .output()
        .unwrap();
    assert!(list.status.success());
    for name in list.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let name = std::str::from_utf8(name).unwrap();
        let (from, to) = (source().join(name), to.join(name));
        // Removed, but not yet for git.
        if from.exists() {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn build(source: &Path, folder: &Path) -> Vec<u8> {
    let output = Command::new(source.join("tools/build-enclave")).arg(folder).output().unwrap();
    let (told, log) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    let program = told.lines().find(|line| line.ends_with("/adyton-enclave")).unwrap();
    std::fs::read(program).unwrap()
}

#[test]
#[ignore = "builds the enclave twice, optimised as a whole: some minutes"]
fn two_builds_in_different_folders_are_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "another/and/deeper"].map(|name| scratch.path().join(name));
    copy(&one);
    copy(&other);
    // The first builds inside the source, the second beside it.
    let first = build(&one, &one.join("target"));
    let second = build(&other, &scratch.path().join("build"));
    assert!(first == second, "{} and {} bytes that differ", first.len(), second.len());
    let folder = scratch.path().to_str().unwrap().as_bytes();
    let home = std::env::var("HOME").unwrap();
    for trace in
        [folder, source().to_str().unwrap().as_bytes(), format!("{home}/.cargo").as_bytes()]
    {
        assert!(
            !first.windows(trace.len()).any(|window| window == trace),
            "it tells where it was built"
        );
    }
}
