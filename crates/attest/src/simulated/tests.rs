use super::*;
use adyton_appraise::{
    Bytes, Endorsements, Expected, Policy, TrustStore, UnixTime, Verdict, VerifyError,
    appraise_challenged, verify,
};
use std::time::SystemTime;

/// What the platforms are asked to vouch for.
const DATA: [u8; 64] = [0x5A; 64];

/// Nitro's documents carry the time.
fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 60)
}

fn platform() -> (tempfile::TempDir, Simulated) {
    let directory = tempfile::tempdir().unwrap();
    let platform = Simulated::open(directory.path()).unwrap();
    (directory, platform)
}

fn claims(evidence: &[u8], store: &TrustStore) -> Result<adyton_appraise::Claims, VerifyError> {
    verify(evidence, &Endorsements::default().with_simulated(), store, now())
}

/// The verdict of a policy for this program alone, when asked for evidence over [`DATA`].
fn verdict(claims: &adyton_appraise::Claims, program: [u8; 48], form: Form) -> Verdict {
    let data = match form {
        Form::Tpm | Form::AzureSnp | Form::AzureTdx => adyton_wire::digest::sha256(&DATA).into(),
        _ => Bytes::from(DATA),
    };
    let expected = Expected { report_data: Some(data), nonce: None };
    appraise_challenged(claims, &Policy::simulated([Bytes::from(program)]), &expected, now())
}

fn running() -> [u8; 48] {
    Simulated::measurement_of(&std::env::current_exe().unwrap()).unwrap()
}

/// In each vendor's form: believed under the test root alone, and accepted by the policy for this program and no other.
#[test]
fn evidence_verifies_under_the_test_root_alone() {
    let store = TrustStore::production().with_simulated().unwrap();
    for form in Form::ALL {
        let (_directory, platform) = platform();
        let platform = platform.in_form(form);
        let evidence = platform.evidence(&DATA).unwrap();
        let claims = claims(&evidence, &store).unwrap();
        assert_eq!(claims.kind.name(), platform.kind());
        assert!(claims.simulated && claims.root.test && !claims.debug);
        let own = verdict(&claims, running(), form);
        assert!(matches!(own, Verdict::Accepted(_)), "{form:?}: {own:?}");
        let Verdict::Refused { reasons } = verdict(&claims, [7; 48], form) else {
            panic!("{form:?}: another program is accepted")
        };
        assert!(reasons.iter().all(|reason| reason.code == "measurement"), "{reasons:?}");

        let refused = super::tests::claims(&evidence, &TrustStore::production()).unwrap_err();
        assert_eq!(refused.code, "untrusted-root", "{form:?}");
    }
}

/// Of text and padding, changes are harmless; of what is signed, none is.
#[test]
fn every_flipped_byte_is_refused_or_changes_nothing() {
    let (directory, _) = platform();
    let store = TrustStore::empty().with_simulated().unwrap();
    for form in Form::ALL {
        let platform = Simulated::open(directory.path()).unwrap().in_form(form);
        let evidence = platform.evidence(&DATA).unwrap();
        let honest = claims(&evidence, &store).unwrap();
        // Azure's are the longest, in hexadecimal digits.
        let stride = if matches!(form, Form::AzureSnp | Form::AzureTdx) { 7 } else { 1 };
        for at in (0..evidence.len()).step_by(stride).take(1500) {
            let mut bent = evidence.clone();
            bent[at] ^= 1;
            match claims(&bent, &store) {
                Err(_) => {}
                // A bent label in Azure's JSON hides a part; what is left says less.
                Ok(less) if stride > 1 && less != honest => {
                    let less = verdict(&less, running(), form);
                    assert!(matches!(less, Verdict::Refused { .. }), "{form:?}, byte {at}");
                }
                Ok(same) => assert_eq!(same, honest, "{form:?}, byte {at}"),
            }
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
