//! Jobs: acceptance, watching, results.

use std::pin::Pin;
use std::sync::Arc;

use adyton_program::bundle::{BundleShape, HEADER_LEN};
use adyton_rpc::v1::job_state::State;
use adyton_rpc::v1::{
    Auditing, Done, Evaluating, FetchResultReply, JobRef, JobState, ObjectKind, Queued, Refused,
    Releasing, SubmitJobReply,
};
use adyton_rpc::{HostProblem, Problem};
use adyton_wire::limits::MAX_CIPHERTEXTS;
use adyton_wire::statement::{DeploymentStatement, JobStatement};
use adyton_wire::{JobId, Problem as SharedProblem, PublicKey, SessionId, Signed};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::core::{Core, LoadedProgram, unix_ms, unix_seconds};
use crate::error::HostError;
use crate::jobs::JobStatus;
use crate::metrics::{Party, Payload};
use crate::service::objects;
use crate::store::hex;
use crate::store::meta::{JobKey, Submission};
use crate::store::record::JobRecord;

/// States that may wait for a slow watcher; it sees the newest of what it missed.
const STATES_AHEAD: usize = 1;

/// Accepts a job: on disk when this returns.
pub(crate) async fn submit(core: &Core, message: Bytes) -> Result<SubmitJobReply, HostError> {
    core.metrics.carried((Party::DataOwner, Party::Host, Payload::Job), message.len());
    let signed = Signed::<JobStatement>::decode(&message)?;
    let claimed = signed.unverified()?;
    let session = core.session(claimed.session)?;
    let owner: [u8; 32] = session
        .owner
        .as_slice()
        .try_into()
        .map_err(|_| HostError::Damaged("an owner's key in the metadata".to_owned()))?;
    let job = signed.verify(&PublicKey(owner))?;
    let key = (job.session.0, job.job.0);
    let encoded = signed.encode();

    // A job that is known is answered before anything that may have changed since: expiry, memory, room in the queue.
    if let Some(before) = core.meta.job(key)? {
        return same(&job, before.signed == encoded);
    }
    if session.deployment != job.deployment.0 {
        let message = "the job names another deployment than its session's";
        return Err(HostError::refused(SharedProblem::WrongContext, message));
    }
    let deployment = core.deployment(job.deployment)?;
    if deployment.program != job.program.0 {
        let message = "the job names another program than its deployment's";
        return Err(HostError::refused(SharedProblem::WrongContext, message));
    }
    if !deployment.proof.is_empty() {
        let message = "an audit found another result than this host's: the deployment is closed";
        return Err(HostError::refused(SharedProblem::Quarantined, message));
    }
    if session.keys_object.is_empty() {
        let message = "the session's keys are not all stored: open it again";
        return Err(HostError::refused(HostProblem::KeysMissing, message));
    }
    check_policy(&job, &deployment.statement)?;
    let program = core.program(job.program.0).await?;
    check_input(core, &job, &program)?;
    core.groups_at_once(&program, 1)?;

    let record = JobRecord {
        signed: encoded,
        input_object: job.input.0.to_vec(),
        accepted_unix_ms: unix_ms(),
        ..JobRecord::default()
    };
    match core.meta.submit_job(key, record, core.queue_limits).await? {
        Submission::New => {
            tracing::info!(job = %job.job, session = %job.session, groups = job.groups, "job accepted");
            core.metrics.jobs_open.inc();
            core.jobs.to_evaluate.push(key);
            Ok(SubmitJobReply { existed: false })
        }
        Submission::Same => same(&job, true),
        Submission::Other => same(&job, false),
        Submission::Full => {
            let message = "too many jobs wait, in total or of this session: try later";
            Err(HostError::refused(HostProblem::QueueFull, message))
        }
    }
}

fn same(job: &JobStatement, is_same: bool) -> Result<SubmitJobReply, HostError> {
    if is_same {
        return Ok(SubmitJobReply { existed: true });
    }
    let message = format!("job id {} was used for another job", job.job);
    Err(HostError::refused(SharedProblem::JobReused, message))
}

/// What of the policy can be checked without the enclave's counters, so that hopeless jobs are not evaluated.
fn check_policy(job: &JobStatement, deployment: &[u8]) -> Result<(), HostError> {
    let policy = Signed::<DeploymentStatement>::decode(deployment)?.unverified()?.policy;
    let now = unix_seconds();
    if job.expires <= now || policy.expires <= now {
        let message = "the job or its deployment has expired";
        return Err(HostError::refused(SharedProblem::Expired, message));
    }
    if job.groups > policy.ciphertexts_per_session {
        let message = format!(
            "{} result ciphertexts, the policy allows {} in a session",
            job.groups, policy.ciphertexts_per_session
        );
        return Err(HostError::refused(SharedProblem::QuotaExceeded, message));
    }
    Ok(())
}

/// The input must be stored, be an input of this program, and have as many groups as the job says.
fn check_input(core: &Core, job: &JobStatement, program: &LoadedProgram) -> Result<(), HostError> {
    let input = job.input.0;
    let record = core.objects.record(input)?.ok_or_else(|| objects::unknown_object(input))?;
    if record.kind != ObjectKind::Input as i32 {
        let message = format!("object {} is no input", hex(&input));
        return Err(HostError::refused(HostProblem::WrongKind, message));
    }
    if record.program != program.verified.id() {
        let message = format!("input {} belongs to another program", hex(&input));
        return Err(HostError::refused(HostProblem::WrongProgram, message));
    }
    let lanes = u64::from(program.verified.program().input.lanes);
    if u64::from(job.samples) > u64::from(job.groups) * lanes {
        let message = format!("{} samples do not fit {} groups", job.samples, job.groups);
        return Err(HostError::refused(SharedProblem::Malformed, message));
    }
    BundleShape::inputs(&program.verified, job.groups)?.check_total(record.length)?;
    debug_assert!(record.length > HEADER_LEN);
    let results = program.result_length()? as u64 * u64::from(job.groups);
    if results > MAX_CIPHERTEXTS as u64 {
        let message = format!("{results} bytes of results, at most {MAX_CIPHERTEXTS} are released");
        return Err(HostError::refused(SharedProblem::TooLarge, message));
    }
    Ok(())
}

pub(crate) fn job_key(job: Option<JobRef>) -> Result<JobKey, HostError> {
    let job = job.ok_or_else(|| HostError::refused(SharedProblem::Malformed, "no job named"))?;
    Ok((SessionId::from_slice(&job.session)?.0, JobId::from_slice(&job.job)?.0))
}

pub(crate) fn unknown(key: JobKey) -> HostError {
    let message = format!("job {} of this session was not submitted here", JobId(key.1));
    HostError::refused(HostProblem::UnknownJob, message)
}

/// The states of a job from now to its end.
pub(crate) fn watch(core: Arc<Core>, job: Option<JobRef>) -> Result<States, HostError> {
    let key = job_key(job)?;
    let mut status = core.jobs.watch(key);
    let record = core.meta.job(key)?;
    let Some(record) = record.filter(JobRecord::is_open) else {
        core.jobs.forget(key);
        let state = match core.meta.job(key)? {
            None => return Err(unknown(key)),
            Some(JobRecord { refusal: Some(refusal), .. }) => {
                State::Refused(Refused { problem: refusal.problem, message: refusal.message })
            }
            Some(_) => State::Done(Done {}),
        };
        return Ok(Box::pin(tokio_stream::once(Ok(JobState { state: Some(state) }))));
    };
    let mut finished = core.jobs.watch_finished();
    let (send, receive) = mpsc::channel(STATES_AHEAD);
    tokio::spawn(async move {
        let mut last = None;
        loop {
            let now = status.borrow_and_update().clone();
            let state = match state(&core, &now, record.sequence) {
                Ok(state) => state,
                Err(error) => return drop(send.send(Err(error.into())).await),
            };
            if last.as_ref() != Some(&state) {
                last = Some(state.clone());
                if send.send(Ok(JobState { state: Some(state) })).await.is_err() {
                    return;
                }
            }
            if matches!(now, JobStatus::Done | JobStatus::Refused { .. }) {
                return;
            }
            let queued = matches!(now, JobStatus::Queued { .. });
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return },
                // One job less before this one.
                _ = finished.changed(), if queued => {}
                () = send.closed() => return,
                () = core.stopping() => {
                    let stopping = Problem::from(SharedProblem::Busy).status("the host is stopping");
                    return drop(send.send(Err(stopping)).await);
                }
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(receive)))
}

/// A stream of job states.
pub(crate) type States = Pin<Box<dyn Stream<Item = Result<JobState, Status>> + Send>>;

fn state(core: &Core, status: &JobStatus, sequence: u64) -> Result<State, HostError> {
    Ok(match status {
        JobStatus::Queued { waits_for_memory } => State::Queued(Queued {
            ahead: core.meta.jobs_ahead(sequence)?,
            waits_for_memory: *waits_for_memory,
        }),
        JobStatus::Evaluating { done, total } => {
            State::Evaluating(Evaluating { done: *done, total: *total })
        }
        JobStatus::Releasing => State::Releasing(Releasing {}),
        JobStatus::Auditing => State::Auditing(Auditing {}),
        JobStatus::Done => State::Done(Done {}),
        JobStatus::Refused { problem, message } => {
            State::Refused(Refused { problem: problem.clone(), message: message.clone() })
        }
    })
}

/// The result of a job that is done.
pub(crate) fn fetch(core: &Core, job: Option<JobRef>) -> Result<FetchResultReply, Status> {
    let key = job_key(job)?;
    let record = core.meta.job(key).map_err(HostError::from)?.ok_or_else(|| unknown(key))?;
    if let Some(refusal) = record.refusal {
        let problem = Problem::from_name(&refusal.problem);
        let problem = problem.unwrap_or(SharedProblem::Internal.into());
        return Err(problem.status(refusal.message));
    }
    if record.released.is_empty() {
        let message = "the job is not finished: watch it";
        return Err(HostError::refused(HostProblem::NotDone, message).into());
    }
    core.metrics.carried((Party::Host, Party::DataOwner, Payload::Result), record.released.len());
    Ok(FetchResultReply { released_message: record.released.into(), timings: record.timings })
}
