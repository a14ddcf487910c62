use super::*;
use crate::ids::*;
use crate::message::{AuditProof, OpenSession, ProofError, RegisterDeployment, Release};
use crate::seal::{OpeningKey, PUBLIC_KEY_LENGTH};
use crate::{Problem, Reply, Request, Response, Sealed, Signed, SigningKey, WireError};
use proptest::prelude::*;

fn auditor() -> SigningKey {
    SigningKey::from_seed(&[18; 32])
}

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
        audit: Some(AuditPolicy { rate_ppm: 10_000, auditor: auditor().public_key() }),
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
        keys: ObjectId([19; 32]),
        ciphertexts: [14; 32],
        audited: true,
        result: [15; 32],
        outcome: [16; 32],
        bits: 100,
        session_bits: 300,
        time: 1_800_000_000,
        audit: AuditHead { length: 7, digest: [17; 32] },
    }
}

fn task() -> Task {
    receipt().execution().task
}

fn finding(result: [u8; 32]) -> AuditFinding {
    AuditFinding {
        execution: Execution { task: task(), result },
        auditor: auditor().public_key(),
        version: "0.1.0".to_owned(),
    }
}

fn quarantine() -> Quarantine {
    Quarantine {
        version: "0.1.0".to_owned(),
        committed: receipt().execution(),
        finding: finding([20; 32]).digest(),
        time: 1_800_000_000,
        audit: AuditHead { length: 9, digest: [21; 32] },
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
    holds(&receipt().execution());
    holds(&AuditDemand { task: task(), auditor: auditor().public_key(), time: 1_800_000_000 });
    holds(&finding([20; 32]));
    holds(&quarantine());
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
        "5f97131621f8b13d7a46b7e1819d750a75bd896485a8dcf6ea21551f611a9f0c"
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
fn an_audit_rate_comes_with_an_auditor() {
    let rate = |rate_ppm| {
        let audit = Some(AuditPolicy { rate_ppm, auditor: auditor().public_key() });
        let policy = Policy { audit, ..policy(DataOwners::Any) };
        let statement = DeploymentStatement { policy, ..deployment() };
        DeploymentStatement::from_bytes(&statement.to_bytes())
    };
    assert!(rate(1).is_ok() && rate(AUDIT_RATE_ALL).is_ok());
    assert!(rate(AUDIT_RATE_ALL + 1).is_err());
    // A rate of nought is no audit, and nobody's key follows it.
    assert!(rate(0).is_err());
    let none = DeploymentStatement {
        policy: Policy { audit: None, ..policy(DataOwners::Any) },
        ..deployment()
    };
    assert_eq!(DeploymentStatement::from_bytes(&none.to_bytes()).unwrap(), none);
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
        Request::Release(Release {
            job: Signed::new(&job(), &key),
            ciphertexts: vec![5; 999],
            keys: ObjectId([19; 32]),
        }),
        Request::SubmitFinding(Signed::new(&finding([20; 32]), &auditor())),
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
    let demand = AuditDemand { task: task(), auditor: auditor().public_key(), time: 1_800_000_000 };
    for response in [
        Response::Released(released),
        Response::AuditDemanded(Signed::new(&demand, &key)),
        Response::AuditSettled(None),
        Response::AuditSettled(Some(Signed::new(&quarantine(), &key))),
        Response::Refused(Problem::JobReused),
    ] {
        let reply = Reply { response, audit: vec![0; AUDIT_ENTRY_LENGTH] };
        assert_eq!(Reply::decode(&reply.encode()).unwrap(), reply);
    }
    let broken = Reply { response: Response::Refused(Problem::Busy), audit: vec![0; 5] };
    assert!(Reply::decode(&broken.encode()).is_err());
}

/// The parties of a failed audit.
struct Parties {
    model: SigningKey,
    data: SigningKey,
    enclave: SigningKey,
}

fn parties() -> Parties {
    let key = |byte| SigningKey::from_seed(&[byte; 32]);
    Parties { model: key(3), data: key(7), enclave: key(22) }
}

fn proof() -> AuditProof {
    let parties = parties();
    AuditProof {
        deployment: Signed::new(&deployment(), &parties.model),
        session: Signed::new(&session(), &parties.data),
        job: Signed::new(&job(), &parties.data),
        finding: Signed::new(&finding([20; 32]), &auditor()),
        quarantine: Signed::new(&quarantine(), &parties.enclave),
    }
}

#[test]
fn a_proof_holds_only_as_a_whole() {
    let Parties { model, data, enclave } = parties();
    let proof = proof();
    let key = enclave.public_key();
    let mismatch = proof.verify(&key).unwrap();
    assert_eq!(mismatch.finding.execution.result, [20; 32]);
    assert_eq!(mismatch.quarantine.committed.result, [14; 32]);
    assert_eq!(AuditProof::decode(&proof.encode()).unwrap(), proof);

    let proven = |proof: AuditProof| proof.verify(&key);
    let apart = |proof| matches!(proven(proof), Err(ProofError::Apart(_)));
    let forged = |proof| matches!(proven(proof), Err(ProofError::Statement { .. }));
    // Each signature counts.
    assert!(proof.verify(&data.public_key()).is_err());
    assert!(forged(AuditProof { deployment: Signed::new(&deployment(), &data), ..proof.clone() }));
    assert!(forged(AuditProof { session: Signed::new(&session(), &model), ..proof.clone() }));
    assert!(forged(AuditProof { job: Signed::new(&job(), &model), ..proof.clone() }));
    let by_host = Signed::new(&finding([20; 32]), &model);
    assert!(forged(AuditProof { finding: by_host, ..proof.clone() }));
    // Each statement is about the same execution.
    let other = DeploymentStatement { model: ObjectId([9; 32]), ..deployment() };
    assert!(apart(AuditProof { deployment: Signed::new(&other, &model), ..proof.clone() }));
    let other = SessionStatement { nonce: SessionNonce([1; 16]), ..session() };
    assert!(apart(AuditProof { session: Signed::new(&other, &data), ..proof.clone() }));
    let other = JobStatement { job: JobId([1; 16]), ..job() };
    assert!(apart(AuditProof { job: Signed::new(&other, &data), ..proof.clone() }));
    let mut other = finding([20; 32]);
    other.execution.task.keys = ObjectId([1; 32]);
    let said = Quarantine { finding: other.digest(), ..quarantine() };
    assert!(apart(AuditProof {
        finding: Signed::new(&other, &auditor()),
        quarantine: Signed::new(&said, &enclave),
        ..proof.clone()
    }));
    // Somebody else's finding, however signed, is not the auditor's.
    let other = AuditFinding { auditor: data.public_key(), ..finding([20; 32]) };
    let said = Quarantine { finding: other.digest(), ..quarantine() };
    assert!(apart(AuditProof {
        finding: Signed::new(&other, &data),
        quarantine: Signed::new(&said, &enclave),
        ..proof.clone()
    }));
    // Agreement is no proof.
    let same = finding([14; 32]);
    let said = Quarantine { finding: same.digest(), ..quarantine() };
    assert!(apart(AuditProof {
        finding: Signed::new(&same, &auditor()),
        quarantine: Signed::new(&said, &enclave),
        ..proof.clone()
    }));
    assert!(apart(AuditProof { finding: Signed::new(&finding([23; 32]), &auditor()), ..proof }));
}

#[test]
fn the_execution_digest_names_everything_that_determines_a_result() {
    let all = receipt().execution();
    let mut changed = vec![all.clone(); 7];
    changed[0].result[0] ^= 1;
    changed[1].task.model.0[0] ^= 1;
    changed[2].task.keys.0[0] ^= 1;
    changed[3].task.epoch += 1;
    changed[4].task.instance.0[0] ^= 1;
    changed[5].task.job.input.0[0] ^= 1;
    changed[6].task.job.program.0[0] ^= 1;
    assert!(changed.iter().all(|other| other.digest() != all.digest()));
    assert_eq!(
        ObjectId(all.digest()).to_string(),
        "b74ce4e8c8f3b8b0a6ea6f2ec623000722cce0b5ba1e9782a716d376525a1f23"
    );
}

proptest! {
    #[test]
    fn decoders_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Request::decode(&bytes);
        let _ = Reply::decode(&bytes);
        let _ = DeploymentStatement::from_bytes(&bytes);
        let _ = ResultPayload::from_bytes(&bytes);
        let _ = AuditEntry::from_bytes(&bytes);
        let _ = AuditProof::decode(&bytes);
    }

    #[test]
    fn altered_requests_are_refused_or_differ(which in 0usize..8, at in any::<prop::sample::Index>(), flip in 1u8..) {
        let request = requests().swap_remove(which);
        let mut bytes = request.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Request::decode(&bytes) {
            prop_assert_ne!(other, request);
        }
    }
}
