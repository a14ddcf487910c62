//! Requests against the enclave, on small rings that protect nothing.

use super::*;
use adyton_attest::Simulated;
use adyton_ckks::Encoder;
use adyton_program::bounds;
use adyton_wire::statement::*;
use adyton_wire::*;
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;

#[path = "../../tests/common/mod.rs"]
pub(crate) mod common;
use common::*;

mod audits;
mod refusals;
mod restart;

const LOG_N: u8 = 6;
const NOW: u64 = 1_800_000_000;

struct Clockwork(Arc<AtomicU64>);

impl Clock for Clockwork {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A folder, a clock, and the enclave that runs there.
struct House {
    folder: TempDir,
    clock: Arc<AtomicU64>,
    enclave: Option<Enclave>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut house = Self { folder, clock: Arc::new(AtomicU64::new(NOW)), enclave: None };
        house.restart();
        house
    }

    fn restart(&mut self) {
        self.enclave = None;
        let executable = std::env::current_exe().unwrap();
        let platform =
            Arc::new(Simulated::open_measured(&self.folder.path().join("p"), &executable).unwrap());
        let clock = Box::new(Clockwork(Arc::clone(&self.clock)));
        let state = self.folder.path().join("s");
        self.enclave = Some(
            Enclave::open_gated(
                StateFile::claim(&state).unwrap(),
                platform,
                clock,
                Restart::default(),
                (Gate::InsecureForTests, Defences::default()),
            )
            .unwrap(),
        );
    }

    /// Over the wire's bytes, so that every test also tests the encoding.
    fn call(&self, request: Request) -> Reply {
        Reply::decode(&self.enclave.as_ref().unwrap().serve(&request.encode())).unwrap()
    }
}

/// A house with one deployment, one session, and a host with its keys.
struct Scene {
    house: House,
    known: Known,
    model: ModelOwner,
    data: DataOwner,
    host: Host,
}

const SAMPLES: [[f64; 3]; 3] = [[1.0, 2.0, 3.0], [-4.0, 0.5, -0.25], [0.0, -3.0, 3.5]];

impl Scene {
    fn new() -> Self {
        Self::with(|policy| policy)
    }

    fn with(change: impl Fn(Policy) -> Policy) -> Self {
        let house = House::new();
        let known = Known::challenge(&mut |r| house.call(r));
        let key = SigningKey::generate().unwrap();
        let model = ModelOwner::new(program(LOG_N), change(policy([key.public_key()])));
        register(&mut |r| house.call(r), &known, &model);
        let data = DataOwner::new(&key, model.id());
        assert_eq!(open(&mut |r| house.call(r), &known, &data).keys, 3);
        let host = Host::new(&mut |r| house.call(r), &known, &model, data.id());
        Self { house, known, model, data, host }
    }

    fn evaluated(&self) -> Vec<u8> {
        self.host.evaluate(&self.model, &self.data.input(&self.model, &SAMPLES))
    }

    fn job(&self) -> JobStatement {
        self.data.job(&self.model, SAMPLES.len() as u32, 1)
    }

    fn release(&self, job: &JobStatement, ciphertexts: &[u8]) -> Reply {
        self.house.call(Request::Release(self.data.release(job, ciphertexts.to_vec())))
    }

    fn open(&self, job: &JobStatement, reply: Reply) -> ResultPayload {
        self.data.open(&self.known, job, &released(reply))
    }

    /// A result ciphertext that decrypts to these slots, as a host with the key would make it: the enclave's checks face any value.
    fn forged(&self, slots: &[f64]) -> Vec<u8> {
        let parameters = &self.model.parameters;
        let enclave = self.house.enclave.as_ref().unwrap();
        let core = enclave.core();
        let (session, deployment) = core.state.session(&self.data.id()).unwrap();
        let secret = core.state.vault.get(session.secret);
        let plan = &deployment.plan;
        let key = crate::secrets::result_key(plan, &secret, &self.data.id(), 1).unwrap();
        let plain = Encoder::new(parameters).encode(slots, plan.level, &plan.scale).unwrap();
        let mut randomness = adyton_ckks_secret::Randomness::from_os().unwrap();
        let seeded = key.encrypt(&plain, &mut randomness).unwrap();
        seeded.expand(parameters).unwrap().encode(parameters).unwrap()
    }
}

fn expected() -> Vec<f64> {
    SAMPLES.iter().flatten().zip(WEIGHTS.iter().cycle()).map(|(x, w)| x * w).collect()
}

fn values(payload: &ResultPayload) -> Vec<f64> {
    match &payload.values {
        Values::Logits { step, codes } => {
            codes.iter().map(|&code| f64::from(code) * step).collect()
        }
        other => panic!("not logits: {other:?}"),
    }
}

#[test]
fn a_prediction_end_to_end() {
    let scene = Scene::new();
    let job = scene.job();
    let payload = scene.open(&job, scene.release(&job, &scene.evaluated()));
    assert!(payload.checks.passed());
    let deviation = flooding();
    for (got, want) in values(&payload).iter().zip(expected()) {
        assert!((got - want).abs() < 6.0 * deviation + RANGE / 32768.0, "{got} {want}");
    }
}

#[test]
fn every_output_form_gives_what_the_logits_say() {
    let order = [vec![2, 0, 1], vec![1, 0, 2], vec![2, 1, 0]];
    for form in [OutputForm::Label, OutputForm::TopK { k: 2, bits: 12 }] {
        let scene = Scene::with(|policy| Policy { output: form, ..policy });
        let samples = [[1.0, 2.0, 3.0], [-1.0, -3.0, -2.0], [-2.0, -2.0, 3.5]];
        let job = scene.job();
        let input = scene.data.input(&scene.model, &samples);
        let reply = scene.release(&job, &scene.host.evaluate(&scene.model, &input));
        let payload = scene.open(&job, reply);
        assert!(payload.form_matches(&form));
        match payload.values {
            Values::Labels(labels) => assert_eq!(labels, [2, 1, 2]),
            Values::TopK { entries, .. } => {
                let indices: Vec<u32> = entries.iter().map(|entry| entry.0).collect();
                let want: Vec<u32> = order.iter().flat_map(|o| o[..2].iter().copied()).collect();
                assert_eq!(indices, want);
            }
            Values::Logits { .. } => panic!("not the policy's form"),
        }
    }
}

#[test]
fn the_flooding_noise_has_the_promised_deviation() {
    let scene = Scene::with(|policy| Policy { output: OutputForm::Logits { bits: 30 }, ..policy });
    let ciphertexts = scene.forged(&vec![0.0; scene.model.parameters.slots()]);
    let mut squares = Vec::new();
    for _ in 0..30 {
        let job = scene.data.job(&scene.model, LANES as u32, 1);
        squares.extend(
            values(&scene.open(&job, scene.release(&job, &ciphertexts))).iter().map(|x| x * x),
        );
    }
    let deviation = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    let want = flooding();
    // 360 samples: a standard error of 3.7 %.
    assert!((deviation / want - 1.0).abs() < 0.2, "{deviation} {want}");
}

#[test]
fn failed_checks_look_like_success_from_outside() {
    let scene = Scene::new();
    let slots = scene.model.parameters.slots();
    type Change<'a> = &'a dyn Fn(&mut Vec<f64>);
    let good = |change: Change<'_>| {
        let mut values = vec![0.0; slots];
        for (position, value) in [(0, 1.0), (1, 2.0), (2, -3.0), (3, 1.0)] {
            values[position * LANES..(position + 1) * LANES].fill(value);
        }
        change(&mut values);
        scene.forged(&values)
    };
    let error = DEVIATION * bounds::largest_error(slots as u64, bounds::FALSE_REFUSAL_BITS);
    let hidden = (slots - 4 * LANES) as u64;
    let energy = bounds::error_energy(hidden, bounds::FALSE_REFUSAL_BITS) / hidden as f64;
    let spread =
        |by: f64| move |v: &mut Vec<f64>| v[4 * LANES..].fill(by * energy.sqrt() * DEVIATION);
    let cases: [(Change<'_>, u32); 11] = [
        (&|_| {}, 0),
        (&|v| v[4 * LANES] = 0.9 * error, 0),
        (&|v| v[4 * LANES] = 1.1 * error, Checks::UNDECLARED),
        (&|v| v[slots - 1] = -1.0, Checks::UNDECLARED),
        // No slot alone is too large, all together are.
        (&spread(0.9), 0),
        (&spread(1.1), Checks::UNDECLARED),
        (&|v| v[3 * LANES + 1] += 1.8 * error, 0),
        (&|v| v[3 * LANES + 1] += 2.2 * error, Checks::COPIES),
        (&|v| v[LANES] = RANGE + 0.1, Checks::RANGE),
        (&|v| v[2 * LANES + 2] = -RANGE - 0.1, Checks::RANGE),
        (&|v| v.iter_mut().zip(0i32..).for_each(|(x, i)| *x = f64::from(9 + i % 7)), 7),
    ];
    let mut sizes = std::collections::BTreeSet::new();
    for (change, failed) in cases {
        let job = scene.data.job(&scene.model, LANES as u32, 1);
        let reply = scene.release(&job, &good(change));
        sizes.insert(reply.encode().len());
        let payload = scene.open(&job, reply);
        assert_eq!(payload.checks.0, failed);
        let silent = values(&payload).iter().all(|&value| value == 0.0);
        assert_eq!(silent, failed != 0, "values of a failed check are withheld");
    }
    assert_eq!(sizes.len(), 1, "every reply has one size");
}

#[test]
fn the_same_request_gets_the_same_reply_and_is_charged_once() {
    let mut scene = Scene::new();
    let (job, ciphertexts) = (scene.job(), scene.evaluated());
    let first = scene.release(&job, &ciphertexts);
    let charged = |scene: &Scene| {
        let core = scene.house.enclave.as_ref().unwrap().core();
        let (session, deployment) = core.state.session(&scene.data.id()).unwrap();
        (session.bits, session.ciphertexts, deployment.bits, deployment.jobs)
    };
    let bits = 3 * 3 * 16 + Checks::BITS;
    assert_eq!(charged(&scene), (bits, 1, bits, 1));
    for restart in [false, true] {
        if restart {
            scene.house.restart();
        }
        let again = scene.release(&job, &ciphertexts);
        assert_eq!(again.response, first.response);
        assert!(again.audit.is_empty());
        assert_eq!(charged(&scene), (bits, 1, bits, 1));
    }
    // Also after its time: what was released stays released.
    scene.house.clock.store(FOREVER + 1, Ordering::Relaxed);
    assert_eq!(scene.release(&job, &ciphertexts).response, first.response);
}

#[test]
fn two_data_owners_share_a_model_and_nothing_else() {
    let house = House::new();
    let known = Known::challenge(&mut |r| house.call(r));
    let keys = [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()];
    let model = ModelOwner::new(program(LOG_N), policy(keys.iter().map(SigningKey::public_key)));
    register(&mut |r| house.call(r), &known, &model);
    let owners = keys.each_ref().map(|key| DataOwner::new(key, model.id()));
    let hosts = owners.each_ref().map(|owner| {
        open(&mut |r| house.call(r), &known, owner);
        Host::new(&mut |r| house.call(r), &known, &model, owner.id())
    });
    let results = [0, 1].map(|i| {
        let samples = &SAMPLES[i..=i];
        hosts[i].evaluate(&model, &owners[i].input(&model, samples))
    });
    for i in [0, 1] {
        let job = owners[i].job(&model, 1, 1);
        // Honest: one's own result.
        let reply = house.call(Request::Release(owners[i].release(&job, results[i].clone())));
        let reply = released(reply);
        let payload = owners[i].open(&known, &job, &reply);
        assert!(payload.checks.passed());
        let want: Vec<f64> = expected()[3 * i..3 * i + 3].to_vec();
        let close = values(&payload)
            .iter()
            .zip(want)
            .all(|(got, want)| (got - want).abs() < 6.0 * flooding());
        assert!(close);
        // The other's reply key opens nothing.
        let info = job.session.result_info(&known.instance, &job.job);
        assert!(owners[1 - i].reply.open(&info, b"", &reply.result).is_err());
        // The other's ciphertexts are noise under this session's key: nothing of them comes out.
        let job = owners[i].job(&model, 1, 1);
        let reply = house.call(Request::Release(owners[i].release(&job, results[1 - i].clone())));
        let payload = owners[i].open(&known, &job, &released(reply));
        assert!(!payload.checks.passed() && values(&payload).iter().all(|&value| value == 0.0));
        // A job of one, signed by the other.
        let job = owners[1 - i].job(&model, 1, 1);
        let reply = house.call(Request::Release(owners[i].release(&job, results[i].clone())));
        assert_eq!(refusal(&reply), Problem::BadSignature);
    }
}

#[test]
fn keys_are_the_same_after_a_restart_and_differ_between_sessions() {
    let mut scene = Scene::new();
    let id = scene.data.id();
    let first: Vec<_> = (0..3).map(|i| key(&mut |r| scene.house.call(r), id, i)).collect();
    scene.house.restart();
    let again: Vec<_> = (0..3).map(|i| key(&mut |r| scene.house.call(r), id, i)).collect();
    assert_eq!(first, again);
    let next = DataOwner::new(&scene.data.key, scene.model.id());
    open(&mut |r| scene.house.call(r), &scene.known, &next);
    assert_ne!(key(&mut |r| scene.house.call(r), next.id(), 0).key, first[0].key);
    let refused = |session, index| refusal(&scene.house.call(Request::MakeKey { session, index }));
    assert_eq!(refused(id, 3), Problem::UnknownKey);
    assert_eq!(refused(SessionId([1; 32]), 0), Problem::UnknownSession);
}

#[test]
fn identity_and_audit_chain_survive_and_verify() {
    let mut scene = Scene::new();
    let job = scene.job();
    let reply = scene.release(&job, &scene.evaluated());
    let appended = reply.audit.clone();
    let receipt = released(reply).receipt.verify(&scene.known.signing).unwrap();
    scene.house.restart();
    let again = Known::challenge(&mut |r| scene.house.call(r));
    assert_eq!((again.instance, again.signing), (scene.known.instance, scene.known.signing));
    assert_eq!(again.sealing, scene.known.sealing);
    let Response::AuditLog { entries, length } =
        scene.house.call(Request::GetAudit { from: 0 }).response
    else {
        panic!("no audit log");
    };
    let (parsed, head) = verify_audit(AuditHead::default(), &entries).unwrap();
    assert_eq!((length, head), (4, receipt.audit));
    let events: Vec<AuditEvent> = parsed.iter().map(|entry| entry.event).collect();
    assert_eq!(
        events,
        [
            AuditEvent::Started,
            AuditEvent::DeploymentRegistered,
            AuditEvent::SessionOpened,
            AuditEvent::Released
        ]
    );
    assert_eq!(parsed[0].subject, scene.known.signing.0);
    assert_eq!(parsed[3].job, job.job.0);
    assert_eq!(appended, parsed[3].to_bytes());
    for from in [4, 5, u64::MAX] {
        let page = scene.house.call(Request::GetAudit { from }).response;
        assert_eq!(page, Response::AuditLog { entries: Vec::new(), length: 4 });
    }
}

#[test]
fn health_counts() {
    let scene = Scene::new();
    released(scene.release(&scene.job(), &scene.evaluated()));
    let Response::Health(health) = scene.house.call(Request::Health).response else {
        panic!("no report");
    };
    assert_eq!((health.deployments, health.sessions, health.releases), (1, 1, 1));
    assert!(health.cpu_micros > 0 && health.peak_rss_bytes >= health.rss_bytes);
    assert!(health.release_cpu_micros > 0 && health.key_cpu_micros > 0);
    assert_eq!(health.audit_entries, 4);
}
