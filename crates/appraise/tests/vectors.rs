//! Every sample gets the verdict that `vectors/verdicts.json` states, under a policy for its own program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use adyton_appraise::{
    Bytes, Endorsements, Expected, Policy, TrustStore, UnixTime, Vendor, Verdict,
    appraise_challenged, verify,
};
use serde::Deserialize;
use std::path::Path;

/// A row of the table; the command's test reads the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    evidence: String,
    #[serde(default)]
    collateral: Vec<String>,
    #[serde(default)]
    certs: Vec<String>,
    /// `tpm=FILE`
    #[serde(default)]
    roots: Vec<String>,
    #[serde(default)]
    report_data: Option<Bytes>,
    at: String,
    verdict: String,
    codes: Vec<String>,
    signature_valid: bool,
}

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the library says of a row, in the table's terms.
fn judged(row: &Row) -> (String, Vec<String>, bool) {
    let files = |names: &[String]| names.iter().map(|name| vector(name)).collect();
    let endorsements =
        Endorsements { collateral: files(&row.collateral), certificates: files(&row.certs) };
    let mut roots = TrustStore::production();
    for root in &row.roots {
        let file = root.strip_prefix("tpm=").unwrap();
        roots = roots.with_file(Vendor::Tpm, file, &vector(file), false).unwrap();
    }
    let at: UnixTime = row.at.parse().unwrap();
    let claims = match verify(&vector(&row.evidence), &endorsements, &roots, at) {
        Ok(claims) => claims,
        Err(error) => return ("refused".to_owned(), vec![error.code.to_owned()], false),
    };
    let policy = Policy::for_program_of(&claims);
    let expected = Expected { report_data: row.report_data.clone(), nonce: None };
    match appraise_challenged(&claims, &policy, &expected, at) {
        Verdict::Accepted(accepted) => {
            assert!(accepted.expires_at() >= at, "{}", row.evidence);
            ("accepted".to_owned(), vec![], true)
        }
        Verdict::Refused { reasons } => {
            let codes = reasons.iter().map(|reason| reason.code.to_owned()).collect();
            ("refused".to_owned(), codes, true)
        }
    }
}

#[test]
fn every_sample_gets_its_verdict() {
    let rows: Vec<Row> = serde_json::from_slice(&vector("verdicts.json")).unwrap();
    assert!(rows.len() >= 20);
    let mut wrong = Vec::new();
    for row in &rows {
        let (verdict, codes, valid) = judged(row);
        if (&verdict, &codes, valid) != (&row.verdict, &row.codes, row.signature_valid) {
            wrong.push(format!("{} at {}: {verdict} {codes:?} {valid}", row.evidence, row.at));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An empty policy refuses all of them.
#[test]
fn the_empty_policy_and_the_template_refuse_every_sample() {
    let rows: Vec<Row> = serde_json::from_slice(&vector("verdicts.json")).unwrap();
    for row in rows.iter().filter(|row| row.signature_valid && row.roots.is_empty()) {
        let files = |names: &[String]| names.iter().map(|name| vector(name)).collect();
        let endorsements =
            Endorsements { collateral: files(&row.collateral), certificates: files(&row.certs) };
        let at = row.at.parse().unwrap();
        let claims =
            verify(&vector(&row.evidence), &endorsements, &TrustStore::production(), at).unwrap();
        for policy in [Policy::default(), Policy::template()] {
            let expected = Expected::default();
            let verdict = appraise_challenged(&claims, &policy, &expected, at);
            assert!(matches!(verdict, Verdict::Refused { .. }), "{}", row.evidence);
        }
    }
}
