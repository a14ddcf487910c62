//! The demo's report for people. No line of it is wider than a terminal of 80 columns.

use super::report::{DemoReport, NetworkReport};
use crate::digits;
use crate::output::{Table, bytes, seconds};

/// Pictures beside each other.
const PER_ROW: usize = 5;

/// The whole report.
pub(crate) fn render(report: &DemoReport) -> String {
    let mut out = String::new();
    for network in &report.networks {
        out.push_str(&one(network));
    }
    out.push_str(&summary(report));
    out.push_str(&who_held_what(report));
    out
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn one(n: &NetworkReport) -> String {
    let mut out = format!(
        "\n━━ {} ━━ {} images, {} × {} lanes, model {}\n   N = 2^{}, log2 QP = {:.0}\n\n",
        n.name, n.images, n.groups, n.lanes, n.model_privacy, n.log_n, n.max_log_qp
    );
    out.push_str(&digits::gallery(&n.pictures, PER_ROW));
    let a = &n.agreement;
    out.push_str(&format!(
        "  accuracy {} (in the clear {}); labels as in the clear: {}\n  \
         largest logit difference {:.2e} = {:.4} % of the range {:.1}\n\n",
        percent(a.accuracy),
        percent(a.plaintext_accuracy),
        percent(a.label_agreement),
        a.max_logit_error,
        100.0 * a.max_logit_error / a.logit_range,
        a.logit_range
    ));
    out.push_str(&steps(n).render());
    out.push('\n');
    out.push_str(&parties(n).render());
    out.push('\n');
    out.push_str(&edges(n).render());
    let (host, enclave) = (n.host_cpu_seconds, n.enclave_cpu_seconds);
    out.push_str(&format!(
        "\n  The enclave's share of this batch's CPU time: {} of {} ({:.2} %).\n  \
         Setup once per session: {} of enclave CPU.\n",
        seconds(enclave),
        seconds(host + enclave),
        100.0 * enclave / (host + enclave).max(f64::MIN_POSITIVE),
        seconds((n.cpu_seconds.get("enclave").copied().unwrap_or(0.0) - enclave).max(0.0))
    ));
    out
}

fn steps(n: &NetworkReport) -> Table {
    let mut table = Table::new(2, &["party", "step", "wall time"]);
    for step in &n.steps {
        table.row(&[step.party.replace('_', " "), step.name.clone(), seconds(step.seconds)]);
    }
    table.row(&["all".to_owned(), "start to end".to_owned(), seconds(n.wall_seconds)]);
    table
}

fn parties(n: &NetworkReport) -> Table {
    let mut table = Table::new(1, &["process", "CPU time", "peak memory"]);
    for (role, cpu) in &n.cpu_seconds {
        let memory = n.peak_rss_mib.get(role).copied().unwrap_or(0.0);
        table.row(&[role.replace('_', " "), seconds(*cpu), format!("{memory:.0} MiB")]);
    }
    table
}

fn edges(n: &NetworkReport) -> Table {
    let mut table = Table::new(1, &["edge", "bytes"]);
    for (edge, count) in &n.bytes {
        table.row(&[edge.replace("_to_", " → ").replace('_', " "), bytes(*count)]);
    }
    table
}

fn summary(report: &DemoReport) -> String {
    let header =
        ["network", "images", "accuracy", "labels agree", "evaluation", "per image", "logit error"];
    let mut table = Table::new(1, &header);
    for n in &report.networks {
        table.row(&[
            n.name.clone(),
            n.images.to_string(),
            percent(n.agreement.accuracy),
            percent(n.agreement.label_agreement),
            seconds(n.evaluate_seconds),
            seconds(n.evaluate_seconds / n.images as f64),
            format!("{:.4} %", 100.0 * n.agreement.max_logit_error / n.agreement.logit_range),
        ]);
    }
    format!(
        "\n━━ all ━━ {} on {} ({} cores)\n\n{}",
        seconds(report.wall_seconds),
        report.cpu,
        report.cores,
        table.render()
    )
}

fn who_held_what(report: &DemoReport) -> String {
    let plain = report.networks.iter().any(|n| n.model_privacy == "plain");
    let header =
        ["in the clear", "weights", "inputs", "results", "model key", "input key", "result key"];
    let mut table = Table::new(7, &header);
    table.row(&["model owner", "yes", "–", "–", "yes", "–", "–"]);
    table.row(&["data owner", "–", "yes", "yes", "–", "yes", "–"]);
    let weights = if plain { "YES (plain)" } else { "–" };
    table.row(&["host", weights, "–", "–", "–", "–", "–"]);
    table.row(&["enclave", "–", "–", "at release", "seed", "seed", "yes"]);
    format!(
        "\n  Who held what in the clear\n\n{}\n  The host saw ciphertexts, evaluation keys and the program's structure.\n\
         \n  !! The enclave's evidence was SIMULATED. On real hardware its vendor would vouch\n\
         \x20 !! for its measurement; here nothing does, and whoever runs this machine can\n\
         \x20 !! read the enclave's memory.\n",
        table.render()
    )
}
