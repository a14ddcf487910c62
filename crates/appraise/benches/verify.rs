//! Times of verifying each kind of evidence, appraisal included: `cargo bench -p adyton-appraise`. The bound is 20 ms each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark")]

use adyton_appraise::{Endorsements, Policy, TrustStore, UnixTime, Vendor, appraise, verify};
use std::fmt;
use std::path::Path;

fn main() {
    divan::main();
}

fn vector(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

/// A sample: kind, evidence, collateral, certificates, time.
struct Sample(&'static str, &'static str, &'static [&'static str], &'static [&'static str], u64);

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const SAMPLES: [Sample; 8] = [
    Sample(
        "sgx",
        "intel-sgx/sgx_quote_v3.bin",
        &["intel-sgx/sgx_quote_v3.collateral.json"],
        &[],
        1_751_000_000,
    ),
    Sample(
        "tdx 1.0",
        "intel-tdx/tdx_quote_v4.bin",
        &["intel-tdx/tdx_quote_v4.collateral.json"],
        &[],
        1_751_000_000,
    ),
    Sample(
        "tdx 1.5",
        "intel-tdx/tdx_quote_td15ex_v5.bin",
        &["intel-tdx/tdx_quote_td15ex_v5.collateral.json"],
        &[],
        1_792_000_000,
    ),
    Sample(
        "sev-snp milan",
        "amd-snp/virtee-report_milan.hex",
        &[],
        &["amd-snp/virtee-vcek_milan.der"],
        1_751_000_000,
    ),
    Sample(
        "sev-snp turin",
        "amd-snp/microsoft-turin-report.bin",
        &[],
        &["amd-snp/microsoft-turin-vcek.pem"],
        1_772_323_200,
    ),
    Sample("nitro", "aws-nitro/nitro_attestation.bin", &[], &[], 1_766_668_537),
    Sample("azure-snp", "azure/trustee-snp-genoa.json", &[], &[], 1_767_225_600),
    Sample("tpm", "swtpm/bundle.json", &[], &[], 1_795_000_000),
];

#[divan::bench(args = SAMPLES)]
fn verify_and_appraise(bencher: divan::Bencher<'_, '_>, sample: &Sample) {
    let Sample(_, evidence, collateral, certificates, at) = sample;
    let files = |names: &[&str]| names.iter().map(|name| vector(name)).collect();
    let endorsements =
        Endorsements { collateral: files(collateral), certificates: files(certificates) };
    let roots = TrustStore::production()
        .with_file(Vendor::Tpm, "swtpm", &vector("swtpm/ak.pem"), false)
        .unwrap();
    let (evidence, at) = (vector(evidence), UnixTime(*at));
    let policy = Policy::for_program_of(&verify(&evidence, &endorsements, &roots, at).unwrap());
    bencher.bench(|| {
        let claims = verify(&evidence, &endorsements, &roots, at).unwrap();
        appraise(&claims, &policy, at)
    });
}
