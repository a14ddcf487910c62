//! Owners believe the enclave and nobody else, and it only about what they asked.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use adyton_appraise::{Bytes, Policy as Appraisal, TrustStore, UnixTime};
use adyton_attest::Form;
use adyton_client::trust::{AppraisalError, Challenge, Trust};
use adyton_client::{ClientError, DataOwner, Deployment, Identity, Job, ModelOwner, Session};
use adyton_wire::message::{Evidence, OpenSession, Released};
use adyton_wire::seal::SealingKey;
use adyton_wire::statement::{
    AuditHead, Checks, DeploymentRegistered, ReceiptStatement, ResultPayload, SessionOpened,
    SessionStatement, Statement, Values,
};
use adyton_wire::{DeploymentId, InstanceId, JobId, Nonce, ObjectId, Signed, SigningKey};
use common::{Enclave, NOW, OUTPUTS, Published, policy, publish};
use std::time::SystemTime;

/// One path for all: statement, nonce and binding are held against evidence of every form.
#[test]
fn evidence_of_every_vendors_form_is_appraised() {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let at = UnixTime(since.as_secs() + 60);
    for form in Form::ALL {
        let enclave = Enclave::of(form);
        let challenge = Challenge::new().unwrap();
        let evidence = enclave.evidence(*challenge.nonce());
        let stale = enclave.evidence(*Challenge::new().unwrap().nonce());
        assert!(
            Challenge::of_nonce(*challenge.nonce()).appraise(&stale, &enclave.trust, at).is_err()
        );
        let mut bent = Evidence::decode(&evidence).unwrap();
        bent.statement.epoch += 1;
        let again = Challenge::of_nonce(*challenge.nonce());
        assert!(again.appraise(&bent.encode(), &enclave.trust, at).is_err(), "{form:?}");
        let appraised = challenge.appraise(&evidence, &enclave.trust, at).unwrap();
        assert_eq!(appraised.signing_key(), &enclave.signing.public_key(), "{form:?}");
    }
}

#[test]
fn evidence_is_believed_only_for_its_nonce_policy_and_root() {
    let enclave = Enclave::new();
    let nonce = Nonce([9; 32]);
    let evidence = enclave.evidence(nonce);
    let judge = |nonce: Nonce, evidence: &[u8], trust: &Trust| {
        Challenge::of_nonce(nonce).appraise(evidence, trust, NOW)
    };
    let verified = judge(nonce, &evidence, &enclave.trust).unwrap();
    assert_eq!(verified.signing_key(), &enclave.signing.public_key());
    assert!(verified.claims().simulated);
    let error = |result: Result<_, ClientError>| match result {
        Err(ClientError::Appraisal(error)) => error,
        other => panic!("{other:?}"),
    };
    let codes = |error: AppraisalError| match error {
        AppraisalError::Refused { reasons, .. } => reasons.iter().map(|r| r.code).collect(),
        AppraisalError::Verification(error) => vec![error.code],
        other => panic!("{other:?}"),
    };
    let other = error(judge(Nonce([8; 32]), &evidence, &enclave.trust));
    assert_eq!(other, AppraisalError::Nonce);
    // The trust store alone sets the simulated platform apart: production's believes nothing of it.
    let production = Trust { roots: TrustStore::production(), ..enclave.trust.clone() };
    assert_eq!(codes(error(judge(nonce, &evidence, &production))), ["untrusted-root"]);
    let empty = Trust { policy: Appraisal::default(), ..enclave.trust.clone() };
    assert!(codes(error(judge(nonce, &evidence, &empty))).contains(&"kind"));
    let mut unnamed = enclave.trust.clone();
    unnamed.policy.accept.values_mut().for_each(|rule| rule.allow.clear());
    assert_eq!(codes(error(judge(nonce, &evidence, &unnamed))), ["simulated"]);
    let program = Trust::simulated([Bytes::from([1; 48])]).unwrap();
    assert_eq!(codes(error(judge(nonce, &evidence, &program))), ["measurement"]);

    let bent = |bend: &dyn Fn(&mut Evidence)| {
        let mut evidence = Evidence::decode(&evidence).unwrap();
        bend(&mut evidence);
        error(judge(nonce, &evidence.encode(), &enclave.trust))
    };
    let real = bent(&|e| e.statement.simulated = false);
    assert_eq!(real, AppraisalError::Simulated);
    assert!(matches!(bent(&|e| e.kind = "sgx".into()), AppraisalError::Kind { .. }));
    let keys = bent(&|e| e.statement.signing_key = SigningKey::from_seed(&[9; 32]).public_key());
    assert_eq!(codes(keys), ["report-data"]);
    assert_eq!(codes(bent(&|e| e.statement.epoch = 2)), ["report-data"]);
    assert_eq!(codes(bent(&|e| e.evidence[0x90] ^= 1)), ["bad-signature"]);
    let cut = &evidence[..evidence.len() - 1];
    assert!(matches!(judge(nonce, cut, &enclave.trust), Err(ClientError::Message { .. })));
}

#[test]
fn a_registration_is_confirmed_by_the_appraised_enclave_alone() {
    let enclave = Enclave::new();
    let owned = DataOwner::new(Identity::from_secret([2; 32])).public_key();
    let Published { program, model, .. } = publish(&enclave, owned);
    assert!(!model.is_empty());
    let owner = ModelOwner::new(Identity::from_secret([1; 32]));
    let register = || {
        let appraised = enclave.appraised();
        owner
            .register(&appraised, &program, ObjectId([5; 32]), 0, policy(owner.public_key()))
            .unwrap()
    };
    let good = DeploymentRegistered {
        deployment: register().id(),
        program: adyton_wire::ProgramId(program.id()),
        instance: enclave.instance,
        epoch: 1,
    };
    let confirm = |answer: &DeploymentRegistered, key: &SigningKey| {
        register().confirm(&Signed::new(answer, key).encode())
    };
    assert!(confirm(&good, &enclave.signing).is_ok());
    assert!(matches!(
        confirm(&good, &SigningKey::generate().unwrap()),
        Err(ClientError::Message { .. })
    ));
    let other = DeploymentRegistered { deployment: DeploymentId([0; 32]), ..good.clone() };
    assert!(matches!(confirm(&other, &enclave.signing), Err(ClientError::Mismatch { .. })));
    let other = DeploymentRegistered { instance: InstanceId([0; 16]), ..good };
    assert!(matches!(confirm(&other, &enclave.signing), Err(ClientError::Mismatch { .. })));
}

#[test]
fn a_deployment_is_what_its_id_names() {
    let enclave = Enclave::new();
    let owner = DataOwner::new(Identity::from_secret([2; 32])).public_key();
    let Published { message, deployment, .. } = publish(&enclave, owner);
    let id = deployment.id();
    assert!(Deployment::verify(id, &message.statement, &message.program).is_ok());
    let wrong = Deployment::verify(DeploymentId([0; 32]), &message.statement, &message.program);
    assert!(matches!(wrong, Err(ClientError::Mismatch { .. })));
    let mut program = message.program.clone();
    *program.last_mut().unwrap() ^= 1;
    assert!(Deployment::verify(id, &message.statement, &program).is_err());
}

/// A session that the test's enclave opened, and what it signed for.
fn session(enclave: &Enclave) -> (Session, SessionStatement, Published) {
    let owner = DataOwner::new(Identity::from_secret([2; 32]));
    let published = publish(enclave, owner.public_key());
    let opening = owner.open(&enclave.appraised(), &published.deployment, 0).unwrap();
    let statement =
        OpenSession::decode(opening.message()).unwrap().statement.verify_self().unwrap();
    let opened = opened(enclave, &statement, &published);
    let session = opening.confirm(&Signed::new(&opened, &enclave.signing).encode()).unwrap();
    (session, statement, published)
}

fn opened(enclave: &Enclave, of: &SessionStatement, published: &Published) -> SessionOpened {
    SessionOpened {
        session: of.id(),
        deployment: published.deployment.id(),
        program: published.deployment.statement().program,
        instance: enclave.instance,
        epoch: 1,
        keys: 0,
    }
}

#[test]
fn a_session_is_the_one_that_was_asked_for() {
    let enclave = Enclave::new();
    let (_, statement, published) = session(&enclave);
    let owner = DataOwner::new(Identity::from_secret([2; 32]));
    let open = |number| owner.open(&enclave.appraised(), &published.deployment, number).unwrap();
    let good = opened(&enclave, &statement, &published);
    let answer = |o: &SessionOpened, key: &SigningKey| Signed::new(o, key).encode();
    // The same number is the same session, though the seed is sealed anew.
    assert!(open(0).confirm(&answer(&good, &enclave.signing)).is_ok());
    assert!(open(1).confirm(&answer(&good, &enclave.signing)).is_err());
    assert!(open(0).confirm(&answer(&good, &SigningKey::generate().unwrap())).is_err());
    let other = SessionOpened { instance: InstanceId([0; 16]), ..good };
    assert!(open(0).confirm(&answer(&other, &enclave.signing)).is_err());
}

/// What the enclave would answer to a job, to be bent by the tests.
struct Answer {
    payload: ResultPayload,
    receipt: ReceiptStatement,
    key: SigningKey,
    info_job: JobId,
}

fn answer(enclave: &Enclave, job: &Job, published: &Published) -> Answer {
    let statement = job.statement();
    let blind = [4; 32];
    let payload = ResultPayload {
        session: statement.session,
        job: statement.job,
        checks: Checks::default(),
        blind,
        samples: statement.samples,
        outputs: OUTPUTS as u32,
        values: Values::Logits {
            step: 0.5,
            codes: (0..statement.samples as i32 * OUTPUTS as i32).collect(),
        },
    };
    let receipt = ReceiptStatement {
        instance: enclave.instance,
        version: "test".into(),
        epoch: 1,
        job: statement.clone(),
        model: published.written.object,
        keys: ObjectId([5; 32]),
        audited: false,
        ciphertexts: [6; 32],
        result: [0; 32],
        outcome: ResultPayload::outcome_commitment(Checks::default(), &blind),
        bits: 96,
        session_bits: 96,
        time: 1,
        audit: AuditHead { length: 3, digest: [7; 32] },
    };
    Answer { payload, receipt, key: enclave.signing.clone(), info_job: statement.job }
}

impl Answer {
    /// Seals and signs, as the enclave would.
    fn released(&self, of: &SessionStatement, enclave: &Enclave) -> Released {
        let reply = SealingKey::from_bytes(&of.reply_key).unwrap();
        let info = of.id().result_info(&enclave.instance, &self.info_job);
        let result = reply.seal(&info, b"", &self.payload.to_bytes()).unwrap();
        let receipt = ReceiptStatement { result: result.digest(), ..self.receipt.clone() };
        Released { result, receipt: Signed::new(&receipt, &self.key) }
    }
}

#[test]
fn a_result_is_believed_only_with_its_receipt() {
    let enclave = Enclave::new();
    let (session, statement, published) = session(&enclave);
    let job = session.job(ObjectId([8; 32]), 2, 1 << 40).unwrap();
    let open = |released: &Released| session.open_result(&job, &released.encode());
    let good = answer(&enclave, &job, &published).released(&statement, &enclave);
    let outcome = open(&good).unwrap();
    assert_eq!(outcome.receipt.bits, 96);
    assert!(matches!(outcome.payload.values, Values::Logits { step, .. } if step == 0.5));

    type Bend = fn(&mut Answer);
    let bends: [(&str, Bend); 11] = [
        ("another signer", |a| a.key = SigningKey::generate().unwrap()),
        ("another job", |a| a.receipt.job.job = JobId([1; 16])),
        ("another input", |a| a.receipt.job.input = ObjectId([1; 32])),
        ("another enclave", |a| a.receipt.instance = InstanceId([1; 16])),
        ("another epoch", |a| a.receipt.epoch = 2),
        ("another model", |a| a.receipt.model = ObjectId([1; 32])),
        ("another outcome", |a| a.payload.checks = Checks(Checks::RANGE)),
        ("another blind", |a| a.payload.blind = [5; 32]),
        ("another job's payload", |a| a.payload.job = JobId([1; 16])),
        ("sealed for another job", |a| a.info_job = JobId([1; 16])),
        ("another form", |a| a.payload.values = Values::Labels(vec![0; 2])),
    ];
    for (what, bend) in bends {
        let mut bent = answer(&enclave, &job, &published);
        bend(&mut bent);
        assert!(open(&bent.released(&statement, &enclave)).is_err(), "{what}");
    }
    // The receipt of this result with the sealed bytes of another.
    let mut swapped = good.clone();
    swapped.result = answer(&enclave, &job, &published).released(&statement, &enclave).result;
    assert!(open(&swapped).is_err());
    let mut cut = good.encode();
    cut.pop();
    assert!(session.open_result(&job, &cut).is_err());
}

#[test]
fn stored_jobs_come_back_to_their_own_session_only() {
    let enclave = Enclave::new();
    let (session, _, published) = session(&enclave);
    let job = session.job(ObjectId([8; 32]), 2, 1 << 40).unwrap();
    assert_eq!(session.stored_job(&job.message()).unwrap().statement(), job.statement());
    let owner = DataOwner::new(Identity::from_secret([2; 32]));
    let opening = owner.open(&enclave.appraised(), &published.deployment, 1).unwrap();
    let statement =
        OpenSession::decode(opening.message()).unwrap().statement.verify_self().unwrap();
    let answer = Signed::new(&opened(&enclave, &statement, &published), &enclave.signing);
    let other = opening.confirm(&answer.encode()).unwrap();
    assert!(matches!(other.stored_job(&job.message()), Err(ClientError::Mismatch { .. })));
}
