//! `adyton policy`.

use crate::appraisal;
use crate::args::{Policy as Arguments, PolicyCommand, PolicyNew};
use crate::error::CliError;
use crate::output;
use adyton_appraise::{MAX_EVIDENCE, Policy, Verdict, appraise};
use serde::Serialize;

/// Runs one of the policy commands.
pub(crate) fn run(args: &Arguments) -> Result<(), CliError> {
    match &args.command {
        PolicyCommand::New(new) => make(new, args.json),
        PolicyCommand::Explain { file } => {
            let policy = appraisal::policy(file)?;
            let (hash, explanation) = (hash(&policy)?, policy.explain());
            if args.json {
                return output::json(&Explained { hash, explanation });
            }
            output::text(&format!("policy {hash}\n{}", explanation.join("\n")))
        }
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

#[derive(Serialize)]
struct Hashed {
    hash: String,
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
