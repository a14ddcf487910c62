//! `adyton infer`: the data owner.

mod canaries;
mod collect;

use self::canaries::{CanaryReport, Hidden};
use super::tickets::Tickets;
use super::{Effort, Stopwatch, connect, identity, trust};
use crate::args::{Infer, InferOutput};
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use crate::samples;
use adyton_client::transport::{Host, JobEvent, JobOutcome, TransportError};
use adyton_client::trust::VerifiedEnclave;
use adyton_client::{DataOwner, Deployment, Job, Outcome, Session, Written, hex};
use adyton_program::limits::MAX_PROGRAM_BYTES;
use adyton_rpc::v1::ObjectKind;
use adyton_rpc::{HostProblem, Problem};
use adyton_wire::statement::{DeploymentStatement, OutputForm, Values};
use adyton_wire::{DeploymentId, Problem as SharedProblem, Signed};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::BufWriter;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds until a job that was not evaluated may no longer be released.
const JOB_LIFE: u64 = 86_400;
/// How often a broken connection to a running job is made anew.
const RETRIES: u32 = 20;

/// What `infer --json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InferReport {
    /// The deployment's id.
    pub(crate) deployment: String,
    /// The session's id.
    pub(crate) session: String,
    /// Whether the enclave's evidence was simulated.
    pub(crate) simulated_evidence: bool,
    /// Number of samples.
    pub(crate) samples: usize,
    /// Groups of lanes that they fill.
    pub(crate) groups: u32,
    /// Label of each sample.
    pub(crate) labels: Vec<u32>,
    /// Outputs of each sample, when the deployment releases logits.
    pub(crate) logits: Option<Vec<Vec<f64>>>,
    /// Canaries that were hidden among the samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) canaries: Option<CanaryReport>,
    /// Bytes of the encrypted inputs.
    pub(crate) input_bytes: u64,
    /// One entry for each job.
    pub(crate) jobs: Vec<JobReport>,
    /// Times, bytes, CPU, memory.
    #[serde(flatten)]
    pub(crate) effort: Effort,
}

/// One job's times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobReport {
    /// The job's id.
    pub(crate) job: String,
    /// From submission to the opened result, as the data owner sees it.
    pub(crate) wall_seconds: f64,
    /// Evaluation alone, as the host says.
    pub(crate) evaluate_seconds: f64,
    /// CPU time of the evaluation, as the host says.
    pub(crate) evaluate_cpu_seconds: f64,
    /// Loading of weights, keys and inputs that were not in the host's memory.
    pub(crate) load_seconds: f64,
    /// From the release request to the enclave's answer.
    pub(crate) release_seconds: f64,
    /// CPU time of the enclave for the release, as the host says.
    pub(crate) enclave_cpu_seconds: f64,
    /// Threads that evaluated.
    pub(crate) threads: u32,
    /// Bits that the release cost in the ledger.
    pub(crate) ledger_bits: u64,
    /// Whether an auditor executed the job too, and found the same.
    #[serde(default)]
    pub(crate) audited: bool,
    /// Entries of the enclave's audit log after this release.
    pub(crate) audit_length: u64,
    /// Digest of the last of them, which the receipt signs: `adyton audit log --head LENGTH:DIGEST`.
    #[serde(default)]
    pub(crate) audit_digest: String,
}

/// Runs an inference and prints the result.
pub(crate) fn run(args: &Infer) -> Result<(), CliError> {
    if args.collect {
        return collect::run(args);
    }
    // Before anything is spent: a result that cannot be written is charged all the same.
    let out = args.out.as_deref().map(samples::NewFile::begin).transpose()?;
    let report = super::block_on(infer(args))?;
    if let (Some(out), Some(logits)) = (out, &report.logits) {
        out.finish_npy(logits)?;
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&render(args.output, &report.labels, report.logits.as_deref())?)?;
    }
    // Only what was delivered is forgotten: whoever is killed before collects it later.
    let tickets = Tickets::beside(&args.identity);
    report.jobs.iter().try_for_each(|job| tickets.remove(&job.job))
}

/// One line a sample.
fn render(
    output: InferOutput,
    labels: &[u32],
    logits: Option<&[Vec<f64>]>,
) -> Result<String, CliError> {
    let lines: Vec<String> = match (output, logits) {
        (InferOutput::Labels, _) => labels.iter().map(u32::to_string).collect(),
        (InferOutput::Logits, Some(logits)) => logits
            .iter()
            .map(|row| row.iter().map(|v| format!("{v:.5}")).collect::<Vec<_>>().join(" "))
            .collect(),
        // The policy was looked at first, so a host that hands out something else stops here.
        (InferOutput::Logits, None) => {
            return Err(CliError::Argument {
                what: "--output",
                value: "logits".into(),
                reason: "no logits were released; use --output labels".into(),
            });
        }
    };
    Ok(lines.join("\n"))
}

async fn infer(args: &Infer) -> Result<InferReport, CliError> {
    let mut progress = Progress::new();
    let mut watch = Stopwatch::start();
    let samples = samples::read(&args.inputs, args.limit)?;
    let (own, known) = (samples.len(), canaries::load(args)?);
    watch.lap("read the samples");
    let Opened { host, enclave, deployment, session } =
        open(args, Some(&samples), &mut progress, &mut watch).await?;

    let (samples, hidden) = Hidden::among(samples, known.as_deref(), args.canaries, &deployment)?;
    progress.begin("encrypt the inputs");
    let (file, input) = tokio::task::block_in_place(|| encrypt(&session, &samples))?;
    watch.lap("encrypt the inputs");

    progress.begin("upload the encrypted inputs");
    let program = deployment.statement().program;
    host.put_object(ObjectKind::Input, input.object, Some(program), file)
        .await
        .map_err(CliError::part("the encrypted inputs were not stored"))?;
    watch.lap("upload the encrypted inputs");

    let tickets = Tickets::beside(&args.identity);
    for message in tickets.of_session(&session.id())? {
        note_pending(&session, &message)?;
    }
    let mut jobs = Vec::new();
    let mut last = None;
    for _ in 0..args.repeat {
        progress.begin("evaluate");
        let began = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let job = session
            .job(input.object, samples.len(), now + JOB_LIFE)
            .map_err(CliError::part("the job cannot be made"))?;
        let message = job.message();
        if let Some(hidden) = &hidden {
            hidden.keep(&tickets, &job.statement().job)?;
        }
        tickets.put(&job.statement().job, &message)?;
        let released = match submit_and_wait(&host, &job, message, &mut progress).await {
            Ok(released) => released,
            Err(error) if is_final(&error) => {
                tickets.remove(&job.statement().job.to_string())?;
                let help = quota_help(&error);
                let error = CliError::part("the job was refused")(error);
                return Err(match help {
                    Some(help) => error.hint(help),
                    None => error,
                });
            }
            Err(error) => {
                let error = CliError::part("the job's result cannot be had now")(error);
                return Err(error
                    .hint("the job is kept: `adyton infer --collect` asks for its result again"));
            }
        };
        let outcome = session
            .open_result(&job, &released.released)
            .map_err(CliError::part("the result cannot be believed"))?;
        if !outcome.payload.checks.passed() {
            tickets.remove(&job.statement().job.to_string())?;
            return Err(CliError::Checks(outcome.payload.checks.0));
        }
        let values = match canaries::own_values(hidden.as_ref(), &outcome, &deployment) {
            Ok(values) => values,
            Err(error) => {
                tickets.remove(&job.statement().job.to_string())?;
                return Err(error);
            }
        };
        jobs.push(job_report(&job, &released, &outcome, began.elapsed()));
        last = Some((job, values));
    }
    watch.lap("evaluate, release, open, verify");
    progress.end(None);

    let (job, (labels, logits)) = last.ok_or_else(|| CliError::Argument {
        what: "--repeat",
        value: args.repeat.to_string(),
        reason: "expected at least 1".into(),
    })?;
    Ok(InferReport {
        deployment: deployment.id().to_string(),
        session: session.id().to_string(),
        simulated_evidence: enclave.claims().simulated,
        samples: own,
        groups: job.statement().groups,
        labels,
        logits,
        canaries: hidden.as_ref().map(Hidden::report),
        input_bytes: input.length,
        jobs,
        effort: Effort::of(watch, &host)?,
    })
}

/// The deployment as its model owner signed it, and its program.
async fn deployment(host: &Host, id: DeploymentId) -> Result<Deployment, CliError> {
    let fail = || CliError::part("the deployment cannot be had");
    let listed = host.deployment(&id).await.map_err(fail())?;
    let listed = listed.ok_or_else(|| CliError::Argument {
        what: "--deployment",
        value: id.to_string(),
        reason: "the host knows no such deployment; ask its model owner for the id and the host"
            .into(),
    })?;
    let statement = Signed::<DeploymentStatement>::decode(&listed.deployment_message)
        .map_err(CliError::part("the host's deployment statement is malformed"))?;
    let program = host.program(&id, MAX_PROGRAM_BYTES).await.map_err(fail())?;
    Deployment::verify(id, &statement, &program)
        .map_err(CliError::part("the host's deployment cannot be believed"))
}

/// Refuses to ask for what the policy does not release, before anything is spent on it.
fn check_output(args: &Infer, form: &OutputForm) -> Result<(), CliError> {
    let (what, value) = match (&args.out, args.output) {
        (Some(path), _) => ("--out", path.display().to_string()),
        (None, InferOutput::Logits) => ("--output", "logits".to_owned()),
        (None, InferOutput::Labels) => return Ok(()),
    };
    if matches!(form, OutputForm::Logits { .. }) {
        return Ok(());
    }
    let reason = "this deployment releases no logits; use --output labels".to_owned();
    Err(CliError::Argument { what, value, reason })
}

/// Everything before the first input.
struct Opened {
    host: Host,
    enclave: VerifiedEnclave,
    deployment: Deployment,
    session: Session,
}

async fn open(
    args: &Infer,
    samples: Option<&[Vec<f64>]>,
    progress: &mut Progress,
    watch: &mut Stopwatch,
) -> Result<Opened, CliError> {
    let id = args.deployment.parse::<DeploymentId>().map_err(|e| CliError::Argument {
        what: "--deployment",
        value: args.deployment.clone(),
        reason: format!("expected the 64 hexadecimal digits that `adyton publish` printed ({e})"),
    })?;
    let owner = DataOwner::new(identity(&args.identity, "data owner")?);
    progress.begin("appraise the enclave");
    let host = connect(&args.connection).await?;
    let enclave = trust::challenge(&host, &args.trust).await?;
    let deployment = deployment(&host, id).await?;
    check_output(args, &deployment.statement().policy.output)?;
    if let Some(samples) = samples {
        let fail = "the inputs do not fit the network";
        deployment.check_samples(samples).map_err(CliError::part(fail))?;
    }
    watch.lap("appraise the enclave");

    progress.begin("open the session");
    let fail = "the session request cannot be made";
    let opening = owner.open(&enclave, &deployment, args.session).map_err(CliError::part(fail))?;
    let message = opening.message().to_vec();
    let answer = host
        .open_session(message, |event| {
            progress.detail(&format!("the enclave made key {} of {}", event.made, event.total));
        })
        .await
        .map_err(|error| {
            let help = match error.problem() {
                Some("not-allowed") => {
                    let key = owner.public_key();
                    Some(format!("the model owner must admit your key: --allow-owner {key}"))
                }
                _ => quota_help(&error).map(str::to_owned),
            };
            let error = CliError::part("the session was not opened")(error);
            match help {
                Some(help) => error.hint(help),
                None => error,
            }
        })?;
    let session =
        opening.confirm(&answer).map_err(CliError::part("the session cannot be believed"))?;
    watch.lap("open the session");
    Ok(Opened { host, enclave, deployment, session })
}

fn encrypt(session: &Session, samples: &[Vec<f64>]) -> Result<(File, Written), CliError> {
    let file = tempfile::tempfile().map_err(CliError::part("no temporary file"))?;
    let (writer, written) = session
        .encrypt_inputs(samples, BufWriter::new(file))
        .map_err(CliError::part("the inputs cannot be encrypted"))?;
    let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
    Ok((file.map_err(CliError::part("the encrypted inputs cannot be written"))?, written))
}

/// What to do about a refusal by the policy.
fn quota_help(error: &TransportError) -> Option<&'static str> {
    match error.problem()? {
        "quota-exceeded" => Some(
            "the model owner's policy bounds jobs, sessions, ciphertexts and bits; a session opened before may have room \
             (--session), else ask the model owner for a new deployment",
        ),
        "quarantined" => Some(
            "an auditor found another result than this host's; `adyton audit proof` fetches the proof. The deployment is closed: \
             ask the model owner for one on another host",
        ),
        "expired" => Some("ask the model owner for a new deployment"),
        _ => None,
    }
}

/// Whether a refusal ends a job for good. After one that names no problem, or that of a host which failed itself or is full
/// of jobs, the same job may still be released.
fn is_final(error: &TransportError) -> bool {
    match error.problem().and_then(Problem::from_name) {
        None
        | Some(Problem::Shared(SharedProblem::Internal | SharedProblem::Busy))
        | Some(Problem::Host(HostProblem::QueueFull)) => false,
        Some(_) => true,
    }
}

/// Submits a job and waits for its result; a broken connection is made anew, the same job submitted again.
async fn submit_and_wait(
    host: &Host,
    job: &Job,
    message: Vec<u8>,
    progress: &mut Progress,
) -> Result<JobOutcome, TransportError> {
    let (session, id) = (job.statement().session, job.statement().job);
    let mut attempt = 0;
    loop {
        let result = async {
            host.submit(message.clone()).await?;
            host.outcome(&session, &id, |event| match event {
                JobEvent::Queued { ahead } => progress.detail(&format!("{ahead} jobs before it")),
                JobEvent::Evaluating { done, total } => {
                    progress.detail(&format!("step {done} of {total}"));
                }
                JobEvent::Releasing => progress.detail("the enclave releases the result"),
                JobEvent::Auditing => progress.detail("an auditor executes a job again"),
            })
            .await
        }
        .await;
        match result {
            Err(TransportError::Unavailable { message, .. }) if attempt < RETRIES => {
                attempt += 1;
                progress.detail(&format!("connection lost ({message}); trying again"));
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            other => return other,
        }
    }
}

fn note_pending(session: &Session, message: &[u8]) -> Result<(), CliError> {
    let job = session
        .stored_job(message)
        .map_err(CliError::part("a stored job of this session cannot be used"))?;
    output::note(&format!(
        "Note: job {} of this session was submitted earlier and its result not collected; `adyton infer --collect` fetches it.",
        job.statement().job
    ));
    Ok(())
}

fn job_report(job: &Job, released: &JobOutcome, outcome: &Outcome, wall: Duration) -> JobReport {
    let timings = &released.timings;
    JobReport {
        job: job.statement().job.to_string(),
        wall_seconds: wall.as_secs_f64(),
        evaluate_seconds: timings.evaluate_seconds,
        evaluate_cpu_seconds: timings.evaluate_cpu_seconds,
        load_seconds: timings.load_seconds,
        release_seconds: timings.release_seconds,
        enclave_cpu_seconds: timings.enclave_cpu_seconds,
        threads: timings.threads,
        ledger_bits: outcome.receipt.bits,
        audited: outcome.receipt.audited,
        audit_length: outcome.receipt.audit.length,
        audit_digest: hex::encode(&outcome.receipt.audit.digest),
    }
}

/// Labels, and logits where they were released.
fn values(outcome: &Outcome, outputs: u32) -> (Vec<u32>, Option<Vec<Vec<f64>>>) {
    let outputs = outputs.max(1) as usize;
    match &outcome.payload.values {
        Values::Labels(labels) => (labels.clone(), None),
        Values::TopK { entries, .. } => {
            let each = entries.len() / (outcome.payload.samples.max(1) as usize);
            let first = |c: &[(u32, i32)]| c.first().map_or(0, |e| e.0);
            (entries.chunks(each.max(1)).map(first).collect(), None)
        }
        Values::Logits { step, codes } => {
            let logits: Vec<Vec<f64>> = codes
                .chunks(outputs)
                .map(|row| row.iter().map(|&code| f64::from(code) * step).collect())
                .collect();
            (logits.iter().map(|row| samples::label(row)).collect(), Some(logits))
        }
    }
}
