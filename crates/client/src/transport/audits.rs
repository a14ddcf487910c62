//! An auditor's calls.

use super::{Host, TransportError};
use adyton_rpc::v1::{
    GetAuditProofRequest, GetAuditRequest, GetAuditTaskRequest, GetObjectRequest, JobRef,
    ListAuditsRequest, SubmitFindingRequest,
};
use adyton_wire::{DeploymentId, JobId, ObjectId, PublicKey, SessionId};
use std::io::Write;
use tokio_stream::StreamExt;

/// What a host says of a job that is to be audited: encoded messages of wire, not yet verified.
#[derive(Clone, Debug)]
pub struct AuditWork {
    /// `Signed` over the demand, by the enclave.
    pub demand: Vec<u8>,
    /// `Signed` over the deployment statement, by the model owner.
    pub deployment: Vec<u8>,
    /// `Signed` over each key statement, by the enclave.
    pub keys: Vec<Vec<u8>>,
}

impl Host {
    /// The jobs that wait for this auditor's finding, oldest first.
    ///
    /// # Errors
    /// The host does not answer.
    pub async fn audits(
        &self,
        auditor: &PublicKey,
    ) -> Result<Vec<(SessionId, JobId)>, TransportError> {
        const ACTION: &str = "list open audits";
        let request = ListAuditsRequest { auditor: auditor.0.to_vec().into() };
        let reply = self.client.clone().list_audits(request).await;
        let jobs = reply.map_err(TransportError::status(ACTION))?.into_inner().jobs;
        let malformed = |error: adyton_wire::WireError| TransportError::Answer {
            action: ACTION,
            reason: error.to_string(),
        };
        jobs.iter()
            .map(|job| Ok((SessionId::from_slice(&job.session)?, JobId::from_slice(&job.job)?)))
            .collect::<Result<_, _>>()
            .map_err(malformed)
    }

    /// What is needed to execute a job again, but for the objects.
    ///
    /// # Errors
    /// The host knows no open audit of that job.
    pub async fn audit_work(
        &self,
        session: &SessionId,
        job: &JobId,
    ) -> Result<AuditWork, TransportError> {
        let job = JobRef { session: session.0.to_vec().into(), job: job.0.to_vec().into() };
        let request = GetAuditTaskRequest { job: Some(job) };
        let reply = self.client.clone().get_audit_task(request).await;
        let reply = reply.map_err(TransportError::status("tell an audit's task"))?.into_inner();
        Ok(AuditWork {
            demand: reply.demand_message.into(),
            deployment: reply.deployment_message.into(),
            keys: reply.key_messages.into_iter().map(Into::into).collect(),
        })
    }

    /// Hands a signed finding, encoded, to the enclave. Gives the proof, wire's `AuditProof` encoded, when it differs from the
    /// host's result.
    ///
    /// # Errors
    /// The host or the enclave refuses it. The same finding may be submitted again.
    pub async fn submit_finding(
        &self,
        finding: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let request = SubmitFindingRequest { finding_message: finding.into() };
        let reply = self.client.clone().submit_finding(request).await;
        let reply = reply.map_err(TransportError::status("take the finding"))?.into_inner();
        Ok(Some(Vec::from(reply.proof_message)).filter(|proof| !proof.is_empty()))
    }

    /// The proof of a deployment's failed audit, wire's `AuditProof` encoded; `None` when the host knows of none.
    ///
    /// # Errors
    /// The host knows no such deployment.
    pub async fn audit_proof(
        &self,
        deployment: &DeploymentId,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let request = GetAuditProofRequest { deployment: deployment.0.to_vec().into() };
        let reply = self.client.clone().get_audit_proof(request).await;
        let reply = reply.map_err(TransportError::status("give the proof"))?.into_inner();
        Ok(Some(Vec::from(reply.proof_message)).filter(|proof| !proof.is_empty()))
    }

    /// Entries of the enclave's audit log from the one numbered `from` on, joined, as the host stores them; none at its end. The caller
    /// verifies that they continue the chain.
    ///
    /// # Errors
    /// The host does not answer.
    pub async fn audit_log(&self, from: u64) -> Result<Vec<u8>, TransportError> {
        let reply = self.client.clone().get_audit(GetAuditRequest { from }).await;
        let reply = reply.map_err(TransportError::status("give the enclave's log"))?.into_inner();
        Ok(reply.entries.concat())
    }

    /// Writes an object of at most `limit` bytes to `output`; gives its length. The caller checks the digest.
    ///
    /// # Errors
    /// The host has no such object, sends more than `limit`, or the output fails.
    pub async fn get_object<W: Write>(
        &self,
        object: &ObjectId,
        limit: u64,
        mut output: W,
    ) -> Result<u64, TransportError> {
        const ACTION: &str = "send an object";
        let request = GetObjectRequest { object: object.0.to_vec().into() };
        let reply = self.client.clone().get_object(request).await;
        let mut stream = reply.map_err(TransportError::status(ACTION))?.into_inner();
        let mut length = 0;
        while let Some(chunk) = stream.next().await {
            let data = chunk.map_err(TransportError::status(ACTION))?.data;
            length += data.len() as u64;
            if length > limit {
                let reason = format!("the object is longer than {limit} bytes");
                return Err(TransportError::Answer { action: ACTION, reason });
            }
            output
                .write_all(&data)
                .map_err(|source| TransportError::Write { what: "the object", source })?;
        }
        Ok(length)
    }
}
