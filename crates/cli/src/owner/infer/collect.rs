//! `adyton infer --collect`: results of jobs whose data owner was interrupted.

use super::{Opened, open, render, submit_and_wait, values};
use crate::args::Infer;
use crate::error::CliError;
use crate::output;
use crate::owner::tickets::Tickets;
use crate::owner::{Stopwatch, block_on};
use crate::progress::Progress;
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    collected: Vec<Collected>,
}

#[derive(Serialize)]
struct Collected {
    job: String,
    labels: Vec<u32>,
    logits: Option<Vec<Vec<f64>>>,
}

/// Fetches and prints every stored job's result.
pub(super) fn run(args: &Infer) -> Result<(), CliError> {
    let report = block_on(collect(args))?;
    if args.json {
        return output::json(&report);
    }
    if report.collected.is_empty() {
        output::note("No job of this session waits to be collected.");
    }
    for job in &report.collected {
        output::note(&format!("job {}:", job.job));
        output::text(&render(args.output, &job.labels, job.logits.as_deref())?)?;
    }
    Ok(())
}

async fn collect(args: &Infer) -> Result<Report, CliError> {
    let mut progress = Progress::new();
    let Opened { host, deployment, session, .. } =
        open(args, &mut progress, &mut Stopwatch::start()).await?;
    let tickets = Tickets::beside(&args.identity);
    let outputs = deployment.program().program().output.outputs;
    let mut collected = Vec::new();
    for message in tickets.of_session(&session.id())? {
        let job = session
            .stored_job(&message)
            .map_err(CliError::part("a stored job of this session cannot be used"))?;
        let id = job.statement().job;
        progress.begin(&format!("collect job {id}"));
        let released = submit_and_wait(&host, &job, message, &mut progress)
            .await
            .map_err(CliError::part(format!("the result of job {id} cannot be had")))?;
        let outcome = session
            .open_result(&job, &released.released)
            .map_err(CliError::part("the result cannot be believed"))?;
        tickets.remove(&id)?;
        if !outcome.payload.checks.passed() {
            return Err(CliError::Checks(outcome.payload.checks.0));
        }
        let (labels, logits) = values(&outcome, outputs);
        collected.push(Collected { job: id.to_string(), labels, logits });
    }
    progress.end(None);
    Ok(Report { collected })
}
