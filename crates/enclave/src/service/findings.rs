//! Commitments of hosts and findings of auditors, as requests.

use adyton_wire::message::Release;
use adyton_wire::statement::{AuditFinding, Execution};
use adyton_wire::{Reply, Response, Signed};

use super::{Core, Enclave, Refusal};
use crate::audit::Weighed;
use crate::event::{Commitment, Event, Finding, Record};
use crate::log::{Field, Level, log};

impl Core {
    /// Binds the host to its execution of a job where the deployment has an audit rate and it is not bound yet. Gives the audit
    /// entry that this added.
    pub(super) fn bind(
        &mut self,
        request: &Release,
        execution: &Execution,
        time: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let job = &execution.task.job;
        let (session, deployment) = self.state.session(&job.session)?;
        if deployment.statement.policy.audit.is_none()
            || self.state.jobs.contains_key(&(job.session, job.job))
        {
            return Ok(Vec::new());
        }
        deployment.audits.check(job, false)?;
        crate::rules::check_job(job, session, deployment, time)?;
        let bits = crate::rules::charge(job, session, deployment)?;
        // What would be refused for its form after the commitment is refused before: a refusal changes nothing.
        crate::rules::check_form(job, &request.ciphertexts, &deployment.plan)?;
        let commitment = Commitment {
            job: request.job.clone(),
            keys: request.keys,
            ciphertexts: execution.result,
            bits,
        };
        Ok(self.commit(Record { time, event: Event::Committed(commitment) })?)
    }
}

impl Enclave {
    /// Takes an auditor's finding.
    pub(super) fn submit_finding(&self, signed: &Signed<AuditFinding>) -> Result<Reply, Refusal> {
        let finding = signed.verify_self()?;
        let mut core = self.core();
        let time = core.state.now(self.clock.as_ref());
        let quarantine = match core.state.weigh(&finding, time)? {
            Weighed::Settled(quarantine) => return Ok(Response::AuditSettled(quarantine).into()),
            Weighed::Agrees => None,
            Weighed::Differs(quarantine) => Some(*quarantine),
        };
        let event =
            Event::Finding(Finding { finding: signed.clone(), quarantine: quarantine.clone() });
        let audit = core.commit(Record { time, event })?;
        let job = &finding.execution.task.job;
        let (level, name) = match quarantine {
            None => (Level::Info, "audit-agreed"),
            Some(_) => (Level::Warn, "quarantined"),
        };
        log(
            level,
            name,
            &[
                ("deployment", Field::Text(&job.deployment)),
                ("session", Field::Text(&job.session)),
                ("job", Field::Text(&job.job)),
                ("auditor", Field::Text(&finding.auditor)),
            ],
        );
        Ok(Reply { response: Response::AuditSettled(quarantine), audit })
    }
}
