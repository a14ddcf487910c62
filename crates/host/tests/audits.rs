//! Audits between real processes: drawn jobs wait for the auditor over kills of everybody, and a host that alters a result closes
//! its deployment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use adyton_auditor::{AuditError, Sources, Task};
use adyton_client::Identity;
use adyton_client::transport::{AuditWork, Host};
use adyton_client::trust::VerifiedEnclave;
use adyton_wire::message::{AuditProof, Released};
use adyton_wire::statement::{
    AUDIT_RATE_ALL, AuditDemand, AuditPolicy, DeploymentStatement, Policy,
};
use adyton_wire::{JobId, SessionId, Signed, SigningKey};
use common::*;

fn auditor() -> SigningKey {
    Identity::from_secret([9; 32]).signing_key()
}

fn audited_policy() -> Policy {
    let auditor = auditor().public_key();
    Policy { audit: Some(AuditPolicy { rate_ppm: AUDIT_RATE_ALL, auditor }), ..open_policy() }
}

/// Waits until a job is open for audit.
async fn wait_for_audit(world: &World, job: &JobId) -> SessionId {
    let started = Instant::now();
    loop {
        let open = world.connect().await.audits(&auditor().public_key()).await.unwrap_or_default();
        if let Some((session, _)) = open.iter().find(|(_, open)| open == job) {
            return *session;
        }
        assert!(started.elapsed() < PATIENCE, "job {job} is not demanded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn object(host: &Host, id: &adyton_wire::ObjectId) -> Vec<u8> {
    let mut bytes = Vec::new();
    host.get_object(id, 1 << 30, &mut bytes).await.unwrap();
    bytes
}

fn task(enclave: &VerifiedEnclave, work: &AuditWork, program: &[u8]) -> Result<Task, AuditError> {
    let keys: Vec<_> = work.keys.iter().map(|key| Signed::decode(key).unwrap()).collect();
    let demand = Signed::decode(&work.demand).unwrap();
    let deployment = Signed::<DeploymentStatement>::decode(&work.deployment).unwrap();
    let own = auditor().public_key();
    Task::verify(enclave.signing_key(), &own, &demand, &deployment, program, &keys)
}

/// A job's task and its objects: model, keys, inputs.
async fn fetch(
    host: &Host,
    enclave: &VerifiedEnclave,
    session: &SessionId,
    job: &JobId,
) -> (Task, [Vec<u8>; 3]) {
    let work = host.audit_work(session, job).await.unwrap();
    let program = model(false).compiled.program.encode();
    let task = task(enclave, &work, &program).unwrap();
    let wanted = task.wanted();
    let objects = [
        object(host, &wanted.model).await,
        object(host, &wanted.keys).await,
        object(host, &wanted.job.input).await,
    ];
    (task, objects)
}

/// A host that says anything else than was signed gets no finding.
async fn refuse_forged_work(
    host: &Host,
    enclave: &VerifiedEnclave,
    session: &SessionId,
    job: &JobId,
) {
    let work = host.audit_work(session, job).await.unwrap();
    let program = model(false).compiled.program.encode();
    let refused = |work: &AuditWork, program: &[u8]| match task(enclave, work, program) {
        Err(AuditError::Statement { .. } | AuditError::Apart(_)) => {}
        other => panic!("{other:?}"),
    };
    refused(&work, &common::model(true).compiled.program.encode());
    let mut swapped = work.clone();
    swapped.keys.swap(0, 1);
    refused(&swapped, &program);
    let mut missing = work.clone();
    missing.keys.pop();
    refused(&missing, &program);
    // Signed by the host in the enclave's place, or meant for another auditor.
    let demand = Signed::<AuditDemand>::decode(&work.demand).unwrap().unverified().unwrap();
    let forged = Signed::new(&demand, &SigningKey::generate().unwrap()).encode();
    refused(&AuditWork { demand: forged, ..work.clone() }, &program);
    let keys: Vec<_> = work.keys.iter().map(|key| Signed::decode(key).unwrap()).collect();
    let (demand, deployment) =
        (Signed::decode(&work.demand).unwrap(), Signed::decode(&work.deployment).unwrap());
    let other = SigningKey::generate().unwrap().public_key();
    let enclave = enclave.signing_key();
    assert!(Task::verify(enclave, &other, &demand, &deployment, &program, &keys).is_err());
}

fn sources(objects: &[Vec<u8>; 3]) -> Sources<&[u8], &[u8], &[u8]> {
    let [model, keys, input] = objects;
    Sources { model, keys, input }
}

fn execute(task: &Task, objects: &[Vec<u8>; 3]) -> [u8; 32] {
    task.execute(sources(objects), 1).unwrap().result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drawn_jobs_wait_for_their_auditor_over_kills() {
    let mut world = World::new().await;
    let model = model(false);
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let id = publish(&host, &enclave, model, audited_policy()).await.unwrap();
    let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
    let inputs = samples(3, 1);
    let (first, second) = (
        prepare(&host, model, &session, &inputs).await,
        prepare(&host, model, &session, &inputs).await,
    );
    host.submit(first.message()).await.unwrap();
    let first_id = first.statement().job;
    wait_for_audit(&world, &first_id).await;
    host.submit(second.message()).await.unwrap();

    // Nobody who comes back forgets the demand, and the second job waits behind the first.
    world.restart_enclave();
    world.restart_host();
    let host = world.connect().await;
    wait_for_audit(&world, &first_id).await;
    let session_id = session.id();
    let waiting = host.outcome(&session_id, &second.statement().job, |_| ());
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err());

    refuse_forged_work(&host, &enclave, &session.id(), &first_id).await;
    let (task, objects) = fetch(&host, &enclave, &session.id(), &first_id).await;
    // An auditor that is served anything else finds nothing.
    for which in 0..3 {
        let mut served = objects.clone();
        *served[which].last_mut().unwrap() ^= 1;
        assert!(task.execute(sources(&served), 2).is_err(), "object {which} was altered");
    }
    let result = execute(&task, &objects);
    let finding = task.finding(result, &auditor());
    world.restart_host();
    world.restart_enclave();
    let host = world.connect().await;
    world.appraise(&host).await;
    assert_eq!(host.submit_finding(finding.encode()).await.unwrap(), None);
    world.restart_host();
    let outcome_of_first = outcome(&world, &session, &first).await;
    let opened = session.open_result(&first, &outcome_of_first.released).unwrap();
    check_result(model, &inputs, &opened);
    assert!(opened.receipt.audited);
    assert_eq!(opened.receipt.ciphertexts, result);
    let host = world.connect().await;
    assert_eq!(host.submit_finding(finding.encode()).await.unwrap(), None);

    // The second job of the same inputs is another execution with the same result.
    let second_id = second.statement().job;
    wait_for_audit(&world, &second_id).await;
    let (task, objects) = fetch(&host, &enclave, &session.id(), &second_id).await;
    let finding = task.finding(execute(&task, &objects), &auditor());
    assert_eq!(host.submit_finding(finding.encode()).await.unwrap(), None);
    let done = outcome(&world, &session, &second).await;
    assert!(session.open_result(&second, &done.released).unwrap().receipt.audited);
    assert_eq!(host.audits(&auditor().public_key()).await.unwrap(), []);
    assert_eq!(host.audit_proof(&id).await.unwrap(), None);
}

/// The file of a job's result ciphertexts in the host's folder: the one object of the length that results have.
fn result_file(world: &World, length: u64) -> PathBuf {
    let started = Instant::now();
    loop {
        let folders = std::fs::read_dir(world.data().join("objects")).unwrap();
        // What is still coming in will stand under another name.
        let folders = folders
            .map(|folder| folder.unwrap().path())
            .filter(|folder| !folder.ends_with("incoming"));
        let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let mut files = files.map(|file| file.unwrap().path());
        let is_result = |file: &PathBuf| file.metadata().is_ok_and(|m| m.len() == length);
        if let Some(file) = files.find(is_result) {
            return file;
        }
        assert!(started.elapsed() < PATIENCE, "no result is stored");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_alters_a_result_closes_its_deployment() {
    let mut world = World::new().await;
    let model = model(false);
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let id = publish(&host, &enclave, model, audited_policy()).await.unwrap();
    let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
    let inputs = samples(3, 1);
    let job = prepare(&host, model, &session, &inputs).await;

    // Between evaluation and release the host changes one bit of one residue.
    world.enclave.kill();
    host.submit(job.message()).await.unwrap();
    let output = &model.program.program().output;
    let form = model.program.value_type(output.value).unwrap();
    let length = adyton_ckks::Ciphertext::<adyton_ckks::ResultKey>::encoded_len(
        model.program.parameters(),
        form.level,
        &form.scale,
    );
    let file = result_file(&world, length.unwrap() as u64);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    // An attempt to release that had read it before fails meanwhile; the next one reads anew.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.start_enclave();

    let job_id = job.statement().job;
    wait_for_audit(&world, &job_id).await;
    let (task, objects) = fetch(&host, &enclave, &session.id(), &job_id).await;
    let result = execute(&task, &objects);
    let finding = task.finding(result, &auditor());
    let proof = host.submit_finding(finding.encode()).await.unwrap().unwrap();
    let mismatch = AuditProof::decode(&proof).unwrap().verify(enclave.signing_key()).unwrap();
    assert_eq!(mismatch.finding.execution.result, result);
    assert_ne!(mismatch.quarantine.committed.result, result);
    assert_eq!(mismatch.quarantine.committed.task, *task.wanted());

    let next = prepare(&host, model, &session, &inputs).await;
    for _ in 0..2 {
        let host = world.connect().await;
        world.appraise(&host).await;
        assert_eq!(problem(host.outcome(&session.id(), &job_id, |_| ()).await), "quarantined");
        assert_eq!(problem(host.submit(next.message()).await), "quarantined");
        let session = open_session(&host, &enclave, &data_owner(3), id, 0).await;
        assert_eq!(problem(session), "quarantined");
        assert_eq!(host.audit_proof(&id).await.unwrap(), Some(proof.clone()));
        assert_eq!(host.submit_finding(finding.encode()).await.unwrap(), Some(proof.clone()));
        world.restart_host();
        world.restart_enclave();
    }
    // What was proven can be executed a third time, by anybody.
    let host = world.connect().await;
    let work = host.audit_work(&session.id(), &job_id).await.unwrap();
    let keys: Vec<_> = work.keys.iter().map(|key| Signed::decode(key).unwrap()).collect();
    let program = model.compiled.program.encode();
    let third = Task::of_proof(enclave.signing_key(), &mismatch, &program, &keys).unwrap();
    assert_eq!(third.wanted(), task.wanted());
    let other = common::model(true).compiled.program.encode();
    assert!(Task::of_proof(enclave.signing_key(), &mismatch, &other, &keys).is_err());
    assert!(Released::decode(&proof).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_that_lies_is_told_apart_by_a_third_execution_alone() {
    let world = World::new().await;
    let model = model(false);
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let id = publish(&host, &enclave, model, audited_policy()).await.unwrap();
    let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
    let job = prepare(&host, model, &session, &samples(3, 1)).await;
    host.submit(job.message()).await.unwrap();
    let job_id = job.statement().job;
    wait_for_audit(&world, &job_id).await;
    let (task, objects) = fetch(&host, &enclave, &session.id(), &job_id).await;
    // It signs without executing: the proof holds all the same, since it does not say who is wrong.
    let lie = task.finding([0; 32], &auditor());
    let proof = host.submit_finding(lie.encode()).await.unwrap().unwrap();
    let mismatch = AuditProof::decode(&proof).unwrap().verify(enclave.signing_key()).unwrap();
    assert_eq!(problem(host.outcome(&session.id(), &job_id, |_| ()).await), "quarantined");
    assert_eq!(execute(&task, &objects), mismatch.quarantine.committed.result);
    // The truth comes too late.
    let finding = task.finding(execute(&task, &objects), &auditor());
    assert!(host.submit_finding(finding.encode()).await.unwrap().is_some_and(|p| p == proof));
    assert!(host.audit_proof(&id).await.unwrap().is_some_and(|p| p == proof));
}
