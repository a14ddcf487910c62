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
    Bytes, Claims, Endorsements, Kind, TcbStatus, TrustStore, UnixTime, VerifyError, verify,
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
