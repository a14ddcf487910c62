//! SEV-SNP: every sample has its stated result, and nothing near one is accepted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod snp;

use adyton_appraise::{
    Bytes, Claims, Endorsements, Kind, TcbStatus, TrustStore, UnixTime, Vendor, VerifyError, verify,
};
use snp::vector;

/// A report of real hardware, and what is known of it.
struct Sample {
    report: &'static str,
    certificates: &'static [&'static str],
    at: &'static str,
    format: &'static str,
    generation: &'static str,
    debug: bool,
    /// Reported versions: `fmc` (Turin), `bootloader`, `tee`, `snp`, `microcode`.
    reported: &'static [u8],
    identity: (&'static str, &'static str),
}

const SAMPLES: [Sample; 9] = [
    Sample {
        report: "virtee-report_milan.hex",
        certificates: &["virtee-vcek_milan.der", "virtee-cert_chain_milan"],
        at: "2026-01-01T00:00:00Z",
        format: "report v2",
        generation: "Milan",
        debug: false,
        reported: &[3, 0, 8, 115],
        identity: ("product", "Milan-B0"),
    },
    Sample {
        report: "trustee-test-report.bin",
        certificates: &["trustee-test-vcek.der"],
        at: "2026-01-01T00:00:00Z",
        format: "report v2",
        generation: "Milan",
        debug: false,
        reported: &[3, 0, 8, 115],
        identity: ("signing-key", "VCEK"),
    },
    Sample {
        report: "google-attestation.bin",
        certificates: &["google-vcek.der"],
        at: "2026-01-01T00:00:00Z",
        format: "report v2",
        generation: "Milan",
        debug: true,
        reported: &[2, 0, 5, 68],
        identity: ("policy.abi", "0.0"),
    },
    Sample {
        report: "trustee-vlek-report.bin",
        certificates: &["trustee-vlek.der"],
        at: "2025-06-01T00:00:00Z",
        format: "report v3",
        generation: "Milan",
        debug: false,
        reported: &[4, 0, 24, 217],
        identity: ("cloud", "CN=cc-us-east-2.amazonaws.com"),
    },
    Sample {
        report: "microsoft-milan-report.bin",
        certificates: &["microsoft-milan-vcek.pem"],
        at: "2026-03-01T00:00:00Z",
        format: "report v3",
        generation: "Milan",
        debug: false,
        reported: &[4, 0, 24, 219],
        identity: ("cpu", "family 25 model 1 stepping 1"),
    },
    Sample {
        report: "microsoft-genoa-report.bin",
        certificates: &["microsoft-genoa-vcek.pem"],
        at: "2026-03-01T00:00:00Z",
        format: "report v3",
        generation: "Genoa",
        debug: false,
        reported: &[10, 0, 23, 84],
        identity: ("product", "Genoa"),
    },
    Sample {
        report: "microsoft-turin-report.bin",
        certificates: &["microsoft-turin-vcek.pem"],
        at: "2026-03-01T00:00:00Z",
        format: "report v5",
        generation: "Turin",
        debug: false,
        reported: &[1, 1, 1, 4, 81],
        identity: ("chip-id", "59790fb1c39f35c1"),
    },
    Sample {
        report: "yaxi-genoa-v5-report.bin",
        certificates: &["yaxi-genoa-v5-chain.pem"],
        at: "2026-03-01T00:00:00Z",
        format: "report v5",
        generation: "Genoa",
        debug: false,
        reported: &[10, 0, 27, 88],
        identity: ("platform.alias-check", "true"),
    },
    Sample {
        report: "yaxi-turin-report.bin",
        certificates: &["yaxi-turin-chain.pem"],
        at: "2026-03-01T00:00:00Z",
        format: "report v5",
        generation: "Turin",
        debug: false,
        reported: &[0, 1, 0, 2, 71],
        identity: ("chip-id", "3b42092f69c656d3"),
    },
];

impl Sample {
    fn report(&self) -> Vec<u8> {
        let bytes = vector("amd-snp", self.report);
        match self.report.ends_with(".hex") {
            true => Bytes::from_hex(std::str::from_utf8(&bytes).unwrap().trim()).unwrap().0,
            false => bytes,
        }
    }

    fn endorsements(&self) -> Endorsements {
        let certificates = self.certificates.iter().map(|name| vector("amd-snp", name)).collect();
        Endorsements { certificates, ..Endorsements::default() }
    }

    fn at(&self) -> UnixTime {
        self.at.parse().unwrap()
    }

    fn verify(&self, report: &[u8], endorsements: &Endorsements) -> Result<Claims, VerifyError> {
        verify(report, endorsements, &TrustStore::production(), self.at())
    }
}

fn code<T>(result: Result<T, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.code)
}

#[test]
fn every_sample_has_its_stated_result() {
    for sample in &SAMPLES {
        let name = sample.report;
        let claims = sample.verify(&sample.report(), &sample.endorsements()).expect(name);
        assert_eq!(claims.kind, Kind::SevSnp, "{name}");
        assert_eq!(claims.format, sample.format, "{name}");
        assert_eq!(claims.generation.as_deref(), Some(sample.generation), "{name}");
        assert_eq!(claims.root.name, format!("AMD ARK-{}", sample.generation), "{name}");
        assert_eq!(claims.debug, sample.debug, "{name}");
        assert!(!claims.simulated, "{name}");
        assert_eq!(claims.tcb.status, TcbStatus::Unknown, "{name}");
        let parts = ["fmc", "bootloader", "tee", "snp", "microcode"];
        let reported: Vec<u8> = parts
            .iter()
            .filter_map(|part| claims.tcb.detail.get(&format!("reported.{part}")))
            .map(|version| version.parse().unwrap())
            .collect();
        assert_eq!(reported, sample.reported, "{name}");
        assert_eq!(claims.identity.get(sample.identity.0).unwrap(), sample.identity.1, "{name}");
        assert_eq!(claims.measurements["launch"].0, sample.report()[0x90..0xC0], "{name}");
        assert_eq!(claims.report_data.0, sample.report()[0x50..0x90], "{name}");
        assert_eq!(claims.validity.len(), 3, "{name}");
        assert_eq!(claims.notes.iter().filter(|n| n.contains("no revocation list")).count(), 1);
    }
}

#[test]
fn a_vcek_of_another_chip_is_refused() {
    let sample = &SAMPLES[1];
    for other in ["trustee-test-vcek-invalid-new.der", "virtee-vcek_milan.der", "google-vcek.der"] {
        let certificates = vec![vector("amd-snp", other)];
        let endorsements = Endorsements { certificates, ..Endorsements::default() };
        assert_eq!(
            code(sample.verify(&sample.report(), &endorsements)),
            "bad-signature",
            "{other}"
        );
    }
}

/// Flips one bit of each byte, another in each place, and holds every outcome to be a refusal or the same claims; the offsets at
/// which nothing changed.
fn flips(
    name: &str,
    bytes: &[u8],
    claims: &Claims,
    verify: impl Fn(&[u8]) -> Result<Claims, VerifyError>,
) -> Vec<usize> {
    let mut bytes = bytes.to_vec();
    let mut unchanged = Vec::new();
    for at in 0..bytes.len() {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        if let Ok(other) = verify(&bytes) {
            assert_eq!(&other, claims, "{name}: byte {at} changes the claims");
            unchanged.push(at);
        }
        bytes[at] ^= bit;
    }
    unchanged
}

#[test]
fn no_byte_of_a_report_can_change() {
    for sample in &SAMPLES {
        let (report, endorsements) = (sample.report(), sample.endorsements());
        let claims = sample.verify(&report, &endorsements).unwrap();
        let verify = |bytes: &[u8]| sample.verify(bytes, &endorsements);
        // All 1184: what is not signed is the signature, or padding that must be zero.
        let unchanged = flips(sample.report, &report, &claims, verify);
        assert_eq!(unchanged, [0; 0], "{}", sample.report);
    }
}

#[test]
fn no_byte_of_a_keys_certificate_can_change() {
    for sample in [&SAMPLES[1], &SAMPLES[3], &SAMPLES[5], &SAMPLES[6]] {
        let report = sample.report();
        let certificate = certificate_of(&vector("amd-snp", sample.certificates[0]));
        let verify = |bytes: &[u8]| {
            let certificates = vec![bytes.to_vec()];
            sample.verify(&report, &Endorsements { certificates, ..Endorsements::default() })
        };
        let claims = verify(&certificate).unwrap();
        let unchanged = flips(sample.certificates[0], &certificate, &claims, verify);
        assert_eq!(unchanged, [0; 0], "{}", sample.report);
    }
}

/// The DER of a file with one certificate.
fn certificate_of(file: &[u8]) -> Vec<u8> {
    match file.starts_with(b"-----") {
        true => der::pem::decode_vec(file).unwrap().1,
        false => file.to_vec(),
    }
}

#[test]
fn other_lengths_are_refused() {
    let sample = &SAMPLES[4];
    let (report, endorsements) = (sample.report(), sample.endorsements());
    for length in 0..report.len() {
        let error = code(sample.verify(&report[..length], &endorsements));
        assert!(matches!(error, "truncated" | "unsupported-format"), "{length}: {error}");
        assert!(length < 0x38 || error == "truncated", "{length}: {error}");
    }
    for more in [1, 24, 1184] {
        let long = [report.clone(), vec![0; more]].concat();
        assert_eq!(code(sample.verify(&long, &endorsements)), "malformed");
    }
}

#[test]
fn evidence_is_bound_to_its_time() {
    for sample in &SAMPLES {
        let at = |time: &str| {
            let time = time.parse().unwrap();
            let roots = TrustStore::production();
            code(verify(&sample.report(), &sample.endorsements(), &roots, time))
        };
        assert_eq!(at("2022-06-01T00:00:00Z"), "certificate-not-yet-valid", "{}", sample.report);
        assert_eq!(at("2034-01-01T00:00:00Z"), "certificate-expired", "{}", sample.report);
    }
}

#[test]
fn every_line_needs_its_own_root() {
    let sample = &SAMPLES[5];
    let store = |file: &str| {
        let root = std::fs::read(format!("{}/roots/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        TrustStore::empty().with_certificate(Vendor::Amd, file, &root, false).unwrap()
    };
    let under = |roots| code(verify(&sample.report(), &sample.endorsements(), &roots, sample.at()));
    assert_eq!(under(store("amd-ark-genoa.der")), "accepted");
    assert_eq!(under(store("amd-ark-milan.der")), "untrusted-root");
    assert_eq!(under(TrustStore::empty()), "untrusted-root");
    // A root handed in beside the evidence is nobody's root.
    let mut endorsements = sample.endorsements();
    endorsements.certificates.push(vector("amd-snp", "roots/genoa-ark.pem"));
    let result = verify(&sample.report(), &endorsements, &TrustStore::empty(), sample.at());
    assert_eq!(code(result), "untrusted-root");
}

#[test]
fn certificates_may_come_in_any_form() {
    let sample = &SAMPLES[0];
    let (report, vcek) = (sample.report(), vector("amd-snp", "virtee-vcek_milan.der"));
    let chain = vector("amd-snp", "virtee-cert_chain_milan");
    let text = String::from_utf8(chain.clone()).unwrap();
    let (ask, ark) = text.split_at(text.rfind("-----BEGIN").unwrap());
    let reversed = [ark, ask].concat().into_bytes();
    let claims = sample.verify(&report, &sample.endorsements()).unwrap();
    let same = |evidence: &[u8], certificates: Vec<Vec<u8>>| {
        let endorsements = Endorsements { certificates, ..Endorsements::default() };
        assert_eq!(sample.verify(evidence, &endorsements).unwrap(), claims);
    };
    same(&report, vec![vcek.clone()]);
    same(&report, vec![chain.clone(), vcek.clone()]);
    same(&report, vec![reversed, vcek.clone()]);
    same(&report, vec![[vcek.clone(), certificate_of(ask.as_bytes())].concat()]);
    // As other machines' certificates lie beside it.
    same(&report, vec![vector("amd-snp", "google-vcek.der"), vcek.clone()]);
    // The host's table, given apart or after the report.
    let table = table(&[(VCEK_ID, &vcek), (ASK_ID, &certificate_of(ask.as_bytes()))]);
    same(&report, vec![table.clone()]);
    same(&[report.clone(), table.clone()].concat(), vec![]);
    // The report as text.
    same(sample_hex(&report).as_bytes(), vec![vcek.clone()]);
    assert_eq!(code(sample.verify(&report, &Endorsements::default())), "certificates-missing");
    let malformed = Endorsements { certificates: vec![vec![0x30, 3, 1]], ..Default::default() };
    assert_eq!(code(sample.verify(&report, &malformed)), "malformed");
}

fn sample_hex(bytes: &[u8]) -> String {
    Bytes::from(bytes).to_string()
}

const VCEK_ID: u128 = 0x63da_758d_e664_4564_adc5_f4b9_3be8_accd;
const ASK_ID: u128 = 0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782;

fn table(files: &[(u128, &[u8])]) -> Vec<u8> {
    let mut offset = 24 * (files.len() + 1);
    let mut table = Vec::new();
    for (id, file) in files {
        table.extend(id.to_be_bytes());
        table.extend((offset as u32).to_le_bytes());
        table.extend((file.len() as u32).to_le_bytes());
        offset += file.len();
    }
    table.extend([0; 24]);
    files.iter().for_each(|(_, file)| table.extend(*file));
    table
}

#[test]
fn verification_is_fast() {
    let sample = &SAMPLES[6];
    let (report, endorsements) = (sample.report(), sample.endorsements());
    let start = std::time::Instant::now();
    const RUNS: u32 = 20;
    for _ in 0..RUNS {
        sample.verify(&report, &endorsements).unwrap();
    }
    println!("SEV-SNP report: {:?} a verification", start.elapsed() / RUNS);
}
