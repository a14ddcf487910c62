//! `adyton infer --collect`: results of jobs whose data owner was interrupted.

use super::canaries::{Hidden, own_values};
use super::{Opened, is_final, open, render, submit_and_wait};
use crate::args::Infer;
use crate::error::CliError;
use crate::output;
use crate::owner::tickets::Tickets;
use crate::owner::{Stopwatch, block_on};
use crate::progress::Progress;
use adyton_client::transport::TransportError;
use serde::Serialize;

/// What `infer --collect --json` prints.
#[derive(Default, Serialize)]
struct Report {
    /// Results, in no particular order.
    collected: Vec<Collected>,
    /// Jobs that will never have a result.
    refused: Vec<String>,
}

#[derive(Serialize)]
struct Collected {
    job: String,
    labels: Vec<u32>,
    logits: Option<Vec<Vec<f64>>>,
}

/// Fetches and prints every stored job's result.
pub(super) fn run(args: &Infer) -> Result<(), CliError> {
    let (report, failed) = block_on(collect(args))?;
    if args.json {
        output::json(&report)?;
    } else {
        if report.collected.is_empty() && failed.is_none() {
            output::note("No job of this session waits to be collected.");
        }
        for job in &report.collected {
            output::note(&format!("job {}:", job.job));
            output::text(&render(args.output, &job.labels, job.logits.as_deref())?)?;
        }
    }
    // Only what was delivered is forgotten, and what has no result.
    let tickets = Tickets::beside(&args.identity);
    let delivered = report.collected.iter().map(|collected| &collected.job);
    delivered.chain(&report.refused).try_for_each(|job| tickets.remove(job))?;
    failed.map_or(Ok(()), Err)
}

/// Everything that can be had, and the first thing that went wrong: one job's failure keeps no other from being collected.
async fn collect(args: &Infer) -> Result<(Report, Option<CliError>), CliError> {
    let mut progress = Progress::new();
    let Opened { host, deployment, session, .. } =
        open(args, None, &mut progress, &mut Stopwatch::start()).await?;
    let tickets = Tickets::beside(&args.identity);
    let mut report = Report::default();
    let mut failed = None;
    for message in tickets.of_session(&session.id())? {
        let job = session
            .stored_job(&message)
            .map_err(CliError::part("a stored job of this session cannot be used"))?;
        let id = job.statement().job.to_string();
        progress.begin(&format!("collect job {id}"));
        let fail = |what: &str| format!("the result of job {id} {what}");
        let error = match submit_and_wait(&host, &job, message, &mut progress).await {
            Ok(released) => match session.open_result(&job, &released.released) {
                Ok(outcome) if outcome.payload.checks.passed() => {
                    let hidden = Hidden::kept(&tickets, &id)?;
                    match own_values(hidden.as_ref(), &outcome, &deployment) {
                        Ok((labels, logits)) => {
                            report.collected.push(Collected { job: id, labels, logits });
                            continue;
                        }
                        Err(error) => {
                            report.refused.push(id);
                            error
                        }
                    }
                }
                Ok(outcome) => {
                    report.refused.push(id);
                    CliError::Checks(outcome.payload.checks.0)
                }
                Err(error) => CliError::part(fail("cannot be believed"))(error),
            },
            Err(error) if is_final(&error) => {
                report.refused.push(id.clone());
                CliError::part(format!("job {id} was refused and is forgotten"))(error)
            }
            Err(error) => {
                let gone = matches!(error, TransportError::Unavailable { .. });
                failed.get_or_insert(CliError::part(fail("cannot be had now"))(error));
                if gone {
                    break;
                }
                continue;
            }
        };
        failed.get_or_insert(error);
    }
    progress.end(None);
    Ok((report, failed))
}
