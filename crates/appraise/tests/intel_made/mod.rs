//! A test vendor in Intel's place: root, authorities, platform, quoting enclave and what is published of them; and quotes of every form by it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; no test file uses all of it"
)]

use crate::pki::{Shape, extension};
use adyton_appraise::{Endorsements, TrustStore, UnixTime, Vendor};
use der::Encode;
use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::str::FromStr;
use std::time::Duration;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfo;
use x509_cert::time::{Time, Validity};

const ROOT: &str = "CN=Test SGX Root CA,O=Intel Corporation";
const PLATFORM: &str = "CN=Test SGX PCK Platform CA,O=Intel Corporation";
const SIGNING: &str = "CN=Test SGX TCB Signing,O=Intel Corporation";
const PCK: &str = "CN=Test SGX PCK Certificate,O=Intel Corporation";
const SGX: &str = "1.2.840.113741.1.13.1";
const VENDOR: [u8; 16] = [
    0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9, 0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07,
];
const CPU_SVN: [u8; 16] = [2, 2, 2, 2, 3, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
const FMSPC: [u8; 6] = *b"SIMULA";
/// What the quoting enclave hashes with its key.
const QE_DATA: [u8; 32] = [0x0E; 32];

fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
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
    tlv(6, ObjectIdentifier::new_unwrap(dotted).as_bytes())
}

fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn generalized(seconds: u64) -> GeneralizedTime {
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).unwrap()
}

/// JSON whose members stand in the order of their names, whatever order this build of serde_json keeps.
fn text(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| name.as_str());
                members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// What a quote is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tee {
    Sgx,
    Tdx,
}

/// The vendor. Secrets derive from its name, which is no secret.
pub(crate) struct World {
    pub(crate) name: &'static str,
    /// From when until when everything holds.
    pub(crate) dates: (u64, u64),
}

impl World {
    pub(crate) fn key(&self, of: &str) -> SigningKey {
        SigningKey::from_slice(&Sha256::digest(format!("{}: {of}", self.name))).unwrap()
    }

    fn spki(&self, of: &str) -> Vec<u8> {
        self.key(of).verifying_key().to_public_key_der().unwrap().into_vec()
    }

    fn point(&self, of: &str) -> Vec<u8> {
        self.key(of).verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec()
    }

    fn sign(&self, by: &str, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key(by).sign(message);
        signature.to_bytes().to_vec()
    }

    fn issue(&self, shape: Shape, subject: &str, issuer: &str) -> Vec<u8> {
        let date = |seconds| Time::GeneralTime(generalized(seconds));
        let shape = Shape { dates: self.dates, ..shape };
        let validity = Validity::new(date(shape.dates.0), date(shape.dates.1));
        let key = self.spki(subject);
        let key: SubjectPublicKeyInfo<_, _> = der::Decode::from_der(&key).unwrap();
        let serial = SerialNumber::from(7u32);
        let builder = CertificateBuilder::new(shape, serial, validity, key).unwrap();
        builder.build::<_, DerSignature>(&self.key(issuer)).unwrap().to_der().unwrap()
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        self.issue(Shape::authority(ROOT, ROOT), "root", "root")
    }

    fn platform_authority(&self) -> Vec<u8> {
        self.issue(Shape::authority(PLATFORM, ROOT), "platform", "root")
    }

    /// The platform's certificate, with Intel's extension.
    fn pck(&self) -> Vec<u8> {
        let own =
            |number: &str, value: Vec<u8>| sequence(&[&oid(&format!("{SGX}.{number}")), &value]);
        let no = || tlv(1, &[0]);
        let fields = [
            own("1", tlv(4, &[0x51; 16])),
            own("2", sequence(&[&own("2.17", tlv(2, &[11])), &own("2.18", tlv(4, &CPU_SVN))])),
            own("3", tlv(4, &[0, 0])),
            own("4", tlv(4, &FMSPC)),
            own("5", tlv(0x0A, &[1])),
            own("6", tlv(4, &[0x1D; 16])),
            own("7", sequence(&[&own("7.1", no()), &own("7.2", no()), &own("7.3", no())])),
        ];
        let value = OctetString::new(tlv(0x30, &fields.concat())).unwrap();
        let intel = Extension {
            extn_id: ObjectIdentifier::new_unwrap(SGX),
            critical: false,
            extn_value: value,
        };
        let shape = Shape { more: vec![intel], ..Shape::leaf(PCK, PLATFORM) };
        self.issue(shape, "pck", "platform")
    }

    fn pck_chain(&self) -> String {
        [self.pck(), self.platform_authority(), self.root()]
            .map(|c| pem("CERTIFICATE", &c))
            .concat()
    }

    fn signing_chain(&self) -> String {
        let signing = self.issue(Shape::leaf(SIGNING, ROOT), "signing", "root");
        [signing, self.root()].map(|c| pem("CERTIFICATE", &c)).concat()
    }

    fn revocation_list(&self, issuer: &str, by: &str) -> Vec<u8> {
        let algorithm = sequence(&[&oid("1.2.840.10045.4.3.2")]);
        let number = extension("2.5.29.20", false, &1u8).to_der().unwrap();
        let date = |seconds| generalized(seconds).to_der().unwrap();
        let body = sequence(&[
            &tlv(2, &[1]),
            &algorithm,
            &Name::from_str(issuer).unwrap().to_der().unwrap(),
            &date(self.dates.0),
            &date(self.dates.1),
            &tlv(0xA0, &sequence(&[&number])),
        ]);
        let signature: DerSignature = self.key(by).sign(&body);
        sequence(&[&body, &algorithm, &tlv(3, &[&[0][..], signature.as_bytes()].concat())])
    }

    fn tcb_info(&self, tee: Tee) -> Value {
        let components = |svns: [u8; 16]| svns.map(|svn| json!({ "svn": svn })).to_vec();
        let mut tcb = json!({ "sgxtcbcomponents": components(CPU_SVN), "pcesvn": 11 });
        let mut info = json!({
            "id": if tee == Tee::Sgx { "SGX" } else { "TDX" },
            "version": 3,
            "issueDate": UnixTime(self.dates.0).to_string(),
            "nextUpdate": UnixTime(self.dates.1).to_string(),
            "fmspc": hex(&FMSPC).to_uppercase(),
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": 17,
        });
        if tee == Tee::Tdx {
            tcb["tdxtcbcomponents"] =
                json!(components([5, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
            info["tdxModule"] = json!({
                "mrsigner": "00".repeat(48), "attributes": "00".repeat(8), "attributesMask": "FF".repeat(8),
            });
            info["tdxModuleIdentities"] = json!([]);
        }
        info["tcbLevels"] =
            json!([{ "tcb": tcb, "tcbDate": "2025-01-01T00:00:00Z", "tcbStatus": "UpToDate" }]);
        info
    }

    fn qe_identity(&self, tee: Tee) -> Value {
        json!({
            "id": if tee == Tee::Sgx { "QE" } else { "TD_QE" },
            "version": 2,
            "issueDate": UnixTime(self.dates.0).to_string(),
            "nextUpdate": UnixTime(self.dates.1).to_string(),
            "tcbEvaluationDataNumber": 17,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": hex(&[0xDC; 32]).to_uppercase(),
            "isvprodid": if tee == Tee::Sgx { 1 } else { 2 },
            "tcbLevels": [{ "tcb": { "isvsvn": 4 }, "tcbDate": "2025-01-01T00:00:00Z", "tcbStatus": "UpToDate" }],
        })
    }

    /// Collateral in dcap-qvl's form.
    pub(crate) fn collateral(&self, tee: Tee) -> Vec<u8> {
        let (info, identity) = (text(&self.tcb_info(tee)), text(&self.qe_identity(tee)));
        let issuers = [self.platform_authority(), self.root()].map(|c| pem("CERTIFICATE", &c));
        let collateral = json!({
            "pck_crl_issuer_chain": issuers.concat(),
            "root_ca_crl": hex(&self.revocation_list(ROOT, "root")),
            "pck_crl": hex(&self.revocation_list(PLATFORM, "platform")),
            "tcb_info_issuer_chain": self.signing_chain(),
            "tcb_info_signature": hex(&self.sign("signing", info.as_bytes())),
            "tcb_info": info,
            "qe_identity_issuer_chain": self.signing_chain(),
            "qe_identity_signature": hex(&self.sign("signing", identity.as_bytes())),
            "qe_identity": identity,
        });
        text(&collateral).into_bytes()
    }

    /// The quoting enclave's report over its attestation key, the platform's signature, and their certificates: what a quote v4 has nested.
    fn certification(&self, tee: Tee) -> Vec<u8> {
        let mut report = vec![0; 384];
        let mut put = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &CPU_SVN);
        put(48, &[0x11]);
        put(64, &[0x0D; 32]);
        put(128, &[0xDC; 32]);
        put(256, &[if tee == Tee::Sgx { 1 } else { 2 }, 0, 8, 0]);
        put(320, &Sha256::digest([self.point("attestation").as_slice(), &QE_DATA].concat()));
        let chain = self.pck_chain().into_bytes();
        let signature = self.sign("pck", &report);
        let length = (chain.len() as u32).to_le_bytes();
        [&report, &signature, &[32, 0][..], &QE_DATA, &[5, 0], &length, &chain].concat()
    }

    /// What follows the signature in the signature data of a quote of this version: key and certification.
    pub(crate) fn key_data(&self, tee: Tee, version: u16) -> Vec<u8> {
        let nested = self.certification(tee);
        let head = match version {
            3 => Vec::new(),
            _ => [&[6, 0][..], &(nested.len() as u32).to_le_bytes()].concat(),
        };
        [self.point("attestation"), head, nested].concat()
    }

    /// A quote over a body. Quotes of version 5 tell the kind of body.
    pub(crate) fn quote(&self, version: u16, tee: Tee, kind: u16, body: &[u8]) -> Vec<u8> {
        self.quote_signed_as(&signed_part(version, tee, kind, body), version, tee, |same| same)
    }

    /// A quote whose signed part was another when it was signed.
    pub(crate) fn quote_signed_as(
        &self,
        part: &[u8],
        version: u16,
        tee: Tee,
        change: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> Vec<u8> {
        let signature = self.sign("attestation", &change(part.to_vec()));
        let data = [signature, self.key_data(tee, version)].concat();
        [part, &(data.len() as u32).to_le_bytes(), &data].concat()
    }

    /// A store that believes this vendor, as a test root.
    pub(crate) fn store(&self) -> TrustStore {
        TrustStore::empty()
            .with_certificate(Vendor::Intel, "test root", &self.root(), true)
            .unwrap()
    }

    pub(crate) fn endorsements(&self, tee: Tee) -> Endorsements {
        Endorsements { collateral: vec![self.collateral(tee)], ..Endorsements::default() }
    }
}

/// Header and body: what a quote's key signs.
pub(crate) fn signed_part(version: u16, tee: Tee, kind: u16, body: &[u8]) -> Vec<u8> {
    let tee_type: [u8; 4] = if tee == Tee::Sgx { [0; 4] } else { [0x81, 0, 0, 0] };
    let head = match version {
        5 => [&kind.to_le_bytes()[..], &(body.len() as u32).to_le_bytes()].concat(),
        _ => Vec::new(),
    };
    [&version.to_le_bytes()[..], &[2, 0], &tee_type, &[0; 4], &VENDOR, &[0x0A; 20], &head, body]
        .concat()
}

/// An SGX enclave's report: not in debug mode, 64 bit.
pub(crate) fn enclave() -> Vec<u8> {
    let mut report = vec![0; 384];
    report[..16].copy_from_slice(&CPU_SVN);
    report[48] = 0x05;
    report[64..96].fill(0xE1);
    report[128..160].fill(0x51);
    report[256] = 3;
    report[320..].fill(0x5A);
    report
}

/// Where a TD's attributes stand in its report.
pub(crate) const ATTRIBUTES: usize = 120;

/// A TD 1.0's report, SEPT_VE_DISABLE set.
pub(crate) fn domain() -> Vec<u8> {
    let mut report = vec![0; 584];
    report[..3].copy_from_slice(&[5, 0, 2]);
    report[16..64].fill(0x5E);
    report[ATTRIBUTES + 3] = 0x10;
    report[128] = 0xE7;
    report[136..184].fill(0x7D);
    report[328..520].fill(0x77);
    report[520..].fill(0x5A);
    report
}

/// A TD 1.5's report: that of a TD 1.0, the current TCB, no service TD.
pub(crate) fn domain_1_5() -> Vec<u8> {
    let mut report = domain();
    report.extend([5, 0, 2]);
    report.extend([0; 13 + 48]);
    report
}
