//! What the demo measures. The fields are documented in docs/demo-json.md; they are never renamed.

use super::labels;
use crate::args::Objective;
use crate::compile::CompileReport;
use crate::digits::Picture;
use crate::error::CliError;
use crate::machine;
use crate::owner::infer::InferReport;
use crate::owner::publish::PublishReport;
use crate::process::Usage;
use adyton_rpc::v1::StatsReply;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole report.
#[derive(Serialize)]
pub(crate) struct DemoReport {
    /// Version of Adyton.
    pub(crate) version: &'static str,
    /// The processor's name.
    pub(crate) cpu: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Always true in this version: the only evidence is simulated.
    pub(crate) simulated_evidence: bool,
    /// Wall time of everything.
    pub(crate) wall_seconds: f64,
    /// One entry for each network.
    pub(crate) networks: Vec<NetworkReport>,
}

/// One network's run.
#[derive(Serialize)]
pub(crate) struct NetworkReport {
    pub(crate) name: String,
    pub(crate) objective: &'static str,
    pub(crate) model_privacy: String,
    pub(crate) images: usize,
    pub(crate) lanes: u32,
    pub(crate) groups: u32,
    pub(crate) threads: u32,
    #[serde(flatten)]
    pub(crate) agreement: Agreement,
    pub(crate) evaluate_seconds: f64,
    pub(crate) job_seconds: f64,
    pub(crate) wall_seconds: f64,
    pub(crate) host_cpu_seconds: f64,
    pub(crate) enclave_cpu_seconds: f64,
    pub(crate) cpu_seconds: BTreeMap<&'static str, f64>,
    pub(crate) peak_rss_mib: BTreeMap<&'static str, f64>,
    pub(crate) bytes: BTreeMap<&'static str, u64>,
    pub(crate) steps: Vec<StepReport>,
    pub(crate) log_n: u8,
    pub(crate) max_log_qp: f64,
    pub(crate) model_bytes: u64,
    pub(crate) input_bytes: u64,
    pub(crate) key_bytes: u64,
    pub(crate) ledger_bits: u64,
    #[serde(skip)]
    pub(crate) pictures: Vec<(Picture, String)>,
}

/// One step of one party.
#[derive(Serialize)]
pub(crate) struct StepReport {
    pub(crate) party: &'static str,
    pub(crate) name: String,
    pub(crate) seconds: f64,
}

/// The encrypted run against the truth and against the run in the clear.
#[derive(Serialize)]
pub(crate) struct Agreement {
    /// Share of images whose released label is right.
    pub(crate) accuracy: f64,
    /// Share of images whose label in the clear is right.
    pub(crate) plaintext_accuracy: f64,
    /// Share of images whose released label is that of the run in the clear.
    pub(crate) label_agreement: f64,
    /// Largest difference between a released logit and the one in the clear.
    pub(crate) max_logit_error: f64,
    /// Largest less smallest logit in the clear.
    pub(crate) logit_range: f64,
}

impl Agreement {
    /// Compares; `truth` may be longer than the run.
    pub(crate) fn new(
        plain: &[Vec<f64>],
        inferred: &InferReport,
        truth: &[u8],
    ) -> Result<Self, CliError> {
        let wrong = |reason: &str| {
            let error = std::io::Error::other(reason.to_owned());
            CliError::part("the results cannot be compared")(error)
        };
        let logits = inferred.logits.as_deref().ok_or_else(|| wrong("no logits were released"))?;
        if logits.len() != plain.len() || plain.is_empty() {
            return Err(wrong("another number of results than of images"));
        }
        let plain_labels = labels(plain);
        let share = |a: &[u32], b: &mut dyn Iterator<Item = u32>| {
            a.iter().zip(b).filter(|(a, b)| **a == *b).count() as f64 / a.len() as f64
        };
        let (mut low, mut high, mut error) = (f64::INFINITY, f64::NEG_INFINITY, 0.0f64);
        for (row, exact) in logits.iter().zip(plain) {
            for (&value, &exact) in row.iter().zip(exact) {
                (low, high) = (low.min(exact), high.max(exact));
                error = error.max((value - exact).abs());
            }
        }
        Ok(Self {
            accuracy: share(&inferred.labels, &mut truth.iter().map(|&t| u32::from(t))),
            plaintext_accuracy: share(&plain_labels, &mut truth.iter().map(|&t| u32::from(t))),
            label_agreement: share(&inferred.labels, &mut plain_labels.iter().copied()),
            max_logit_error: error,
            logit_range: high - low,
        })
    }
}

/// What a network's report is made of.
pub(crate) struct Parts {
    pub(crate) objective: Objective,
    pub(crate) compiled: CompileReport,
    pub(crate) published: PublishReport,
    pub(crate) inferred: InferReport,
    pub(crate) stats: StatsReply,
    pub(crate) enclave: Usage,
    pub(crate) host: Usage,
    pub(crate) agreement: Agreement,
    pub(crate) pictures: Vec<(Picture, String)>,
    pub(crate) wall_seconds: f64,
}

impl NetworkReport {
    /// Puts the parts together.
    pub(crate) fn new(parts: Parts) -> Result<Self, CliError> {
        let Parts { compiled, published, inferred, stats, enclave, host, .. } = parts;
        let job = inferred.jobs.first().ok_or_else(|| {
            let error = std::io::Error::other("the data owner reports no job");
            CliError::part("the run cannot be reported")(error)
        })?;
        let step =
            |party, name: &str, seconds| StepReport { party, name: name.to_owned(), seconds };
        let mut steps = vec![step("model_owner", "compile the network", compiled.seconds)];
        steps
            .extend(published.effort.steps.iter().map(|s| step("model_owner", &s.name, s.seconds)));
        steps.extend(
            inferred
                .effort
                .steps
                .iter()
                .filter(|s| s.name != JOB_STEP)
                .map(|s| step("data_owner", &s.name, s.seconds)),
        );
        let evaluate = format!("evaluate {} weights × encrypted inputs", compiled.model_privacy);
        let rest = job.wall_seconds - job.load_seconds - job.evaluate_seconds - job.release_seconds;
        steps.push(step("host", "load weights and keys", job.load_seconds));
        steps.push(step("host", &evaluate, job.evaluate_seconds));
        steps.push(step(
            "enclave",
            "check, decrypt, flood, round, seal, sign",
            job.release_seconds,
        ));
        steps.push(step("data_owner", "submit, wait, open, verify the receipt", rest.max(0.0)));
        let (owner, data) = (published.effort.usage, inferred.effort.usage);
        let by_role = |f: fn(&Usage) -> f64, model_owner: f64| {
            BTreeMap::from([
                ("enclave", f(&enclave)),
                ("host", f(&host)),
                ("model_owner", model_owner),
                ("data_owner", f(&data)),
            ])
        };
        Ok(Self {
            objective: parts.objective.as_str(),
            images: inferred.samples,
            lanes: compiled.lanes,
            groups: inferred.groups,
            threads: job.threads,
            evaluate_seconds: job.evaluate_seconds,
            job_seconds: job.wall_seconds,
            wall_seconds: parts.wall_seconds,
            host_cpu_seconds: job.evaluate_cpu_seconds,
            enclave_cpu_seconds: job.enclave_cpu_seconds,
            cpu_seconds: by_role(|u| u.cpu_seconds, owner.cpu_seconds + compiled.usage.cpu_seconds),
            peak_rss_mib: by_role(
                |u| u.peak_rss_mib,
                owner.peak_rss_mib.max(compiled.usage.peak_rss_mib),
            ),
            bytes: BTreeMap::from([
                ("model_owner_to_host", published.effort.bytes.sent),
                ("host_to_model_owner", published.effort.bytes.received),
                ("data_owner_to_host", inferred.effort.bytes.sent),
                ("host_to_data_owner", inferred.effort.bytes.received),
                ("host_to_enclave", edge(&stats, "host", "enclave")),
                ("enclave_to_host", edge(&stats, "enclave", "host")),
            ]),
            log_n: compiled.log_n,
            max_log_qp: compiled.max_log_qp,
            model_bytes: published.model_bytes,
            input_bytes: inferred.input_bytes,
            key_bytes: compiled.key_bytes,
            ledger_bits: job.ledger_bits,
            steps,
            name: compiled.name,
            model_privacy: compiled.model_privacy,
            agreement: parts.agreement,
            pictures: parts.pictures,
        })
    }
}

/// The data owner's step that the host's and the enclave's parts of the job replace in the report.
pub(crate) const JOB_STEP: &str = "evaluate, release, open, verify";

/// Payload bytes from one party to another, as the host counts them.
fn edge(stats: &StatsReply, from: &str, to: &str) -> u64 {
    stats.edges.iter().filter(|e| e.from == from && e.to == to).map(|e| e.bytes).sum()
}

impl DemoReport {
    /// The report of these networks.
    pub(crate) fn new(networks: Vec<NetworkReport>, wall_seconds: f64) -> Result<Self, CliError> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            cpu: machine::cpu(),
            cores: machine::cores(),
            simulated_evidence: true,
            wall_seconds,
            networks,
        })
    }
}
