//! A deployment with two data owners on rings small enough to attack by hand, and the host's powers over it.

use std::path::{Path, PathBuf};

use adyton_ckks::{
    Ciphertext, Encoder, Evaluator, InputKey, ModelKey, ResultKey, Scale, SwitchTerm, Weight,
};
use adyton_enclave_weakened::{Defence, Defences, Restart};
use adyton_ring::{Ntt, Poly};
use adyton_wire::statement::*;
use adyton_wire::*;
use anyhow::Context;

use crate::common::{DataOwner, Host, Known, LANES, ModelOwner, open, policy, register, released};
use crate::machine::Machine;
use crate::network::{Layout, RANGE, SAMPLES, expected, program};

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
    /// Jobs of an owner, and of all.
    pub jobs: u32,
    /// Result ciphertexts of a session.
    pub ciphertexts: u32,
    /// Whether the platform has a monotonic counter.
    pub counts: bool,
    /// What a restart does where it has none.
    pub restart: Restart,
}

impl Setup<'_> {
    /// The usual world, with all defences.
    pub const USUAL: Setup<'static> = Setup {
        missing: &[],
        layout: Layout::Declared,
        range: RANGE,
        bits: 16,
        audit_ppm: 0,
        ledger: 1 << 20,
        jobs: 64,
        ciphertexts: 64,
        counts: true,
        restart: Restart::Continue,
    };
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self::USUAL
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
    machine: Machine,
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
        let defences = Defences::without(setup.missing);
        let machine = Machine::new(defences, setup.counts, setup.restart)?;
        let mut call = |request| call(&machine, request);
        let known = Known::challenge(&mut call);
        let auditor = SigningKey::generate()?;
        let keys = [SigningKey::generate()?, SigningKey::generate()?];
        let audit = AuditPolicy { rate_ppm: setup.audit_ppm, auditor: auditor.public_key() };
        let policy = Policy {
            ciphertexts_per_session: setup.ciphertexts,
            jobs_per_owner: setup.jobs,
            jobs_total: setup.jobs,
            bits_per_session: setup.ledger,
            bits_total: setup.ledger.saturating_mul(2),
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
        Ok(Self { machine, known, model, owners, hosts, auditor, evaluator, encoder, samples })
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
        Ok(Reply::decode(&self.serve(&request.encode())?)?)
    }

    /// The bytes of a reply for the bytes of a request.
    pub fn serve(&self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.machine.serve(request)
    }

    /// Stops the enclave, lets the host do something to its folder, and starts it again.
    pub fn restart(
        &mut self,
        change: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        self.machine.restart(change)
    }

    /// The folder of the sealed state.
    pub fn state(&self) -> PathBuf {
        self.machine.state()
    }

    /// What the owners send to register and to open their sessions, sealed to the enclave that they know.
    pub fn entries(&self) -> Vec<Request> {
        let sessions = self.owners.iter().map(|owner| owner.opening(&self.known));
        let registration = Request::RegisterDeployment(self.model.registration(&self.known));
        std::iter::once(registration).chain(sessions.map(Request::OpenSession)).collect()
    }

    /// The owners meet the enclave as it is now: the same deployment, the same sessions.
    pub fn enter_again(&mut self) -> anyhow::Result<()> {
        self.known = Known::challenge(&mut |request| call(&self.machine, request));
        for entry in self.entries() {
            let reply = self.call(entry)?;
            anyhow::ensure!(!matches!(reply.response, Response::Refused(_)), "{reply:?}");
        }
        Ok(())
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

fn call(machine: &Machine, request: Request) -> Reply {
    let reply = machine.serve(&request.encode());
    reply.ok().and_then(|bytes| Reply::decode(&bytes).ok()).unwrap_or(Problem::Internal.into())
}
