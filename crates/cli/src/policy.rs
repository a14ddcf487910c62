//! `adyton policy`.

use crate::appraisal;
use crate::args::{Policy as Arguments, PolicyCommand, PolicyNew, Release};
use crate::error::CliError;
use crate::release::{self, LeakReport};
use crate::{output, program_files};
use adyton_appraise::{MAX_EVIDENCE, Policy, Verdict, appraise};
use adyton_program::VerifiedProgram;
use adyton_program::limits::MAX_PROGRAM_BYTES;
use adyton_wire::ProgramId;
use serde::Serialize;
use std::path::Path;

/// Runs one of the policy commands.
pub(crate) fn run(args: &Arguments) -> Result<(), CliError> {
    match &args.command {
        PolicyCommand::New(new) => make(new, args.json),
        PolicyCommand::Explain { file, release } => match program_of(file)? {
            Some(program) => explain_release(release, &program, args.json),
            None => explain(file, args.json),
        },
        PolicyCommand::Hash { file } => {
            let hash = hash(&appraisal::policy(file)?)?;
            if args.json { output::json(&Hashed { hash }) } else { output::text(&hash) }
        }
    }
}

#[derive(Serialize)]
struct Explained {
    hash: String,
    explanation: Vec<String>,
}

/// A release policy over a program.
#[derive(Serialize)]
struct ExplainedRelease {
    program: String,
    #[serde(flatten)]
    leak: LeakReport,
    explanation: Vec<String>,
}

#[derive(Serialize)]
struct Hashed {
    hash: String,
}

fn explain(file: &Path, json: bool) -> Result<(), CliError> {
    let policy = appraisal::policy(file)?;
    let (hash, explanation) = (hash(&policy)?, policy.explain());
    if json {
        return output::json(&Explained { hash, explanation });
    }
    output::text(&format!("policy {hash}\n{}", explanation.join("\n")))
}

/// The program, if `path` is one or a compiled directory. A policy is JSON text, which no program begins with.
fn program_of(path: &Path) -> Result<Option<VerifiedProgram>, CliError> {
    if path.is_dir() {
        return program_files::load_program(&path.join(program_files::PROGRAM)).map(Some);
    }
    let is_policy = appraisal::read(path, MAX_PROGRAM_BYTES)?.trim_ascii_start().starts_with(b"{");
    if is_policy { Ok(None) } else { program_files::load_program(path).map(Some) }
}

fn explain_release(flags: &Release, program: &VerifiedProgram, json: bool) -> Result<(), CliError> {
    release::check(flags, program)?;
    let leak = LeakReport::new(&release::policy(flags)?, program);
    let explanation = leak.sentences();
    if json {
        let program = ProgramId(program.id()).to_string();
        return output::json(&ExplainedRelease { program, leak, explanation });
    }
    output::text(&explanation.join("\n"))
}

fn hash(policy: &Policy) -> Result<String, CliError> {
    policy.hash().map(|hash| hash.to_string()).map_err(CliError::part("the policy has no hash"))
}

/// The policy is JSON already, so with a file for it `json` prints its hash.
fn make(args: &PolicyNew, json: bool) -> Result<(), CliError> {
    let policy = match &args.from {
        Some(path) => {
            let at = appraisal::at(&args.endorsing)?;
            let evidence = appraisal::read(path, MAX_EVIDENCE)?;
            let claims = appraisal::claims(&evidence, &args.endorsing, at)?
                .map_err(CliError::part("no policy is made of evidence that proves nothing"))?;
            let mut policy = Policy::for_program_of(&claims);
            for rule in policy.accept.values_mut() {
                rule.allow.extend(&args.allow);
                rule.tcb_statuses.extend(&args.tcb_statuses);
                rule.advisories.extend(args.advisories.iter().cloned());
            }
            let policy = policy.canonical();
            if let Verdict::Refused { reasons } = appraise(&claims, &policy, at) {
                output::note(
                    "The policy names this program, and would still refuse this evidence:",
                );
                for reason in reasons {
                    output::note(&format!(
                        "  {}: {}; {}",
                        reason.code, reason.sentence, reason.help
                    ));
                }
            }
            policy
        }
        None => Policy::template(),
    };
    let mut text = serde_json::to_string_pretty(&policy)
        .map_err(CliError::part("the policy cannot be written"))?;
    text.push('\n');
    let Some(path) = &args.output else { return output::text(&text) };
    std::fs::write(path, text).map_err(CliError::file("write", path))?;
    let hash = hash(&policy)?;
    if json { output::json(&Hashed { hash }) } else { output::text(&format!("policy {hash}")) }
}
