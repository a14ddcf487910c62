//! Every bad request is refused with its problem, at the first place that can know, and changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use adyton_client::transport::TransportError;
use adyton_rpc::v1::host_client::HostClient;
use adyton_rpc::v1::put_object_request::Part;
use adyton_rpc::v1::{
    FetchResultRequest, GetAuditRequest, GetObjectRequest, JobRef, ObjectKind, PutObjectHeader,
    PutObjectRequest, RegisterDeploymentRequest, SubmitJobRequest, WatchJobRequest,
};
use adyton_rpc::{MAX_CHUNK, problem};
use adyton_wire::statement::{DataOwners, JobStatement, Policy, verify_audit};
use adyton_wire::{DeploymentId, JobId, ObjectId, ProgramId, SessionId, Signed, SigningKey};
use bytes::Bytes;
use common::*;
use tonic::transport::Channel;
use tonic::{Code, Status};

type Raw = HostClient<Channel>;

async fn raw(world: &World) -> Raw {
    world.connect().await;
    HostClient::connect(format!("http://{}", world.address)).await.unwrap()
}

fn header(kind: ObjectKind, object: ObjectId, length: u64, program: &[u8]) -> PutObjectRequest {
    let header = PutObjectHeader {
        kind: kind.into(),
        length,
        object: object.0.to_vec().into(),
        program: program.to_vec().into(),
    };
    PutObjectRequest { part: Some(Part::Header(header)) }
}

fn chunk(bytes: &[u8]) -> PutObjectRequest {
    PutObjectRequest { part: Some(Part::Chunk(bytes.to_vec().into())) }
}

async fn upload(raw: &Raw, parts: Vec<PutObjectRequest>) -> String {
    named(raw.clone().put_object(tokio_stream::iter(parts)).await.map(|_| ()))
}

fn named(outcome: Result<(), Status>) -> String {
    match outcome {
        Ok(()) => "accepted".to_owned(),
        Err(status) => problem(&status).unwrap_or("unnamed").to_owned(),
    }
}

fn chunks(bytes: &[u8]) -> Vec<PutObjectRequest> {
    bytes.chunks(MAX_CHUNK).map(chunk).collect()
}

fn whole(kind: ObjectKind, bytes: &[u8], program: &[u8]) -> Vec<PutObjectRequest> {
    let mut parts = vec![header(kind, sha256(bytes), bytes.len() as u64, program)];
    parts.extend(chunks(bytes));
    parts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads() {
    let world = World::new().await;
    let raw = raw(&world).await;
    let model = model(false);
    let id = model.program.id();
    let program = model.compiled.program.encode();
    let (weights, _) = encrypted(model);
    let length = weights.len() as u64;

    // Before the program is there, nothing that depends on it can be.
    let parts = whole(ObjectKind::Model, &weights, &id);
    assert_eq!(upload(&raw, parts).await, "unknown-object");

    // Programs.
    let object = sha256(&program);
    let size = program.len() as u64;
    let mut broken = program.clone();
    broken[20] ^= 0x40;
    let mut longer = program.clone();
    longer.push(0);
    let huge = header(ObjectKind::Program, object, 1 << 40, &[]);
    for (parts, expected) in [
        (vec![], "malformed"),
        (vec![chunk(&program)], "malformed"),
        (vec![header(ObjectKind::Program, object, size, &id)], "malformed"),
        (vec![header(ObjectKind::Unspecified, object, size, &[])], "wrong-kind"),
        (vec![header(ObjectKind::Keys, object, size, &id)], "wrong-kind"),
        (vec![header(ObjectKind::Result, object, size, &id)], "wrong-kind"),
        (vec![huge], "too-large"),
        (vec![header(ObjectKind::Program, object, size, &[])], "wrong-length"),
        (vec![header(ObjectKind::Program, object, size, &[]), chunk(&longer)], "wrong-length"),
        (vec![header(ObjectKind::Program, object, size, &[]), chunk(&broken)], "wrong-digest"),
        (vec![header(ObjectKind::Program, object, size, &[]), chunk(&[])], "malformed"),
        (whole(ObjectKind::Program, &broken, &[]), "bad-program"),
        (whole(ObjectKind::Program, &longer, &[]), "bad-program"),
        (whole(ObjectKind::Program, &program, &[]), "accepted"),
        (whole(ObjectKind::Program, &program, &[]), "accepted"),
        (whole(ObjectKind::Model, &program, &id), "wrong-kind"),
    ] {
        assert_eq!(upload(&raw, parts).await, expected);
    }

    // Models: the program fixes the length; the header and every item are checked while they come.
    let object = sha256(&weights);
    let mut other_program = weights.clone();
    other_program[20] ^= 1;
    let mut not_a_bundle = weights.clone();
    not_a_bundle[0] ^= 1;
    let mut item = weights.clone();
    item[60] ^= 0xff;
    let announce = || header(ObjectKind::Model, object, length, &id);
    let after = |parts: Vec<PutObjectRequest>| [vec![announce()], parts].concat();
    for (parts, expected) in [
        (vec![header(ObjectKind::Model, object, length + 1, &id)], "wrong-length"),
        (vec![header(ObjectKind::Model, object, 1 << 50, &id)], "wrong-length"),
        (vec![header(ObjectKind::Model, object, length, &[1; 32])], "unknown-object"),
        (vec![header(ObjectKind::Model, object, length, &id[..31])], "malformed"),
        (vec![header(ObjectKind::Model, ObjectId([0; 32]), length, &id)], "wrong-length"),
        (after(vec![announce()]), "malformed"),
        (after(vec![chunk(&vec![0; MAX_CHUNK + 1])]), "too-large"),
        (after(chunks(&weights[..weights.len() - 1])), "wrong-length"),
        (after(chunks(&[weights.as_slice(), &[0]].concat())), "wrong-length"),
        (whole(ObjectKind::Model, &other_program, &id), "wrong-program"),
        (whole(ObjectKind::Model, &not_a_bundle, &id), "bad-bundle"),
        (whole(ObjectKind::Input, &weights, &id), "wrong-length"),
        (whole(ObjectKind::Model, &item, &id), "bad-ciphertext"),
    ] {
        assert_eq!(upload(&raw, parts).await, expected);
    }
    let mut other_digest = whole(ObjectKind::Model, &weights, &id);
    other_digest[0] = header(ObjectKind::Model, ObjectId([9; 32]), length, &id);
    assert_eq!(upload(&raw, other_digest).await, "wrong-digest");

    // None of all this left anything behind.
    let stored = |raw: &Raw| {
        let mut raw = raw.clone();
        async move {
            let request = adyton_rpc::v1::StatsRequest {};
            raw.stats(request).await.unwrap().into_inner().stored_bytes
        }
    };
    assert_eq!(stored(&raw).await, size);
    assert_eq!(upload(&raw, whole(ObjectKind::Model, &weights, &id)).await, "accepted");
    assert_eq!(stored(&raw).await, size + length);

    // And what is stored comes back whole.
    let request = GetObjectRequest { object: object.0.to_vec().into() };
    let mut stream = raw.clone().get_object(request).await.unwrap().into_inner();
    let mut content = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        content.extend_from_slice(&chunk.data);
    }
    assert!(content == weights);
    let request = GetObjectRequest { object: vec![3; 32].into() };
    assert_eq!(named(raw.clone().get_object(request).await.map(|_| ())), "unknown-object");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_upload_leaves_nothing() {
    let mut world = World::new().await;
    let model = model(false);
    let host = world.connect().await;
    put_program(&host, model).await;
    let raw = raw(&world).await;
    let (weights, object) = encrypted(model);
    let first = header(ObjectKind::Model, object, weights.len() as u64, &model.program.id());
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let upload = tokio::spawn(async move {
        let parts = tokio_stream::wrappers::ReceiverStream::new(receive);
        raw.clone().put_object(parts).await.map(|_| ())
    });
    send.send(first).await.unwrap();
    send.send(chunk(&weights[..weights.len() / 2])).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    world.restart_host();
    assert!(upload.await.unwrap().is_err());
    let host = world.connect().await;
    let incoming = world.data().join("objects").join("incoming");
    assert_eq!(std::fs::read_dir(incoming).map_or(0, Iterator::count), 0);
    let stored = put(&host, ObjectKind::Model, model, weights).await.unwrap();
    assert_eq!(stored, object);
}

async fn register(raw: &Raw, message: &[u8], model: ObjectId) -> String {
    let request = RegisterDeploymentRequest {
        registration_message: Bytes::copy_from_slice(message),
        model: model.0.to_vec().into(),
    };
    named(raw.clone().register_deployment(request).await.map(|_| ()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployments_and_sessions() {
    let world = World::new().await;
    let raw = raw(&world).await;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let model = model(false);
    let owner = model_owner();
    let (weights, object) = encrypted(model);
    let registration = owner.register(&enclave, &model.program, object, 0, open_policy()).unwrap();
    let message = registration.message().to_vec();

    assert_eq!(register(&raw, &message, object).await, "unknown-object");
    let program = put_program(&host, model).await;
    assert_eq!(register(&raw, &message, object).await, "unknown-object");
    put(&host, ObjectKind::Model, model, weights).await.unwrap();
    assert_eq!(register(&raw, &message, program).await, "wrong-context");
    assert_eq!(register(&raw, &message[..message.len() - 1], object).await, "malformed");
    assert_eq!(register(&raw, &[], object).await, "malformed");
    let named_program =
        owner.register(&enclave, &model.program, program, 0, open_policy()).unwrap();
    assert_eq!(register(&raw, named_program.message(), program).await, "wrong-kind");
    let mut forged = adyton_wire::message::RegisterDeployment::decode(&message).unwrap();
    let claimed = forged.statement.unverified().unwrap();
    forged.statement = Signed::new(&claimed, &SigningKey::from_seed(&[9; 32]));
    assert_eq!(register(&raw, &forged.encode(), object).await, "bad-signature");
    let mut other = adyton_wire::message::RegisterDeployment::decode(&message).unwrap();
    other.program = common::model(true).compiled.program.encode();
    assert_eq!(register(&raw, &other.encode(), object).await, "bad-program");
    assert!(host.deployment(&registration.id()).await.unwrap().is_none());

    assert_eq!(register(&raw, &message, object).await, "accepted");
    assert_eq!(register(&raw, &message, object).await, "accepted");
    let id = registration.id();

    // Sessions: malformed, of an unknown deployment, of an owner whom the policy does not admit.
    let deployed = deployment(&host, id).await;
    let stranger = data_owner(9);
    assert_eq!(problem_of(host.open_session(vec![1, 2, 3], |_| ()).await), "malformed");
    let closed = Policy { owners: DataOwners::Listed(vec![]), ..open_policy() };
    let closed = publish(&host, &enclave, model, closed).await.unwrap();
    let refused = open_session(&host, &enclave, &stranger, closed, 0).await;
    assert_eq!(problem_of(refused), "not-allowed");
    let expired = Policy { expires: 1, ..open_policy() };
    match publish(&host, &enclave, model, expired).await {
        // Whoever sees it first.
        Err(error) => assert_eq!(error.problem(), Some("expired")),
        Ok(id) => {
            let refused = open_session(&host, &enclave, &stranger, id, 0).await;
            assert_eq!(problem_of(refused), "expired");
        }
    }
    let opening = stranger.open(&enclave, &deployed, 0).unwrap();
    let elsewhere = World::new().await;
    let other_host = elsewhere.connect().await;
    let refused = other_host.open_session(opening.message().to_vec(), |_| ()).await;
    assert_eq!(problem_of(refused), "unknown-deployment");

    // The audit log tells the same as the enclave, chained.
    let audit = raw.clone().get_audit(GetAuditRequest { from: 0 }).await.unwrap().into_inner();
    let joined: Vec<u8> = audit.entries.iter().flat_map(|entry| entry.to_vec()).collect();
    let (entries, head) =
        verify_audit(adyton_wire::statement::AuditHead::default(), &joined).unwrap();
    assert_eq!((entries.len() as u64, head.length), (audit.length, audit.length));
    assert!(audit.length >= 3);
}

fn problem_of<T>(outcome: Result<T, TransportError>) -> String {
    common::problem(outcome)
}

/// Signs anything as the data owner of number 2, as the client derives its key.
fn key_of_owner() -> SigningKey {
    let mut hasher = blake3::Hasher::new_derive_key("adyton 2026 owner signing key");
    hasher.update(&[2; 32]);
    let key = SigningKey::from_seed(hasher.finalize().as_bytes());
    assert_eq!(key.public_key(), data_owner(2).public_key());
    key
}

async fn submit(raw: &Raw, job: &JobStatement, key: &SigningKey) -> String {
    let request = SubmitJobRequest { job_message: Signed::new(job, key).encode().into() };
    named(raw.clone().submit_job(request).await.map(|_| ()))
}

fn job_ref(job: &JobStatement) -> Option<JobRef> {
    let (session, job) = (job.session.0.to_vec(), job.job.0.to_vec());
    Some(JobRef { session: session.into(), job: job.into() })
}

async fn fetch(raw: &Raw, job: &JobStatement) -> String {
    let request = FetchResultRequest { job: job_ref(job) };
    named(raw.clone().fetch_result(request).await.map(|_| ()))
}

async fn watch(raw: &Raw, job: &JobStatement) -> String {
    let request = WatchJobRequest { job: job_ref(job) };
    named(raw.clone().watch_job(request).await.map(|_| ()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs() {
    let mut world = World::new().await;
    let raw = raw(&world).await;
    let host = world.connect().await;
    let enclave = world.appraise(&host).await;
    let model = model(false);
    let policy = Policy { jobs_total: 1, ..open_policy() };
    let id = publish(&host, &enclave, model, policy).await.unwrap();
    let other_id = publish(&host, &enclave, model, open_policy()).await.unwrap();
    let session = open_session(&host, &enclave, &data_owner(2), id, 0).await.unwrap();
    let key = key_of_owner();
    let inputs = samples(2, 1);
    let good = prepare(&host, model, &session, &inputs).await.statement().clone();
    let lanes = model.program.program().input.lanes;
    let weights = host.deployment(&id).await.unwrap().unwrap().model_object;
    let weights = ObjectId::from_slice(&weights).unwrap();

    let change = |change: &dyn Fn(&mut JobStatement)| {
        let mut job = good.clone();
        change(&mut job);
        job
    };
    for (job, expected) in [
        (change(&|job| job.session = SessionId([7; 32])), "unknown-session"),
        (change(&|job| job.deployment = DeploymentId([7; 32])), "wrong-context"),
        (change(&|job| job.deployment = other_id), "wrong-context"),
        (change(&|job| job.program = ProgramId([7; 32])), "wrong-context"),
        (change(&|job| job.input = ObjectId([7; 32])), "unknown-object"),
        (change(&|job| job.input = weights), "wrong-kind"),
        (change(&|job| job.samples = lanes + 1), "malformed"),
        (change(&|job| (job.samples, job.groups) = (2, 2)), "wrong-length"),
        (change(&|job| (job.samples, job.groups) = (9, 9)), "quota-exceeded"),
        (change(&|job| job.expires = 1), "expired"),
    ] {
        assert_eq!(submit(&raw, &job, &key).await, expected, "{job:?}");
        assert_eq!(fetch(&raw, &job).await, "unknown-job");
        assert_eq!(watch(&raw, &job).await, "unknown-job");
    }
    assert_eq!(submit(&raw, &good, &SigningKey::from_seed(&[9; 32])).await, "bad-signature");
    let garbage = SubmitJobRequest { job_message: vec![7; 30].into() };
    assert_eq!(named(raw.clone().submit_job(garbage).await.map(|_| ())), "malformed");
    let nothing = WatchJobRequest { job: None };
    let status = raw.clone().watch_job(nothing).await.unwrap_err();
    assert_eq!((status.code(), problem(&status)), (Code::InvalidArgument, Some("malformed")));

    // Accepted once; the same again is the same, another of its id is refused.
    world.enclave.kill();
    assert_eq!(submit(&raw, &good, &key).await, "accepted");
    assert_eq!(submit(&raw, &good, &key).await, "accepted");
    let reused = change(&|job| job.samples = 1);
    assert_eq!(submit(&raw, &reused, &key).await, "job-reused");
    assert_eq!(fetch(&raw, &good).await, "not-done");
    world.start_enclave();
    let job = &good.job;
    host.outcome(&session.id(), job, |_| ()).await.unwrap();
    assert_eq!(submit(&raw, &reused, &key).await, "job-reused");
    assert_eq!(fetch(&raw, &good).await, "accepted");

    // What only the enclave can know is refused by it, and told as a refused job, also after a restart.
    let over = change(&|job| job.job = JobId([8; 16]));
    assert_eq!(submit(&raw, &over, &key).await, "accepted");
    assert_eq!(problem_of(host.outcome(&session.id(), &over.job, |_| ()).await), "quota-exceeded");
    world.restart_host();
    let host = world.connect().await;
    assert_eq!(problem_of(host.outcome(&session.id(), &over.job, |_| ()).await), "quota-exceeded");
    host.outcome(&session.id(), &good.job, |_| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_enclave_calls_say_so() {
    let mut world = World::new().await;
    let host = world.connect().await;
    world.appraise(&host).await;
    world.enclave.kill();
    let raw = raw(&world).await;
    let request = adyton_rpc::v1::GetEvidenceRequest { nonce: vec![1; 32].into() };
    let status = raw.clone().get_evidence(request).await.unwrap_err();
    assert_eq!((status.code(), problem(&status)), (Code::Unavailable, Some("enclave-unreachable")));
    let request = adyton_rpc::v1::GetEvidenceRequest { nonce: vec![1; 31].into() };
    let status = raw.clone().get_evidence(request).await.unwrap_err();
    assert_eq!((status.code(), problem(&status)), (Code::InvalidArgument, Some("malformed")));
    let stats = host.stats().await.unwrap();
    assert!(stats.enclave.is_none() && stats.host.is_some());
}
