use super::*;
use crate::ids::*;
use crate::message::{OpenSession, RegisterDeployment, Release};
use crate::seal::{OpeningKey, PUBLIC_KEY_LENGTH};
use crate::{Problem, Reply, Request, Response, Sealed, Signed, SigningKey, WireError};
use proptest::prelude::*;

fn policy(owners: DataOwners) -> Policy {
    Policy {
        owners,
        sessions_per_owner: 2,
        ciphertexts_per_session: 64,
        jobs_per_owner: 10,
        jobs_total: 100,
        bits_per_session: 1 << 20,
        bits_total: 1 << 30,
        expires: 2_000_000_000,
        output: OutputForm::TopK { k: 3, bits: 12 },
        audit_rate_ppm: 10_000,
        involvement: Involvement::FinalOnly,
    }
}

fn deployment() -> DeploymentStatement {
    DeploymentStatement {
        program: ProgramId([1; 32]),
        model: ObjectId([2; 32]),
        owner: SigningKey::from_seed(&[3; 32]).public_key(),
        policy: policy(DataOwners::Listed(vec![PublicKey([4; 32]), PublicKey([5; 32])])),
        seed_commitment: [6; 32],
    }
}

fn session() -> SessionStatement {
    SessionStatement {
        deployment: deployment().id(),
        owner: SigningKey::from_seed(&[7; 32]).public_key(),
        reply_key: vec![8; PUBLIC_KEY_LENGTH],
        nonce: SessionNonce([9; 16]),
        seed_commitment: [10; 32],
    }
}

fn job() -> JobStatement {
    JobStatement {
        deployment: deployment().id(),
        session: session().id(),
        job: JobId([11; 16]),
        program: ProgramId([1; 32]),
        input: ObjectId([12; 32]),
        samples: 100,
        groups: 2,
        expires: 1_900_000_000,
    }
}

fn receipt() -> ReceiptStatement {
    ReceiptStatement {
        instance: InstanceId([13; 16]),
        version: "0.1.0".to_owned(),
        epoch: 1,
        job: job(),
        model: ObjectId([2; 32]),
        ciphertexts: [14; 32],
        result: [15; 32],
        outcome: [16; 32],
        bits: 100,
        session_bits: 300,
        time: 1_800_000_000,
        audit: AuditHead { length: 7, digest: [17; 32] },
    }
}

fn payload(values: Values) -> ResultPayload {
    ResultPayload {
        session: session().id(),
        job: JobId([11; 16]),
        checks: Checks(0),
        blind: [1; 32],
        samples: 2,
        outputs: 3,
        values,
    }
}

/// The statement comes back; no prefix, no longer text and no other kind's reader accepts it.
fn holds<T: Statement + PartialEq + std::fmt::Debug>(statement: &T) {
    let bytes = statement.to_bytes();
    assert_eq!(&T::from_bytes(&bytes).unwrap(), statement);
    for cut in 0..bytes.len() {
        assert!(T::from_bytes(&bytes[..cut]).is_err(), "{} cut at {cut}", T::DOMAIN);
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(T::from_bytes(&longer).is_err());
    let other = KeyStatement {
        session: SessionId([0; 32]),
        program: ProgramId([0; 32]),
        index: 0,
        epoch: 0,
        digest: [0; 32],
    };
    assert!(T::DOMAIN == KeyStatement::DOMAIN || T::from_bytes(&other.to_bytes()).is_err());
}

#[test]
fn statements_come_back_and_nothing_else_does() {
    holds(&deployment());
    holds(&session());
    holds(&job());
    holds(&receipt());
    holds(&payload(Values::Logits { step: 0.5, codes: vec![1, -2, 3, 4, 5, i32::MIN] }));
    holds(&payload(Values::TopK { step: 0.25, entries: vec![(2, 5), (0, -1)] }));
    holds(&payload(Values::Labels(vec![2, 0])));
    holds(&KeyStatement {
        session: SessionId([1; 32]),
        program: ProgramId([2; 32]),
        index: 3,
        epoch: 4,
        digest: [5; 32],
    });
    holds(&EvidenceStatement {
        nonce: Nonce([1; 32]),
        signing_key: PublicKey([2; 32]),
        sealing_key: vec![3; PUBLIC_KEY_LENGTH],
        instance: InstanceId([4; 16]),
        epoch: 1,
        version: "1.2.3".to_owned(),
        simulated: true,
    });
}

/// Known answers, computed independently in Python (hashlib, struct): a change here is a change of the protocol.
#[test]
fn ids_and_canonical_bytes_are_stable() {
    assert_eq!(
        deployment().id().to_string(),
        "e7299b39660765d98d38ecf51a8f9f48f94b5faa933fbe06a671cf8cb41b03ab"
    );
    assert_eq!(&job().to_bytes()[..21], b"\x0d\0\0\0adyton/v1/job\x20\0\0\0");
}

#[test]
fn signatures_bind_statement_and_key() {
    let (key, other) = (SigningKey::from_seed(&[3; 32]), SigningKey::generate().unwrap());
    let signed = Signed::new(&deployment(), &key);
    assert_eq!(signed.verify_self().unwrap(), deployment());
    assert_eq!(signed.verify(&other.public_key()), Err(WireError::Signature));
    let forged = Signed::new(&deployment(), &other);
    assert_eq!(forged.verify_self(), Err(WireError::Signature));
    let again = Signed::<DeploymentStatement>::decode(&signed.encode()).unwrap();
    assert_eq!(again, signed);
    assert!(Signed::<SessionStatement>::decode(&signed.encode()).is_err());
    assert!(signed.verify(&PublicKey([0; 32])).is_err());
}

#[test]
fn owner_lists_are_canonical() {
    let twisted =
        DataOwners::Listed(vec![PublicKey([5; 32]), PublicKey([4; 32]), PublicKey([5; 32])]);
    let statement = DeploymentStatement { policy: policy(twisted), ..deployment() };
    assert_eq!(statement.id(), deployment().id());
    assert_eq!(DeploymentStatement::from_bytes(&statement.to_bytes()).unwrap(), deployment());
    let bytes = deployment().to_bytes();
    let (four, five) = (&[4; 32][..], &[5; 32][..]);
    let at = |needle: &[u8]| bytes.windows(32).position(|window| window == needle).unwrap();
    let (first, second) = (at(four), at(five));
    let mut swapped = bytes.clone();
    swapped[first..first + 32].copy_from_slice(five);
    swapped[second..second + 32].copy_from_slice(four);
    assert!(DeploymentStatement::from_bytes(&swapped).is_err());
}

#[test]
fn an_empty_policy_admits_nobody() {
    let deny = Policy::deny();
    assert!(!deny.admits(&PublicKey([4; 32])));
    assert!(policy(DataOwners::Any).admits(&PublicKey([9; 32])));
    assert!(deployment().policy.admits(&PublicKey([4; 32])));
    assert!(!deployment().policy.admits(&PublicKey([6; 32])));
}

#[test]
fn the_ledger_counts_what_a_form_can_carry() {
    assert_eq!(OutputForm::Logits { bits: 16 }.bits(10, 10), 1600);
    assert_eq!(OutputForm::Label.bits(10, 10), 40);
    assert_eq!(OutputForm::Label.bits(10, 8), 30);
    assert_eq!(OutputForm::Label.bits(10, 1), 0);
    assert_eq!(OutputForm::TopK { k: 3, bits: 8 }.bits(1, 10), 36);
    assert_eq!(OutputForm::TopK { k: 30, bits: 8 }.bits(1, 10), 120);
    assert_eq!(OutputForm::Logits { bits: 30 }.bits(u64::MAX, 10), u64::MAX);
}

#[test]
fn the_audit_chain_shows_every_change() {
    let mut head = AuditHead::default();
    let mut bytes = Vec::new();
    for sequence in 0..5 {
        let entry = AuditEntry {
            sequence,
            time: 1000 + sequence,
            event: AuditEvent::Released,
            epoch: 1,
            previous: head.digest,
            subject: [1; 32],
            job: [sequence as u8; 16],
            object: [3; 32],
            bits: 10,
        };
        head = AuditHead { length: sequence + 1, digest: entry.digest() };
        bytes.extend(entry.to_bytes());
    }
    let (entries, end) = verify_audit(AuditHead::default(), &bytes).unwrap();
    assert_eq!((entries.len(), end), (5, head));
    for at in (0..bytes.len()).step_by(7) {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        let got = verify_audit(AuditHead::default(), &bent);
        assert!(got.map_or(true, |(_, end)| end != head), "byte {at}");
    }
    assert!(verify_audit(AuditHead::default(), &bytes[AUDIT_ENTRY_LENGTH..]).is_err());
    assert!(verify_audit(AuditHead::default(), &bytes[..100]).is_err());
}

fn requests() -> Vec<Request> {
    let key = SigningKey::from_seed(&[3; 32]);
    let seal = OpeningKey::generate().unwrap();
    let seed = seal.public_key().seal(b"i", b"", &[1; 32]).unwrap();
    vec![
        Request::GetEvidence { nonce: Nonce([1; 32]) },
        Request::RegisterDeployment(RegisterDeployment {
            program: vec![1, 2, 3],
            statement: Signed::new(&deployment(), &key),
            seed: seed.clone(),
        }),
        Request::OpenSession(OpenSession {
            statement: Signed::new(&session(), &SigningKey::from_seed(&[7; 32])),
            seed,
        }),
        Request::MakeKey { session: SessionId([1; 32]), index: 7 },
        Request::Release(Release { job: Signed::new(&job(), &key), ciphertexts: vec![5; 999] }),
        Request::Health,
        Request::GetAudit { from: 3 },
    ]
}

#[test]
fn requests_come_back_and_truncations_do_not_pass_for_them() {
    for request in requests() {
        let bytes = request.encode();
        assert_eq!(Request::decode(&bytes).unwrap(), request);
        for cut in 0..bytes.len() {
            if let Ok(other) = Request::decode(&bytes[..cut]) {
                assert_ne!(other, request);
            }
        }
        let mut unknown = bytes.clone();
        unknown.extend([0xf8, 0x07, 1]);
        assert_eq!(Request::decode(&unknown), Err(WireError::Protobuf));
    }
}

#[test]
fn replies_come_back() {
    let key = SigningKey::from_seed(&[3; 32]);
    let sealed = Sealed { encapsulation: vec![0; 1120], ciphertext: vec![1; 50] };
    let released =
        crate::message::Released { result: sealed, receipt: Signed::new(&receipt(), &key) };
    for response in [Response::Released(released), Response::Refused(Problem::JobReused)] {
        let reply = Reply { response, audit: vec![0; AUDIT_ENTRY_LENGTH] };
        assert_eq!(Reply::decode(&reply.encode()).unwrap(), reply);
    }
    let broken = Reply { response: Response::Refused(Problem::Busy), audit: vec![0; 5] };
    assert!(Reply::decode(&broken.encode()).is_err());
}

proptest! {
    #[test]
    fn decoders_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Request::decode(&bytes);
        let _ = Reply::decode(&bytes);
        let _ = DeploymentStatement::from_bytes(&bytes);
        let _ = ResultPayload::from_bytes(&bytes);
        let _ = AuditEntry::from_bytes(&bytes);
    }

    #[test]
    fn altered_requests_are_refused_or_differ(which in 0usize..7, at in any::<prop::sample::Index>(), flip in 1u8..) {
        let request = requests().swap_remove(which);
        let mut bytes = request.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Request::decode(&bytes) {
            prop_assert_ne!(other, request);
        }
    }
}
