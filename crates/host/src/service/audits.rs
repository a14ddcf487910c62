//! Audits: what an auditor is told, and what it found.

use adyton_rpc::v1::{GetAuditTaskReply, JobRef, ListAuditsReply, SubmitFindingReply};
use adyton_wire::message::AuditProof;
use adyton_wire::statement::{AuditDemand, AuditFinding, Quarantine, Statement};
use adyton_wire::{JobId, Problem as SharedProblem, PublicKey, Request, Response, Signed};

use crate::core::Core;
use crate::error::HostError;
use crate::link::LinkError;
use crate::service::jobs::{job_key, unknown};
use crate::store::meta::JobKey;
use crate::store::record::{DeploymentRecord, JobRecord};

/// Jobs that wait for this auditor's finding.
pub(crate) fn list(core: &Core, auditor: PublicKey) -> Result<ListAuditsReply, HostError> {
    let mut jobs = Vec::new();
    for (session, job) in core.meta.open_jobs()? {
        let record = core.meta.job((session, job))?;
        let Some(record) = record.filter(|record| !record.demand.is_empty()) else { continue };
        if Signed::<AuditDemand>::decode(&record.demand)?.unverified()?.auditor == auditor {
            jobs.push(JobRef { session: session.to_vec().into(), job: job.to_vec().into() });
        }
    }
    Ok(ListAuditsReply { jobs })
}

/// What an auditor needs for one job.
pub(crate) fn task(core: &Core, job: Option<JobRef>) -> Result<GetAuditTaskReply, HostError> {
    let key = job_key(job)?;
    let record = core.meta.job(key)?.ok_or_else(|| unknown(key))?;
    if record.demand.is_empty() {
        return Err(HostError::refused(SharedProblem::NoAudit, "no audit of this job is open"));
    }
    let demand = Signed::<AuditDemand>::decode(&record.demand)?.unverified()?;
    let deployment = core.deployment(demand.task.job.deployment)?;
    let session = core.session(demand.task.job.session)?;
    Ok(GetAuditTaskReply {
        demand_message: record.demand.into(),
        deployment_message: deployment.statement.into(),
        key_messages: session.key_statements.into_iter().map(Into::into).collect(),
    })
}

/// Relays a finding to the enclave, and has the jobs go on that waited for it.
pub(crate) async fn submit(core: &Core, message: &[u8]) -> Result<SubmitFindingReply, HostError> {
    let signed = Signed::<AuditFinding>::decode(message)?;
    let finding = signed.verify_self()?;
    let job = &finding.execution.task.job;
    let key: JobKey = (job.session.0, job.job.0);
    let record = core.meta.job(key)?.ok_or_else(|| unknown(key))?;
    let deployment = core.deployment(job.deployment)?;
    let Response::AuditSettled(quarantine) =
        core.ask(Request::SubmitFinding(signed.clone())).await?
    else {
        return Err(LinkError::Unexpected.into());
    };
    let proof = match quarantine {
        None => Vec::new(),
        // A later finding of the same auditor, whatever it says, does not replace the one that the enclave has signed about.
        Some(_) if !deployment.proof.is_empty() => deployment.proof,
        Some(quarantine) if quarantine.unverified()?.finding != finding.digest() => {
            let message = "another finding ended this audit; submit that one for its proof";
            return Err(HostError::refused(SharedProblem::NoAudit, message));
        }
        Some(quarantine) => {
            tracing::error!(
                deployment = %job.deployment,
                job = %JobId(key.1),
                "an auditor found another result than this host: the deployment is closed"
            );
            keep_proof(core, deployment, &record, signed, quarantine).await?
        }
    };
    core.jobs.audit_ended(job.deployment.0);
    Ok(SubmitFindingReply { proof_message: proof.into() })
}

/// Puts the proof together and stores it with the deployment.
async fn keep_proof(
    core: &Core,
    deployment: DeploymentRecord,
    job: &JobRecord,
    finding: Signed<AuditFinding>,
    quarantine: Signed<Quarantine>,
) -> Result<Vec<u8>, HostError> {
    let task = quarantine.unverified()?.committed.task;
    let session = core.session(task.job.session)?;
    let proof = AuditProof {
        deployment: Signed::decode(&deployment.statement)?,
        session: Signed::decode(&session.statement)?,
        job: Signed::decode(&job.signed)?,
        finding,
        quarantine,
    };
    let proof = proof.encode();
    let record = DeploymentRecord { proof: proof.clone(), ..deployment };
    core.meta.put_deployment(task.job.deployment.0, record).await?;
    Ok(proof)
}
