//! The real programs, for tests.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of `adyton`; its siblings lie beside it, built in the profile of this test.
pub(crate) fn adyton() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let adyton = PathBuf::from(env!("CARGO_BIN_EXE_adyton"));
    let directory = adyton.parent().unwrap();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "adyton-enclave", "-p", "adyton-host"])
        .args(["--profile", profile])
        .env("CARGO_TARGET_DIR", directory.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "the enclave and the host do not build");
    adyton
}
