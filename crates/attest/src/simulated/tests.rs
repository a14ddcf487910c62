use super::*;
use adyton_appraise::{Bytes, Endorsements, Kind, TrustStore, UnixTime, VerifyError, verify};

const NOW: UnixTime = UnixTime(1_780_000_000);

fn platform() -> (tempfile::TempDir, Simulated) {
    let directory = tempfile::tempdir().unwrap();
    let platform = Simulated::open(directory.path()).unwrap();
    (directory, platform)
}

fn claims(evidence: &[u8], store: &TrustStore) -> Result<adyton_appraise::Claims, VerifyError> {
    verify(evidence, &Endorsements::default(), store, NOW)
}

#[test]
fn evidence_verifies_under_the_test_root_alone() {
    let (_directory, platform) = platform();
    let evidence = platform.evidence(&[0x5A; 64]).unwrap();
    let store = TrustStore::production().with_simulated().unwrap();
    let claims = claims(&evidence, &store).unwrap();
    assert_eq!(claims.kind, Kind::SevSnp);
    assert_eq!(claims.kind.name(), platform.kind());
    assert!(claims.simulated && claims.root.test && !claims.debug);
    let running = Simulated::measurement_of(&std::env::current_exe().unwrap()).unwrap();
    assert_eq!(claims.measurements["launch"], Bytes::from(running));
    assert_eq!(claims.report_data, Bytes::from([0x5A; 64]));

    let refused = super::tests::claims(&evidence, &TrustStore::production()).unwrap_err();
    assert_eq!(refused.code, "untrusted-root");
}

#[test]
fn every_flipped_byte_of_the_report_is_refused_or_lies_in_padding() {
    let (_directory, platform) = platform();
    let evidence = platform.evidence(&[0x5A; 64]).unwrap();
    let store = TrustStore::empty().with_simulated().unwrap();
    let honest = claims(&evidence, &store).unwrap();
    for at in 0..1184 {
        let mut bent = evidence.clone();
        bent[at] ^= 1;
        match claims(&bent, &store) {
            Err(_) => {}
            Ok(same) => assert_eq!(same, honest, "byte {at}"),
        }
    }
}

#[test]
fn the_platform_keeps_its_secret_and_its_counter() {
    let (directory, platform) = platform();
    assert_eq!(platform.counter().unwrap(), Some(0));
    platform.advance_counter(5).unwrap();
    platform.advance_counter(5).unwrap();
    let back = platform.advance_counter(4);
    assert!(matches!(back, Err(PlatformError::CounterBackwards { at: 5, to: 4 })));
    let again = Simulated::open(directory.path()).unwrap();
    assert_eq!(again.counter().unwrap(), Some(5));
    assert_eq!(again.sealing_key().unwrap(), platform.sealing_key().unwrap());
    // A write torn by a crash leaves the value before it; two torn slots are damage.
    again.advance_counter(6).unwrap();
    let path = directory.path().join(COUNTER);
    let mut slots = std::fs::read(&path).unwrap();
    let at = slots.chunks(SLOT).position(|slot| value_of(slot) == Some(6)).unwrap() * SLOT;
    slots[at + 9] ^= 1;
    std::fs::write(&path, &slots).unwrap();
    assert_eq!(Simulated::open(directory.path()).unwrap().counter().unwrap(), Some(5));
    slots[SLOT - at] ^= 1;
    std::fs::write(&path, &slots).unwrap();
    assert!(matches!(Simulated::open(directory.path()), Err(PlatformError::Damaged("counter"))));
    std::fs::write(&path, [0; 7]).unwrap();
    assert!(matches!(Simulated::open(directory.path()), Err(PlatformError::Damaged("counter"))));
}
