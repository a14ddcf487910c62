//! A deployment with two data owners on rings small enough to attack by hand, and the host's powers over it.
//!
//! The network: y_i = w_i·x_i for three features, then z_p = y_p + y_(p+1). Four outputs stand in positions 0 to 3, a copy of the last in
//! the last position, zero elsewhere. Its rotation by one position is a key that the host has and turns against the enclave.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adyton_attest::{EvidenceProvider, Platform, PlatformError, Simulated};
use adyton_ckks::{
    Ciphertext, Encoder, Evaluator, Gadget, InputKey, ModelKey, Parameters, ParametersLiteral,
    ResultKey, RingKind, Scale, Security, SwitchTerm, Weight,
};
use adyton_enclave_weakened::{Clock, Defence, Defences, Enclave, StateFile};
use adyton_program::{InputLayout, ModelPrivacy, OutputLayout, Program, Step, WeightSpec, infer};
use adyton_ring::{Ntt, Poly, ntt_primes};
use adyton_wire::statement::*;
use adyton_wire::*;
use anyhow::Context;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::common::{
    DataOwner, Host, Known, LANES, ModelOwner, WEIGHTS, open, policy, register, released,
};

/// Degree 2^6: protects nothing, so that what stops an attack is the enclave and not the lattice.
pub(crate) const LOG_N: u8 = 6;
/// Deviation of an honest slot; the honest jobs of every attack are held to it.
pub(crate) const DEVIATION: f64 = 1.0 / (1u64 << 32) as f64;
/// Positions of outputs, and of each output's first place.
pub(crate) const OUTPUTS: usize = 4;
/// Largest absolute output of the ordinary program.
pub(crate) const RANGE: f64 = 16.0;
const NOW: u64 = 1_800_000_000;
/// Samples of the honest jobs: all lanes are used.
pub(crate) const SAMPLES: [[f64; 3]; LANES] =
    [[1.0, 2.0, 3.0], [-2.0, 0.5, -0.25], [0.0, -1.5, 2.5], [3.0, 1.0, -1.0]];

/// What stands in the result's positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Four outputs and a copy; the rest must be noise.
    Declared,
    /// An output in every position: nothing is left to be checked for noise.
    EverySlot,
}

/// The program that the parties agreed on.
fn program(layout: Layout, range: f64) -> anyhow::Result<Program> {
    let kind = RingKind::ConjugateInvariant;
    let large = ntt_primes(kind, LOG_N, 46, 2, &[])?;
    let small = ntt_primes(kind, LOG_N, 40, 2, &[])?;
    let positions = (1usize << LOG_N) / LANES;
    let mut features = vec![Some(0), Some(1), Some(2), Some(0)];
    features.resize(positions, None);
    let mut places = vec![Some(0), Some(1), Some(2), Some(3)];
    places.resize(positions, None);
    if let Some(last) = places.last_mut() {
        *last = Some(3);
    }
    if layout == Layout::EverySlot {
        places = (0..positions as u32).map(Some).collect();
    }
    let outputs = if layout == Layout::EverySlot { positions } else { OUTPUTS } as u32;
    let gadget = Some(Gadget { digit_primes: 1, special_primes: 1 });
    let mut program = Program {
        name: "three products and a rotation".to_owned(),
        parameters: ParametersLiteral {
            kind,
            log_n: LOG_N,
            primes: vec![large[0], small[0], small[1]],
            special_primes: vec![large[1]],
            levels: vec![vec![0], vec![0, 1], vec![0, 1, 2]],
            gadgets: vec![None, gadget, gadget],
            security: Security::InsecureForTests,
        },
        privacy: ModelPrivacy::Encrypted,
        input: InputLayout {
            shape: vec![3],
            lanes: LANES as u32,
            positions: positions as u32,
            ciphertexts: vec![features],
            scale: Scale::pow2(40),
            bound: 4.0,
        },
        weights: vec![WeightSpec {
            level: 2,
            scale: Scale::product([small[0], small[1]]),
            mask: 0,
            row: 0,
        }],
        steps: vec![
            Step::Products { terms: vec![(0, 0)], bias: None },
            Step::SwitchSum { terms: vec![(1, 0)], rescale: true },
            Step::SwitchSum { terms: vec![(2, 0), (2, LANES as u32)], rescale: true },
        ],
        output: OutputLayout {
            value: 3,
            outputs,
            positions: places,
            range,
            deviation: DEVIATION,
            released_deviation: DEVIATION,
        },
        keys: Vec::new(),
    };
    let parameters = Parameters::new_insecure_for_tests(&program.parameters)?;
    program.keys = infer(&program, &parameters)?.keys;
    Ok(program)
}

struct Clockwork(Arc<AtomicU64>);

impl Clock for Clockwork {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The simulated platform, with its counter or without.
struct Place {
    inner: Simulated,
    counts: bool,
}

impl EvidenceProvider for Place {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn simulated(&self) -> bool {
        true
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        self.inner.evidence(report_data)
    }
}

impl Platform for Place {
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
        self.inner.sealing_key()
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        if self.counts { self.inner.counter() } else { Ok(None) }
    }

    fn advance_counter(&self, to: u64) -> Result<(), PlatformError> {
        if self.counts { self.inner.advance_counter(to) } else { Ok(()) }
    }
}

/// How a world is made.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Defences that it lacks.
    pub missing: &'a [Defence],
    /// The result's layout.
    pub layout: Layout,
    /// Largest absolute output; inputs are as much smaller than `SAMPLES` as this is smaller than `RANGE`.
    pub range: f64,
    /// Bits of a logit.
    pub bits: u8,
    /// Share of audited jobs, in millionths.
    pub audit_ppm: u32,
    /// Bits that a session may be charged.
    pub ledger: u64,
    /// Whether the platform has a monotonic counter.
    pub counts: bool,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            missing: &[],
            layout: Layout::Declared,
            range: RANGE,
            bits: 16,
            audit_ppm: 0,
            ledger: 1 << 20,
            counts: true,
        }
    }
}

/// What a request for release came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// Values, sample by sample.
    Values(Vec<f64>),
    /// A sealed result without values: these checks failed.
    Withheld(Checks),
    /// A refusal.
    Refused(Problem),
    /// The job was drawn for an audit.
    Demanded(Box<AuditDemand>),
}

impl Got {
    /// The values, where there are any.
    pub fn values(&self) -> Option<&[f64]> {
        match self {
            Self::Values(values) => Some(values),
            _ => None,
        }
    }
}

impl std::fmt::Display for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Values(values) => write!(f, "{} values released", values.len()),
            Self::Withheld(checks) => write!(f, "values withheld (checks {:#05b})", checks.0),
            Self::Refused(problem) => write!(f, "refused: {problem}"),
            Self::Demanded(_) => write!(f, "drawn for an audit"),
        }
    }
}

/// An enclave, a deployment, two data owners of whom the first is in league with the host at level C, and the host.
pub struct World {
    folder: TempDir,
    setup: (Defences, bool),
    enclave: Option<Enclave>,
    /// The enclave's identity.
    pub known: Known,
    /// The model owner.
    pub model: ModelOwner,
    /// The data owners: accomplice, victim.
    pub owners: [DataOwner; 2],
    /// What the host holds for each.
    pub hosts: [Host; 2],
    /// The auditor.
    pub auditor: SigningKey,
    /// Evaluates.
    pub evaluator: Evaluator,
    /// Encodes.
    pub encoder: Encoder,
    /// The honest inputs.
    pub samples: [[f64; 3]; LANES],
}

impl World {
    /// A world as it is set up.
    pub fn new(setup: Setup<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let defences = (Defences::without(setup.missing), setup.counts);
        let enclave = start(folder.path(), defences)?;
        let mut call = |request| call(&enclave, request);
        let known = Known::challenge(&mut call);
        let auditor = SigningKey::generate()?;
        let keys = [SigningKey::generate()?, SigningKey::generate()?];
        let audit = AuditPolicy { rate_ppm: setup.audit_ppm, auditor: auditor.public_key() };
        let policy = Policy {
            bits_per_session: setup.ledger,
            output: OutputForm::Logits { bits: setup.bits },
            audit: (setup.audit_ppm > 0).then_some(audit),
            ..policy(keys.iter().map(SigningKey::public_key))
        };
        let model = ModelOwner::new(program(setup.layout, setup.range)?, policy);
        register(&mut call, &known, &model);
        let owners = keys.each_ref().map(|key| DataOwner::new(key, model.id()));
        let hosts = owners.each_ref().map(|owner| {
            open(&mut call, &known, owner);
            Host::new(&mut call, &known, &model, owner.id())
        });
        let (evaluator, encoder) =
            (Evaluator::new(&model.parameters), Encoder::new(&model.parameters));
        let samples = SAMPLES.map(|sample| sample.map(|x| x * setup.range / RANGE));
        Ok(Self {
            folder,
            setup: defences,
            enclave: Some(enclave),
            known,
            model,
            owners,
            hosts,
            auditor,
            evaluator,
            encoder,
            samples,
        })
    }

    /// Slots, ring degree and number of positions.
    pub fn slots(&self) -> usize {
        self.model.parameters.slots()
    }

    /// Positions of a ciphertext.
    pub fn positions(&self) -> usize {
        self.slots() / LANES
    }

    /// The right outputs of the honest job, in the order of a release of the ordinary layout.
    pub fn expected(&self) -> Vec<f64> {
        self.samples.iter().flat_map(expected).collect()
    }

    /// One request, over its bytes.
    pub fn call(&self, request: Request) -> anyhow::Result<Reply> {
        let enclave = self.enclave.as_ref().context("the enclave is down")?;
        Ok(Reply::decode(&enclave.serve(&request.encode()))?)
    }

    /// Stops the enclave, lets the host do something to its folder, and starts it again.
    pub fn restart(
        &mut self,
        change: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        self.enclave = None;
        change(&self.folder.path().join(STATE))?;
        self.enclave = Some(start(self.folder.path(), self.setup)?);
        Ok(())
    }

    /// The folder of the sealed state.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join(STATE)
    }

    /// An owner's honest input.
    pub fn input(&self, owner: usize) -> Ciphertext<InputKey> {
        self.owners[owner].input(&self.model, &self.samples)
    }

    /// The first layer: level 1, with the key of `owner`'s session.
    fn first_layer(
        &self,
        owner: usize,
        model: &Ciphertext<ModelKey>,
        input: &Ciphertext<InputKey>,
    ) -> anyhow::Result<Ciphertext<ResultKey>> {
        let products = self.evaluator.products(&[(Weight::Encrypted(model), input)], None)?;
        let term = (SwitchTerm::InputProducts(&products), 0);
        Ok(self.evaluator.switch_sum(&[term], true, &self.hosts[owner].keys)?)
    }

    /// The program, with any model.
    pub fn evaluate_with(
        &self,
        owner: usize,
        model: &Ciphertext<ModelKey>,
        input: &Ciphertext<InputKey>,
    ) -> anyhow::Result<Ciphertext<ResultKey>> {
        let x = self.first_layer(owner, model, input)?;
        let terms = [(SwitchTerm::Result(&x), 0), (SwitchTerm::Result(&x), LANES as u32)];
        Ok(self.evaluator.switch_sum(&terms, true, &self.hosts[owner].keys)?)
    }

    /// The program, honestly.
    pub fn evaluate(
        &self,
        owner: usize,
        input: &Ciphertext<InputKey>,
    ) -> anyhow::Result<Ciphertext<ResultKey>> {
        self.evaluate_with(owner, &self.hosts[owner].model, input)
    }

    /// Moves what stands in position `by` to position 0 and goes on to level 0.
    pub fn rotated(
        &self,
        owner: usize,
        x: Ciphertext<ResultKey>,
        by: usize,
    ) -> anyhow::Result<Ciphertext<ResultKey>> {
        let mut x = x;
        for _ in 0..by {
            let terms = [(SwitchTerm::Result(&x), LANES as u32)];
            x = self.evaluator.switch_sum(&terms, false, &self.hosts[owner].keys)?;
        }
        Ok(self.evaluator.rescale(&x)?)
    }

    /// (0, m) at level 1: under the session's result key it stands for m·s_R.
    pub fn points_at_result_key(&self, m: &[f64]) -> anyhow::Result<Ciphertext<ResultKey>> {
        let scale = self.level_one_scale()?;
        let a = self.encoder.encode(m, 1, &scale)?;
        let parameters = &self.model.parameters;
        Ok(Ciphertext::from_parts(parameters, self.zero(1)?, a.poly().clone(), 1, scale)?)
    }

    /// The weight (0, m) times the input (1, 0), switched by the session's evaluation keys: m·s_M under s_R, at level 1.
    pub fn points_at_model_key(
        &self,
        owner: usize,
        m: &[f64],
    ) -> anyhow::Result<Ciphertext<ResultKey>> {
        let parameters = &self.model.parameters;
        let spec = self.model.program.weights.first().context("no weight")?;
        let a = self.encoder.encode(m, 2, &spec.scale)?;
        let weight = Ciphertext::from_parts(
            parameters,
            self.zero(2)?,
            a.poly().clone(),
            2,
            spec.scale.clone(),
        )?;
        let scale = &self.model.program.input.scale;
        let one = self.encoder.encode(&vec![1.0; self.slots()], 2, scale)?;
        let input = Ciphertext::from_parts(
            parameters,
            one.poly().clone(),
            self.zero(2)?,
            2,
            scale.clone(),
        )?;
        self.first_layer(owner, &weight, &input)
    }

    fn level_one_scale(&self) -> anyhow::Result<Scale> {
        let spec = self.model.program.weights.first().context("no weight")?;
        let product = spec.scale.mul(&self.model.program.input.scale);
        Ok(product.div(&self.model.parameters.rescale_factor(2)?))
    }

    /// The zero polynomial.
    pub fn zero(&self, level: u8) -> anyhow::Result<Poly<Ntt>> {
        let parameters = &self.model.parameters;
        Ok(Poly::zero(parameters.ring(), parameters.basis(level)?)?)
    }

    /// A job of an owner with all lanes.
    pub fn job(&self, owner: usize) -> JobStatement {
        self.owners[owner].job(&self.model, LANES as u32, 1)
    }

    /// Asks for the release of a ciphertext under a fresh job of the owner, and opens the answer with the owner's key.
    pub fn release(&self, owner: usize, x: &Ciphertext<ResultKey>) -> anyhow::Result<Got> {
        self.release_bytes(owner, &self.job(owner), x.encode(&self.model.parameters)?)
    }

    /// The same with bytes of any kind and a job of one's choice.
    pub fn release_bytes(
        &self,
        owner: usize,
        job: &JobStatement,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Got> {
        let reply = self.call(Request::Release(self.owners[owner].release(job, bytes)))?;
        self.got(owner, job, reply)
    }

    /// What a reply means to the owner.
    pub fn got(&self, owner: usize, job: &JobStatement, reply: Reply) -> anyhow::Result<Got> {
        Ok(match reply.response {
            Response::Refused(problem) => Got::Refused(problem),
            Response::AuditDemanded(demand) => {
                Got::Demanded(Box::new(demand.verify(&self.known.signing)?))
            }
            _ => {
                let payload = self.owners[owner].open(&self.known, job, &released(reply));
                match payload.values {
                    Values::Logits { step, codes } if payload.checks.passed() => {
                        Got::Values(codes.iter().map(|&code| f64::from(code) * step).collect())
                    }
                    _ => Got::Withheld(payload.checks),
                }
            }
        })
    }

    /// An auditor executes a demanded job again; the proof, where it finds another result.
    pub fn audit(
        &self,
        demand: &AuditDemand,
        input: &Ciphertext<InputKey>,
        owner: usize,
    ) -> anyhow::Result<Option<Quarantine>> {
        let right = self.evaluate(owner, input)?.encode(&self.model.parameters)?;
        let finding = AuditFinding {
            execution: Execution { task: demand.task.clone(), result: digest::sha256(&right) },
            auditor: self.auditor.public_key(),
            version: adyton_enclave_weakened::VERSION.to_owned(),
        };
        let signed = Signed::new(&finding, &self.auditor);
        match self.call(Request::SubmitFinding(signed))?.response {
            Response::AuditSettled(None) => Ok(None),
            Response::AuditSettled(Some(proof)) => Ok(Some(proof.verify(&self.known.signing)?)),
            other => anyhow::bail!("not settled: {other:?}"),
        }
    }
}

const STATE: &str = "state";

fn start(folder: &Path, (defences, counts): (Defences, bool)) -> anyhow::Result<Enclave> {
    let inner = Simulated::open_measured(&folder.join("platform"), &std::env::current_exe()?)?;
    let platform = Arc::new(Place { inner, counts });
    let clock = Box::new(Clockwork(Arc::new(AtomicU64::new(NOW))));
    Ok(Enclave::open_weakened(StateFile::claim(&folder.join(STATE))?, platform, clock, defences)?)
}

fn call(enclave: &Enclave, request: Request) -> Reply {
    Reply::decode(&enclave.serve(&request.encode())).unwrap_or_else(|_| Problem::Internal.into())
}

/// The four outputs of a sample.
fn expected(sample: &[f64; 3]) -> [f64; OUTPUTS] {
    let [a, b, c] = [0, 1, 2].map(|i| sample[i] * WEIGHTS[i]);
    [a + b, b + c, c + a, a]
}
