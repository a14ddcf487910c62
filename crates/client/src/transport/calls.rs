//! The service's calls, with wire's types in and out.

use super::{Host, TransportError};
use adyton_rpc::v1::{
    self, FetchResultRequest, GetEvidenceRequest, GetProgramRequest, JobRef,
    ListDeploymentsRequest, OpenSessionRequest, RegisterDeploymentRequest, StatsRequest,
    SubmitJobRequest, WatchJobRequest, job_state::State, open_session_event::Event,
};
use adyton_wire::{DeploymentId, JobId, Nonce, ObjectId, SessionId};
use tokio_stream::StreamExt;

/// Progress of a session's opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// Evaluation keys made so far.
    pub made: u32,
    /// Keys in all.
    pub total: u32,
}

/// What a job is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// Waiting for its turn, or for memory.
    Queued {
        /// Jobs before it.
        ahead: u64,
    },
    /// Being evaluated.
    Evaluating {
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// Evaluated; the enclave was asked for the result.
    Releasing,
    /// Evaluated; an auditor executes it, or one before it, again.
    Auditing,
}

/// A finished job.
#[derive(Clone, Debug)]
pub struct JobOutcome {
    /// `Released` of the enclave, encoded, not yet verified.
    pub released: Vec<u8>,
    /// What the host measured; nobody vouches for it.
    pub timings: v1::Timings,
}

fn answer(action: &'static str, reason: impl Into<String>) -> TransportError {
    TransportError::Answer { action, reason: reason.into() }
}

impl Host {
    /// Relays a challenge to the enclave; returns wire's `Evidence`, encoded.
    ///
    /// # Errors
    /// The host or the enclave does not answer.
    pub async fn evidence(&self, nonce: &Nonce) -> Result<Vec<u8>, TransportError> {
        let request = GetEvidenceRequest { nonce: nonce.0.to_vec().into() };
        let reply = self.client.clone().get_evidence(request).await;
        Ok(reply
            .map_err(TransportError::status("fetch evidence"))?
            .into_inner()
            .evidence_message
            .into())
    }

    /// Registers a deployment; returns the enclave's signed statement, encoded.
    ///
    /// # Errors
    /// The host or the enclave refuses.
    pub async fn register(
        &self,
        registration: Vec<u8>,
        model: ObjectId,
    ) -> Result<Vec<u8>, TransportError> {
        let request = RegisterDeploymentRequest {
            registration_message: registration.into(),
            model: model.0.to_vec().into(),
        };
        let reply = self.client.clone().register_deployment(request).await;
        let reply = reply.map_err(TransportError::status("register the deployment"))?;
        Ok(reply.into_inner().registered_message.into())
    }

    /// A deployment as the host lists it, `None` when it knows no such one.
    ///
    /// # Errors
    /// The host does not answer.
    pub async fn deployment(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<v1::Deployment>, TransportError> {
        let reply = self.client.clone().list_deployments(ListDeploymentsRequest {}).await;
        let reply = reply.map_err(TransportError::status("list deployments"))?.into_inner();
        Ok(reply.deployments.into_iter().find(|d| *d.deployment == id.0))
    }

    /// The encoded program of a deployment, at most `limit` bytes.
    ///
    /// # Errors
    /// The host knows no such deployment, or sends more than `limit`.
    pub async fn program(
        &self,
        id: &DeploymentId,
        limit: usize,
    ) -> Result<Vec<u8>, TransportError> {
        const ACTION: &str = "send the program";
        let request = GetProgramRequest { deployment: id.0.to_vec().into() };
        let reply = self.client.clone().get_program(request).await;
        let mut stream = reply.map_err(TransportError::status(ACTION))?.into_inner();
        let mut program = Vec::new();
        while let Some(chunk) = stream.next().await {
            let data = chunk.map_err(TransportError::status(ACTION))?.data;
            if program.len() + data.len() > limit {
                return Err(answer(ACTION, format!("the program is longer than {limit} bytes")));
            }
            program.extend_from_slice(&data);
        }
        Ok(program)
    }

    /// Opens a session and waits until the host has all its keys; returns wire's `SessionOpened`, encoded.
    ///
    /// # Errors
    /// The host or the enclave refuses. The same request may be made again.
    pub async fn open_session(
        &self,
        open: Vec<u8>,
        mut progress: impl FnMut(SessionEvent),
    ) -> Result<Vec<u8>, TransportError> {
        const ACTION: &str = "open the session";
        let request = OpenSessionRequest { open_message: open.into() };
        let reply = self.client.clone().open_session(request).await;
        let mut stream = reply.map_err(TransportError::status(ACTION))?.into_inner();
        while let Some(event) = stream.next().await {
            match event.map_err(TransportError::status(ACTION))?.event {
                Some(Event::Progress(p)) => progress(SessionEvent { made: p.made, total: p.total }),
                Some(Event::OpenedMessage(message)) => return Ok(message.into()),
                None => return Err(answer(ACTION, "an empty event")),
            }
        }
        Err(answer(ACTION, "it ended before the session was open"))
    }

    /// Submits a signed job, encoded. When this returns, the host has it on disk.
    ///
    /// # Errors
    /// The host refuses. The same job may be submitted again.
    pub async fn submit(&self, job: Vec<u8>) -> Result<(), TransportError> {
        let request = SubmitJobRequest { job_message: job.into() };
        let reply = self.client.clone().submit_job(request).await;
        reply.map_err(TransportError::status("accept the job")).map(|_| ())
    }

    /// Waits until a job is done and fetches its sealed result.
    ///
    /// # Errors
    /// The host or the enclave refuses the job, or the connection breaks: then wait again.
    pub async fn outcome(
        &self,
        session: &SessionId,
        job: &JobId,
        mut progress: impl FnMut(JobEvent),
    ) -> Result<JobOutcome, TransportError> {
        const ACTION: &str = "finish the job";
        let job = JobRef { session: session.0.to_vec().into(), job: job.0.to_vec().into() };
        let mut client = self.client.clone();
        let request = WatchJobRequest { job: Some(job.clone()) };
        let reply = client.watch_job(request).await.map_err(TransportError::status(ACTION))?;
        let mut stream = reply.into_inner();
        let done = loop {
            let Some(state) = stream.next().await else { break false };
            match state.map_err(TransportError::status(ACTION))?.state {
                Some(State::Queued(q)) => progress(JobEvent::Queued { ahead: q.ahead }),
                Some(State::Evaluating(e)) => {
                    progress(JobEvent::Evaluating { done: e.done, total: e.total });
                }
                Some(State::Releasing(_)) => progress(JobEvent::Releasing),
                Some(State::Auditing(_)) => progress(JobEvent::Auditing),
                Some(State::Done(_)) => break true,
                Some(State::Refused(r)) => {
                    let problem = Some(r.problem).filter(|p| !p.is_empty());
                    return Err(TransportError::Refused {
                        action: ACTION,
                        problem,
                        message: r.message,
                    });
                }
                None => return Err(answer(ACTION, "an empty state")),
            }
        };
        if !done {
            let message = "the stream of states ended early".to_owned();
            return Err(TransportError::Unavailable { action: ACTION, message });
        }
        let reply = client.fetch_result(FetchResultRequest { job: Some(job) }).await;
        let reply = reply.map_err(TransportError::status(ACTION))?.into_inner();
        let timings = reply.timings.unwrap_or_default();
        Ok(JobOutcome { released: reply.released_message.into(), timings })
    }

    /// Bytes over each edge, CPU and memory, as the host counts them.
    ///
    /// # Errors
    /// The host does not answer.
    pub async fn stats(&self) -> Result<v1::StatsReply, TransportError> {
        let reply = self.client.clone().stats(StatsRequest {}).await;
        Ok(reply.map_err(TransportError::status("tell its statistics"))?.into_inner())
    }

    /// Version, limits and load of the host.
    ///
    /// # Errors
    /// The host does not answer.
    pub async fn info(&self) -> Result<v1::InfoReply, TransportError> {
        let reply = self.client.clone().info(v1::InfoRequest {}).await;
        Ok(reply.map_err(TransportError::status("tell about itself"))?.into_inner())
    }
}
