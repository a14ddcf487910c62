//! Canary lanes of `adyton infer`: read, hidden, kept beside the job, checked, and taken out of the result.

use crate::args::Infer;
use crate::error::CliError;
use crate::owner::tickets::Tickets;
use crate::samples;
use adyton_client::canary::{Canaries, Known, detection, tolerance};
use adyton_client::{Deployment, Outcome};
use adyton_wire::JobId;
use serde::{Deserialize, Serialize};

/// What the report says of canaries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CanaryReport {
    /// Canaries in the job.
    pub(crate) hidden: usize,
    /// Lanes of the job, canaries included.
    pub(crate) lanes: usize,
    /// Probability that a host which alters one lane, chosen blindly, is caught.
    pub(crate) detects_one: f64,
    /// The same for a tenth of the lanes.
    pub(crate) detects_tenth: f64,
}

/// Canaries of one job; stored beside its ticket, so that whoever collects it later finds them again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hidden {
    own: Vec<usize>,
    canaries: Vec<(usize, Vec<f64>)>,
}

/// The known samples that the arguments name, if any.
pub(super) fn load(args: &Infer) -> Result<Option<Vec<Known>>, CliError> {
    let (Some(inputs), Some(answers)) = (&args.canary_inputs, &args.canary_answers) else {
        return Ok(None);
    };
    let (inputs, answers) = (
        samples::read(std::slice::from_ref(inputs), None)?,
        samples::read(std::slice::from_ref(answers), None)?,
    );
    if inputs.len() != answers.len() {
        return Err(CliError::Argument {
            what: "--canary-answers",
            value: format!("{} answers", answers.len()),
            reason: format!(
                "there are {} known inputs; each needs the network's outputs on it",
                inputs.len()
            ),
        });
    }
    Ok(Some(
        inputs.into_iter().zip(answers).map(|(input, answer)| Known { input, answer }).collect(),
    ))
}

impl Hidden {
    /// Hides canaries among the samples where the arguments ask for it.
    pub(super) fn among(
        samples: Vec<Vec<f64>>,
        known: Option<&[Known]>,
        count: u32,
        deployment: &Deployment,
    ) -> Result<(Vec<Vec<f64>>, Option<Self>), CliError> {
        let Some(known) = known else { return Ok((samples, None)) };
        let outputs = deployment.program().program().output.outputs as usize;
        let (mixed, canaries) = Canaries::hide(&samples, known, count as usize, outputs)
            .map_err(CliError::part("the canaries cannot be hidden"))?;
        Ok((mixed, Some(Self { own: canaries.own, canaries: canaries.hidden })))
    }

    /// Keeps them beside the job's ticket; to be called before the ticket is stored.
    pub(super) fn keep(&self, tickets: &Tickets, job: &JobId) -> Result<(), CliError> {
        let text = serde_json::to_vec(self).map_err(CliError::part("the canaries"))?;
        tickets.put_canaries(job, &text)
    }

    /// The canaries that were kept with a job.
    pub(super) fn kept(tickets: &Tickets, job: &str) -> Result<Option<Self>, CliError> {
        let text = tickets.canaries(job)?;
        let read = |text: Vec<u8>| serde_json::from_slice(&text);
        text.map(read).transpose().map_err(CliError::part("the job's canaries are damaged"))
    }

    /// Holds the result against the known answers.
    pub(super) fn check(&self, outcome: &Outcome, deployment: &Deployment) -> Result<(), CliError> {
        let program = deployment.program().program();
        let allowed =
            tolerance(&deployment.statement().policy, program.input.lanes, &program.output);
        let canaries = Canaries { own: self.own.clone(), hidden: self.canaries.clone() };
        canaries.check(&outcome.payload, allowed).map_err(|error| {
            CliError::part("the result cannot be believed")(error)
                .hint("were the known answers this network's? If so, ask the model owner for an audit (adyton audit)")
        })
    }

    /// The own samples' part of a list with one entry for each sample of the job.
    pub(super) fn own<T: Clone>(&self, all: &[T]) -> Vec<T> {
        Canaries { own: self.own.clone(), hidden: Vec::new() }.own(all)
    }

    pub(super) fn report(&self) -> CanaryReport {
        let (hidden, lanes) = (self.canaries.len(), self.own.len() + self.canaries.len());
        let detects = |altered: usize| detection(lanes as u64, hidden as u64, altered as u64);
        CanaryReport {
            hidden,
            lanes,
            detects_one: detects(1),
            detects_tenth: detects(lanes.div_ceil(10)),
        }
    }
}

/// The label of each sample, and its logits where the deployment releases them.
type LabelsAndLogits = (Vec<u32>, Option<Vec<Vec<f64>>>);

/// Labels and logits of the own samples, the canaries checked and taken out.
pub(super) fn own_values(
    hidden: Option<&Hidden>,
    outcome: &Outcome,
    deployment: &Deployment,
) -> Result<LabelsAndLogits, CliError> {
    let outputs = deployment.program().program().output.outputs;
    let (labels, logits) = super::values(outcome, outputs);
    let Some(hidden) = hidden else { return Ok((labels, logits)) };
    hidden.check(outcome, deployment)?;
    Ok((hidden.own(&labels), logits.map(|logits| hidden.own(&logits))))
}
