//! Azure: the paravisor's report, the vTPM's quote, and what vouches for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod snp;

use adyton_appraise::{
    Claims, Endorsements, Kind, TrustStore, UnixTime, VerifyError, recognise, verify,
};
use sha2::{Digest, Sha256};
use snp::{World, noon, vector};

fn at() -> UnixTime {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn production(evidence: &[u8], endorsements: &Endorsements) -> Result<Claims, VerifyError> {
    verify(evidence, endorsements, &TrustStore::production(), at())
}

fn code<T>(result: Result<T, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.code)
}

fn alone() -> (Vec<u8>, Endorsements) {
    let certificates = vec![vector("azure", "trustee-snp-chain.pem")];
    let endorsements = Endorsements { certificates, ..Endorsements::default() };
    (vector("azure", "trustee-snp-hcl.bin"), endorsements)
}

#[test]
fn every_sample_has_its_stated_result() {
    let samples = [
        ("trustee-snp-milan-v0.json", "Milan", "challenge"),
        ("trustee-snp-milan-v1.json", "Milan", "challenge"),
        ("trustee-snp-milan-v2.json", "Milan", ""),
        ("trustee-snp-genoa.json", "Genoa", ""),
    ];
    for (name, generation, nonce) in samples {
        let claims = production(&vector("azure", name), &Endorsements::default()).expect(name);
        assert_eq!(claims.kind, Kind::AzureSnp, "{name}");
        assert_eq!(claims.format, "paravisor's report with report v3, vTPM quote", "{name}");
        assert_eq!(claims.generation.as_deref(), Some(generation), "{name}");
        assert_eq!(claims.vmpl, Some(0), "{name}");
        assert_eq!(
            (0..24).filter(|i| claims.measurements.contains_key(&format!("pcr{i}"))).count(),
            24
        );
        if nonce.is_empty() {
            assert_eq!(claims.report_data.0.len(), 48, "{name}");
        } else {
            assert_eq!(claims.report_data.0, nonce.as_bytes(), "{name}");
        }
        assert_eq!(claims.identity["vm.secure-boot"].len() / 4, 1, "{name}");
    }
    // In this one the asker's digest was bound both ways: by the quote, and by the user data.
    let claims =
        production(&vector("azure", "trustee-snp-milan-v2.json"), &Endorsements::default());
    let claims = claims.unwrap();
    assert_eq!(claims.measurements["user-data"].0[..48], claims.report_data.0);
}

#[test]
fn a_paravisors_report_alone() {
    let (hcl, endorsements) = alone();
    let claims = production(&hcl, &endorsements).unwrap();
    assert_eq!(claims.kind, Kind::AzureSnp);
    assert_eq!(claims.format, "paravisor's report with report v2");
    assert!(claims.notes.iter().any(|note| note.contains("no vTPM quote")));
    assert_eq!(claims.report_data.0, [0; 64], "the user data, of which none was set");
    assert!(!claims.measurements.contains_key("pcr0"));
    assert_eq!(claims.identity["vm.vmUniqueId"], "911B0EF8-9DBA-48B0-B275-4E4DF2D39252");
    assert_eq!(code(production(&hcl, &Endorsements::default())), "certificates-missing");
}

#[test]
fn a_tdreport_needs_its_quote() {
    let hcl = vector("azure", "kinvolk-tdx-hcl.bin");
    assert_eq!(recognise(&hcl).unwrap().kind, Kind::AzureTdx);
    assert_eq!(code(production(&hcl, &Endorsements::default())), "collateral-missing");
    let with_quote = vector("azure", "trustee-tdx-v1.json");
    assert_eq!(recognise(&with_quote).unwrap().kind, Kind::AzureTdx);
    // The quote is there; Intel's collateral for its platform is not.
    assert_eq!(code(production(&with_quote, &Endorsements::default())), "collateral-missing");
}

#[test]
fn a_td_quote_of_another_machine_is_refused() {
    // A quote that verifies, over something else than these runtime claims.
    let quote = vector("intel-tdx", "tdx_quote_v4.bin");
    let evidence = serde_json::json!({
        "hcl_report": vector("azure", "kinvolk-tdx-hcl.bin"),
        "td_quote": quote,
    });
    let collateral = vec![vector("intel-tdx", "tdx_quote_v4.collateral.json")];
    let endorsements = Endorsements { collateral, ..Endorsements::default() };
    let time = UnixTime(1_750_329_147 + 3600);
    let production = TrustStore::production();
    assert_eq!(code(verify(&quote, &endorsements, &production, time)), "accepted");
    let evidence = evidence.to_string().into_bytes();
    assert_eq!(code(verify(&evidence, &endorsements, &production, time)), "report-data");
}

#[test]
fn no_byte_of_a_paravisors_report_can_change() {
    let (mut hcl, endorsements) = alone();
    let claims = production(&hcl, &endorsements).unwrap();
    let mut unchanged = Vec::new();
    for at in 0..hcl.len() {
        let bit = 1 << (at % 8);
        hcl[at] ^= bit;
        if let Ok(other) = production(&hcl, &endorsements) {
            assert_eq!(other, claims, "byte {at}");
            unchanged.push(at);
        }
        hcl[at] ^= bit;
    }
    assert_eq!(unchanged, [0; 0]);
    for length in [0, 4, 0x20, 0x4BF, 0x4C0, 0x4D4, 0x929] {
        assert_ne!(code(production(&hcl[..length], &endorsements)), "accepted", "{length}");
    }
    // The vTPM's index is longer than what it holds: zeroes may follow, and be cut off.
    assert_eq!(production(&hcl[..0x92A], &endorsements), Ok(claims));
}

/// A sample's JSON, changed.
fn changed(change: impl FnOnce(&mut serde_json::Value)) -> &'static str {
    let mut json = serde_json::from_slice(&vector("azure", "trustee-snp-milan-v2.json")).unwrap();
    change(&mut json);
    code(production(json.to_string().as_bytes(), &Endorsements::default()))
}

/// Changes the last digit of hexadecimal text.
fn bend(value: &mut serde_json::Value) {
    let mut text = value.as_str().unwrap().to_owned();
    let last = text.pop().unwrap();
    text.push(if last == '0' { '1' } else { '0' });
    *value = text.into();
}

#[test]
fn the_quote_is_bound_to_the_report() {
    assert_eq!(changed(|_| ()), "accepted");
    assert_eq!(changed(|json| bend(&mut json["tpm_quote"]["message"])), "bad-signature");
    assert_eq!(changed(|json| bend(&mut json["tpm_quote"]["signature"])), "bad-signature");
    assert_eq!(changed(|json| bend(&mut json["tpm_quote"]["pcrs"][4])), "pcr-mismatch");
    let fewer = |json: &mut serde_json::Value| {
        json["tpm_quote"]["pcrs"].as_array_mut().unwrap().pop();
    };
    assert_eq!(changed(fewer), "pcr-mismatch");
    // Another machine's report, whose key did not sign this quote.
    let other: serde_json::Value =
        serde_json::from_slice(&vector("azure", "trustee-snp-milan-v1.json")).unwrap();
    let swapped = changed(|json| {
        json["hcl_report"] = other["hcl_report"].clone();
        json["vcek"] = other["vcek"].clone();
    });
    assert_eq!(swapped, "bad-signature");
}

/// A paravisor's report around the world's SNP report, over these runtime claims.
fn paravisor(world: &mut World, runtime: &str) -> Vec<u8> {
    let digest = Sha256::digest(runtime);
    world.patch(0x50, &[&digest[..], &[0; 32]].concat());
    let word = |value: usize| (value as u32).to_le_bytes();
    let mut hcl = b"HCLA".to_vec();
    for value in [2, 0x20 + 1184 + 20 + runtime.len(), 2, 0, 0, 0, 0] {
        hcl.extend(word(value));
    }
    hcl.extend(world.signed_report());
    for value in [20 + runtime.len(), 1, 2, 1, runtime.len()] {
        hcl.extend(word(value));
    }
    hcl.extend(runtime.as_bytes());
    hcl
}

#[test]
fn runtime_claims_are_read_strictly() {
    let modulus = format!("{}w", "v".repeat(341));
    let key = format!(r#"{{"kid":"HCLAkPub","kty":"RSA","e":"AQAB","n":"{modulus}"}}"#);
    let run = |runtime: String, change: fn(&mut World)| {
        let mut world = World::milan();
        change(&mut world);
        let evidence = paravisor(&mut world, &runtime);
        code(verify(&evidence, &world.endorsements(), &world.store(), noon()))
    };
    let keep: fn(&mut World) = |_| ();
    let data = "AB".repeat(64);
    assert_eq!(run(format!(r#"{{"keys":[{key}]}}"#), keep), "accepted");
    assert_eq!(run(format!(r#"{{"keys":[{key}],"user-data":"{data}"}}"#), keep), "accepted");
    assert_eq!(run(format!(r#"{{"keys":[{key}],"user-data":"AB"}}"#), keep), "malformed");
    assert_eq!(run(format!(r#"{{"keys":[{key},{key}]}}"#), keep), "malformed", "two keys");
    assert_eq!(run(r#"{"keys":[]}"#.to_owned(), keep), "malformed", "no key");
    assert_eq!(run(format!(r#"{{"keys":[{key}],"keys":[{key}]}}"#), keep), "malformed");
    assert_eq!(run("{}".to_owned(), keep), "malformed");
    // What runs below the paravisor cannot speak for it.
    let below: fn(&mut World) = |world| world.patch(0x30, &[2]);
    assert_eq!(run(format!(r#"{{"keys":[{key}]}}"#), below), "report-data");
}

#[test]
fn verification_is_fast() {
    let evidence = vector("azure", "trustee-snp-genoa.json");
    let start = std::time::Instant::now();
    const RUNS: u32 = 20;
    for _ in 0..RUNS {
        production(&evidence, &Endorsements::default()).unwrap();
    }
    println!("Azure's evidence: {:?} a verification", start.elapsed() / RUNS);
}
