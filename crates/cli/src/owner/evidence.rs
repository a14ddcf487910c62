//! `adyton evidence`.

mod verify;

use super::{block_on, connect};
use crate::appraisal;
use crate::args::{Connection, Evidence, EvidenceCommand};
use crate::error::CliError;
use crate::output;
use adyton_appraise::policy::{identifying, is_of};
use adyton_appraise::{Claims, Endorsements, TrustStore, UnixTime};
use adyton_client::trust::{Challenge, bound_data};
use adyton_wire::Nonce;
use adyton_wire::message::Evidence as WireEvidence;
use serde::Serialize;
use std::path::Path;

/// First eight bytes of an evidence file; the nonce and wire's `Evidence` follow.
const MAGIC: &[u8; 8] = b"ADYTEVID";
/// Largest evidence file, bytes.
const MAX_LEN: usize = 1 << 20;

/// Runs one of the evidence commands.
pub(crate) fn run(args: &Evidence) -> Result<(), CliError> {
    match &args.command {
        EvidenceCommand::Fetch { host, output: path } => {
            let (nonce, evidence) = block_on(fetch(&host.connection()))?;
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
        EvidenceCommand::Verify { file, trust, answering } => {
            verify::run(file, trust, answering, args.json)
        }
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
    let bytes = appraisal::read(path, MAX_LEN)?;
    opened(path, &bytes)?.ok_or_else(|| CliError::Content {
        path: path.to_owned(),
        reason: "not a file of `adyton evidence fetch`".to_owned(),
    })
}

/// Nonce and wire's `Evidence` of what `fetch` stored; nothing where the bytes are something else.
fn opened(path: &Path, bytes: &[u8]) -> Result<Option<(Nonce, Vec<u8>)>, CliError> {
    let Some(rest) = bytes.strip_prefix(MAGIC.as_slice()) else { return Ok(None) };
    let (nonce, evidence) = rest.split_at_checked(32).ok_or_else(|| CliError::Content {
        path: path.to_owned(),
        reason: "it ends within the nonce".to_owned(),
    })?;
    let nonce = Nonce::from_slice(nonce).map_err(CliError::part("the nonce"))?;
    Ok(Some((nonce, evidence.to_vec())))
}

/// Claims of an enclave's evidence as of now, for showing: under the vendors' roots, and the test root if this build knows one.
fn shown(evidence: &WireEvidence) -> Result<Option<Claims>, CliError> {
    let (roots, endorsements) = (TrustStore::production(), Endorsements::default());
    #[cfg(feature = "simulated")]
    let (roots, endorsements) = (
        roots.with_simulated().map_err(CliError::part("the test root"))?,
        endorsements.with_simulated(),
    );
    let at: UnixTime = appraisal::now()?;
    Ok(adyton_appraise::verify(&evidence.evidence, &endorsements, &roots, at).ok())
}

/// What identifies the program, each measurement by its name.
fn program(claims: &Claims) -> String {
    let groups = identifying(claims.kind);
    let of_program = |name: &str| groups.iter().any(|group| is_of(group, name));
    let named: Vec<(&String, String)> = claims
        .measurements
        .iter()
        .filter(|(name, _)| of_program(name))
        .map(|(name, value)| (name, value.to_string()))
        .collect();
    match named.as_slice() {
        [(_, one)] => one.clone(),
        several => {
            let told: Vec<String> =
                several.iter().map(|(n, value)| format!("{n}={value}")).collect();
            told.join(" ")
        }
    }
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
    let claims = shown(&evidence)?;
    let statement = &evidence.statement;
    let report = Report {
        platform: evidence.kind.clone(),
        simulated: statement.simulated,
        measurement: claims.as_ref().map(program),
        debug: claims.as_ref().map(|c| c.debug),
        signatures_verify: claims.is_some(),
        binds_statement: claims.is_some_and(|c| c.report_data.0 == bound_data(c.kind, statement)),
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
