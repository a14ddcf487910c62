//! Audits against hosts that are honest, cheat, wait, kill and ask again.

use super::*;
use crate::audit::is_drawn;
use adyton_ckks::{Ciphertext, InputKey};
use adyton_wire::message::{AuditProof, ProofError};

/// A scene whose policy has audits, and its auditor: the same evaluator, elsewhere.
struct Audited {
    scene: Scene,
    auditor: SigningKey,
    input: Ciphertext<InputKey>,
    /// The result of other inputs than the job's: well formed, and nothing that the enclave could tell from the right one.
    cheat: Vec<u8>,
}

impl Audited {
    fn at(rate_ppm: u32) -> Self {
        let auditor = SigningKey::generate().unwrap();
        let audit = Some(AuditPolicy { rate_ppm, auditor: auditor.public_key() });
        let scene = Scene::with(|policy| Policy { audit, ..policy });
        let input = scene.data.input(&scene.model, &SAMPLES);
        let other = scene.data.input(&scene.model, &SAMPLES[..2]);
        let cheat = scene.host.evaluate(&scene.model, &other);
        Self { scene, auditor, input, cheat }
    }

    fn honest(&self) -> Vec<u8> {
        self.scene.host.evaluate(&self.scene.model, &self.input)
    }

    /// What the auditor says after executing the task itself.
    fn finding(&self, demand: &AuditDemand) -> AuditFinding {
        AuditFinding {
            execution: Execution {
                task: demand.task.clone(),
                result: digest::sha256(&self.honest()),
            },
            auditor: self.auditor.public_key(),
            version: VERSION.to_owned(),
        }
    }

    fn submit(&self, finding: &AuditFinding) -> Reply {
        self.scene.house.call(Request::SubmitFinding(Signed::new(finding, &self.auditor)))
    }

    fn demand(&self, reply: Reply) -> AuditDemand {
        match reply.response {
            Response::AuditDemanded(demand) => demand.verify(&self.scene.known.signing).unwrap(),
            other => panic!("no demand: {other:?}"),
        }
    }

    fn audit_log(&self) -> Vec<AuditEntry> {
        let Response::AuditLog { entries, .. } =
            self.scene.house.call(Request::GetAudit { from: 0 }).response
        else {
            panic!("no audit log");
        };
        verify_audit(AuditHead::default(), &entries).unwrap().0
    }
}

fn settled(reply: Reply) -> Option<Signed<Quarantine>> {
    match reply.response {
        Response::AuditSettled(quarantine) => quarantine,
        other => panic!("not settled: {other:?}"),
    }
}

const ALWAYS: u32 = AUDIT_RATE_ALL;

#[test]
fn a_drawn_job_is_released_once_the_auditor_agrees() {
    let mut audited = Audited::at(ALWAYS);
    let (job, honest) = (audited.scene.job(), audited.honest());
    let first = audited.scene.release(&job, &honest);
    assert_eq!(first.audit.len(), AUDIT_ENTRY_LENGTH);
    let demand = audited.demand(first);
    assert_eq!((demand.task.job.clone(), demand.task.keys), (job.clone(), KEYS));
    // Asking again, and after a restart, changes nothing.
    for _ in 0..2 {
        assert_eq!(audited.demand(audited.scene.release(&job, &honest)), demand);
        audited.scene.house.restart();
    }
    let finding = audited.finding(&demand);
    for _ in 0..2 {
        assert_eq!(settled(audited.submit(&finding)), None);
        audited.scene.house.restart();
    }
    let reply = audited.scene.release(&job, &honest);
    let receipt = released(reply.clone()).receipt.verify(&audited.scene.known.signing).unwrap();
    assert!(receipt.audited);
    assert_eq!(receipt.execution(), finding.execution);
    let bits = 3 * 3 * 16 + Checks::BITS;
    assert_eq!((receipt.bits, receipt.session_bits), (bits, bits));
    assert!(audited.scene.open(&job, reply).checks.passed());
    assert_eq!(settled(audited.submit(&finding)), None);
    let log = audited.audit_log();
    let events: Vec<AuditEvent> = log.iter().skip(3).map(|entry| entry.event).collect();
    assert_eq!(events, [AuditEvent::Committed, AuditEvent::AuditAgreed, AuditEvent::Released]);
    assert_eq!(log[3].object, finding.execution.digest());
    assert_eq!(log[4].object, finding.digest());
}

#[test]
fn a_spared_job_is_released_at_once_and_says_so() {
    let mut audited = Audited::at(1);
    let (job, honest) = (audited.scene.job(), audited.honest());
    let reply = audited.scene.release(&job, &honest);
    assert_eq!(reply.audit.len(), 2 * AUDIT_ENTRY_LENGTH);
    let receipt = released(reply.clone()).receipt.verify(&audited.scene.known.signing).unwrap();
    assert!(!receipt.audited);
    audited.scene.house.restart();
    assert_eq!(audited.scene.release(&job, &honest).response, reply.response);
    // Nobody asked for a finding on it.
    let finding = AuditFinding {
        execution: receipt.execution(),
        auditor: audited.auditor.public_key(),
        version: VERSION.to_owned(),
    };
    assert_eq!(refusal(&audited.submit(&finding)), Problem::NoAudit);
}

#[test]
fn a_cheating_host_closes_its_deployment_with_a_proof() {
    let mut audited = Audited::at(ALWAYS);
    let job = audited.scene.job();
    let demand = audited.demand(audited.scene.release(&job, &audited.cheat));
    // The honest result comes too late: the host is bound.
    let late = audited.scene.release(&job, &audited.honest());
    assert_eq!(refusal(&late), Problem::JobReused);
    let finding = audited.finding(&demand);
    let quarantine = settled(audited.submit(&finding)).unwrap();
    for _ in 0..2 {
        assert_eq!(settled(audited.submit(&finding)).unwrap(), quarantine);
        let again = audited.scene.release(&job, &audited.cheat);
        assert_eq!(refusal(&again), Problem::Quarantined);
        let other = audited.scene.release(&audited.scene.job(), &audited.honest());
        assert_eq!(refusal(&other), Problem::Quarantined);
        let next = DataOwner::new(&audited.scene.data.key, audited.scene.model.id());
        let opening = Request::OpenSession(next.opening(&audited.scene.known));
        assert_eq!(refusal(&audited.scene.house.call(opening)), Problem::Quarantined);
        audited.scene.house.restart();
    }
    let Audited { scene, auditor, .. } = &audited;
    let proof = AuditProof {
        deployment: Signed::new(&scene.model.statement, &scene.model.key),
        session: Signed::new(&scene.data.statement, &scene.data.key),
        job: Signed::new(&job, &scene.data.key),
        finding: Signed::new(&finding, auditor),
        quarantine,
    };
    let mismatch = proof.verify(&scene.known.signing).unwrap();
    assert_eq!(mismatch.quarantine.committed.result, digest::sha256(&audited.cheat));
    assert_eq!(mismatch.finding, finding);
    let stranger = proof.verify(&auditor.public_key());
    assert!(matches!(stranger, Err(ProofError::Statement { .. })), "{stranger:?}");
    let log = audited.audit_log();
    let last = log.last().unwrap();
    assert_eq!((last.event, last.subject), (AuditEvent::Quarantined, scene.model.id().0));
    assert_eq!(mismatch.quarantine.audit, last.head());
}

#[test]
fn while_an_audit_is_open_nothing_else_is_released() {
    let mut audited = Audited::at(ALWAYS);
    let (job, other, honest) = (audited.scene.job(), audited.scene.job(), audited.honest());
    let demand = audited.demand(audited.scene.release(&job, &honest));
    // Silence is of no use to a host: not over restarts, not for other jobs, not after the job's time.
    for time in [NOW, FOREVER + 1] {
        audited.scene.house.clock.store(time, Ordering::Relaxed);
        audited.scene.house.restart();
        assert_eq!(refusal(&audited.scene.release(&other, &honest)), Problem::AuditOpen);
        assert_eq!(audited.demand(audited.scene.release(&job, &honest)), demand);
    }
    // The finding frees the deployment; the job's own time is over.
    assert_eq!(settled(audited.submit(&audited.finding(&demand))), None);
    assert_eq!(refusal(&audited.scene.release(&job, &honest)), Problem::Expired);
}

#[test]
fn an_audited_job_waits_for_no_other() {
    let audited = Audited::at(ALWAYS);
    let (first, second, honest) = (audited.scene.job(), audited.scene.job(), audited.honest());
    let demand = audited.demand(audited.scene.release(&first, &honest));
    assert_eq!(settled(audited.submit(&audited.finding(&demand))), None);
    // Before the host asks for it, another job is drawn.
    let demand = audited.demand(audited.scene.release(&second, &honest));
    released(audited.scene.release(&first, &honest));
    assert_eq!(audited.demand(audited.scene.release(&second, &honest)), demand);
}

#[test]
fn other_deployments_go_on() {
    let audited = Audited::at(ALWAYS);
    let Audited { scene, .. } = &audited;
    audited.demand(scene.release(&scene.job(), &audited.cheat));
    let owners = policy([scene.data.key.public_key()]);
    let model = ModelOwner::new(program(LOG_N), owners);
    register(&mut |r| scene.house.call(r), &scene.known, &model);
    let data = DataOwner::new(&scene.data.key, model.id());
    open(&mut |r| scene.house.call(r), &scene.known, &data);
    let host = Host::new(&mut |r| scene.house.call(r), &scene.known, &model, data.id());
    let job = data.job(&model, 3, 1);
    let result = host.evaluate(&model, &data.input(&model, &SAMPLES));
    let reply = scene.house.call(Request::Release(data.release(&job, result)));
    let receipt = released(reply).receipt.verify(&scene.known.signing).unwrap();
    assert!(!receipt.audited);
}

#[test]
fn only_the_named_auditor_on_the_demanded_task_counts() {
    let audited = Audited::at(ALWAYS);
    let job = audited.scene.job();
    let demand = audited.demand(audited.scene.release(&job, &audited.cheat));
    let finding = audited.finding(&demand);
    // The host, or anybody, in the auditor's place.
    let host = SigningKey::generate().unwrap();
    let own = AuditFinding { auditor: host.public_key(), ..finding.clone() };
    let reply = audited.scene.house.call(Request::SubmitFinding(Signed::new(&own, &host)));
    assert_eq!(refusal(&reply), Problem::NoAudit);
    let forged = Signed::new(&finding, &host);
    let reply = audited.scene.house.call(Request::SubmitFinding(forged));
    assert_eq!(refusal(&reply), Problem::BadSignature);
    // The auditor on another job, other keys, another model.
    let mut others = vec![finding.clone(); 4];
    others[0].execution.task.job.job = JobId([1; 16]);
    others[1].execution.task.keys = ObjectId([1; 32]);
    others[2].execution.task.model = ObjectId([1; 32]);
    others[3].execution.task.job.input = ObjectId([1; 32]);
    for other in others {
        assert_eq!(refusal(&audited.submit(&other)), Problem::NoAudit);
    }
    assert!(settled(audited.submit(&finding)).is_some());
}

#[test]
fn a_commitment_is_charged_once_and_malformed_results_cost_nothing() {
    let audited = Audited::at(1);
    let scene = &audited.scene;
    let charged = || {
        let core = scene.house.enclave.as_ref().unwrap().core();
        let (session, deployment) = core.state.session(&scene.data.id()).unwrap();
        (session.bits, session.ciphertexts, deployment.bits, deployment.jobs)
    };
    let job = scene.job();
    let mut bent = audited.honest();
    bent.pop();
    assert_eq!(refusal(&scene.release(&job, &bent)), Problem::BadCiphertext);
    let garbage = vec![0xff; audited.honest().len()];
    assert_eq!(refusal(&scene.release(&job, &garbage)), Problem::BadCiphertext);
    assert_eq!(charged(), (0, 0, 0, 0));
    released(scene.release(&job, &audited.honest()));
    let bits = 3 * 3 * 16 + Checks::BITS;
    assert_eq!(charged(), (bits, 1, bits, 1));
}

/// The host kills the enclave at the one moment that could matter: the commitment is on disk, its draw not yet told.
#[test]
fn a_kill_after_the_commitment_rolls_no_dice_again() {
    let mut drawn = 0;
    let mut records = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut audited = Audited::at(500_000);
        let job = audited.scene.job();
        let cheated = audited.cheat.clone();
        let request = audited.scene.data.release(&job, cheated.clone());
        {
            let mut core = audited.scene.house.enclave.as_ref().unwrap().core();
            let result = digest::sha256(&cheated);
            let execution = core.state.execution(&job, KEYS, result).unwrap();
            let state = audited.scene.house.folder.path().join("s/state.sealed");
            let length = || std::fs::metadata(&state).unwrap().len();
            let before = length();
            core.bind(&request, &execution, NOW).unwrap();
            records.insert(length() - before);
        }
        audited.scene.house.restart();
        // Neither the honest result nor another cheat gets a draw of its own.
        let other = audited.scene.release(&job, &audited.honest());
        assert_eq!(refusal(&other), Problem::JobReused);
        let mut replies = Vec::new();
        for _ in 0..3 {
            let reply = audited.scene.release(&job, &cheated);
            replies.push(matches!(reply.response, Response::AuditDemanded(_)));
            audited.scene.house.restart();
        }
        assert!(replies.iter().all(|&reply| reply == replies[0]), "{replies:?}");
        drawn += u32::from(replies[0]);
    }
    assert_eq!(records.len(), 1, "the record's length tells the draw to who watches the disk");
    // Both cases were seen: a false alarm once in 2^19 runs.
    assert!((1..20).contains(&drawn), "{drawn}");
}

/// A host that cheats in `k` jobs is caught with probability 1 − (1 − p)^k: measured over whole deployments, commitment to
/// quarantine, with an auditor that executes again.
#[test]
fn the_detection_rate_is_the_formulas() {
    const RATE_PPM: u32 = 300_000;
    const CHEATS: i32 = 3;
    const TRIALS: u32 = 120;
    let audited = Audited::at(RATE_PPM);
    let Audited { scene, auditor, .. } = &audited;
    let mut caught = 0;
    for _ in 0..TRIALS {
        let audit = Some(AuditPolicy { rate_ppm: RATE_PPM, auditor: auditor.public_key() });
        let owners = policy([scene.data.key.public_key()]);
        let model = ModelOwner::new(program(LOG_N), Policy { audit, ..owners });
        register(&mut |r| scene.house.call(r), &scene.known, &model);
        let data = DataOwner::new(&scene.data.key, model.id());
        open(&mut |r| scene.house.call(r), &scene.known, &data);
        let host = Host::new(&mut |r| scene.house.call(r), &scene.known, &model, data.id());
        let input = data.input(&model, &SAMPLES);
        let cheated = host.evaluate(&model, &data.input(&model, &SAMPLES[..2]));
        let is_caught = (0..CHEATS).any(|_| {
            let job = data.job(&model, 3, 1);
            let reply = scene.house.call(Request::Release(data.release(&job, cheated.clone())));
            let Response::AuditDemanded(demand) = reply.response else {
                released(reply);
                return false;
            };
            let demand = demand.verify(&scene.known.signing).unwrap();
            let result = digest::sha256(&host.evaluate(&model, &input));
            let finding = AuditFinding {
                execution: Execution { task: demand.task, result },
                auditor: auditor.public_key(),
                version: VERSION.to_owned(),
            };
            settled(audited.submit(&finding)).is_some()
        });
        caught += u32::from(is_caught);
    }
    let formula = 1.0 - (1.0 - f64::from(RATE_PPM) / 1e6).powi(CHEATS);
    let (n, found) = (f64::from(TRIALS), f64::from(caught));
    eprintln!("caught {caught} of {TRIALS} hosts, formula {:.1}", n * formula);
    // Five standard deviations: a false alarm in two million runs.
    let allowed = 5.0 * (n * formula * (1.0 - formula)).sqrt();
    assert!((found - n * formula).abs() <= allowed, "{found} of {n}, formula {formula}");
}

/// The same over many more hosts, with the draw alone.
#[test]
fn many_draws_follow_the_formula() {
    const HOSTS: u32 = 20_000;
    for (rate_ppm, cheats) in [(10_000u32, 100u32), (100_000, 1), (100_000, 20), (500_000, 4)] {
        let is_caught = |host: u32| {
            let secret = Seed::new(digest::tagged("test", &[&host.to_le_bytes()]));
            (0..cheats).any(|job| is_drawn(&secret, &digest::sha256(&job.to_le_bytes()), rate_ppm))
        };
        let caught = (0..HOSTS).filter(|&host| is_caught(host)).count() as f64;
        let formula = 1.0 - (1.0 - f64::from(rate_ppm) / 1e6).powi(cheats as i32);
        let n = f64::from(HOSTS);
        let allowed = 5.0 * (n * formula * (1.0 - formula)).sqrt();
        assert!((caught - n * formula).abs() <= allowed, "{caught} of {n}, formula {formula}");
    }
}
