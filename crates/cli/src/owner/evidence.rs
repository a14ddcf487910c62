//! `adyton evidence`.

mod verify;

use super::{block_on, connect, trust};
use crate::args::{Appraising, Connection, Endorsing, Evidence, EvidenceCommand};
use crate::error::CliError;
use crate::output;
use adyton_attest::Claims;
use adyton_client::trust::Challenge;
use adyton_wire::Nonce;
use adyton_wire::message::Evidence as WireEvidence;
use serde::Serialize;
use std::path::Path;

/// First eight bytes of an evidence file; the nonce and wire's `Evidence` follow.
const MAGIC: &[u8; 8] = b"ADYTEVID";
/// Largest evidence file, bytes.
const MAX_LEN: u64 = 1 << 20;

/// Runs one of the evidence commands.
pub(crate) fn run(args: &Evidence) -> Result<(), CliError> {
    match &args.command {
        EvidenceCommand::Fetch { connection, output: path } => {
            let (nonce, evidence) = block_on(fetch(connection))?;
            let file = [MAGIC.as_slice(), nonce.as_bytes(), &evidence].concat();
            std::fs::write(path, file).map_err(CliError::file("write", path))?;
            print(&nonce, &evidence, args.json)?;
            output::note(&format!(
                "Stored in {}. Not verified yet: `adyton evidence verify`.",
                path.display()
            ));
            Ok(())
        }
        EvidenceCommand::Show { file } => show(file, args.json),
        EvidenceCommand::Verify { file, trust, appraising } => {
            if let Some(policy) = &appraising.policy {
                return verify::run(file, policy, appraising, args.json);
            }
            needs_policy(appraising)?;
            let (nonce, evidence) = read(file)?;
            let policy = trust::policy(trust)?;
            trust::appraise(Challenge::of_nonce(nonce), &evidence, &policy)?;
            print(&nonce, &evidence, args.json)?;
            output::note("The evidence satisfies the policy.");
            Ok(())
        }
    }
}

/// What only hardware evidence has a use for is given with a policy alone: an option that did nothing would mislead.
fn needs_policy(appraising: &Appraising) -> Result<(), CliError> {
    let Endorsing { collateral, certificates, roots, at } = &appraising.endorsing;
    let path = |path: &Path| path.display().to_string();
    let given = [
        ("--collateral", collateral.first().map(|file| path(file))),
        ("--certs", certificates.first().map(|file| path(file))),
        ("--root", roots.first().map(|(_, file)| path(file))),
        ("--at", at.map(|at| at.to_string())),
    ];
    match given.into_iter().find_map(|(what, value)| Some((what, value?))) {
        None => Ok(()),
        Some((what, value)) => Err(CliError::Argument {
            what,
            value,
            reason: "it goes with --policy, for hardware evidence".to_owned(),
        }),
    }
}

/// Prints what the evidence in a file claims.
pub(crate) fn show(file: &Path, json: bool) -> Result<(), CliError> {
    let (nonce, evidence) = read(file)?;
    print(&nonce, &evidence, json)
}

/// Whether a file begins like evidence.
pub(crate) fn is_evidence(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

async fn fetch(connection: &Connection) -> Result<(Nonce, Vec<u8>), CliError> {
    let host = connect(connection).await?;
    let challenge = Challenge::new().map_err(CliError::part("cannot challenge the enclave"))?;
    let evidence = super::evidence(&host, &challenge).await?;
    Ok((*challenge.nonce(), evidence))
}

/// Nonce and evidence of a file of `evidence fetch`.
pub(crate) fn read(path: &Path) -> Result<(Nonce, Vec<u8>), CliError> {
    let malformed =
        |reason: &str| CliError::Content { path: path.to_owned(), reason: reason.to_owned() };
    let length = std::fs::metadata(path).map_err(CliError::file("read", path))?.len();
    if length > MAX_LEN {
        return Err(malformed("too large for evidence"));
    }
    let bytes = std::fs::read(path).map_err(CliError::file("read", path))?;
    let rest = bytes.strip_prefix(MAGIC.as_slice());
    let rest = rest.ok_or_else(|| malformed("not a file of `adyton evidence fetch`"))?;
    let (nonce, evidence) =
        rest.split_at_checked(32).ok_or_else(|| malformed("it ends within the nonce"))?;
    let nonce = Nonce::from_slice(nonce).map_err(CliError::part("the nonce"))?;
    Ok((nonce, evidence.to_vec()))
}

#[derive(Serialize)]
struct Report {
    platform: String,
    simulated: bool,
    measurement: Option<String>,
    debug: Option<bool>,
    signatures_verify: bool,
    binds_statement: bool,
    answers_nonce: bool,
    nonce: String,
    signing_key: String,
    instance: String,
    epoch: u32,
    version: String,
}

fn print(nonce: &Nonce, evidence: &[u8], json: bool) -> Result<(), CliError> {
    let evidence =
        WireEvidence::decode(evidence).map_err(CliError::part("the evidence is malformed"))?;
    let claims: Option<Claims> = adyton_attest::verify(&evidence).ok();
    let statement = &evidence.statement;
    let report = Report {
        platform: evidence.kind.clone(),
        simulated: statement.simulated,
        measurement: claims.as_ref().map(|c| c.measurement.to_string()),
        debug: claims.as_ref().map(|c| c.debug),
        signatures_verify: claims.is_some(),
        binds_statement: claims.is_some_and(|c| c.report_data == statement.report_data()),
        answers_nonce: statement.nonce == *nonce,
        nonce: statement.nonce.to_string(),
        signing_key: statement.signing_key.to_string(),
        instance: statement.instance.to_string(),
        epoch: statement.epoch,
        version: statement.version.clone(),
    };
    if json {
        return output::json(&report);
    }
    let yes = |b: bool| if b { "yes" } else { "NO" };
    let simulated = if report.simulated { "  (SIMULATED: proves nothing)" } else { "" };
    output::text(&format!(
        "platform            {}{simulated}\nmeasurement         {}\ndebug               {}\nsignatures verify   {}\n\
         binds the keys      {}\nanswers the nonce   {}\nsigning key         {}\ninstance            {}\n\
         epoch               {}\nenclave version     {}",
        report.platform,
        report.measurement.as_deref().unwrap_or("unknown"),
        report.debug.map_or("unknown", |d| if d { "ON" } else { "off" }),
        yes(report.signatures_verify),
        yes(report.binds_statement),
        yes(report.answers_nonce),
        report.signing_key,
        report.instance,
        report.epoch,
        report.version
    ))
}
