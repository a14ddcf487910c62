//! Times of verifying each kind of evidence, appraisal included, as one JSON object a line: `cargo bench -p adyton-appraise`. The bound is 20 ms each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use adyton_appraise::{Endorsements, Policy, TrustStore, UnixTime, Vendor, appraise, verify};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Times each sample is verified.
const ROUNDS: usize = 100;

fn main() {
    for sample in &SAMPLES {
        let mut times = verify_and_appraise(sample);
        times.sort_by(f64::total_cmp);
        let line = json!({
            "kind": sample.0,
            "median_ms": times[ROUNDS / 2],
            "worst_ms": times[ROUNDS - 1],
            "bound_ms": 20,
            "rounds": ROUNDS,
        });
        println!("{line}");
    }
}

fn vector(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

/// A sample: kind, evidence, collateral, certificates, time.
struct Sample(&'static str, &'static str, &'static [&'static str], &'static [&'static str], u64);

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

/// Milliseconds of each round.
fn verify_and_appraise(sample: &Sample) -> Vec<f64> {
    let Sample(_, evidence, collateral, certificates, at) = sample;
    let files = |names: &[&str]| names.iter().map(|name| vector(name)).collect();
    let endorsements =
        Endorsements { collateral: files(collateral), certificates: files(certificates) };
    let roots = TrustStore::production()
        .with_file(Vendor::Tpm, "swtpm", &vector("swtpm/ak.pem"), false)
        .unwrap();
    let (evidence, at) = (vector(evidence), UnixTime(*at));
    let policy = Policy::for_program_of(&verify(&evidence, &endorsements, &roots, at).unwrap());
    let round = |_| {
        let began = Instant::now();
        let claims = verify(&evidence, &endorsements, &roots, at).unwrap();
        std::hint::black_box(appraise(&claims, &policy, at));
        1e3 * began.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).collect()
}
