//! The simulated vendor: its files are what this recipe makes, and only a store that was asked for it believes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod snp;

use adyton_appraise::{TrustStore, Vendor};
use p384::pkcs8::EncodePublicKey;
use sha2::{Digest, Sha384};
use snp::{World, tlv};
use std::path::PathBuf;

/// The simulated chip and its chain, up to the test root of the stores.
fn world() -> World {
    let mut world = World::milan();
    let secret = Sha384::digest(b"adyton simulated chip: protects nothing");
    world.chip_key = p384::ecdsa::SigningKey::from_slice(&secret).unwrap();
    world.leaf.key = world.chip_key.verifying_key().to_public_key_der().unwrap().into_vec();
    world.leaf.dates = ("250101000000Z", "450101000000Z");
    world.set_extension("1.3.6.1.4.1.3704.1.2", tlv(22, b"Milan-B0"));
    let mut chip = [0; 64];
    let text = b"SIMULATED CHIP: PROTECTS NOTHING";
    chip[..text.len()].copy_from_slice(text);
    world.set_extension("1.3.6.1.4.1.3704.1.4", chip.to_vec());
    world
}

fn files() -> [(PathBuf, Vec<u8>); 3] {
    let world = world();
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let own = |name: &str| crates.join("roots/simulated").join(name);
    let provider = |name: &str| crates.join("../attest/simulated").join(name);
    [
        (own("amd-ark.der"), world.root_certificate()),
        (provider("ask.der"), world.authority_certificate()),
        (provider("vcek.der"), world.leaf_certificate()),
    ]
}

#[test]
fn the_files_are_what_the_recipe_makes() {
    for (path, made) in files() {
        let held = std::fs::read(&path).unwrap();
        assert!(held == made, "{} is another: see `make_the_files`", path.display());
    }
}

#[test]
#[ignore = "writes the simulated vendor's files anew, after a change of the recipe"]
fn make_the_files() {
    for (path, made) in files() {
        std::fs::write(path, made).unwrap();
    }
}

#[test]
fn stores_hold_the_test_root_when_asked_for_it() {
    let production = TrustStore::production();
    let with = production.clone().with_simulated().unwrap();
    let added: Vec<_> =
        with.iter().filter(|root| production.iter().all(|other| other != *root)).collect();
    assert_eq!(added.len(), 1);
    assert!(added.iter().all(|root| root.root.test && root.vendor == Vendor::Amd));
    assert!(production.iter().all(|root| !root.root.test));
}
