//! `adyton audit run`.

use super::fetch::Fetched;
use crate::args::AuditRun;
use crate::error::CliError;
use crate::output;
use crate::owner::{block_on, connect, identity, trust};
use adyton_auditor::Task;
use adyton_client::transport::{Host, TransportError};
use adyton_client::trust::VerifiedEnclave;
use adyton_program::limits::MAX_PROGRAM_BYTES;
use adyton_wire::statement::{DeploymentStatement, Statement};
use adyton_wire::{JobId, SessionId, Signed, SigningKey};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `audit run --json` prints for each finding.
#[derive(Serialize)]
struct Found {
    deployment: String,
    session: String,
    job: String,
    /// Whether the host had committed to the same result.
    agrees: bool,
    /// Digest of the execution as found: inputs, weights, keys, program and result.
    execution: String,
    /// Where the proof is, when host and auditor disagree.
    proof: Option<PathBuf>,
    load_seconds: f64,
    evaluate_seconds: f64,
}

struct Auditor {
    host: Host,
    enclave: VerifiedEnclave,
    key: SigningKey,
    threads: usize,
    proofs: PathBuf,
    fetched: Fetched,
}

pub(super) fn run(args: &AuditRun, json: bool) -> Result<(), CliError> {
    block_on(serve(args, json))
}

async fn serve(args: &AuditRun, json: bool) -> Result<(), CliError> {
    let key = identity(&args.identity, "auditor")?.signing_key();
    let threads = super::threads(args.threads)?;
    let host = connect(&args.connection).await?;
    let enclave = trust::challenge(&host, &args.trust).await?;
    let proofs = args.proofs.clone();
    let mut auditor = Auditor { host, enclave, key, threads, proofs, fetched: Fetched::default() };
    output::note(&format!("Auditor {} waits for jobs.", auditor.key.public_key()));
    loop {
        match auditor.look(json).await {
            Ok(()) if args.once => return Ok(()),
            Ok(()) => {}
            Err(error) if args.once => return Err(error),
            // The host may be away for a while, or have lied about one job: the next look may go better.
            Err(error) => output::note(&error.render()),
        }
        tokio::time::sleep(Duration::from_secs_f64(args.every)).await;
    }
}

impl Auditor {
    /// Settles every open audit; the first that cannot be settled is the error, after all others were tried.
    async fn look(&mut self, json: bool) -> Result<(), CliError> {
        let open = self.host.audits(&self.key.public_key()).await;
        let open = open.map_err(CliError::part("the host tells no audits"))?;
        let mut failed = None;
        for (session, job) in open {
            match self.settle(&session, &job).await {
                Ok(None) => {}
                Ok(Some(found)) => say(&found, json)?,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Executes one job and submits what it came to; `None` when its audit ended meanwhile.
    async fn settle(
        &mut self,
        session: &SessionId,
        job: &JobId,
    ) -> Result<Option<Found>, CliError> {
        let work = match self.host.audit_work(session, job).await {
            Err(error) if is_over(&error) => return Ok(None),
            work => work.map_err(part(job))?,
        };
        let demand = Signed::decode(&work.demand).map_err(part(job))?;
        let deployment =
            Signed::<DeploymentStatement>::decode(&work.deployment).map_err(part(job))?;
        let keys = work.keys.iter().map(|key| Signed::decode(key)).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(part(job))?;
        let id = deployment.unverified().map_err(part(job))?.id();
        let program = self.host.program(&id, MAX_PROGRAM_BYTES).await.map_err(part(job))?;
        let (enclave, own) = (*self.enclave.signing_key(), self.key.public_key());
        let task = Task::verify(&enclave, &own, &demand, &deployment, &program, &keys);
        let task = task.map_err(part(job))?;
        let executed = self.fetched.execute(&self.host, &task, self.threads).await?;
        let finding = task.finding(executed.result, &self.key);
        let proof = match self.host.submit_finding(finding.encode()).await {
            Err(error) if is_over(&error) => return Ok(None),
            proof => proof.map_err(part(job))?,
        };
        let finding = finding.unverified().map_err(part(job))?;
        let proof = proof.map(|proof| self.keep(&job.to_string(), &proof)).transpose()?;
        Ok(Some(Found {
            deployment: task.job().deployment.to_string(),
            session: session.to_string(),
            job: job.to_string(),
            agrees: proof.is_none(),
            execution: adyton_client::hex::encode(&finding.execution.digest()),
            proof,
            load_seconds: executed.load.as_secs_f64(),
            evaluate_seconds: executed.evaluate.as_secs_f64(),
        }))
    }

    fn keep(&self, job: &str, proof: &[u8]) -> Result<PathBuf, CliError> {
        let make = CliError::file("make", &self.proofs);
        std::fs::create_dir_all(&self.proofs).map_err(make)?;
        let path = self.proofs.join(format!("{job}.proof"));
        super::verify::write(&path, proof)?;
        Ok(path)
    }
}

/// `map_err` for what goes wrong with one job.
fn part<E: std::error::Error + Send + Sync + 'static>(job: &JobId) -> impl FnOnce(E) -> CliError {
    CliError::part(format!("job {job} cannot be audited"))
}

/// Whether the audit ended before: settled, or its job refused.
fn is_over(error: &TransportError) -> bool {
    matches!(error.problem(), Some("no-audit" | "unknown-job"))
}

fn say(found: &Found, json: bool) -> Result<(), CliError> {
    if json {
        // One line each: the command goes on.
        let line = serde_json::to_string(found).map_err(CliError::part("the finding"))?;
        return output::text(&line);
    }
    output::text(&match &found.proof {
        None => format!(
            "job {}: agrees ({:.2} s to load, {:.2} s to evaluate)",
            found.job, found.load_seconds, found.evaluate_seconds
        ),
        Some(path) => format!(
            "job {}: DIFFERS from the host's result; deployment {} is closed, the proof is {}",
            found.job,
            found.deployment,
            Path::display(path)
        ),
    })
}
