//! A platform whose sealing key lasts and that counts nothing, as SGX by Gramine.

use super::*;
use adyton_attest::{EvidenceProvider, PlatformError};

struct Uncounted(Simulated);

impl EvidenceProvider for Uncounted {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        self.0.evidence(report_data)
    }
}

impl Platform for Uncounted {
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
        self.0.sealing_key()
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        Ok(None)
    }

    fn advance_counter(&self, _: u64) -> Result<(), PlatformError> {
        Ok(())
    }
}

fn start(folder: &TempDir, restart: Restart) -> Enclave {
    let executable = std::env::current_exe().unwrap();
    let simulated = Simulated::open_measured(&folder.path().join("p"), &executable).unwrap();
    let clock = Box::new(Clockwork(Arc::new(AtomicU64::new(NOW))));
    let state = StateFile::claim(&folder.path().join("s")).unwrap();
    let platform = Arc::new(Uncounted(simulated));
    let gate = (Gate::InsecureForTests, Defences::default());
    Enclave::open_gated(state, platform, clock, restart, gate).unwrap()
}

fn statement(enclave: &Enclave) -> EvidenceStatement {
    let nonce = Nonce([3; 32]);
    match enclave.handle(&Request::GetEvidence { nonce }).response {
        Response::Evidence(evidence) => evidence.statement.clone(),
        other => panic!("no evidence: {other:?}"),
    }
}

/// A deployment whose quota is one job, and a result to be released.
struct Tight {
    model: ModelOwner,
    data: DataOwner,
    result: Vec<u8>,
}

impl Tight {
    fn new(enclave: &Enclave) -> Self {
        let mut call = |request: Request| enclave.handle(&request);
        let known = Known::challenge(&mut call);
        let key = SigningKey::generate().unwrap();
        let tight = Policy { jobs_total: 1, ..policy([key.public_key()]) };
        let model = ModelOwner::new(program(LOG_N), tight);
        register(&mut call, &known, &model);
        let data = DataOwner::new(&key, model.id());
        open(&mut call, &known, &data);
        let host = Host::new(&mut call, &known, &model, data.id());
        let result = host.evaluate(&model, &data.input(&model, &SAMPLES));
        Self { model, data, result }
    }

    /// A fresh job's release.
    fn release(&self, enclave: &Enclave) -> Reply {
        let job = self.data.job(&self.model, SAMPLES.len() as u32, 1);
        enclave.handle(&Request::Release(self.data.release(&job, self.result.clone())))
    }

    /// Spends the quota.
    fn spend(&self, enclave: &Enclave) {
        released(self.release(enclave));
        assert_eq!(refusal(&self.release(enclave)), Problem::QuotaExceeded);
    }
}

#[test]
fn a_restart_begins_a_new_epoch_and_old_state_gains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s/state.sealed");
    let enclave = start(&folder, Restart::NewEpoch);
    let before = statement(&enclave);
    assert_eq!(before.epoch, 1);
    let fresh = std::fs::read(&file).unwrap();
    let tight = Tight::new(&enclave);
    tight.spend(&enclave);
    drop(enclave);
    let used = std::fs::read(&file).unwrap();
    // As it was left; and put back to a time before the quota was spent.
    for state in [&used, &fresh] {
        std::fs::write(&file, state).unwrap();
        let enclave = start(&folder, Restart::NewEpoch);
        let after = statement(&enclave);
        assert_eq!(after.epoch, 2);
        assert_ne!(after.instance, before.instance);
        assert_ne!(after.signing_key, before.signing_key);
        assert_ne!(after.sealing_key, before.sealing_key);
        assert_eq!(refusal(&tight.release(&enclave)), Problem::UnknownSession);
        assert!(enclave.core().state.deployments.is_empty());
        // What was sealed to the old keys opens no more.
        let mut known = Known::challenge(&mut |r| enclave.handle(&r));
        known.instance = before.instance;
        known.sealing = seal::SealingKey::from_bytes(&before.sealing_key).unwrap();
        let registration = Request::RegisterDeployment(tight.model.registration(&known));
        assert_eq!(refusal(&enclave.handle(&registration)), Problem::BadSeal);
        drop(enclave);
        let third = start(&folder, Restart::NewEpoch);
        assert_eq!(statement(&third).epoch, 3);
        // All epochs are in one chain.
        let Response::AuditLog { entries, .. } =
            third.handle(&Request::GetAudit { from: 0 }).response
        else {
            panic!("no audit log");
        };
        let (entries, _) = verify_audit(AuditHead::default(), &entries).unwrap();
        let started: Vec<u32> = entries
            .iter()
            .filter(|entry| entry.event == AuditEvent::Started)
            .map(|entry| entry.epoch)
            .collect();
        assert_eq!(started, [1, 2, 3]);
    }
}

/// What the option risks, shown: a spent quota comes back with the older state.
#[test]
fn going_on_without_a_counter_lets_quotas_be_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s/state.sealed");
    let enclave = start(&folder, Restart::Continue);
    let tight = Tight::new(&enclave);
    let older = std::fs::read(&file).unwrap();
    tight.spend(&enclave);
    let before = statement(&enclave);
    drop(enclave);
    let enclave = start(&folder, Restart::Continue);
    assert_eq!(statement(&enclave), before);
    assert_eq!(refusal(&tight.release(&enclave)), Problem::QuotaExceeded);
    drop(enclave);
    std::fs::write(&file, older).unwrap();
    tight.spend(&start(&folder, Restart::Continue));
}

#[test]
fn with_a_counter_a_restart_goes_on() {
    let mut scene = Scene::new();
    let job = scene.job();
    let result = scene.evaluated();
    let first = released(scene.release(&job, &result));
    scene.house.restart();
    assert_eq!(released(scene.release(&job, &result)), first);
}
