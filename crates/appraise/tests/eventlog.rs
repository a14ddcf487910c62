//! Event logs: read within bounds, replayed, held against claims.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod tcg_log;

use adyton_appraise::eventlog::replay;
use adyton_appraise::{Bytes, Claims, Digest, Kind, Root, TcbClaim, TcbStatus};
use sha2::{Digest as _, Sha256, Sha384};
use std::collections::BTreeMap;
use tcg_log::{IPL, Log, NO_ACTION, SEPARATOR, SHA1, SHA256, SHA384};

fn claims(kind: Kind, measurements: &[(&str, Vec<u8>)]) -> Claims {
    let measurement = |(name, value): &(&str, Vec<u8>)| ((*name).to_owned(), Bytes::from(value));
    Claims {
        kind,
        format: "test".to_owned(),
        root: Root { name: "test".to_owned(), sha256: Digest::of(b""), test: true },
        generation: None,
        tcb: TcbClaim {
            status: TcbStatus::NotApplicable,
            advisories: Vec::new(),
            detail: BTreeMap::new(),
        },
        measurements: measurements.iter().map(measurement).collect(),
        report_data: Bytes::default(),
        nonce: None,
        public_key: None,
        debug: false,
        migratable: None,
        smt: None,
        vmpl: None,
        simulated: true,
        identity: BTreeMap::new(),
        validity: Vec::new(),
        issued_at: None,
        notes: Vec::new(),
    }
}

fn extend256(value: &[u8], measured: &[u8]) -> Vec<u8> {
    Sha256::digest([value, &Sha256::digest(measured)].concat()).to_vec()
}

fn extend384(value: &[u8], measured: &[u8]) -> Vec<u8> {
    Sha384::digest([value, &Sha384::digest(measured)].concat()).to_vec()
}

/// A TPM's log in three banks.
fn tpm_log() -> Log {
    Log::new(&[SHA1, SHA256, SHA384])
        .event(0, NO_ACTION, b"", b"StartupLocality\0\x03")
        .event(0, SEPARATOR, b"firmware", b"firmware")
        .event(4, IPL, b"loader", b"a name")
        .event(4, IPL, b"kernel", b"another name")
        .event(0, NO_ACTION, b"unmeasured", b"information")
}

fn tpm_claims() -> Claims {
    let [mut start256, mut start384] = [vec![0; 32], vec![0; 48]];
    (start256[31], start384[47]) = (3, 3);
    claims(
        Kind::Tpm,
        &[
            ("pcr0", extend256(&start256, b"firmware")),
            ("pcr4", extend256(&extend256(&[0; 32], b"loader"), b"kernel")),
            ("pcr7", vec![0; 32]),
            ("pcr17", vec![0xff; 32]),
            ("pcr0-sha384", extend384(&start384, b"firmware")),
            ("pcr0-sha1", vec![5; 20]),
            ("pcr-digest", vec![1; 32]),
        ],
    )
}

/// A TDX guest's log: registers count from MRTD.
fn ccel() -> Log {
    Log::new(&[SHA384])
        .event(1, SEPARATOR, b"config", b"config")
        .event(2, IPL, b"loader", b"a name")
        .event(3, IPL, b"kernel", b"command line")
}

fn tdx_claims() -> Claims {
    claims(
        Kind::Tdx,
        &[
            ("mrtd", vec![1; 48]),
            ("rtmr0", extend384(&[0; 48], b"config")),
            ("rtmr1", extend384(&[0; 48], b"loader")),
            ("rtmr2", extend384(&[0; 48], b"kernel")),
            ("rtmr3", vec![0; 48]),
        ],
    )
}

#[test]
fn logs_account_for_the_registers_they_filled() {
    let replayed = replay(&tpm_log().bytes).unwrap();
    replayed.matches(&tpm_claims()).unwrap();
    let compared = replayed.compare(&tpm_claims());
    let names: Vec<_> = compared.iter().map(|c| (c.register.as_str(), c.events)).collect();
    assert_eq!(names, [("pcr0", 1), ("pcr0-sha384", 1), ("pcr17", 0), ("pcr4", 2), ("pcr7", 0)]);
    replay(&ccel().bytes).unwrap().matches(&tdx_claims()).unwrap();
    for fill in [0x00, 0xff] {
        let padded = [ccel().bytes, vec![fill; 3000]].concat();
        assert_eq!(replay(&padded).unwrap(), replay(&ccel().bytes).unwrap());
    }
}

#[test]
fn the_first_register_that_differs_is_named() {
    for name in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"] {
        let mut claims = tdx_claims();
        claims.measurements.insert(name.to_owned(), vec![9; 48].into());
        let refused = replay(&ccel().bytes).unwrap().matches(&claims).unwrap_err();
        assert_eq!(refused.code, "event-log-mismatch");
        assert!(refused.what.contains(name), "{refused}");
    }
    // An event left out, added, or in another place.
    let first = Log::new(&[SHA384]).event(1, SEPARATOR, b"config", b"config");
    let swapped = Log::new(&[SHA384])
        .event(2, IPL, b"config", b"")
        .event(1, IPL, b"loader", b"")
        .event(3, IPL, b"kernel", b"");
    let more = ccel().event(4, IPL, b"more", b"more");
    for (log, name) in [(first, "rtmr1"), (swapped, "rtmr0"), (more, "rtmr3")] {
        let refused = replay(&log.bytes).unwrap().matches(&tdx_claims()).unwrap_err();
        assert!(refused.what.contains(name), "{refused}");
    }
}

#[test]
fn logs_of_other_registers_do_not_match() {
    let pcrs_of_sha1 = claims(Kind::Tpm, &[("pcr0-sha1", vec![0; 20])]);
    let sgx = claims(Kind::Sgx, &[("mrenclave", vec![0; 32])]);
    let nitro = claims(Kind::Nitro, &[("pcr0", vec![0; 48])]);
    for claims in [pcrs_of_sha1, sgx, nitro, tdx_claims()] {
        let tpm = Log::new(&[SHA1, SHA256]).event(0, SEPARATOR, b"x", b"x");
        let refused = replay(&tpm.bytes).unwrap().matches(&claims).unwrap_err();
        assert_eq!(refused.code, "event-log-mismatch", "{:?}", claims.kind);
    }
}

#[test]
fn data_counts_where_it_is_what_was_measured() {
    let replayed = replay(&tpm_log().bytes).unwrap();
    let measured: Vec<_> = replayed.events().iter().map(|event| event.measured_data()).collect();
    assert_eq!(measured, [None, Some(&b"firmware"[..]), None, None, None]);
}

#[test]
fn a_changed_byte_never_gives_other_matching_registers() {
    for (log, claims) in [(tpm_log(), tpm_claims()), (ccel(), tdx_claims())] {
        let events = replay(&log.bytes).unwrap().compare(&claims);
        let mut changed = log.bytes.clone();
        for place in 0..changed.len() {
            for bit in 0..8 {
                changed[place] ^= 1 << bit;
                if let Ok(replayed) = replay(&changed).and_then(|r| r.matches(&claims).map(|()| r))
                {
                    let values = |c: &[adyton_appraise::eventlog::Comparison]| -> Vec<_> {
                        c.iter().map(|c| (c.register.clone(), c.replayed.clone())).collect()
                    };
                    let compared = replayed.compare(&claims);
                    // A bank may become one that is not known, and drop out; no value can change.
                    let before = values(&events);
                    assert!(values(&compared).iter().all(|value| before.contains(value)));
                }
                changed[place] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn what_is_no_log_is_refused() {
    let whole = ccel().bytes;
    let header = Log::new(&[SHA384]).bytes.len();
    let mut ends = Vec::new();
    for length in 0..whole.len() {
        match replay(&whole[..length]) {
            Ok(_) => ends.push(length),
            Err(refused) => {
                assert!(["truncated", "malformed"].contains(&refused.code), "{refused}")
            }
        }
    }
    // A log may end after any event; what follows decides whether it matches.
    assert_eq!(ends.len(), 3, "{ends:?}");
    assert_eq!(ends[0], header);
    let code = |bytes: &[u8]| replay(bytes).unwrap_err().code;
    assert_eq!(code(&vec![0; (1 << 22) + 1]), "too-large");
    assert_eq!(code(&Log::new(&[SHA1]).bytes), "unsupported-format");
    assert_eq!(code(&[]), "truncated");
    let mut other = whole.clone();
    other[32] ^= 1;
    assert_eq!(code(&other), "unsupported-format");
    // Lengths and counts far beyond the end.
    let mut long = whole.clone();
    long[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(code(&long), "truncated");
    let mut many = whole.clone();
    many[56..60].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(code(&many), "malformed");
    let mut digests = whole.clone();
    digests[header + 8..header + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(code(&digests), "malformed");
    let mut unknown = whole;
    unknown[header..header + 4].copy_from_slice(&99u32.to_le_bytes());
    assert_eq!(code(&unknown), "malformed");
    let twice = Log::new(&[SHA256, SHA256]);
    assert_eq!(code(&twice.bytes), "malformed");
    let short = (0..(1 << 15) + 1).fold(Log::new(&[SHA256]), |log, _| log.event(1, IPL, b"", b""));
    assert_eq!(code(&short.bytes), "too-large");
}

#[test]
fn the_startup_locality_is_stated_once_and_first() {
    let log = || Log::new(&[SHA256]);
    let stated = |log: Log, locality| {
        log.event(0, NO_ACTION, b"", &[b"StartupLocality\0".as_slice(), locality].concat())
    };
    let twice = stated(stated(log(), &[3]), &[3]);
    let late = stated(log().event(0, SEPARATOR, b"x", b"x"), &[3]);
    for wrong in [twice, late, stated(log(), &[9]), stated(log(), &[]), stated(log(), &[3, 0])] {
        assert_eq!(replay(&wrong.bytes).unwrap_err().code, "malformed");
    }
}
