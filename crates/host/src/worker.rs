//! Takes jobs from acceptance to result: evaluation, then release by the enclave.
//!
//! Each step is on disk before the next begins, so a job that a crash interrupted goes on where it was: one whose result
//! ciphertexts are stored is not evaluated again, and the enclave answers a repeated release with the bytes of the first.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use adyton_rpc::HostProblem;
use adyton_rpc::v1::{ObjectKind, Timings};
use adyton_wire::message::{HealthReport, Release};
use adyton_wire::statement::JobStatement;
use adyton_wire::{JobId, ObjectId, Problem as SharedProblem, Request, Response, Signed};

use crate::core::{Core, unix_ms, unix_seconds};
use crate::error::HostError;
use crate::evaluate::{EvaluateError, Work, evaluate};
use crate::jobs::JobStatus;
use crate::link::LinkError;
use crate::store::meta::{Id, JobKey};
use crate::store::record::{JobRecord, RefusalRecord};

/// First and longest wait before work that failed for a passing reason is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Evaluates jobs for ever. Several may run: while one evaluates, another loads.
pub(crate) async fn evaluate_jobs(core: Arc<Core>, cancel: Arc<AtomicBool>) {
    loop {
        let key = core.jobs.to_evaluate.pop().await;
        let mut wait = RETRY.0;
        loop {
            match evaluate_job(&core, key, &cancel).await {
                Ok(()) => break core.jobs.to_release.push(key),
                Err(EvaluateError::Cancelled) => return,
                Err(EvaluateError::Host(error)) if error.is_transient() => {
                    tracing::warn!(job = %JobId(key.1), %error, "evaluation is tried again");
                    pause(&mut wait).await;
                }
                Err(EvaluateError::Host(error)) => break refuse(&core, key, &error).await,
            }
        }
    }
}

/// Has jobs released for ever.
pub(crate) async fn release_jobs(core: Arc<Core>) {
    loop {
        let key = core.jobs.to_release.pop().await;
        core.jobs.set(key, JobStatus::Releasing);
        let mut wait = RETRY.0;
        loop {
            let seen = core.jobs.audits_ended();
            match release_job(&core, key).await {
                Ok(Asked::Released) => break,
                Ok(Asked::WaitsForAudit(deployment)) => {
                    break core.jobs.set_aside(key, deployment, seen);
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!(job = %JobId(key.1), %error, "release is tried again");
                    pause(&mut wait).await;
                }
                Err(error) => break refuse(&core, key, &error).await,
            }
        }
    }
}

async fn pause(wait: &mut Duration) {
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(RETRY.1);
}

fn record(core: &Core, key: JobKey) -> Result<JobRecord, HostError> {
    let missing = || HostError::Damaged("a queued job has no record".to_owned());
    core.meta.job(key)?.ok_or_else(missing)
}

fn statement(record: &JobRecord) -> Result<JobStatement, HostError> {
    Ok(Signed::<JobStatement>::decode(&record.signed)?.unverified()?)
}

fn to_id(bytes: &[u8]) -> Result<Id, HostError> {
    bytes.try_into().map_err(|_| HostError::Damaged("an id in the metadata".to_owned()))
}

async fn evaluate_job(
    core: &Arc<Core>,
    key: JobKey,
    cancel: &Arc<AtomicBool>,
) -> Result<(), EvaluateError> {
    let record = record(core, key)?;
    let job = statement(&record)?;
    if job.expires <= unix_seconds() {
        return Err(HostError::refused(SharedProblem::Expired, "the job has expired").into());
    }
    let deployment = core.deployment(job.deployment)?;
    let session = core.session(job.session)?;
    if session.keys_object.is_empty() {
        let message = "the session began anew; its keys are not all stored";
        return Err(HostError::refused(HostProblem::KeysMissing, message).into());
    }
    let work = Work {
        key,
        program: core.program(job.program.0).await?,
        model: to_id(&deployment.model_object)?,
        keys: to_id(&session.keys_object)?,
        job,
    };
    let (groups, threads) = (work.job.groups, core.threads);
    let evaluated = evaluate(core, work, cancel).await?;
    let kind = ObjectKind::Result as i32;
    let result = core.objects.put(kind, evaluated.ciphertexts, None).await;
    let result = result.map_err(HostError::from)?;
    let timings = Timings {
        evaluate_seconds: evaluated.wall.as_secs_f64(),
        evaluate_cpu_seconds: evaluated.cpu.as_secs_f64(),
        load_seconds: evaluated.load.as_secs_f64(),
        groups,
        threads: u32::try_from(threads).unwrap_or(u32::MAX),
        ..Timings::default()
    };
    core.metrics.evaluate_seconds.inc_by(timings.evaluate_seconds);
    core.metrics.evaluate_cpu_seconds.inc_by(timings.evaluate_cpu_seconds);
    tracing::info!(
        job = %JobId(key.1),
        groups,
        seconds = timings.evaluate_seconds,
        load_seconds = timings.load_seconds,
        "job evaluated"
    );
    let record = JobRecord {
        result_object: result.to_vec(),
        keys_object: session.keys_object,
        timings: Some(timings),
        ..record
    };
    core.meta.put_job(key, record).await.map_err(HostError::from)?;
    Ok(())
}

/// What came of asking for a release.
enum Asked {
    Released,
    /// The deployment waits for a finding, on this job or another.
    WaitsForAudit(Id),
}

async fn release_job(core: &Core, key: JobKey) -> Result<Asked, HostError> {
    let record = record(core, key)?;
    let deployment = statement(&record)?.deployment.0;
    let keys = ObjectId(to_id(&record.keys_object)?);
    let job = Signed::<JobStatement>::decode(&record.signed)?;
    let ciphertexts = core.objects.read(to_id(&record.result_object)?).await?;
    let cpu_before = release_cpu(core).await;
    let started = Instant::now();
    let request = Request::Release(Release { job, ciphertexts, keys });
    let released = match core.ask(request).await {
        Ok(Response::Released(released)) => released,
        Ok(Response::AuditDemanded(demand)) => {
            let record = JobRecord { demand: demand.encode(), ..record };
            core.meta.put_job(key, record).await?;
            tracing::info!(job = %JobId(key.1), "the enclave demands an audit");
            return Ok(Asked::WaitsForAudit(deployment));
        }
        Ok(_) => return Err(LinkError::Unexpected.into()),
        Err(error) if error.problem() == SharedProblem::AuditOpen.into() => {
            return Ok(Asked::WaitsForAudit(deployment));
        }
        Err(error) => return Err(error),
    };
    let release_seconds = started.elapsed().as_secs_f64();
    let cpu_after = release_cpu(core).await;

    let mut timings = record.timings.unwrap_or_default();
    timings.release_seconds = release_seconds;
    timings.enclave_cpu_seconds = match (cpu_before, cpu_after) {
        (Some(before), Some(after)) => (after - before).max(0.0),
        _ => 0.0,
    };
    let total_ms = unix_ms().saturating_sub(record.accepted_unix_ms);
    timings.total_seconds = Duration::from_millis(total_ms).as_secs_f64();
    let (released, demand) = (released.encode(), Vec::new());
    let record = JobRecord { released, demand, timings: Some(timings), ..record };
    core.meta.put_job(key, record).await?;
    core.metrics.jobs_done.inc();
    core.metrics.jobs_open.dec();
    tracing::info!(job = %JobId(key.1), release_seconds, "job done");
    core.jobs.finish(key, JobStatus::Done);
    Ok(Asked::Released)
}

/// The enclave's own use of resources; `None` while it does not tell.
pub(crate) async fn health(core: &Core) -> Option<HealthReport> {
    match core.link.call(&Request::Health).await.map(|reply| reply.response) {
        Ok(Response::Health(report)) => Some(report),
        _ => None,
    }
}

async fn release_cpu(core: &Core) -> Option<f64> {
    Some(Duration::from_micros(health(core).await?.release_cpu_micros).as_secs_f64())
}

/// Ends a job with a problem. The record must be written; until then the job is not refused.
async fn refuse(core: &Core, key: JobKey, error: &HostError) {
    let problem = error.problem().name().to_owned();
    let message = error.message();
    tracing::warn!(job = %JobId(key.1), problem, %error, "job refused");
    let mut wait = RETRY.0;
    loop {
        let refusal = RefusalRecord { problem: problem.clone(), message: message.clone() };
        let written = match record(core, key) {
            Ok(record) => {
                let record = JobRecord { refusal: Some(refusal), ..record };
                core.meta.put_job(key, record).await.map_err(HostError::from)
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => break,
            Err(error) => {
                tracing::error!(job = %JobId(key.1), %error, "the refusal cannot be stored");
                pause(&mut wait).await;
            }
        }
    }
    core.metrics.jobs_refused.inc();
    core.metrics.jobs_open.dec();
    core.jobs.finish(key, JobStatus::Refused { problem, message });
}
