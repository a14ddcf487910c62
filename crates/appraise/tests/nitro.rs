//! AWS Nitro documents: the samples of real enclaves, and documents of a test root with one thing wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod pki;

use adyton_appraise::{Bytes, Claims, Endorsements, Kind, TcbStatus, TrustStore, UnixTime, Vendor};
use adyton_appraise::{VerifyError, verify};
use ciborium::Value;
use ciborium::value::Integer;
use coset::iana::Algorithm;
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable};
use p384::ecdsa::Signature;
use p384::ecdsa::signature::Signer;
use pki::{HALF, NOW, Shape, extension, issue, key, spki};
use x509_cert::ext::pkix::KeyUsages;

const DOCUMENT: &[u8] = include_bytes!("vectors/aws-nitro/nitro_attestation.bin");
/// 2025-12-25T13:15:37Z, the document's own date.
const AT: UnixTime = UnixTime(1_766_668_537);
const DEBUG: &[u8] = include_bytes!("vectors/aws-nitro/dstack-attest-nitro_dbg.bin");
/// 2025-12-25T08:20:46Z.
const DEBUG_AT: UnixTime = UnixTime(1_766_650_846);
/// In the samples 4 bytes stand before the document and 151 after it.
const BARE: std::ops::Range<usize> = 4..4682 - 151;

fn verify_real(bytes: &[u8], at: UnixTime) -> Result<Claims, VerifyError> {
    verify(bytes, &Endorsements::default(), &TrustStore::production(), at)
}

#[test]
fn the_sample_of_a_real_enclave_is_accepted_at_its_time() {
    let claims = verify_real(DOCUMENT, AT).unwrap();
    assert_eq!(claims.kind, Kind::Nitro);
    assert_eq!(claims.root.name, "AWS Nitro Enclaves Root G1");
    assert!(!claims.simulated && !claims.debug);
    assert_eq!(claims.tcb.status, TcbStatus::NotApplicable);
    assert_eq!(claims.measurements.len(), 16);
    assert!(claims.measurements["pcr0"].to_string().starts_with("5cb70295432182"));
    assert_eq!(claims.measurements["pcr15"], Bytes(vec![0; 48]));
    assert_eq!(claims.report_data.0.len(), 64);
    assert_eq!(claims.issued_at, Some(AT));
    assert_eq!(claims.identity["module-id"], "i-0827e799ec9232d44-enc019b55a68bd2ed4b");
    assert_eq!(claims.validity.len(), 5);
    assert!(claims.validity.iter().all(|v| v.not_before <= AT && AT <= v.not_after));
    assert_eq!(claims.validity[0].what, "Nitro enclave certificate");
    assert_eq!(claims.validity[4].what, "root certificate");
}

#[test]
fn the_sample_of_a_debug_enclave_says_so() {
    let claims = verify_real(DEBUG, DEBUG_AT).unwrap();
    assert!(claims.debug);
    assert!(["pcr0", "pcr1", "pcr2"].iter().all(|name| claims.measurements[*name].is_zero()));
}

#[test]
fn the_document_is_found_in_every_wrapper() {
    let mut expected = verify_real(DOCUMENT, AT).unwrap();
    assert_eq!(expected.notes.len(), 2, "{:?}", expected.notes);
    let bare = &DOCUMENT[BARE];
    expected.notes.pop();
    let response = [
        b"\xa1\x6bAttestation\xa1\x68document\x59".as_slice(),
        &u16::try_from(bare.len()).unwrap().to_be_bytes(),
        bare,
    ];
    for wrapped in [bare.to_vec(), [&[0xd2], bare].concat(), response.concat()] {
        assert_eq!(verify_real(&wrapped, AT).unwrap(), expected);
    }
}

/// Flips a bit of every byte. Exactly the 151 bytes after the document, which nothing signs, change nothing.
fn flip(sample: &[u8], at: UnixTime) {
    let claims = verify_real(sample, at).unwrap();
    let mut changed = sample.to_vec();
    let mut ignored = 0;
    for place in 0..sample.len() {
        let bit = 1 << (place % 8);
        changed[place] ^= bit;
        if let Ok(other) = verify_real(&changed, at) {
            assert_eq!(other, claims, "byte {place}, bit {bit}");
            ignored += 1;
        }
        changed[place] ^= bit;
    }
    assert_eq!(ignored, 151);
}

#[test]
fn a_changed_byte_is_refused_or_changes_nothing() {
    flip(DOCUMENT, AT);
}

#[test]
fn a_changed_byte_of_a_debug_enclaves_document_likewise() {
    flip(DEBUG, DEBUG_AT);
}

#[test]
fn a_shortened_document_is_refused() {
    for document in [DOCUMENT, &DOCUMENT[BARE]] {
        for length in 0..BARE.len() {
            assert!(verify_real(&document[..length], AT).is_err(), "{length}");
        }
    }
    let long = [&DOCUMENT[BARE], &[0]].concat();
    assert_eq!(verify_real(&long, AT).unwrap_err().code, "unsupported-format");
}

#[test]
fn dates_bound_when_it_is_accepted() {
    let leaf = verify_real(DOCUMENT, AT).unwrap().validity[0].clone();
    for at in [leaf.not_before, leaf.not_after] {
        assert!(verify_real(DOCUMENT, at).is_ok());
    }
    let code = |at| verify_real(DOCUMENT, at).unwrap_err().code;
    assert_eq!(code(UnixTime(leaf.not_before.0 - 1)), "certificate-not-yet-valid");
    assert_eq!(code(UnixTime(leaf.not_after.0 + 1)), "certificate-expired");
}

#[test]
fn another_root_is_not_trusted() {
    let root = issue(Shape::authority("CN=root", "CN=root"), &spki(&key(1)), &key(1));
    let aws = include_bytes!("vectors/aws-nitro/AWS_NitroEnclaves_Root-G1.pem");
    for store in [
        TrustStore::empty(),
        TrustStore::empty().with_certificate(Vendor::Aws, "another", &root, true).unwrap(),
        // A root vouches for its own vendor's evidence alone.
        TrustStore::empty().with_certificate(Vendor::Amd, "AWS", aws, false).unwrap(),
    ] {
        let refused = verify(DOCUMENT, &Endorsements::default(), &store, AT).unwrap_err();
        assert_eq!(refused.code, "untrusted-root");
    }
    let store = TrustStore::empty().with_certificate(Vendor::Aws, "AWS", aws, true).unwrap();
    assert!(verify(DOCUMENT, &Endorsements::default(), &store, AT).unwrap().simulated);
}

/// A document of the test root's, which is right until something is changed.
struct Test {
    root: Vec<u8>,
    intermediate: Shape,
    leaf: Shape,
    fields: Vec<(Value, Value)>,
    /// Over the finished payload.
    payload: fn(Vec<u8>) -> Vec<u8>,
    algorithm: Algorithm,
    unprotected: bool,
    at: u64,
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: u64) -> Value {
    Value::Integer(Integer::from(number))
}

fn registers(registers: &[(u64, usize)]) -> Value {
    let register = |&(index, length)| (number(index), Value::Bytes(vec![7; length]));
    Value::Map(registers.iter().map(register).collect())
}

impl Test {
    fn new() -> Self {
        let fields = vec![
            (text("module_id"), text("i-1-enc2")),
            (text("digest"), text("SHA384")),
            (text("timestamp"), number(NOW * 1000 + 999)),
            (text("pcrs"), registers(&[(0, 48), (1, 48), (2, 48), (31, 48)])),
            (text("public_key"), Value::Null),
            (text("user_data"), Value::Bytes(vec![9; 64])),
            (text("nonce"), Value::Bytes(vec![8; 20])),
        ];
        Self {
            root: issue(Shape::authority("CN=root", "CN=root"), &spki(&key(1)), &key(1)),
            intermediate: Shape { below: Some(0), ..Shape::authority("CN=zone", "CN=root") },
            leaf: Shape::leaf("CN=enclave", "CN=zone"),
            fields,
            payload: |payload| payload,
            algorithm: Algorithm::ES384,
            unprotected: false,
            at: NOW,
        }
    }

    fn set(mut self, name: &str, value: Value) -> Self {
        self.fields.retain(|(other, _)| *other != text(name));
        self.fields.push((text(name), value));
        self
    }

    fn signed(self) -> CoseSign1 {
        let mut fields = self.fields;
        let leaf = issue(self.leaf, &spki(&key(3)), &key(2));
        let intermediate = issue(self.intermediate, &spki(&key(2)), &key(1));
        if !fields.iter().any(|(name, _)| *name == text("certificate")) {
            fields.push((text("certificate"), Value::Bytes(leaf)));
        }
        if !fields.iter().any(|(name, _)| *name == text("cabundle")) {
            let bundle = [self.root, intermediate].map(Value::Bytes);
            fields.push((text("cabundle"), Value::Array(bundle.to_vec())));
        }
        let mut payload = Vec::new();
        ciborium::into_writer(&Value::Map(fields), &mut payload).unwrap();
        let mut builder = CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(self.algorithm).build())
            .payload((self.payload)(payload));
        if self.unprotected {
            builder = builder.unprotected(HeaderBuilder::new().key_id(vec![1]).build());
        }
        let sign = |message: &[u8]| {
            let signature: Signature = key(3).sign(message);
            signature.to_bytes().to_vec()
        };
        builder.create_signature(&[], sign).build()
    }

    fn verify(self) -> Result<Claims, VerifyError> {
        let store = TrustStore::empty();
        let store = store.with_certificate(Vendor::Aws, "test", &self.root, true).unwrap();
        let at = UnixTime(self.at);
        verify(&self.signed().to_vec().unwrap(), &Endorsements::default(), &store, at)
    }

    #[track_caller]
    fn refused(self, code: &str) {
        let refused = self.verify().unwrap_err();
        assert_eq!(refused.code, code, "{refused}");
    }
}

#[test]
fn a_test_document_is_accepted_and_simulated() {
    let claims = Test::new().verify().unwrap();
    assert!(claims.simulated && !claims.debug);
    assert_eq!(claims.issued_at, Some(UnixTime(NOW)));
    assert_eq!(claims.nonce, Some(Bytes(vec![8; 20])));
    assert_eq!(claims.public_key, None);
    assert_eq!(claims.report_data, Bytes(vec![9; 64]));
    assert_eq!(claims.measurements["pcr31"], Bytes(vec![7; 48]));
    for (digest, length) in [("SHA256", 32), ("SHA512", 64)] {
        let test = Test::new().set("digest", text(digest));
        assert!(test.set("pcrs", registers(&[(0, length)])).verify().is_ok());
    }
    let tagged = Test::new().signed().to_tagged_vec().unwrap();
    let store = TrustStore::empty();
    let store = store.with_certificate(Vendor::Aws, "test", &Test::new().root, true).unwrap();
    let again = verify(&tagged, &Endorsements::default(), &store, UnixTime(NOW)).unwrap();
    assert_eq!(again, claims);
}

#[test]
fn fields_out_of_bounds_are_refused() {
    let bytes = |length| Value::Bytes(vec![0; length]);
    for (name, value) in [
        ("module_id", text("")),
        ("module_id", bytes(3)),
        ("timestamp", number(0)),
        ("timestamp", Value::Integer(Integer::from(-1))),
        ("pcrs", registers(&[])),
        ("pcrs", registers(&[(32, 48)])),
        ("pcrs", registers(&[(0, 47)])),
        ("pcrs", registers(&[(0, 32)])),
        ("pcrs", registers(&[(0, 48), (0, 48)])),
        ("certificate", bytes(0)),
        ("certificate", bytes(1025)),
        ("cabundle", Value::Array(vec![])),
        ("cabundle", Value::Array(vec![bytes(1); 17])),
        ("cabundle", Value::Array(vec![bytes(1025)])),
        ("public_key", bytes(1025)),
        ("user_data", bytes(1025)),
        ("user_data", text("no bytes")),
        ("nonce", bytes(1025)),
        ("unknown", number(1)),
    ] {
        Test::new().set(name, value).refused("malformed");
    }
    assert!(Test::new().set("user_data", bytes(1024)).verify().is_ok());
    Test::new().set("digest", text("SHA1")).refused("unsupported-format");
    for missing in ["module_id", "digest", "timestamp", "pcrs"] {
        let mut test = Test::new();
        test.fields.retain(|(name, _)| *name != text(missing));
        test.refused("malformed");
    }
    let mut twice = Test::new();
    twice.fields.push((text("nonce"), Value::Null));
    twice.refused("malformed");
    let mut no_text = Test::new();
    no_text.fields.push((number(1), Value::Null));
    no_text.refused("malformed");
}

#[test]
fn payloads_that_nest_or_claim_too_much_are_refused() {
    let bombs: [fn(Vec<u8>) -> Vec<u8>; 6] = [
        |_| vec![0x81; 30_000],
        |_| vec![0xd8; 30_000],
        |_| [vec![0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff], vec![0; 20_000]].concat(),
        |_| [vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], vec![0; 20_000]].concat(),
        |_| [vec![0x5b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff], vec![0; 20_000]].concat(),
        |payload| [payload, vec![0]].concat(),
    ];
    for payload in bombs {
        Test { payload, ..Test::new() }.refused("malformed");
    }
    Test { payload: |_| vec![0x59; 40_000], ..Test::new() }.refused("too-large");
    for bomb in [vec![0x84; 1 << 20], [&[0x84, 0x44][..], &vec![0x81; 1 << 20]].concat()] {
        let refused = verify_real(&bomb, AT).unwrap_err();
        assert_eq!(refused.code, "unsupported-format");
    }
}

#[test]
fn another_algorithm_or_header_is_refused() {
    Test { algorithm: Algorithm::ES256, ..Test::new() }.refused("unsupported-format");
    Test { algorithm: Algorithm::EdDSA, ..Test::new() }.refused("unsupported-format");
    Test { unprotected: true, ..Test::new() }.refused("malformed");
    let p256 = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
    let p256 = x509_cert::spki::SubjectPublicKeyInfo::from_key(p256.verifying_key()).unwrap();
    let p256 = der::Encode::to_der(&p256).unwrap();
    let leaf = issue(Shape::leaf("CN=enclave", "CN=zone"), &p256, &key(2));
    Test::new().set("certificate", Value::Bytes(leaf)).refused("certificate-mismatch");
    let another = issue(Shape::leaf("CN=enclave", "CN=zone"), &spki(&key(4)), &key(2));
    Test::new().set("certificate", Value::Bytes(another)).refused("bad-signature");
}

#[test]
fn certificates_that_may_not_vouch_are_refused() {
    let test = |intermediate, leaf| Test { intermediate, leaf, ..Test::new() };
    let good = || (Test::new().intermediate, Test::new().leaf);
    let with_intermediate = |change: fn(&mut Shape)| {
        let (mut intermediate, leaf) = good();
        change(&mut intermediate);
        test(intermediate, leaf)
    };
    let with_leaf = |change: fn(&mut Shape)| {
        let (intermediate, mut leaf) = good();
        change(&mut leaf);
        test(intermediate, leaf)
    };
    let mismatch = "certificate-mismatch";
    with_intermediate(|shape| shape.authority = None).refused(mismatch);
    with_intermediate(|shape| shape.authority = Some(false)).refused(mismatch);
    with_intermediate(|shape| shape.usage = None).refused(mismatch);
    with_intermediate(|shape| shape.usage = Some(KeyUsages::CRLSign.into())).refused(mismatch);
    with_intermediate(|shape| shape.issuer = "CN=other".to_owned()).refused(mismatch);
    with_intermediate(|shape| shape.subject = "CN=other".to_owned()).refused(mismatch);
    with_leaf(|shape| shape.authority = Some(true)).refused(mismatch);
    with_leaf(|shape| shape.usage = Some(KeyUsages::KeyAgreement.into())).refused(mismatch);
    with_leaf(|shape| shape.more = vec![extension("1.2.3.4", true, &7u8)]).refused(mismatch);
    with_leaf(|shape| shape.more = vec![extension("1.2.3.4", false, &7u8); 2]).refused(mismatch);
    assert!(
        with_leaf(|shape| shape.more = vec![extension("1.2.3.4", false, &7u8)]).verify().is_ok()
    );
    with_leaf(|shape| shape.dates.1 = NOW - 1).refused("certificate-expired");
    with_leaf(|shape| shape.dates.0 = NOW + 1).refused("certificate-not-yet-valid");
    with_intermediate(|shape| shape.dates.1 = NOW - 1).refused("certificate-expired");
    Test { at: NOW + HALF + 1, ..Test::new() }.refused("certificate-expired");
    Test { at: NOW - HALF - 1, ..Test::new() }.refused("certificate-not-yet-valid");
    // A root that allows nothing below it but leaves.
    let short = Shape { below: Some(0), ..Shape::authority("CN=root", "CN=root") };
    Test { root: issue(short, &spki(&key(1)), &key(1)), ..Test::new() }.refused(mismatch);
}

#[test]
fn a_chain_that_is_not_one_is_refused() {
    let root = || Value::Bytes(Test::new().root);
    let zone = |seed| issue(Shape::authority("CN=zone", "CN=root"), &spki(&key(2)), &key(seed));
    // Without the intermediate, the leaf's issuer is missing; with one that another key signed, its signature is wrong.
    Test::new().set("cabundle", Value::Array(vec![root()])).refused("certificate-mismatch");
    let forged = Value::Array(vec![root(), Value::Bytes(zone(5))]);
    Test::new().set("cabundle", forged).refused("bad-signature");
    // The root must be the first of the bundle.
    let reversed = Value::Array(vec![Value::Bytes(zone(1)), root()]);
    Test::new().set("cabundle", reversed).refused("untrusted-root");
    let long = std::iter::once(root()).chain(vec![Value::Bytes(zone(1)); 8]).collect();
    Test::new().set("cabundle", Value::Array(long)).refused("too-large");
}
