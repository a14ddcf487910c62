//! What the host counts: bytes over each edge, time spent, jobs, memory. One set of numbers behind `Stats` and `/metrics`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::usage::Usage;

/// Who stands at the end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A model owner.
    ModelOwner,
    /// A data owner.
    DataOwner,
    /// An owner, where the call does not tell which.
    Owner,
    /// This host.
    Host,
    /// The enclave.
    Enclave,
}

impl Party {
    /// Name in reports; stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModelOwner => "model-owner",
            Self::DataOwner => "data-owner",
            Self::Owner => "owner",
            Self::Host => "host",
            Self::Enclave => "enclave",
        }
    }
}

/// What an edge carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payload {
    /// Encoded programs.
    Program,
    /// Encrypted models.
    Model,
    /// Encrypted inputs.
    Input,
    /// Challenges and evidence.
    Evidence,
    /// Deployment requests and statements.
    Deployment,
    /// Session requests and statements.
    Session,
    /// Evaluation keys.
    Keys,
    /// Job statements.
    Job,
    /// Result ciphertexts and sealed results.
    Result,
    /// Audit entries.
    Audit,
    /// Everything else.
    Control,
}

impl Payload {
    /// Name in reports; stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Model => "model",
            Self::Input => "input",
            Self::Evidence => "evidence",
            Self::Deployment => "deployment",
            Self::Session => "session",
            Self::Keys => "keys",
            Self::Job => "job",
            Self::Result => "result",
            Self::Audit => "audit",
            Self::Control => "control",
        }
    }
}

/// One direction of one connection, for one kind of payload.
pub type Edge = (Party, Party, Payload);

type Labels = [(&'static str, &'static str); 3];
type Seconds = Counter<f64, AtomicU64>;

#[derive(Clone, Debug, Default)]
struct EdgeCounters {
    bytes: Counter,
    messages: Counter,
}

/// All counters of one host.
pub struct Metrics {
    registry: Registry,
    edges: Mutex<BTreeMap<Edge, EdgeCounters>>,
    edge_bytes: Family<Labels, Counter>,
    edge_messages: Family<Labels, Counter>,
    /// Wall time of evaluations, seconds.
    pub evaluate_seconds: Seconds,
    /// CPU time of the process during evaluations, seconds.
    pub evaluate_cpu_seconds: Seconds,
    /// Jobs whose result can be fetched.
    pub jobs_done: Counter,
    /// Jobs that were accepted and then refused.
    pub jobs_refused: Counter,
    /// Jobs accepted and not yet finished.
    pub jobs_open: Gauge,
    /// Bytes of the memory budget in use.
    pub memory_used: Gauge,
    /// 1 if the enclave answered the last request made to it.
    pub enclave_reachable: Gauge,
    cpu_seconds: Gauge<f64, AtomicU64>,
    rss_bytes: Gauge<i64, AtomicI64>,
    peak_rss_bytes: Gauge<i64, AtomicI64>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("adyton_host"),
            edges: Mutex::default(),
            edge_bytes: Family::default(),
            edge_messages: Family::default(),
            evaluate_seconds: Seconds::default(),
            evaluate_cpu_seconds: Seconds::default(),
            jobs_done: Counter::default(),
            jobs_refused: Counter::default(),
            jobs_open: Gauge::default(),
            memory_used: Gauge::default(),
            enclave_reachable: Gauge::default(),
            cpu_seconds: Gauge::default(),
            rss_bytes: Gauge::default(),
            peak_rss_bytes: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("edge_bytes", "Payload bytes by edge", self.edge_bytes.clone());
        registry.register("edge_messages", "Messages by edge", self.edge_messages.clone());
        let seconds = self.evaluate_seconds.clone();
        registry.register("evaluate_seconds", "Wall time of evaluations", seconds);
        let seconds = self.evaluate_cpu_seconds.clone();
        registry.register("evaluate_cpu_seconds", "CPU time of evaluations", seconds);
        registry.register("jobs_done", "Jobs with a result", self.jobs_done.clone());
        registry.register("jobs_refused", "Accepted jobs that failed", self.jobs_refused.clone());
        registry.register("jobs_open", "Jobs not yet finished", self.jobs_open.clone());
        registry.register("memory_used_bytes", "Budget in use", self.memory_used.clone());
        let reachable = self.enclave_reachable.clone();
        registry.register("enclave_reachable", "1 if the enclave answered last", reachable);
        registry.register("process_cpu_seconds", "CPU time so far", self.cpu_seconds.clone());
        registry.register("process_resident_bytes", "Memory now", self.rss_bytes.clone());
        let peak = self.peak_rss_bytes.clone();
        registry.register("process_peak_resident_bytes", "Largest memory so far", peak);
    }

    /// Counts one message of `bytes` payload bytes.
    pub fn carried(&self, edge: Edge, bytes: usize) {
        self.count(edge, bytes as u64, 1);
    }

    /// Counts further bytes of a message that is counted already: a chunk of a stream.
    pub fn carried_more(&self, edge: Edge, bytes: usize) {
        self.count(edge, bytes as u64, 0);
    }

    fn count(&self, edge: Edge, bytes: u64, messages: u64) {
        let mut edges = self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = edges.entry(edge).or_insert_with(|| {
            let (from, to, payload) = edge;
            let labels = [("from", from.name()), ("to", to.name()), ("kind", payload.name())];
            EdgeCounters {
                bytes: self.edge_bytes.get_or_create(&labels).clone(),
                messages: self.edge_messages.get_or_create(&labels).clone(),
            }
        });
        counters.bytes.inc_by(bytes);
        counters.messages.inc_by(messages);
    }

    /// Every edge that carried something: bytes and messages.
    pub fn edges(&self) -> Vec<(Edge, u64, u64)> {
        let edges = self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        edges.iter().map(|(edge, c)| (*edge, c.bytes.get(), c.messages.get())).collect()
    }

    /// The Prometheus text form.
    ///
    /// # Errors
    /// Never in practice: only if formatting into a string fails.
    pub fn render(&self) -> Result<String, fmt::Error> {
        // Where /proc cannot be read the gauges keep their last value; the rest is still worth showing.
        if let Ok(usage) = Usage::now() {
            self.cpu_seconds.set(usage.cpu_seconds);
            self.rss_bytes.set(i64::try_from(usage.rss_bytes).unwrap_or(i64::MAX));
            self.peak_rss_bytes.set(i64::try_from(usage.peak_rss_bytes).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_add_up_and_are_rendered() {
        let metrics = Metrics::new();
        let edge = (Party::DataOwner, Party::Host, Payload::Input);
        metrics.carried(edge, 10);
        metrics.carried_more(edge, 5);
        metrics.carried(edge, 1);
        assert_eq!(metrics.edges(), [(edge, 16, 2)]);
        let text = metrics.render().unwrap();
        assert!(
            text.contains(
                r#"adyton_host_edge_bytes_total{from="data-owner",to="host",kind="input"} 16"#
            ),
            "{text}"
        );
    }
}
