//! Trust as a property of the build: what runs on the host cannot reach code that handles secret keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// The crate that holds secret-key code.
const SECRET: &str = "adyton-ckks-secret";

/// Names of the workspace's packages that `from` reaches by normal dependencies, itself included, whatever the features.
fn reaches(metadata: &Metadata, from: &str) -> HashSet<String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: HashMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata.packages.iter().find(|package| package.name.as_str() == from).unwrap();
    let (mut seen, mut open) = (HashSet::from([&start.id]), vec![&start.id]);
    while let Some(id) = open.pop() {
        for dependency in &nodes[id].deps {
            let normal =
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .features(cargo_metadata::CargoOpt::AllFeatures)
        .exec()
        .unwrap()
}

#[test]
fn host_runtime_and_auditor_never_reach_secret_key_code() {
    let metadata = metadata();
    for from in ["adyton-host", "adyton-runtime", "adyton-auditor"] {
        let reached = reaches(&metadata, from);
        assert!(!reached.contains(SECRET), "{from} reaches {SECRET}");
        // The walk does walk.
        assert!(reached.contains("adyton-ckks") && reached.contains("adyton-ring"), "{reached:?}");
    }
}

#[test]
fn the_test_would_notice() {
    let metadata = metadata();
    for from in ["adyton-enclave", "adyton-client"] {
        assert!(reaches(&metadata, from).contains(SECRET), "{from}");
    }
}
