//! The committed messages are those that the protobuf file describes.

use std::path::Path;

/// Set this variable to write the messages anew after a change of the protobuf file.
const UPDATE: &str = "ADYTON_UPDATE_GENERATED";

#[test]
fn the_committed_messages_match_the_protobuf_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors =
        protox::compile(["adyton/wire/v1/enclave.proto"], [root.join("proto")]).unwrap();
    let out = std::env::temp_dir().join(format!("adyton-wire-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    let mut config = prost_build::Config::new();
    config.out_dir(&out).compile_fds(descriptors).unwrap();
    let made = std::fs::read_to_string(out.join("adyton.wire.v1.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let committed = root.join("src/generated.rs");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&committed, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(committed).unwrap() == made,
        "src/generated.rs is stale: run this test with {UPDATE}=1"
    );
}
