//! `adyton audit verify`, `proof` and `repeat`.

use super::fetch::Fetched;
use crate::args::{Connection, EnclaveKey};
use crate::error::CliError;
use crate::output;
use crate::owner::{block_on, connect, evidence, trust};
use adyton_auditor::Task;
use adyton_client::hex;
use adyton_client::trust::Challenge;
use adyton_program::limits::MAX_PROGRAM_BYTES;
use adyton_wire::message::{AuditProof, Mismatch};
use adyton_wire::{DeploymentId, PublicKey, Signed};
use serde::Serialize;
use std::path::Path;

/// First eight bytes of a proof file; wire's `AuditProof` follows.
const MAGIC: &[u8; 8] = b"ADYTPRF1";
/// Largest proof file, bytes.
const MAX_LEN: u64 = 1 << 20;

/// Writes a proof to a file.
pub(super) fn write(path: &Path, proof: &[u8]) -> Result<(), CliError> {
    std::fs::write(path, [MAGIC.as_slice(), proof].concat()).map_err(CliError::file("write", path))
}

fn read(path: &Path) -> Result<AuditProof, CliError> {
    let malformed =
        |reason: &str| CliError::Content { path: path.to_owned(), reason: reason.to_owned() };
    let length = std::fs::metadata(path).map_err(CliError::file("read", path))?.len();
    if length > MAX_LEN {
        return Err(malformed("too large for a proof"));
    }
    let bytes = std::fs::read(path).map_err(CliError::file("read", path))?;
    let proof = bytes.strip_prefix(MAGIC.as_slice());
    let proof = proof.ok_or_else(|| malformed("not a proof of a failed audit"))?;
    AuditProof::decode(proof).map_err(CliError::part(format!("{} is damaged", path.display())))
}

/// The enclave's signing key, from the command line or from evidence that is appraised.
pub(super) fn enclave_key(args: &EnclaveKey) -> Result<PublicKey, CliError> {
    if let Some(text) = &args.enclave_key {
        return PublicKey::from_hex(text).map_err(|_| CliError::Argument {
            what: "--enclave-key",
            value: text.clone(),
            reason: "expected the 64 hexadecimal digits of the enclave's signing key".into(),
        });
    }
    let path = args.evidence.as_deref().ok_or_else(|| CliError::Argument {
        what: "--enclave-key",
        value: String::new(),
        reason: "the enclave's signing key or its --evidence is needed".into(),
    })?;
    let (nonce, evidence) = evidence::read(path)?;
    let (demanded, at) = trust::demanded(&args.trust)?;
    let enclave = trust::appraise(Challenge::of_nonce(nonce), &evidence, &demanded, at)?;
    Ok(*enclave.signing_key())
}

fn verified(proof: &AuditProof, enclave: &PublicKey) -> Result<Mismatch, CliError> {
    proof.verify(enclave).map_err(|error| {
        CliError::part("this proves nothing")(error)
            .hint("a proof holds under the signing key of the enclave that closed the deployment, and only whole")
    })
}

/// What is proven.
#[derive(Serialize)]
struct Report {
    proven: bool,
    deployment: String,
    model_owner: String,
    session: String,
    job: String,
    program: String,
    model: String,
    keys: String,
    input: String,
    auditor: String,
    auditor_version: String,
    enclave: String,
    host_result: String,
    auditor_result: String,
    time: u64,
    /// Of `audit repeat`: `host`, `auditor` or `neither`.
    #[serde(skip_serializing_if = "Option::is_none")]
    third_result_is: Option<&'static str>,
}

impl Report {
    fn new(mismatch: &Mismatch, enclave: &PublicKey) -> Self {
        let committed = &mismatch.quarantine.committed;
        let (task, job) = (&committed.task, &committed.task.job);
        Self {
            proven: true,
            deployment: job.deployment.to_string(),
            model_owner: mismatch.deployment.owner.to_string(),
            session: job.session.to_string(),
            job: job.job.to_string(),
            program: job.program.to_string(),
            model: task.model.to_string(),
            keys: task.keys.to_string(),
            input: job.input.to_string(),
            auditor: mismatch.finding.auditor.to_string(),
            auditor_version: mismatch.finding.version.clone(),
            enclave: enclave.to_string(),
            host_result: hex::encode(&committed.result),
            auditor_result: hex::encode(&mismatch.finding.execution.result),
            time: mismatch.quarantine.time,
            third_result_is: None,
        }
    }

    fn print(&self, json: bool) -> Result<(), CliError> {
        if json {
            return output::json(self);
        }
        output::text(&format!(
            "The proof holds.\n\
             \x20 job         {}\n  deployment  {}\n  enclave     {}\n  auditor     {}\n\
             \x20 The host committed to result  {}\n  The auditor found             {}\n\
             Both speak of the same program, model, keys and inputs, and these have one result. So one of the two is wrong:\n\
             the host, or the auditor. A third execution tells which (`adyton audit repeat`).",
            self.job,
            self.deployment,
            self.enclave,
            self.auditor,
            self.host_result,
            self.auditor_result
        ))
    }
}

/// `adyton audit verify`.
pub(super) fn run(path: &Path, args: &EnclaveKey, json: bool) -> Result<(), CliError> {
    let (proof, enclave) = (read(path)?, enclave_key(args)?);
    Report::new(&verified(&proof, &enclave)?, &enclave).print(json)
}

/// A deployment's id from the command line.
pub(super) fn deployment_id(text: &str) -> Result<DeploymentId, CliError> {
    text.parse::<DeploymentId>().map_err(|error| CliError::Argument {
        what: "--deployment",
        value: text.to_owned(),
        reason: format!(
            "expected the 64 hexadecimal digits that `adyton publish` printed ({error})"
        ),
    })
}

/// `adyton audit proof`.
pub(super) fn fetch(
    connection: &Connection,
    deployment: &str,
    path: &Path,
) -> Result<(), CliError> {
    let id = deployment_id(deployment)?;
    let proof = block_on(async {
        let host = connect(connection).await?;
        host.audit_proof(&id).await.map_err(CliError::part("the proof cannot be had"))
    })?;
    let Some(proof) = proof else {
        return Err(CliError::Argument {
            what: "--deployment",
            value: id.to_string(),
            reason: "the host knows of no failed audit of this deployment".into(),
        });
    };
    write(path, &proof)?;
    output::note(&format!("Stored in {}. Check it: `adyton audit verify`.", path.display()));
    Ok(())
}

/// `adyton audit repeat`.
pub(super) fn repeat(
    path: &Path,
    connection: &Connection,
    args: &EnclaveKey,
    threads: Option<u32>,
    json: bool,
) -> Result<(), CliError> {
    let (proof, enclave) = (read(path)?, enclave_key(args)?);
    let mismatch = verified(&proof, &enclave)?;
    let threads = super::threads(threads)?;
    let result = block_on(third(connection, &mismatch, &enclave, threads))?;
    let host = mismatch.quarantine.committed.result;
    let auditor = mismatch.finding.execution.result;
    let mut report = Report::new(&mismatch, &enclave);
    let (whose, sentence) = match result {
        result if result == auditor => ("auditor", "the auditor's. The host was wrong."),
        result if result == host => ("host", "the host's. The auditor was wrong."),
        _ => ("neither", "neither the host's nor the auditor's. This machine may be at fault."),
    };
    report.third_result_is = Some(whose);
    report.print(json)?;
    output::note(&format!("The third execution's result is {sentence}"));
    Ok(())
}

async fn third(
    connection: &Connection,
    mismatch: &Mismatch,
    enclave: &PublicKey,
    threads: usize,
) -> Result<[u8; 32], CliError> {
    const FAIL: &str = "the job cannot be executed again";
    let job = &mismatch.quarantine.committed.task.job;
    let host = connect(connection).await?;
    let work = host.audit_work(&job.session, &job.job).await.map_err(CliError::part(FAIL))?;
    let keys = work.keys.iter().map(|key| Signed::decode(key)).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(CliError::part(FAIL))?;
    let program =
        host.program(&job.deployment, MAX_PROGRAM_BYTES).await.map_err(CliError::part(FAIL))?;
    let task = Task::of_proof(enclave, mismatch, &program, &keys).map_err(CliError::part(FAIL))?;
    Ok(Fetched::default().execute(&host, &task, threads).await?.result)
}
