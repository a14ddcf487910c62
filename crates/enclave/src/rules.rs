//! The rules that requests are held to, read-only on the state.

use adyton_ckks_secret::{DecryptBuffer, Decryptor};
use adyton_wire::seal::OpeningKey;
use adyton_wire::statement::{
    Checks, JobStatement, ReceiptStatement, ResultPayload, SessionStatement, Statement,
};
use adyton_wire::{
    Problem, SessionId, Signed, SigningKey, WireError, digest, message, random_bytes,
};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::Clock;
use crate::audit::Stage;
use crate::defences::Defence;
use crate::event::Release;
use crate::plan::Plan;
use crate::release::Rules;
use crate::secrets;
use crate::service::{Refusal, VERSION};
use crate::state::{Deployment, Identity, MAX_SESSIONS, Session, State};
use crate::vault::Seed;

impl State {
    /// The host's time, but never before the last change.
    pub(crate) fn now(&self, clock: &dyn Clock) -> u64 {
        clock.now().max(self.latest)
    }

    pub(crate) fn identity(&self) -> Result<&Identity, Refusal> {
        self.identity.as_ref().ok_or_else(|| Refusal::internal("the state has not begun"))
    }

    pub(crate) fn signing_key(&self, identity: &Identity) -> SigningKey {
        SigningKey::from_seed(&self.vault.get(identity.signing))
    }

    pub(crate) fn opening_key(&self, identity: &Identity) -> Result<OpeningKey, WireError> {
        OpeningKey::from_seed(&self.vault.get(identity.sealing))
    }

    pub(crate) fn session(&self, id: &SessionId) -> Result<(&Session, &Deployment), Refusal> {
        let session = self.sessions.get(id).ok_or(Problem::UnknownSession)?;
        let deployment = self.deployments.get(&session.deployment);
        Ok((session, deployment.ok_or(Problem::UnknownDeployment)?))
    }

    /// Opens an owner's seed and holds it to its commitment.
    pub(crate) fn unseal(
        &self,
        info: &[u8],
        sealed: &adyton_wire::Sealed,
        commitment: &[u8; 32],
    ) -> Result<Seed, Refusal> {
        let opened = self.opening_key(self.identity()?)?.open(info, b"", sealed)?;
        let seed: [u8; 32] = opened.as_slice().try_into().map_err(|_| Problem::BadSeal)?;
        let seed = Seed::new(seed);
        if digest::seed_commitment(&seed) == *commitment {
            Ok(seed)
        } else {
            Err(Problem::BadSeal.into())
        }
    }

    /// Whether a session may be opened.
    pub(crate) fn admit(&self, statement: &SessionStatement, time: u64) -> Result<(), Refusal> {
        let deployment =
            self.deployments.get(&statement.deployment).ok_or(Problem::UnknownDeployment)?;
        let policy = &deployment.statement.policy;
        let used = deployment.owners.get(&statement.owner).copied().unwrap_or_default();
        if !policy.admits(&statement.owner) {
            return Err(Problem::NotAllowed.into());
        }
        if deployment.audits.quarantine.is_some() {
            return Err(Problem::Quarantined.into());
        }
        if policy.expires <= time {
            return Err(Problem::Expired.into());
        }
        if used.sessions >= policy.sessions_per_owner {
            return Err(Problem::QuotaExceeded.into());
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(Problem::Busy.into());
        }
        adyton_wire::seal::SealingKey::from_bytes(&statement.reply_key)
            .map_err(|_| Problem::Malformed)?;
        Ok(())
    }

    /// The secret behind a session's result key, and the session that the key is derived for.
    pub(crate) fn result_secret(&self, id: &SessionId, session: &Session) -> (Seed, SessionId) {
        let named = if self.defences.stands(Defence::OwnKey) { *id } else { SessionId([0; 32]) };
        let own = [Defence::OwnKey, Defence::Epoch].iter().all(|&d| self.defences.stands(d));
        let secret = if own { self.vault.get(session.secret) } else { Seed::new([0; 32]) };
        (secret, named)
    }

    /// The epoch that keys are derived for.
    pub(crate) fn key_epoch(&self, identity: &Identity) -> u32 {
        if self.defences.stands(Defence::Epoch) { identity.epoch } else { 0 }
    }

    /// [`charge`], as far as there is a ledger.
    fn charged(
        &self,
        job: &JobStatement,
        session: &Session,
        deployment: &Deployment,
    ) -> Result<u64, Refusal> {
        let charge = charge(job, session, deployment);
        if self.defences.stands(Defence::Ledger) { charge } else { Ok(charge.unwrap_or_default()) }
    }

    /// Checks everything that public data can tell, decrypts, and makes the reply. Nothing is changed: the release
    /// counts when its event is committed.
    pub(crate) fn make_release(
        &self,
        job: &JobStatement,
        request: &message::Release,
        ciphertexts: [u8; 32],
        time: u64,
    ) -> Result<(Release, message::Released), Refusal> {
        let (session, deployment) = self.session(&job.session)?;
        check_job(job, session, deployment, time)?;
        // A host that is bound to its execution was charged then.
        let (bits, charged, audited) = match self.jobs.get(&(job.session, job.job)) {
            None => (self.charged(job, session, deployment)?, 0, false),
            Some(known) => (known.bits, known.bits, matches!(known.stage, Stage::Agreed)),
        };
        deployment.audits.check(job, audited)?;
        let plan = &deployment.plan;
        let mut length = plan.ciphertext_len;
        match self.defences.stands(Defence::Form) {
            true => check_length(job, &request.ciphertexts, plan)?,
            false => length = request.ciphertexts.len().max(1),
        }
        let identity = self.identity()?;
        let policy = &deployment.statement.policy;
        let rules = Rules::new(plan, policy, (job.samples, job.groups), self.defences);
        let (secret, named) = self.result_secret(&job.session, session);
        let key = secrets::result_key(plan, &secret, &named, self.key_epoch(identity))
            .map_err(Refusal::internal)?;
        let decryptor = Decryptor::with_encoder(&key, &plan.encoder).map_err(Refusal::internal)?;
        let mut buffer = DecryptBuffer::default();
        let mut outputs = rules.outputs();
        // One ciphertext at a time, in memory that stays in the processor's cache. Should a later one not decode, then the request is
        // refused for its form, as if none had been decrypted: what was read goes nowhere.
        for (group, bytes) in request.ciphertexts.chunks(length).enumerate() {
            #[cfg(adyton_attacks)]
            if !self.defences.stands(Defence::ResultKeyOnly)
                && let seed = self.vault.get(deployment.seed)
                && let Some(slots) = crate::weakened::model_slots(plan, &seed, bytes)
            {
                rules.read(&slots, group * plan.lanes, &mut outputs);
                continue;
            }
            let ciphertext = secrets::result_ciphertext(plan, bytes);
            #[cfg(adyton_attacks)]
            let ciphertext = match self.defences.stands(Defence::Form) {
                true => ciphertext,
                false => crate::weakened::lax_ciphertext(plan, bytes),
            };
            let ciphertext = ciphertext.ok_or(Problem::BadCiphertext)?;
            let slots =
                decryptor.decrypt_slots_in(&ciphertext, &mut buffer).map_err(Refusal::internal)?;
            rules.read(slots, group * plan.lanes, &mut outputs);
            #[cfg(adyton_attacks)]
            if !self.defences.stands(Defence::SameWork) && rules.stops(&mut outputs) {
                break;
            }
        }
        let mut rng = ChaCha20Rng::from_seed(random_bytes()?);
        let (checks, values) = rules.finish(outputs, &mut rng);
        if !self.defences.stands(Defence::Silence) && !checks.passed() {
            return Err(Problem::BadCiphertext.into());
        }

        let payload = ResultPayload {
            session: job.session,
            job: job.job,
            checks,
            blind: random_bytes()?,
            samples: job.samples,
            outputs: u32::try_from(plan.first.len()).map_err(Refusal::internal)?,
            values,
        };
        let info = job.session.result_info(&identity.instance, &job.job);
        let result = session.reply.seal(&info, b"", &Zeroizing::new(payload.to_bytes()))?;
        let digest = result.digest();
        let receipt = ReceiptStatement {
            instance: identity.instance,
            version: VERSION.to_owned(),
            epoch: identity.epoch,
            job: job.clone(),
            model: deployment.statement.model,
            keys: request.keys,
            ciphertexts,
            audited,
            result: digest,
            outcome: ResultPayload::outcome_commitment(payload.checks, &payload.blind),
            bits,
            session_bits: session.bits - charged + bits,
            time,
            audit: self.release_entry(time, job, digest, bits).head(),
        };
        let receipt = Signed::new(&receipt, &self.signing_key(identity));
        let reply = message::Released { result, receipt };
        let event = Release {
            job: request.job.clone(),
            keys: request.keys,
            ciphertexts,
            bits,
            result: digest,
            reply: reply.clone(),
        };
        Ok((event, reply))
    }
}

/// Context, expiry and size of a job.
pub(crate) fn check_job(
    job: &JobStatement,
    session: &Session,
    deployment: &Deployment,
    time: u64,
) -> Result<(), Refusal> {
    let (policy, plan) = (&deployment.statement.policy, &deployment.plan);
    if job.deployment != session.deployment || job.program != plan.id {
        return Err(Problem::WrongContext.into());
    }
    if job.expires <= time || policy.expires <= time {
        return Err(Problem::Expired.into());
    }
    if u64::from(job.samples) > u64::from(job.groups) * plan.lanes as u64 {
        return Err(Problem::Malformed.into());
    }
    Ok(())
}

/// As many ciphertexts as the job has groups.
fn check_length(job: &JobStatement, ciphertexts: &[u8], plan: &Plan) -> Result<(), Refusal> {
    let groups = usize::try_from(job.groups).map_err(|_| Problem::BadCiphertext)?;
    match plan.ciphertext_len.checked_mul(groups) {
        Some(length) if length == ciphertexts.len() => Ok(()),
        _ => Err(Problem::BadCiphertext.into()),
    }
}

/// Number and form of the ciphertexts of a job.
pub(crate) fn check_form(
    job: &JobStatement,
    ciphertexts: &[u8],
    plan: &Plan,
) -> Result<(), Refusal> {
    check_length(job, ciphertexts, plan)?;
    let decodes = |bytes| secrets::result_ciphertext(plan, bytes).is_some();
    if ciphertexts.chunks(plan.ciphertext_len).all(decodes) {
        Ok(())
    } else {
        Err(Problem::BadCiphertext.into())
    }
}

/// The bits that a job will be charged, if its quotas have room.
pub(crate) fn charge(
    job: &JobStatement,
    session: &Session,
    deployment: &Deployment,
) -> Result<u64, Refusal> {
    let (policy, plan) = (&deployment.statement.policy, &deployment.plan);
    let outputs = u32::try_from(plan.first.len()).map_err(Refusal::internal)?;
    let bits = policy.output.bits(job.samples.into(), outputs).saturating_add(Checks::BITS);
    let used = deployment.owners.get(&session.owner).copied().unwrap_or_default();
    let within =
        |used: u64, more: u64, limit: u64| used.checked_add(more).is_some_and(|sum| sum <= limit);
    let quotas = [
        (session.ciphertexts.into(), job.groups.into(), policy.ciphertexts_per_session.into()),
        (used.jobs.into(), 1, policy.jobs_per_owner.into()),
        (deployment.jobs.into(), 1, policy.jobs_total.into()),
        (session.bits, bits, policy.bits_per_session),
        (deployment.bits, bits, policy.bits_total),
    ];
    if quotas.into_iter().all(|(used, more, limit)| within(used, more, limit)) {
        Ok(bits)
    } else {
        Err(Problem::QuotaExceeded.into())
    }
}
