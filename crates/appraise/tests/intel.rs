//! Intel's samples: claims, and every way in which a changed one is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use adyton_appraise::{
    Bytes, Claims, Endorsements, Kind, Policy, TcbStatus, TrustStore, UnixTime, Vendor, Verdict,
    VerifyError, appraise, verify,
};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

fn vector(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

struct Sample {
    quote: Vec<u8>,
    collateral: Vec<u8>,
    at: UnixTime,
}

impl Sample {
    fn new(name: &str, at: u64) -> Self {
        Self {
            quote: vector(&format!("{name}.bin")),
            collateral: vector(&format!("{name}.collateral.json")),
            at: UnixTime(at),
        }
    }

    fn sgx() -> Self {
        Self::new("intel-sgx/sgx_quote_v3", 1_751_000_000)
    }

    fn tdx() -> Self {
        Self::new("intel-tdx/tdx_quote_v4", 1_751_000_000)
    }

    fn tdx_1_5() -> Self {
        Self::new("intel-tdx/tdx_quote_td15ex_v5", 1_792_000_000)
    }

    fn verify(&self) -> Result<Claims, VerifyError> {
        let endorsements =
            Endorsements { collateral: vec![self.collateral.clone()], certificates: vec![] };
        verify(&self.quote, &endorsements, &TrustStore::production(), self.at)
    }
}

/// Samples with what their README says of their status.
#[test]
fn samples_give_their_claims() {
    let sgx = Sample::sgx().verify().unwrap();
    assert_eq!((sgx.kind, sgx.format.as_str()), (Kind::Sgx, "quote v3, SGX enclave"));
    assert_eq!(sgx.tcb.status, TcbStatus::ConfigurationAndSwHardeningNeeded);
    assert_eq!(sgx.tcb.advisories, ["INTEL-SA-00289", "INTEL-SA-00615"]);
    assert_eq!(sgx.generation.as_deref(), Some("00a067110000"));
    assert_eq!(sgx.root.name, "Intel SGX Root CA");
    assert!(!sgx.debug && !sgx.simulated);

    let tdx = Sample::tdx().verify().unwrap();
    assert_eq!((tdx.kind, tdx.format.as_str()), (Kind::Tdx, "quote v4, TD 1.0"));
    assert_eq!(tdx.tcb.status, TcbStatus::UpToDate);
    assert_eq!(tdx.identity.get("dynamic-platform").map(String::as_str), Some("true"));
    assert_eq!((tdx.debug, tdx.migratable, tdx.smt), (false, Some(false), Some(true)));
    assert_eq!(
        tdx.measurements["mrtd"].to_string(),
        "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7"
    );

    let newer = Sample::tdx_1_5().verify().unwrap();
    assert_eq!(newer.format, "quote v5, TD 1.5 extended");
    assert_eq!(newer.tcb.status, TcbStatus::UpToDate);
    assert!(newer.measurements.contains_key("mrservicetd"));

    let outdated = Sample::new("intel-tdx/tdx_quote_outdated_v4", 1_772_000_000);
    assert_eq!(outdated.verify().unwrap_err().code, "tcb-unknown");
}

/// Expired collateral still makes claims, the same ones but for nothing: its dates tell, and appraisal refuses.
#[test]
fn dates_are_told_or_refused() {
    let mut sample = Sample::sgx();
    let claims = sample.verify().unwrap();
    // 2025-07-19T10:01:18Z, the QE identity's next update, is the first second out of date.
    for at in [1_752_919_278, 1_795_000_000] {
        sample.at = UnixTime(at);
        assert_eq!(sample.verify().unwrap(), claims);
        let Verdict::Refused { reasons } = appraise(&claims, &Policy::default(), sample.at) else {
            panic!()
        };
        assert!(reasons.iter().any(|r| r.code == "collateral-expired"));
    }
    let Verdict::Refused { reasons } =
        appraise(&claims, &Policy::default(), UnixTime(1_752_919_277))
    else {
        panic!()
    };
    assert!(reasons.iter().all(|r| r.code != "collateral-expired"));
    for (at, code) in
        [(1_750_330_570, "collateral-not-yet-valid"), (1_925_000_000, "certificate-expired")]
    {
        sample.at = UnixTime(at);
        assert_eq!(sample.verify().unwrap_err().code, code, "{at}");
    }
}

#[test]
fn collateral_must_be_there_and_of_the_platform() {
    let (sgx, tdx) = (Sample::sgx(), Sample::tdx());
    let with = |collateral: Vec<Vec<u8>>| {
        let endorsements = Endorsements { collateral, certificates: vec![] };
        verify(&sgx.quote, &endorsements, &TrustStore::production(), sgx.at)
    };
    let missing = with(vec![]).unwrap_err();
    assert_eq!(missing.code, "collateral-missing");
    assert!(
        missing.help.contains("00a067110000") && missing.help.contains("processor"),
        "{missing}"
    );
    assert_eq!(with(vec![tdx.collateral.clone()]).unwrap_err().code, "collateral-mismatch");
    assert_eq!(with(vec![b"{}".to_vec()]).unwrap_err().code, "malformed");
    let long = [b"{".as_slice(), &[b' '; 1 << 20]].concat();
    assert_eq!(with(vec![long]).unwrap_err().code, "too-large");
    // Revocation lists of another vendor may stand beside it.
    assert!(with(vec![b"-----BEGIN X509 CRL-----".to_vec(), sgx.collateral.clone()]).is_ok());
    assert!(with(vec![tdx.collateral, sgx.collateral.clone()]).is_ok());
}

#[test]
fn only_a_root_of_the_store_is_believed() {
    let sample = Sample::sgx();
    let endorsements =
        Endorsements { collateral: vec![sample.collateral.clone()], certificates: vec![] };
    let under = |roots: TrustStore| verify(&sample.quote, &endorsements, &roots, sample.at);
    assert_eq!(under(TrustStore::empty()).unwrap_err().code, "untrusted-root");
    let nitro = vector("aws-nitro/AWS_NitroEnclaves_Root-G1.pem");
    let other =
        TrustStore::empty().with_certificate(Vendor::Intel, "other", &nitro, false).unwrap();
    assert_eq!(under(other.clone()).unwrap_err().code, "untrusted-root");
    // A second root beside the right one changes nothing, and a root marked as a test root makes simulated claims.
    let production = TrustStore::production();
    let intel = production.of(Vendor::Intel).next().unwrap().certificate.clone().unwrap();
    let both = other.with_certificate(Vendor::Intel, "test", &intel.0, true).unwrap();
    let claims = under(both).unwrap();
    assert!(claims.simulated && claims.root.test);
}

#[test]
fn quotes_come_raw_as_text_and_in_json() {
    let mut sample = Sample::tdx();
    let claims = sample.verify().unwrap();
    let hex = Bytes::from(&sample.quote).to_string();
    let wrapped = [
        hex.clone().into_bytes(),
        format!("0x{hex}\n").into_bytes(),
        format!(r#"{{"quote":"{hex}","event_log":"[]"}}"#).into_bytes(),
        format!(r#"{{"evidence":{{"tdQuote":"{hex}"}}}}"#).into_bytes(),
    ];
    for bytes in wrapped {
        sample.quote = bytes;
        assert_eq!(sample.verify().unwrap(), claims);
    }
    for bytes in [&b""[..], b"{}", b"quote", br#"{"quote":7}"#, br#"{"quote":"00"}"#] {
        sample.quote = bytes.to_vec();
        assert_eq!(sample.verify().unwrap_err().code, "unsupported-format");
    }
}

#[test]
fn forms_that_lengths_and_padding_break_are_refused() {
    let code = |change: fn(&mut Vec<u8>)| {
        let mut sample = Sample::tdx();
        change(&mut sample.quote);
        sample.verify().map_err(|error| error.code).map(|claims| claims.kind)
    };
    assert_eq!(code(|quote| quote.extend([0; 100])), Ok(Kind::Tdx));
    assert_eq!(code(|quote| quote.push(1)), Err("malformed"));
    assert_eq!(code(|quote| quote.truncate(4000)), Err("truncated"));
    assert_eq!(code(|quote| quote.truncate(60)), Err("truncated"));
    assert_eq!(code(|quote| quote[0] = 6), Err("unsupported-version"));
    assert_eq!(code(|quote| quote[0] = 3), Err("unsupported-version"));
    assert_eq!(code(|quote| quote[2] = 3), Err("unsupported-version"));
    assert_eq!(code(|quote| quote.resize((1 << 17) + 1, 0)), Err("too-large"));
}

/// One bit of every byte, flipped in turn: refused, or the claims stay equal (white space and line ends of PEM text,
/// padding of base64, the copy of the root, which is never used).
fn every_flip_is_refused_or_harmless(sample: &Sample) -> usize {
    let claims = sample.verify().unwrap();
    let accepted = AtomicUsize::new(0);
    let half = sample.quote.len() / 2;
    let flip = |range: std::ops::Range<usize>| {
        for at in range {
            let mut quote = sample.quote.clone();
            quote[at] ^= 1 << (at % 8);
            let flipped = Sample { quote, collateral: sample.collateral.clone(), at: sample.at };
            if let Ok(other) = flipped.verify() {
                assert_eq!(other, claims, "byte {at}");
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| flip(0..half));
        flip(half..sample.quote.len());
    });
    accepted.into_inner()
}

#[test]
fn every_flipped_byte_of_an_sgx_quote() {
    let harmless = every_flip_is_refused_or_harmless(&Sample::sgx());
    println!("harmless: {harmless}");
}

#[test]
fn every_flipped_byte_of_a_tdx_quote() {
    let harmless = every_flip_is_refused_or_harmless(&Sample::tdx());
    println!("harmless: {harmless}");
}

/// Every seventh byte of the collateral: what is signed in it, and the JSON around that.
#[test]
fn flipped_bytes_of_collateral() {
    for sample in [Sample::sgx(), Sample::tdx_1_5()] {
        let claims = sample.verify().unwrap();
        let mut harmless = 0;
        for at in (0..sample.collateral.len()).step_by(7) {
            let mut collateral = sample.collateral.clone();
            collateral[at] ^= 1 << (at % 7);
            let flipped = Sample { quote: sample.quote.clone(), collateral, at: sample.at };
            if let Ok(other) = flipped.verify() {
                assert_eq!(other, claims, "byte {at}");
                harmless += 1;
            }
        }
        println!("harmless: {harmless} of {}", sample.collateral.len() / 7);
    }
}
