//! Everything that is refused, and that a refusal changes nothing.

use super::*;
use adyton_ckks::{Ciphertext, ResultKey};

#[test]
fn a_job_id_serves_once() {
    let scene = Scene::new();
    let (job, ciphertexts) = (scene.job(), scene.evaluated());
    released(scene.release(&job, &ciphertexts));
    let other = scene.evaluated();
    assert_eq!(refusal(&scene.release(&job, &other)), Problem::JobReused);
    let altered = JobStatement { samples: 2, ..job.clone() };
    assert_eq!(refusal(&scene.release(&altered, &ciphertexts)), Problem::JobReused);
}

#[test]
fn jobs_of_others_are_refused() {
    let scene = Scene::new();
    let ciphertexts = scene.evaluated();
    let stranger = SigningKey::generate().unwrap();
    let signed = Signed::new(&scene.job(), &stranger);
    let request = message::Release { job: signed, ciphertexts: ciphertexts.clone(), keys: KEYS };
    assert_eq!(refusal(&scene.house.call(Request::Release(request))), Problem::BadSignature);
    let job = scene.job();
    for (job, problem) in [
        (JobStatement { session: SessionId([1; 32]), ..job.clone() }, Problem::UnknownSession),
        (JobStatement { program: ProgramId([1; 32]), ..job.clone() }, Problem::WrongContext),
        (JobStatement { deployment: DeploymentId([1; 32]), ..job.clone() }, Problem::WrongContext),
        (JobStatement { expires: NOW, ..job.clone() }, Problem::Expired),
        (JobStatement { samples: LANES as u32 + 1, ..job.clone() }, Problem::Malformed),
        (JobStatement { samples: 2, groups: 2, ..job.clone() }, Problem::BadCiphertext),
    ] {
        assert_eq!(refusal(&scene.release(&job, &ciphertexts)), problem);
    }
    released(scene.release(&job, &ciphertexts));
}

#[test]
fn quotas_and_the_ledger_hold_across_restarts() {
    let cases: [(&dyn Fn(Policy) -> Policy, usize); 5] = [
        (&|p| Policy { ciphertexts_per_session: 2, ..p }, 2),
        (&|p| Policy { jobs_per_owner: 3, ..p }, 3),
        (&|p| Policy { jobs_total: 1, ..p }, 1),
        (&|p| Policy { bits_per_session: 2 * 147 + 146, ..p }, 2),
        (&|p| Policy { bits_total: 147, ..p }, 1),
    ];
    for (change, allowed) in cases {
        let mut scene = Scene::with(change);
        let ciphertexts = scene.evaluated();
        for _ in 0..allowed {
            released(scene.release(&scene.job(), &ciphertexts));
            scene.house.restart();
        }
        let refused = refusal(&scene.release(&scene.job(), &ciphertexts));
        assert_eq!(refused, Problem::QuotaExceeded);
    }
}

#[test]
fn ciphertexts_of_another_form_are_refused_before_decryption() {
    let scene = Scene::new();
    let job = scene.job();
    let good = scene.evaluated();
    let parameters = &scene.model.parameters;
    let refused = |bytes: &[u8]| refusal(&scene.release(&job, bytes));
    assert_eq!(refused(&[]), Problem::BadCiphertext);
    assert_eq!(refused(&good[..good.len() - 1]), Problem::BadCiphertext);
    assert_eq!(refused(&[good.as_slice(), &[0]].concat()), Problem::BadCiphertext);
    // Another level, another scale, another role, other parameters.
    let decoded = Ciphertext::<ResultKey>::decode(&good, parameters).unwrap();
    let rescaled = Ciphertext::<ResultKey>::from_parts(
        parameters,
        decoded.b().clone(),
        decoded.a().clone(),
        0,
        adyton_ckks::Scale::pow2(41),
    );
    assert_eq!(refused(&rescaled.unwrap().encode(parameters).unwrap()), Problem::BadCiphertext);
    let model = scene.host.model.encode(parameters).unwrap();
    assert_eq!(refused(&model), Problem::BadCiphertext);
    assert_eq!(refused(&model[..good.len()]), Problem::BadCiphertext);
    let other = ModelOwner::new(program(LOG_N + 1), policy([]));
    let foreign = Ciphertext::<ResultKey>::from_parts(
        &other.parameters,
        zero(&other),
        zero(&other),
        0,
        adyton_ckks::Scale::pow2(40),
    );
    assert_eq!(
        refused(&foreign.unwrap().encode(&other.parameters).unwrap()),
        Problem::BadCiphertext
    );
    // Every byte of header, role, level and scale counts.
    let prefix = adyton_ckks::codec::HEADER_LEN + 2 + decoded.scale().encoded_len();
    for at in 0..prefix {
        let mut bent = good.clone();
        bent[at] ^= 0xff;
        assert_eq!(refused(&bent), Problem::BadCiphertext, "byte {at}");
    }
    released(scene.release(&job, &good));
}

fn zero(owner: &ModelOwner) -> adyton_ring::Poly<adyton_ring::Ntt> {
    let parameters = &owner.parameters;
    adyton_ring::Poly::zero(parameters.ring(), parameters.basis(0).unwrap()).unwrap()
}

#[test]
fn registrations_are_held_to_their_statement() {
    let house = House::new();
    let known = Known::challenge(&mut |r| house.call(r));
    let model = ModelOwner::new(program(LOG_N), policy([]));
    let good = model.registration(&known);
    let refused = |message| refusal(&house.call(Request::RegisterDeployment(message)));
    let forged = Signed::new(&model.statement, &SigningKey::generate().unwrap());
    let message = message::RegisterDeployment { statement: forged, ..good.clone() };
    assert_eq!(refused(message), Problem::BadSignature);
    let garbage = message::RegisterDeployment { program: vec![1, 2, 3], ..good.clone() };
    assert_eq!(refused(garbage), Problem::BadProgram);
    let other =
        message::RegisterDeployment { program: program(LOG_N + 1).encode(), ..good.clone() };
    assert_eq!(refused(other), Problem::BadProgram);
    // Another seed than the one committed to; sealed for another deployment; sealed to another key.
    let info = model.id().seed_info(&known.instance);
    for seed in [
        known.sealing.seal(&info, b"", &[1; 32]).unwrap(),
        known.sealing.seal(&info, b"", &model.seed[..31]).unwrap(),
        known.sealing.seal(b"", b"", &model.seed).unwrap(),
        seal::OpeningKey::generate().unwrap().public_key().seal(&info, b"", &model.seed).unwrap(),
    ] {
        let message = message::RegisterDeployment { seed, ..good.clone() };
        assert_eq!(refused(message), Problem::BadSeal);
    }
    let expired = ModelOwner::new(program(LOG_N), Policy { expires: NOW, ..policy([]) });
    assert_eq!(refused(expired.registration(&known)), Problem::Expired);
    // Idempotent, with the seed sealed anew.
    let first = house.call(Request::RegisterDeployment(good));
    let again = house.call(Request::RegisterDeployment(model.registration(&known)));
    assert_eq!(first.response, again.response);
    assert!(!first.audit.is_empty() && again.audit.is_empty());
}

#[test]
fn insecure_parameters_are_refused_outside_of_tests() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Arc::new(Simulated::open(&folder.path().join("p")).unwrap());
    let enclave = Enclave::open(
        StateFile::claim(&folder.path().join("s")).unwrap(),
        platform,
        Box::new(crate::SystemClock),
        Restart::default(),
    )
    .unwrap();
    let known = Known::challenge(&mut |r| enclave.handle(&r));
    let model = ModelOwner::new(program(LOG_N), policy([]));
    let reply = enclave.handle(&Request::RegisterDeployment(model.registration(&known)));
    assert_eq!(refusal(&reply), Problem::BadProgram);
}

#[test]
fn sessions_are_held_to_policy_and_statement() {
    let scene = Scene::with(|policy| Policy { sessions_per_owner: 2, ..policy });
    let refused = |message| refusal(&scene.house.call(Request::OpenSession(message)));
    let stranger = DataOwner::new(&SigningKey::generate().unwrap(), scene.model.id());
    assert_eq!(refused(stranger.opening(&scene.known)), Problem::NotAllowed);
    let lost = DataOwner::new(&scene.data.key, DeploymentId([1; 32]));
    assert_eq!(refused(lost.opening(&scene.known)), Problem::UnknownDeployment);
    let next = DataOwner::new(&scene.data.key, scene.model.id());
    let good = next.opening(&scene.known);
    let forged = Signed::new(&next.statement, &stranger.key);
    let message = message::OpenSession { statement: forged, ..good.clone() };
    assert_eq!(refused(message), Problem::BadSignature);
    let message =
        message::OpenSession { seed: scene.data.opening(&scene.known).seed, ..good.clone() };
    assert_eq!(refused(message), Problem::BadSeal);
    let mut statement = next.statement.clone();
    statement.reply_key = vec![0xff; seal::PUBLIC_KEY_LENGTH];
    let signed = Signed::new(&statement, &next.key);
    assert_eq!(refused(message::OpenSession { statement: signed, ..good }), Problem::Malformed);
    open(&mut |r| scene.house.call(r), &scene.known, &next);
    // Again is no new session; a third is one too many.
    open(&mut |r| scene.house.call(r), &scene.known, &next);
    let third = DataOwner::new(&scene.data.key, scene.model.id());
    assert_eq!(refused(third.opening(&scene.known)), Problem::QuotaExceeded);
    scene.house.clock.store(FOREVER, Ordering::Relaxed);
    assert_eq!(refused(third.opening(&scene.known)), Problem::Expired);
}

#[test]
fn an_empty_policy_admits_nobody() {
    let house = House::new();
    let known = Known::challenge(&mut |r| house.call(r));
    let deny = Policy { expires: FOREVER, ..Policy::deny() };
    let model = ModelOwner::new(program(LOG_N), deny);
    register(&mut |r| house.call(r), &known, &model);
    let data = DataOwner::new(&SigningKey::generate().unwrap(), model.id());
    let reply = house.call(Request::OpenSession(data.opening(&known)));
    assert_eq!(refusal(&reply), Problem::NotAllowed);
}

#[test]
fn a_clock_turned_back_does_not_revive_a_job() {
    let mut scene = Scene::new();
    let expired = JobStatement { expires: NOW + 10, ..scene.job() };
    scene.house.clock.store(NOW + 10, Ordering::Relaxed);
    let ciphertexts = scene.evaluated();
    assert_eq!(refusal(&scene.release(&expired, &ciphertexts)), Problem::Expired);
    // Something happens at that time, then the host turns the clock back and restarts.
    released(scene.release(&scene.job(), &ciphertexts));
    scene.house.clock.store(NOW, Ordering::Relaxed);
    scene.house.restart();
    assert_eq!(refusal(&scene.release(&expired, &ciphertexts)), Problem::Expired);
}

#[test]
fn garbage_is_refused_and_changes_nothing() {
    let scene = Scene::new();
    let enclave = scene.house.enclave.as_ref().unwrap();
    let records = enclave.core().state.head;
    let serve = |bytes: &[u8]| refusal(&Reply::decode(&enclave.serve(bytes)).unwrap());
    for bytes in [&b""[..], b"\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", &[0; 1000]] {
        assert_eq!(serve(bytes), Problem::Malformed);
    }
    let request = Request::Release(scene.data.release(&scene.job(), scene.evaluated())).encode();
    for cut in (0..request.len()).step_by(97) {
        assert_eq!(serve(&request[..cut]), Problem::Malformed);
    }
    let mut suite = scene.data.opening(&scene.known);
    suite.seed.encapsulation.pop();
    assert_eq!(serve(&Request::OpenSession(suite).encode()), Problem::Malformed);
    assert_eq!(enclave.core().state.head, records);
}
