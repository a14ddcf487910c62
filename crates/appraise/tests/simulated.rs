//! The simulated vendors: their files are what this recipe makes, and only a store that was asked for them believes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod intel_made;
mod pki;
mod snp;

use adyton_appraise::{TrustStore, Vendor};
use base64::Engine;
use intel_made::Tee;
use p384::ecdsa::SigningKey;
use p384::pkcs8::EncodePublicKey;
use pki::{Shape, issue, spki};
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha384};
use snp::tlv;
use std::path::PathBuf;

/// The key of Azure's vTPM.
const VTPM_KEY: &[u8] = include_bytes!("../../attest/simulated/vtpm-key.pk8");

/// 2025 and 2045, the first second of each.
const DATES: (u64, u64) = (1_735_689_600, 2_366_841_600);

/// A key of a simulated vendor; its secret is no secret.
fn key(of: &str) -> SigningKey {
    let secret = Sha384::digest(format!("adyton simulated {of}: protects nothing"));
    SigningKey::from_slice(&secret).unwrap()
}

/// AMD's place: the simulated chip and its chain, up to the test root of the stores.
fn amd() -> snp::World {
    let mut world = snp::World::milan();
    world.chip_key = key("chip");
    world.leaf.key = world.chip_key.verifying_key().to_public_key_der().unwrap().into_vec();
    world.leaf.dates = ("250101000000Z", "450101000000Z");
    world.set_extension("1.3.6.1.4.1.3704.1.2", tlv(22, b"Milan-B0"));
    let mut chip = [0; 64];
    let text = b"SIMULATED CHIP: PROTECTS NOTHING";
    chip[..text.len()].copy_from_slice(text);
    world.set_extension("1.3.6.1.4.1.3704.1.4", chip.to_vec());
    world
}

/// Intel's place.
fn intel() -> intel_made::World {
    intel_made::World { name: "adyton simulated platform: protects nothing", dates: DATES }
}

/// AWS's place: root, and the certificate of the module's key.
fn aws() -> [Vec<u8>; 2] {
    const ROOT: &str = "CN=SIMULATED Nitro root: protects nothing";
    let dated = |shape| Shape { dates: DATES, ..shape };
    let (root, module) = (key("nitro root"), key("nitro module"));
    let leaf = Shape::leaf("CN=SIMULATED Nitro module: protects nothing", ROOT);
    [
        issue(dated(Shape::authority(ROOT, ROOT)), &spki(&root), &root),
        issue(dated(leaf), &spki(&module), &root),
    ]
}

/// The runtime claims of Azure's place, with the key of its vTPM. That key, of RSA with 2048 bits in PKCS #8, was made once by openssl;
/// its secret is no secret.
fn runtime_claims(key: &[u8]) -> Vec<u8> {
    let key = rsa::PrivateKey::from_pkcs8_der(key).unwrap();
    let number = |bytes: Box<[u8]>| {
        let first = bytes.iter().position(|&byte| byte != 0).unwrap();
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&bytes[first..])
    };
    let (e, n) = (number(key.e().to_be_bytes()), number(key.n().to_be_bytes()));
    format!(
        r#"{{"keys":[{{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"{e}","n":"{n}"}}],"vm-configuration":{{"simulated":"protects nothing"}}}}"#
    )
    .into_bytes()
}

fn files() -> [(PathBuf, Vec<u8>); 13] {
    let (amd, intel, [nitro_root, nitro_module]) = (amd(), intel(), aws());
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let own = |name: &str| crates.join("roots/simulated").join(name);
    let provider = |name: &str| crates.join("../attest/simulated").join(name);
    [
        (own("amd-ark.der"), amd.root_certificate()),
        (provider("ask.der"), amd.authority_certificate()),
        (provider("vcek.der"), amd.leaf_certificate()),
        (own("intel-root.der"), intel.root()),
        (own("tdx-collateral.json"), intel.collateral(Tee::Tdx)),
        (own("sgx-collateral.json"), intel.collateral(Tee::Sgx)),
        (provider("tdx-key-data.bin"), intel.key_data(Tee::Tdx, 4)),
        (provider("sgx-key-data.bin"), intel.key_data(Tee::Sgx, 3)),
        (provider("azure-runtime.json"), runtime_claims(VTPM_KEY)),
        (own("aws-root.der"), nitro_root.clone()),
        (provider("nitro-root.der"), nitro_root),
        (provider("nitro-module.der"), nitro_module),
        (own("tpm-key.der"), spki(&key("tpm"))),
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
#[ignore = "writes the simulated vendors' files anew, after a change of the recipe"]
fn make_the_files() {
    for (path, made) in files() {
        std::fs::write(path, made).unwrap();
    }
}

#[test]
fn stores_hold_the_test_roots_when_asked_for_them() {
    let production = TrustStore::production();
    let with = production.clone().with_simulated().unwrap();
    let added: Vec<_> =
        with.iter().filter(|root| production.iter().all(|other| other != *root)).collect();
    let vendors: Vec<Vendor> = added.iter().map(|root| root.vendor).collect();
    assert_eq!(vendors, [Vendor::Amd, Vendor::Intel, Vendor::Aws, Vendor::Tpm]);
    assert!(added.iter().all(|root| root.root.test));
    assert!(production.iter().all(|root| !root.root.test));
}
