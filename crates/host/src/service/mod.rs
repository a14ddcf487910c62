//! The gRPC service: each call in a module by what it is about.

mod audits;
mod check;
mod deployments;
mod jobs;
pub(crate) mod objects;
mod sessions;
mod stats;

use std::sync::Arc;

use adyton_rpc::v1;
use adyton_rpc::v1::host_server::Host;
use adyton_wire::{DeploymentId, Nonce, Problem as SharedProblem, PublicKey};
use adyton_wire::{Request as EnclaveRequest, Response as EnclaveResponse, WireError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::core::Core;
use crate::error::HostError;
use crate::link::LinkError;
use crate::metrics::{Party, Payload};
use crate::store::meta::Id;

/// Audit entries in one answer.
const AUDIT_PAGE: usize = 1000;
/// Events of an opening session that may wait for its caller.
const EVENTS_AHEAD: usize = 16;

/// The service; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) core: Arc<Core>,
}

type Answer<T> = Result<Response<T>, Status>;

/// 32 bytes.
pub(crate) fn id(what: &'static str, bytes: &[u8]) -> Result<Id, HostError> {
    bytes.try_into().map_err(|_| {
        WireError::Length { what, length: bytes.len(), expected: size_of::<Id>() }.into()
    })
}

/// Runs a change on a task of its own, so that a caller who hangs up does not leave it half done.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Answer<T> {
    Ok(Response::new(tokio::spawn(work).await.map_err(HostError::from)??))
}

#[tonic::async_trait]
impl Host for Service {
    async fn info(&self, _: Request<v1::InfoRequest>) -> Answer<v1::InfoReply> {
        Ok(Response::new(stats::info(&self.core)))
    }

    async fn get_evidence(
        &self,
        request: Request<v1::GetEvidenceRequest>,
    ) -> Answer<v1::GetEvidenceReply> {
        let nonce = Nonce::from_slice(&request.into_inner().nonce).map_err(HostError::from)?;
        self.core.metrics.carried((Party::Owner, Party::Host, Payload::Evidence), nonce.0.len());
        let answer = self.core.ask(EnclaveRequest::GetEvidence { nonce }).await?;
        let EnclaveResponse::Evidence(evidence) = answer else {
            return Err(HostError::from(LinkError::Unexpected).into());
        };
        let evidence = evidence.encode();
        self.core.metrics.carried((Party::Host, Party::Owner, Payload::Evidence), evidence.len());
        Ok(Response::new(v1::GetEvidenceReply { evidence_message: evidence.into() }))
    }

    async fn put_object(
        &self,
        request: Request<Streaming<v1::PutObjectRequest>>,
    ) -> Answer<v1::PutObjectReply> {
        Ok(Response::new(objects::put(&self.core, request.into_inner()).await?))
    }

    async fn has_object(
        &self,
        request: Request<v1::HasObjectRequest>,
    ) -> Answer<v1::HasObjectReply> {
        let object = id("object id", &request.into_inner().object)?;
        let record = self.core.objects.record(object).map_err(HostError::from)?;
        Ok(Response::new(record.map_or_else(v1::HasObjectReply::default, |record| {
            v1::HasObjectReply { stored: true, length: record.length, kind: record.kind }
        })))
    }

    type GetObjectStream = ReceiverStream<Result<v1::ObjectChunk, Status>>;

    async fn get_object(
        &self,
        request: Request<v1::GetObjectRequest>,
    ) -> Answer<Self::GetObjectStream> {
        let object = id("object id", &request.into_inner().object)?;
        Ok(Response::new(objects::get(&self.core, object).await?))
    }

    async fn register_deployment(
        &self,
        request: Request<v1::RegisterDeploymentRequest>,
    ) -> Answer<v1::RegisterDeploymentReply> {
        let core = Arc::clone(&self.core);
        detached(async move { deployments::register(&core, request.into_inner()).await }).await
    }

    async fn list_deployments(
        &self,
        _: Request<v1::ListDeploymentsRequest>,
    ) -> Answer<v1::ListDeploymentsReply> {
        Ok(Response::new(deployments::list(&self.core)?))
    }

    type GetProgramStream = ReceiverStream<Result<v1::ObjectChunk, Status>>;

    async fn get_program(
        &self,
        request: Request<v1::GetProgramRequest>,
    ) -> Answer<Self::GetProgramStream> {
        let deployment = id("deployment id", &request.into_inner().deployment)?;
        let record = self.core.deployment(DeploymentId(deployment))?;
        let object = id("program object", &record.program_object)?;
        Ok(Response::new(objects::get(&self.core, object).await?))
    }

    type OpenSessionStream = ReceiverStream<Result<v1::OpenSessionEvent, Status>>;

    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Answer<Self::OpenSessionStream> {
        let core = Arc::clone(&self.core);
        let (events, receive) = mpsc::channel(EVENTS_AHEAD);
        tokio::spawn(async move {
            let message = request.into_inner().open_message;
            if let Err(error) = sessions::open(&core, message, &events).await {
                // A caller that hung up is not told; it can ask again.
                let _ = events.send(Err(error.into())).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn submit_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Answer<v1::SubmitJobReply> {
        let core = Arc::clone(&self.core);
        let message = request.into_inner().job_message;
        detached(async move { jobs::submit(&core, message).await }).await
    }

    type WatchJobStream = jobs::States;

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Answer<Self::WatchJobStream> {
        let states = jobs::watch(Arc::clone(&self.core), request.into_inner().job)?;
        Ok(Response::new(states))
    }

    async fn fetch_result(
        &self,
        request: Request<v1::FetchResultRequest>,
    ) -> Answer<v1::FetchResultReply> {
        Ok(Response::new(jobs::fetch(&self.core, request.into_inner().job)?))
    }

    async fn list_audits(
        &self,
        request: Request<v1::ListAuditsRequest>,
    ) -> Answer<v1::ListAuditsReply> {
        let auditor = id("auditor's key", &request.into_inner().auditor)?;
        Ok(Response::new(audits::list(&self.core, PublicKey(auditor))?))
    }

    async fn get_audit_task(
        &self,
        request: Request<v1::GetAuditTaskRequest>,
    ) -> Answer<v1::GetAuditTaskReply> {
        Ok(Response::new(audits::task(&self.core, request.into_inner().job)?))
    }

    async fn submit_finding(
        &self,
        request: Request<v1::SubmitFindingRequest>,
    ) -> Answer<v1::SubmitFindingReply> {
        let core = Arc::clone(&self.core);
        let message = request.into_inner().finding_message;
        detached(async move { audits::submit(&core, &message).await }).await
    }

    async fn get_audit_proof(
        &self,
        request: Request<v1::GetAuditProofRequest>,
    ) -> Answer<v1::GetAuditProofReply> {
        let deployment = id("deployment id", &request.into_inner().deployment)?;
        let proof = self.core.deployment(DeploymentId(deployment))?.proof;
        Ok(Response::new(v1::GetAuditProofReply { proof_message: proof.into() }))
    }

    async fn get_audit(&self, request: Request<v1::GetAuditRequest>) -> Answer<v1::GetAuditReply> {
        let from = request.into_inner().from;
        let page = || {
            let entries = self.core.meta.audit(from, AUDIT_PAGE)?;
            Ok::<_, crate::store::StoreError>((entries, self.core.meta.audit_length()?))
        };
        let (entries, length) = page().map_err(HostError::from)?;
        let entries = entries.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::GetAuditReply { entries, length }))
    }

    async fn stats(&self, _: Request<v1::StatsRequest>) -> Answer<v1::StatsReply> {
        Ok(Response::new(stats::stats(&self.core).await?))
    }
}

/// The problem of a request that is not what it should be.
pub(crate) fn malformed(message: &str) -> HostError {
    HostError::refused(SharedProblem::Malformed, message)
}
