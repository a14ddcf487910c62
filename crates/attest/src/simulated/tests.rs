use super::*;
use crate::{AppraisalError, AppraisalPolicy, appraise};
use adyton_wire::message::Evidence;
use adyton_wire::seal::OpeningKey;
use adyton_wire::statement::EvidenceStatement;
use adyton_wire::{InstanceId, Nonce};

const NONCE: Nonce = Nonce([7; 32]);

fn evidence(platform: &Simulated) -> Evidence {
    let statement = EvidenceStatement {
        nonce: NONCE,
        signing_key: SigningKey::from_seed(&[1; 32]).public_key(),
        sealing_key: OpeningKey::from_seed(&[2; 32]).unwrap().public_key().as_bytes().to_vec(),
        instance: InstanceId([3; 16]),
        epoch: 1,
        version: "0.1.0".to_owned(),
        simulated: true,
    };
    Evidence {
        kind: platform.kind().to_owned(),
        evidence: platform.evidence(&statement.report_data()).unwrap(),
        statement,
    }
}

fn platform() -> (tempfile::TempDir, Simulated, AppraisalPolicy) {
    let directory = tempfile::tempdir().unwrap();
    let platform = Simulated::open(directory.path()).unwrap();
    let running = Simulated::measurement_of(&std::env::current_exe().unwrap()).unwrap();
    (directory, platform, AppraisalPolicy::simulated([running]))
}

#[test]
fn evidence_of_the_running_program_is_accepted_by_name_only() {
    let (_directory, platform, policy) = platform();
    let evidence = evidence(&platform);
    let verified = appraise(&evidence, &NONCE, &policy).unwrap();
    assert_eq!(verified.signing_key(), &evidence.statement.signing_key);
    assert!(verified.claims().simulated);

    let refuse = |policy: &AppraisalPolicy| appraise(&evidence, &NONCE, policy).unwrap_err();
    assert!(matches!(refuse(&AppraisalPolicy::default()), AppraisalError::Kind(_)));
    let unnamed = AppraisalPolicy { allow_simulated: false, ..policy.clone() };
    assert_eq!(refuse(&unnamed), AppraisalError::Simulated);
    let any = AppraisalPolicy { measurements: Vec::new(), ..policy.clone() };
    assert!(matches!(refuse(&any), AppraisalError::Measurement(_)));
    let other = Nonce([8; 32]);
    assert_eq!(appraise(&evidence, &other, &policy).unwrap_err(), AppraisalError::Nonce);
}

#[test]
fn evidence_vouches_for_its_statement_alone() {
    let (_directory, platform, policy) = platform();
    let mut other = evidence(&platform);
    other.statement.signing_key = SigningKey::from_seed(&[9; 32]).public_key();
    assert_eq!(appraise(&other, &NONCE, &policy).unwrap_err(), AppraisalError::ReportData);
    let mut real = evidence(&platform);
    real.statement.simulated = false;
    assert_eq!(appraise(&real, &NONCE, &policy).unwrap_err(), AppraisalError::Simulated);
    let mut elsewhere = evidence(&platform);
    elsewhere.kind = "sgx".to_owned();
    let error = appraise(&elsewhere, &NONCE, &policy).unwrap_err();
    assert!(matches!(error, AppraisalError::Verification(VerificationError::UnknownPlatform(_))));
    for at in 0..evidence(&platform).evidence.len() {
        let mut bent = evidence(&platform);
        bent.evidence[at] ^= 1;
        assert!(appraise(&bent, &NONCE, &policy).is_err(), "byte {at}");
    }
}

#[test]
fn the_platform_keeps_its_secret_and_its_counter() {
    let (directory, platform, _) = platform();
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
