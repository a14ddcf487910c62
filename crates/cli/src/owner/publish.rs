//! `adyton publish`: the model owner.

use super::{Effort, Stopwatch, connect, identity, trust};
use crate::args::{OutputForm, Publish};
use crate::error::CliError;
use crate::output;
use crate::program_files::{self, Compiled};
use crate::progress::Progress;
use adyton_client::leakage::{DELTA, LeakBound, key_entropy};
use adyton_client::transport::Host;
use adyton_client::{ModelOwner, Written};
use adyton_program::{VerifiedProgram, bounds};
use adyton_rpc::v1::ObjectKind;
use adyton_wire::statement::{
    AUDIT_RATE_ALL, AuditPolicy, DataOwners, OutputForm as WireForm, Policy,
};
use adyton_wire::{ObjectId, ProgramId, PublicKey, digest};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::time::{SystemTime, UNIX_EPOCH};

/// What `publish --json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishReport {
    /// The deployment's id, for the data owners.
    pub(crate) deployment: String,
    /// The program's id.
    pub(crate) program: String,
    /// The encrypted model's id on the host.
    pub(crate) model: String,
    /// Public key of the model owner.
    pub(crate) owner: String,
    /// Whether the enclave's evidence was simulated.
    pub(crate) simulated_evidence: bool,
    /// Bytes of the encrypted model.
    pub(crate) model_bytes: u64,
    /// What may leak of the model to a host in league with a data owner.
    pub(crate) leak: LeakReport,
    /// Times, bytes, CPU, memory.
    #[serde(flatten)]
    pub(crate) effort: Effort,
}

/// The bound on what may leak of the model, in bits (THREATS.md, level C).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LeakReport {
    /// Most bits of one release.
    pub(crate) bits_per_release: u64,
    /// Share of jobs that are audited.
    pub(crate) audit_rate: f64,
    /// Most bits before a cheating host is caught, except with probability `delta`; absent without audits.
    pub(crate) bits_before_caught: Option<f64>,
    /// See `bits_before_caught`.
    pub(crate) delta: f64,
    /// What the ledger allows one session.
    pub(crate) bits_per_session: u64,
    /// What the ledger allows in all.
    pub(crate) bits_total: u64,
    /// Bits that a secret key has.
    pub(crate) key_bits: f64,
    /// Standard deviation of the flooding noise, in units of the outputs.
    pub(crate) flooding: f64,
    /// Value of a released code's last bit; absent for labels.
    pub(crate) rounding_step: Option<f64>,
}

impl LeakReport {
    fn new(policy: &Policy, program: &VerifiedProgram) -> Self {
        let output = &program.program().output;
        let (lanes, outputs) = (program.program().input.lanes, output.outputs);
        let values = u64::from(lanes) * u64::from(outputs);
        let norm = bounds::released_norm(values, output.deviation, output.released_deviation);
        let bound = LeakBound::new(policy, lanes, outputs, DELTA);
        let rate = policy.audit.map_or(0, |audit| audit.rate_ppm);
        Self {
            bits_per_release: bound.per_release,
            audit_rate: f64::from(rate) / f64::from(AUDIT_RATE_ALL),
            bits_before_caught: bound.before_caught,
            delta: DELTA,
            bits_per_session: bound.per_session,
            bits_total: bound.ledger,
            key_bits: key_entropy(1 << program.parameters().log_n()),
            flooding: bounds::flooding(policy.ciphertexts_per_session, norm),
            rounding_step: match policy.output {
                WireForm::Logits { bits } | WireForm::TopK { bits, .. } => {
                    Some(output.range / f64::from(1u32 << (bits - 1)))
                }
                WireForm::Label => None,
            },
        }
    }

    /// What the ledger means for the keys, and what flooding does to results; for people.
    fn consequences(&self) -> String {
        let key = match self.bits_total as f64 >= self.key_bits {
            true => format!(
                "A secret key has {:.0} bits. The ledger allows more ({} a session, {} in all), so it alone does not keep crafted \
                 ciphertexts from reading the model key and with it every weight: audits do, or a smaller ledger.",
                self.key_bits, self.bits_per_session, self.bits_total
            ),
            false => format!(
                "A secret key has {:.0} bits; the ledger ({} a session, {} in all) leaves it undetermined, but a part of a key known \
                 makes the rest easier to find.",
                self.key_bits, self.bits_per_session, self.bits_total
            ),
        };
        let step = self.rounding_step.map_or_else(
            || "results are labels".to_owned(),
            |step| format!("results are rounded to multiples of {step:.2e}"),
        );
        format!("{key}\nFlooding noise has standard deviation {:.2e}; {step}.", self.flooding)
    }

    /// For people.
    fn sentence(&self) -> String {
        match self.bits_before_caught {
            None => format!(
                "No job is audited (--audit-rate): a host in league with a data owner learns up to {} bits about the model, all that \
                 the ledger allows.",
                self.bits_total
            ),
            Some(bits) => format!(
                "A host that cheats in league with a data owner learns at most {bits:.0} bits about the model before an audit catches \
                 it (rate {}, {} bits a release), but for one chance in a million; the ledger ends it at {} bits.",
                self.audit_rate, self.bits_per_release, self.bits_total
            ),
        }
    }
}

/// Publishes and prints what came of it.
pub(crate) fn run(args: &Publish) -> Result<(), CliError> {
    let report = super::block_on(publish(args))?;
    if args.json {
        return output::json(&report);
    }
    output::note(&format!(
        "Published program {} with {} of encrypted weights, {} sent.",
        report.program,
        output::bytes(report.model_bytes),
        output::bytes(report.effort.bytes.sent)
    ));
    output::note("The deployment's id, for the data owners:");
    output::text(&report.deployment)
}

async fn publish(args: &Publish) -> Result<PublishReport, CliError> {
    let mut progress = Progress::new();
    let mut watch = Stopwatch::start();
    let policy = policy(args)?;
    let Compiled { program, weights } = program_files::load(&args.directory)?;
    let outputs = program.program().output.outputs;
    if let OutputForm::TopK { k, .. } = args.output
        && u32::from(k) > outputs
    {
        return Err(CliError::Argument {
            what: "--output",
            value: args.output.to_string(),
            reason: format!("the network has {outputs} outputs"),
        });
    }
    let owner = ModelOwner::new(identity(&args.identity, "model owner")?);
    if policy.owners == DataOwners::Listed(Vec::new()) {
        output::note(
            "Note: no --allow-owner was given, so nobody will be able to use this deployment.",
        );
    }
    let leak = LeakReport::new(&policy, &program);
    // Before anything is encrypted or registered: a policy that one would rather not have can still be changed.
    if !args.json {
        output::note(&leak.sentence());
        output::note(&leak.consequences());
    }
    watch.lap("load program and weights");

    progress.begin("appraise the enclave");
    let host = connect(&args.connection).await?;
    let enclave = trust::challenge(&host, &args.trust).await?;
    watch.lap("appraise the enclave");

    progress.begin("encrypt the weights");
    let (file, model) = tokio::task::block_in_place(|| -> Result<(File, Written), CliError> {
        let file = tempfile::tempfile().map_err(CliError::part("no temporary file"))?;
        let (writer, model) = owner
            .encrypt_model(&program, weights.vectors(), args.model_key, BufWriter::new(file))
            .map_err(CliError::part("the weights cannot be encrypted"))?;
        let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
        Ok((file.map_err(CliError::part("the encrypted model cannot be written"))?, model))
    })?;
    // What is in the clear here goes as early as it can.
    drop(weights);
    watch.lap("encrypt the weights");

    progress.begin("upload the encrypted model");
    upload(&host, &program, file, &model).await?;
    watch.lap("upload the encrypted model");

    progress.begin("register the deployment");
    let registration = owner
        .register(&enclave, &program, model.object, args.model_key, policy)
        .map_err(CliError::part("the registration cannot be made"))?;
    let answer = host
        .register(registration.message().to_vec(), model.object)
        .await
        .map_err(CliError::part("the deployment was not registered"))?;
    let registered = registration
        .confirm(&answer)
        .map_err(CliError::part("the deployment is not registered as it should be"))?;
    watch.lap("register the deployment");
    progress.end(None);

    Ok(PublishReport {
        deployment: registered.deployment.to_string(),
        program: registered.program.to_string(),
        model: model.object.to_string(),
        owner: owner.public_key().to_string(),
        simulated_evidence: enclave.claims().simulated,
        model_bytes: model.length,
        leak,
        effort: Effort::of(watch, &host)?,
    })
}

async fn upload(
    host: &Host,
    program: &VerifiedProgram,
    file: File,
    model: &Written,
) -> Result<(), CliError> {
    let bytes = program.program().encode();
    let id = ObjectId(digest::sha256(&bytes));
    host.put_object(ObjectKind::Program, id, None, Cursor::new(bytes))
        .await
        .map_err(CliError::part("the program was not stored"))?;
    host.put_object(ObjectKind::Model, model.object, Some(ProgramId(program.id())), file)
        .await
        .map_err(CliError::part("the encrypted model was not stored"))?;
    Ok(())
}

/// The release policy that the flags describe.
fn policy(args: &Publish) -> Result<Policy, CliError> {
    let mut keys = Vec::new();
    let mut any = false;
    for owner in &args.allow_owners {
        if owner == "any" {
            any = true;
        } else {
            keys.push(PublicKey::from_hex(owner).map_err(|_| CliError::Argument {
                what: "--allow-owner",
                value: owner.clone(),
                reason: "expected a public key as `adyton keygen` prints it, or `any`".into(),
            })?);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    let audit = audit_policy(args)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(Policy {
        owners: if any { DataOwners::Any } else { DataOwners::Listed(keys) },
        sessions_per_owner: args.max_sessions_per_owner,
        ciphertexts_per_session: args.max_ciphertexts,
        jobs_per_owner: args.max_jobs_per_owner,
        jobs_total: args.max_jobs,
        bits_per_session: args.bits_per_session,
        bits_total: args.bits_total,
        expires: now.saturating_add(u64::from(args.expires_in_days) * 86_400),
        output: match args.output {
            OutputForm::Logits { bits } => WireForm::Logits { bits },
            OutputForm::TopK { k, bits } => WireForm::TopK { k, bits },
            OutputForm::Label => WireForm::Label,
        },
        audit,
        ..Policy::deny()
    })
}

/// Which jobs are audited, and by whom.
fn audit_policy(args: &Publish) -> Result<Option<AuditPolicy>, CliError> {
    let wrong = |reason: &str| CliError::Argument {
        what: "--audit-rate",
        value: args.audit_rate.to_string(),
        reason: reason.to_owned(),
    };
    if !(0.0..=1.0).contains(&args.audit_rate) {
        return Err(wrong("expected a share from 0 to 1"));
    }
    // Between 0 and a million: the rate was checked.
    let rate_ppm = (args.audit_rate * f64::from(AUDIT_RATE_ALL)).round() as u32;
    match (&args.auditor, rate_ppm) {
        (None, 0) if args.audit_rate == 0.0 => Ok(None),
        (_, 0) => Err(wrong("an auditor needs a share of at least 0.000001 to audit")),
        (None, _) => Err(wrong("name the --auditor who shall execute these jobs again")),
        (Some(key), _) => match PublicKey::from_hex(key) {
            Ok(auditor) => Ok(Some(AuditPolicy { rate_ppm, auditor })),
            Err(_) => Err(CliError::Argument {
                what: "--auditor",
                value: key.clone(),
                reason: "expected a public key as `adyton keygen` prints it".into(),
            }),
        },
    }
}
