//! A small network, its owners, and a host that evaluates honestly: what tests of the enclave play with.
//!
//! The network multiplies three features by three weights. Positions 0, 1, 2 hold the outputs, position 3 a copy of output 0, all
//! others must be ≈ 0.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "every test uses another part"
)]

use adyton_ckks::{
    Ciphertext, Encoder, EvaluationKeys, Evaluator, Gadget, InputKey, KeyRole, KeySource, KeySpec,
    ModelKey, Parameters, ParametersLiteral, ResultKey, RingKind, Scale, Security,
    SeededEvaluationKey, SwitchTerm, Weight,
};
use adyton_ckks_secret::{Randomness, SecretKey};
use adyton_program::{InputLayout, ModelPrivacy, OutputLayout, Program, Step, WeightSpec, bounds};
use adyton_ring::ntt_primes;
use adyton_wire::digest::{seed_commitment, sha256};
use adyton_wire::message::{Evidence, KeyMade, OpenSession, RegisterDeployment, Release, Released};
use adyton_wire::seal::{OpeningKey, SealingKey};
use adyton_wire::statement::*;
use adyton_wire::*;

pub const LANES: usize = 4;
pub const OUTPUTS: u32 = 3;
pub const RANGE: f64 = 8.0;
/// Deviation of a result slot's error: that of the rounding in the last mod-down is 2^−28 at degree 2^13.
pub const DEVIATION: f64 = 1.0 / (1u64 << 26) as f64;
/// Later than any test runs.
pub const FOREVER: u64 = 10_000_000_000;
/// What hosts name as their bundle of keys: these here have none.
pub const KEYS: ObjectId = ObjectId([8; 32]);
pub const WEIGHTS: [f64; 3] = [0.5, -1.25, 2.0];

/// The network over the conjugate-invariant ring of degree 2^`log_n`; secure from 2^13 on.
pub fn program(log_n: u8) -> Program {
    let kind = RingKind::ConjugateInvariant;
    let security = if log_n < 13 { Security::InsecureForTests } else { Security::Classical128 };
    let large = ntt_primes(kind, log_n, 46, 2, &[]).unwrap();
    let small = ntt_primes(kind, log_n, 40, 1, &[]).unwrap();
    let gadget = Some(Gadget { digit_primes: 1, special_primes: 1 });
    let positions = (1usize << log_n) / LANES;
    let mut features = vec![Some(0), Some(1), Some(2), Some(0)];
    features.resize(positions, None);
    let key = |source| KeySpec { source, rotation: 0, level: 1 };
    Program {
        name: "three products".to_owned(),
        parameters: ParametersLiteral {
            kind,
            log_n,
            primes: vec![large[0], small[0]],
            special_primes: vec![large[1]],
            levels: vec![vec![0], vec![0, 1]],
            gadgets: vec![None, gadget],
            security,
        },
        privacy: ModelPrivacy::Encrypted,
        input: InputLayout {
            shape: vec![3],
            lanes: LANES as u32,
            positions: positions as u32,
            ciphertexts: vec![features.clone()],
            scale: Scale::pow2(40),
            bound: 4.0,
        },
        weights: vec![WeightSpec { level: 1, scale: Scale::prime(small[0]), mask: 0, row: 0 }],
        steps: vec![
            Step::Products { terms: vec![(0, 0)], bias: None },
            Step::SwitchSum { terms: vec![(1, 0)], rescale: true },
        ],
        output: OutputLayout {
            value: 2,
            outputs: OUTPUTS,
            positions: features,
            range: RANGE,
            deviation: DEVIATION,
            released_deviation: DEVIATION,
        },
        keys: vec![
            key(KeySource::Model(0)),
            key(KeySource::ModelTimesInput(0)),
            key(KeySource::Input),
        ],
    }
}

/// Deviation of the flooding noise under [`policy`].
pub fn flooding() -> f64 {
    let values = u64::from(OUTPUTS) * LANES as u64;
    bounds::flooding(64, bounds::released_norm(values, DEVIATION, DEVIATION))
}

/// A policy for these owners with room for every test.
pub fn policy(owners: impl IntoIterator<Item = PublicKey>) -> Policy {
    Policy {
        owners: DataOwners::Listed(owners.into_iter().collect()),
        sessions_per_owner: 4,
        ciphertexts_per_session: 64,
        jobs_per_owner: 32,
        jobs_total: 64,
        bits_per_session: 1 << 20,
        bits_total: 1 << 30,
        expires: FOREVER,
        output: OutputForm::Logits { bits: 16 },
        ..Policy::deny()
    }
}

/// What owners learn of an enclave; tests of appraisal are in the crate that appraises.
#[derive(Clone)]
pub struct Known {
    pub instance: InstanceId,
    pub signing: PublicKey,
    pub sealing: SealingKey,
}

impl Known {
    pub fn from_evidence(evidence: &Evidence) -> Self {
        let statement = &evidence.statement;
        Self {
            instance: statement.instance,
            signing: statement.signing_key,
            sealing: SealingKey::from_bytes(&statement.sealing_key).unwrap(),
        }
    }

    pub fn challenge(call: &mut impl FnMut(Request) -> Reply) -> Self {
        let nonce = Nonce(random_bytes().unwrap());
        match call(Request::GetEvidence { nonce }).response {
            Response::Evidence(evidence) if evidence.statement.nonce == nonce => {
                Self::from_evidence(&evidence)
            }
            other => panic!("no evidence: {other:?}"),
        }
    }
}

/// A model owner with one deployment.
pub struct ModelOwner {
    pub key: SigningKey,
    pub seed: [u8; 32],
    pub program: Program,
    pub parameters: Parameters,
    pub statement: DeploymentStatement,
}

impl ModelOwner {
    pub fn new(program: Program, policy: Policy) -> Self {
        let key = SigningKey::generate().unwrap();
        let seed = random_bytes().unwrap();
        let statement = DeploymentStatement {
            program: ProgramId(program.id()),
            model: ObjectId([7; 32]),
            owner: key.public_key(),
            policy,
            seed_commitment: seed_commitment(&seed),
        };
        let parameters = Parameters::new_insecure_for_tests(&program.parameters).unwrap();
        Self { key, seed, program, parameters, statement }
    }

    pub fn id(&self) -> DeploymentId {
        self.statement.id()
    }

    pub fn registration(&self, known: &Known) -> RegisterDeployment {
        RegisterDeployment {
            program: self.program.encode(),
            statement: Signed::new(&self.statement, &self.key),
            seed: known
                .sealing
                .seal(&self.id().seed_info(&known.instance), b"", &self.seed)
                .unwrap(),
        }
    }

    /// The encrypted weight vector.
    pub fn model(&self) -> Ciphertext<ModelKey> {
        let mut slots = vec![0.0; self.parameters.slots()];
        for (position, weight) in [(0, 0), (1, 1), (2, 2), (3, 0)] {
            slots[position * LANES..(position + 1) * LANES].fill(WEIGHTS[weight]);
        }
        let spec = &self.program.weights[0];
        encrypt(&self.parameters, &self.seed, &slots, spec.level, &spec.scale)
    }
}

fn encrypt<K: KeyRole>(
    parameters: &Parameters,
    seed: &[u8; 32],
    slots: &[f64],
    level: u8,
    scale: &Scale,
) -> Ciphertext<K> {
    let key = SecretKey::<K>::derive(parameters, seed, b"").unwrap();
    let plaintext = Encoder::new(parameters).encode(slots, level, scale).unwrap();
    let seeded = key.encrypt(&plaintext, &mut Randomness::from_os().unwrap()).unwrap();
    seeded.expand(parameters).unwrap()
}

/// A data owner with one session.
pub struct DataOwner {
    pub key: SigningKey,
    pub seed: [u8; 32],
    pub reply: OpeningKey,
    pub statement: SessionStatement,
}

impl DataOwner {
    pub fn new(key: &SigningKey, deployment: DeploymentId) -> Self {
        let seed = random_bytes().unwrap();
        let reply = OpeningKey::generate().unwrap();
        let statement = SessionStatement {
            deployment,
            owner: key.public_key(),
            reply_key: reply.public_key().as_bytes().to_vec(),
            nonce: SessionNonce(random_bytes().unwrap()),
            seed_commitment: seed_commitment(&seed),
        };
        Self { key: key.clone(), seed, reply, statement }
    }

    pub fn id(&self) -> SessionId {
        self.statement.id()
    }

    pub fn opening(&self, known: &Known) -> OpenSession {
        OpenSession {
            statement: Signed::new(&self.statement, &self.key),
            seed: known
                .sealing
                .seal(&self.id().seed_info(&known.instance), b"", &self.seed)
                .unwrap(),
        }
    }

    /// Encrypts up to [`LANES`] samples of three features each.
    pub fn input(&self, owner: &ModelOwner, samples: &[[f64; 3]]) -> Ciphertext<InputKey> {
        let mut slots = vec![0.0; owner.parameters.slots()];
        for (lane, sample) in samples.iter().enumerate() {
            for (position, feature) in [(0, 0), (1, 1), (2, 2), (3, 0)] {
                slots[position * LANES + lane] = sample[feature];
            }
        }
        let top = owner.parameters.top_level();
        encrypt(&owner.parameters, &self.seed, &slots, top, &owner.program.input.scale)
    }

    pub fn job(&self, owner: &ModelOwner, samples: u32, groups: u32) -> JobStatement {
        JobStatement {
            deployment: owner.id(),
            session: self.id(),
            job: JobId(random_bytes().unwrap()),
            program: owner.statement.program,
            input: ObjectId([9; 32]),
            samples,
            groups,
            expires: FOREVER,
        }
    }

    pub fn release(&self, job: &JobStatement, ciphertexts: Vec<u8>) -> Release {
        Release { job: Signed::new(job, &self.key), ciphertexts, keys: KEYS }
    }

    /// Opens a result and holds it to its receipt.
    pub fn open(&self, known: &Known, job: &JobStatement, released: &Released) -> ResultPayload {
        let receipt = released.receipt.verify(&known.signing).unwrap();
        assert_eq!(&receipt.job, job);
        assert_eq!(receipt.result, released.result.digest());
        let info = job.session.result_info(&known.instance, &job.job);
        let payload = self.reply.open(&info, b"", &released.result).unwrap();
        let payload = ResultPayload::from_bytes(&payload).unwrap();
        let outcome = ResultPayload::outcome_commitment(payload.checks, &payload.blind);
        assert_eq!(receipt.outcome, outcome);
        payload
    }
}

/// The host's part: evaluation keys and the model.
pub struct Host {
    pub keys: EvaluationKeys,
    pub model: Ciphertext<ModelKey>,
}

impl Host {
    pub fn new(
        call: &mut impl FnMut(Request) -> Reply,
        known: &Known,
        owner: &ModelOwner,
        session: SessionId,
    ) -> Self {
        let mut keys = EvaluationKeys::new();
        for index in 0..owner.program.keys.len() as u32 {
            let made = key(call, session, index);
            let statement = made.statement.verify(&known.signing).unwrap();
            assert_eq!((statement.session, statement.index), (session, index));
            assert_eq!(statement.digest, sha256(&made.key));
            let seeded = SeededEvaluationKey::decode(&made.key, &owner.parameters).unwrap();
            assert_eq!(seeded.spec(), owner.program.keys[index as usize]);
            keys.insert(seeded.into_expanded(&owner.parameters).unwrap());
        }
        Self { keys, model: owner.model() }
    }

    /// The network under encryption.
    pub fn evaluate(&self, owner: &ModelOwner, input: &Ciphertext<InputKey>) -> Vec<u8> {
        self.ciphertext(owner, input).encode(&owner.parameters).unwrap()
    }

    pub fn ciphertext(
        &self,
        owner: &ModelOwner,
        input: &Ciphertext<InputKey>,
    ) -> Ciphertext<ResultKey> {
        let evaluator = Evaluator::new(&owner.parameters);
        let products =
            evaluator.products(&[(Weight::Encrypted(&self.model), input)], None).unwrap();
        evaluator
            .switch_sum(&[(SwitchTerm::InputProducts(&products), 0)], true, &self.keys)
            .unwrap()
    }
}

pub fn key(call: &mut impl FnMut(Request) -> Reply, session: SessionId, index: u32) -> KeyMade {
    match call(Request::MakeKey { session, index }).response {
        Response::KeyMade(made) => made,
        other => panic!("no key: {other:?}"),
    }
}

pub fn register(call: &mut impl FnMut(Request) -> Reply, known: &Known, owner: &ModelOwner) {
    match call(Request::RegisterDeployment(owner.registration(known))).response {
        Response::DeploymentRegistered(signed) => {
            assert_eq!(signed.verify(&known.signing).unwrap().deployment, owner.id());
        }
        other => panic!("not registered: {other:?}"),
    }
}

pub fn open(
    call: &mut impl FnMut(Request) -> Reply,
    known: &Known,
    owner: &DataOwner,
) -> SessionOpened {
    match call(Request::OpenSession(owner.opening(known))).response {
        Response::SessionOpened(signed) => signed.verify(&known.signing).unwrap(),
        other => panic!("not opened: {other:?}"),
    }
}

pub fn released(reply: Reply) -> Released {
    match reply.response {
        Response::Released(released) => released,
        other => panic!("not released: {other:?}"),
    }
}

pub fn refusal(reply: &Reply) -> Problem {
    assert!(reply.audit.is_empty(), "a refusal changes nothing");
    match reply.response {
        Response::Refused(problem) => problem,
        ref other => panic!("not refused: {other:?}"),
    }
}
