//! Vectors, and SEV-SNP evidence under a test root: certificates, lists and reports as AMD forms them, made here.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; no test file uses all of it"
)]

use adyton_appraise::{Endorsements, TrustStore, UnixTime, Vendor};
use p384::ecdsa::signature::Signer;
use p384::pkcs8::EncodePublicKey;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rsa::pkcs8::DecodePrivateKey;
use rsa::pss::SigningKey;
use rsa::signature::{Keypair, RandomizedSigner, SignatureEncoding};
use sha2::Sha384;

/// A file of the vectors' folder.
pub(crate) fn vector(folder: &str, name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    std::fs::read(format!("{root}/{folder}/{name}")).expect(name)
}

/// When the evidence made here is verified, unless a test says otherwise.
pub(crate) fn noon() -> UnixTime {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// DER: tag, length, contents.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut bytes = match length {
        0..=0x7F => vec![tag, length as u8],
        0x80..=0xFF => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    bytes.extend(contents);
    bytes
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn oid(dotted: &str) -> Vec<u8> {
    tlv(6, der::asn1::ObjectIdentifier::new_unwrap(dotted).as_bytes())
}

pub(crate) fn integer(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take_while(|&&b| b == 0).count().min(7);
    let mut contents = bytes[skip..].to_vec();
    if contents[0] >= 0x80 {
        contents.insert(0, 0);
    }
    tlv(2, &contents)
}

fn name(common: &str) -> Vec<u8> {
    let attribute = |id: &str, tag: u8, text: &str| {
        tlv(0x31, &sequence(&[&oid(id), &tlv(tag, text.as_bytes())]))
    };
    sequence(&[
        &attribute("2.5.4.11", 12, "Engineering"),
        &attribute("2.5.4.6", 19, "US"),
        &attribute("2.5.4.10", 12, "Advanced Micro Devices"),
        &attribute("2.5.4.3", 12, common),
    ])
}

/// RSASSA-PSS, SHA-384, salt 48, the trailer omitted.
fn algorithm() -> Vec<u8> {
    let sha384 = sequence(&[&oid("2.16.840.1.101.3.4.2.2"), &[5, 0]]);
    let mgf = sequence(&[&oid("1.2.840.113549.1.1.8"), &sha384]);
    let parameters = sequence(&[&tlv(0xA0, &sha384), &tlv(0xA1, &mgf), &tlv(0xA2, &integer(48))]);
    sequence(&[&oid("1.2.840.113549.1.1.10"), &parameters])
}

/// An extension: identifier, whether critical, value.
pub(crate) type Extension = (&'static str, bool, Vec<u8>);

fn extensions(list: &[Extension]) -> Vec<u8> {
    let one = |(id, critical, value): &Extension| {
        let critical = if *critical { vec![1, 1, 0xFF] } else { Vec::new() };
        sequence(&[&oid(id), &critical, &tlv(4, value)])
    };
    tlv(0x30, &list.iter().map(one).collect::<Vec<_>>().concat())
}

/// What an authority's certificate has: CA, may sign certificates and lists.
pub(crate) fn authority_extensions() -> Vec<Extension> {
    vec![("2.5.29.19", true, sequence(&[&[1, 1, 0xFF]])), ("2.5.29.15", true, vec![3, 2, 1, 6])]
}

/// Signs the body as AMD signs certificates and lists.
fn signed(body: &[u8], key: &SigningKey<Sha384>) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let signature = key.sign_with_rng(&mut rng, body).to_vec();
    sequence(&[body, &algorithm(), &tlv(3, &[&[0][..], &signature].concat())])
}

/// A certificate to be made.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) serial: u64,
    /// UTCTime.
    pub(crate) dates: (&'static str, &'static str),
    pub(crate) key: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
}

impl Spec {
    pub(crate) fn sign(&self, key: &SigningKey<Sha384>) -> Vec<u8> {
        let dates =
            sequence(&[&tlv(0x17, self.dates.0.as_bytes()), &tlv(0x17, self.dates.1.as_bytes())]);
        let body = sequence(&[
            &tlv(0xA0, &integer(2)),
            &integer(self.serial),
            &algorithm(),
            &name(&self.issuer),
            &dates,
            &name(&self.subject),
            &self.key,
            &tlv(0xA3, &extensions(&self.extensions)),
        ]);
        signed(&body, key)
    }
}

/// A revocation list of these serial numbers.
pub(crate) fn revocation_list(
    issuer: &str,
    dates: (&str, &str),
    revoked: &[u64],
    key: &SigningKey<Sha384>,
) -> Vec<u8> {
    let entry = |serial: &u64| sequence(&[&integer(*serial), &tlv(0x17, b"260501000000Z")]);
    let entries = tlv(0x30, &revoked.iter().map(entry).collect::<Vec<_>>().concat());
    let number: Extension = ("2.5.29.20", false, integer(1));
    let body = sequence(&[
        &integer(1),
        &algorithm(),
        &name(issuer),
        &tlv(0x17, dates.0.as_bytes()),
        &tlv(0x17, dates.1.as_bytes()),
        if revoked.is_empty() { &[] } else { &entries },
        &tlv(0xA0, &extensions(&[number])),
    ]);
    signed(&body, key)
}

/// A vendor of its own: root, authority, key, and a report by it, all of which a test may bend before signing.
pub(crate) struct World {
    pub(crate) root_key: SigningKey<Sha384>,
    pub(crate) authority_key: SigningKey<Sha384>,
    pub(crate) chip_key: p384::ecdsa::SigningKey,
    pub(crate) root: Spec,
    pub(crate) authority: Spec,
    pub(crate) leaf: Spec,
    pub(crate) report: Vec<u8>,
}

/// Firmware versions of the leaf's certificate.
pub(crate) fn version_extensions(versions: &[(&'static str, u64)]) -> Vec<Extension> {
    versions.iter().map(|(id, version)| (*id, false, integer(*version))).collect()
}

impl World {
    /// Milan, report version 3, a VCEK.
    pub(crate) fn milan() -> Self {
        let key = |name| {
            let der = vector("test-keys", name);
            SigningKey::<Sha384>::new(rsa::PrivateKey::from_pkcs8_der(&der).unwrap())
        };
        let (root_key, authority_key) = (key("snp-ark.pk8"), key("snp-ask.pk8"));
        let chip_key = p384::ecdsa::SigningKey::from_slice(&[0x42; 48]).unwrap();
        let spki =
            |key: &SigningKey<Sha384>| key.verifying_key().to_public_key_der().unwrap().into_vec();
        let authority = Spec {
            issuer: "ARK-Milan".to_owned(),
            subject: "SEV-Milan".to_owned(),
            serial: 0x1_0001,
            dates: ("200101000000Z", "450101000000Z"),
            key: spki(&authority_key),
            extensions: authority_extensions(),
        };
        let root = Spec {
            subject: "ARK-Milan".to_owned(),
            serial: 0x1_0000,
            key: spki(&root_key),
            ..authority.clone()
        };
        let mut extensions = vec![
            ("1.3.6.1.4.1.3704.1.1", false, integer(0)),
            ("1.3.6.1.4.1.3704.1.2", false, tlv(22, b"Milan-B0")),
            ("1.3.6.1.4.1.3704.1.4", false, vec![0xC1; 64]),
        ];
        extensions.extend(version_extensions(&[
            ("1.3.6.1.4.1.3704.1.3.1", 4),
            ("1.3.6.1.4.1.3704.1.3.2", 0),
            ("1.3.6.1.4.1.3704.1.3.3", 24),
            ("1.3.6.1.4.1.3704.1.3.8", 219),
        ]));
        let leaf = Spec {
            issuer: "SEV-Milan".to_owned(),
            subject: "SEV-VCEK".to_owned(),
            serial: 0,
            dates: ("250101000000Z", "320101000000Z"),
            key: chip_key.verifying_key().to_public_key_der().unwrap().into_vec(),
            extensions,
        };
        Self { root_key, authority_key, chip_key, root, authority, leaf, report: report() }
    }

    /// Replaces a value of the leaf's extensions.
    pub(crate) fn set_extension(&mut self, id: &str, value: Vec<u8>) {
        let found = self.leaf.extensions.iter_mut().find(|(own, ..)| *own == id);
        found.expect(id).2 = value;
    }

    /// Writes into the report.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        self.report[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The report, signed by the chip's key.
    pub(crate) fn signed_report(&self) -> Vec<u8> {
        let mut report = self.report.clone();
        let signature: p384::ecdsa::Signature = self.chip_key.sign(&report[..0x2A0]);
        let (r, s) = signature.split_bytes();
        for (at, scalar) in [(0x2A0, r), (0x2E8, s)] {
            let little: Vec<u8> = scalar.iter().rev().copied().collect();
            report[at..at + 48].copy_from_slice(&little);
        }
        report
    }

    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        self.root.sign(&self.root_key)
    }

    pub(crate) fn authority_certificate(&self) -> Vec<u8> {
        self.authority.sign(&self.root_key)
    }

    pub(crate) fn leaf_certificate(&self) -> Vec<u8> {
        self.leaf.sign(&self.authority_key)
    }

    /// The leaf's and the authority's certificates.
    pub(crate) fn endorsements(&self) -> Endorsements {
        let certificates = vec![self.leaf_certificate(), self.authority_certificate()];
        Endorsements { certificates, ..Endorsements::default() }
    }

    /// A store that believes this root, as a test root.
    pub(crate) fn store(&self) -> TrustStore {
        TrustStore::empty()
            .with_certificate(Vendor::Amd, "test ARK", &self.root_certificate(), true)
            .unwrap()
    }
}

/// A report of version 3 on Milan, unsigned: firmware 4.0.24.219, chip id c1…, report data of 5a, measurement of 11.
fn report() -> Vec<u8> {
    const TCB: [u8; 8] = [4, 0, 0, 0, 0, 0, 24, 219];
    let mut report = vec![0; 1184];
    let fields: [(usize, &[u8]); 13] = [
        (0x00, &[3, 0, 0, 0]),
        (0x08, &[0x1F, 0, 3, 0]),
        (0x34, &[1, 0, 0, 0]),
        (0x38, &TCB),
        (0x40, &[0x25]),
        (0x50, &[0x5A; 64]),
        (0x90, &[0x11; 48]),
        (0x160, &[0xFF; 32]),
        (0x180, &TCB),
        (0x188, &[0x19, 0x01, 0x01]),
        (0x1A0, &[0xC1; 64]),
        (0x1E0, &TCB),
        (0x1F0, &TCB),
    ];
    for (at, bytes) in fields {
        report[at..at + bytes.len()].copy_from_slice(bytes);
    }
    report
}
