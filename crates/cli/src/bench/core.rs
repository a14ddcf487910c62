//! `adyton bench core`: the operations of ring and scheme on one thread. The fields are documented in docs/bench-json.md.

mod matrix;
mod roofline;
mod scheme;
mod setting;
mod sums;
mod timing;

use self::matrix::Matrix;
use self::roofline::{Limits, Needs};
use self::setting::Setting;
use self::timing::{Nanoseconds, Timer};
use super::plot::{self, Panel, Series};
use crate::args::BenchCore;
use crate::error::CliError;
use crate::output::{Table, seconds};
use crate::process;
use crate::progress::Progress;
use crate::{machine, output};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    version: String,
    cpu: String,
    cores: usize,
    threads: u32,
    security: String,
    peak_rss_mib: f64,
    limits: Vec<Limits>,
    results: Vec<Row>,
    matrix: Option<Matrix>,
}

/// One operation at one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    operation: String,
    #[serde(flatten)]
    setting: Setting,
    /// Rows, groups and terms of a sum of products; 0 where there is none.
    rows: usize,
    groups: usize,
    terms: usize,
    nanoseconds: Nanoseconds,
    /// Products of residues that it cannot do without, for sums of products; 0 elsewhere.
    products: f64,
    /// Bytes that it must read from memory; 0 where operands are in a cache.
    memory_bytes: f64,
    /// What part of the time the roofline says is needed, for sums of products.
    roofline: Option<f64>,
    /// Fastest round of the portable kernel in this run, divided by this one's.
    faster_than_portable: Option<f64>,
    /// This fastest round divided by that of the run given as baseline.
    ratio_to_baseline: Option<f64>,
}

impl Row {
    /// Whether both measure the same at the same setting, the kernel aside.
    fn same_but_kernel(&self, other: &Self) -> bool {
        // Sizes of primes may change with the kernels' limits; times do not depend on them.
        let key = |row: &Self| {
            let Setting { log_n, primes, special_primes, digits, .. } = row.setting;
            ([row.rows, row.groups, row.terms], [log_n, primes, special_primes, digits])
        };
        key(self) == key(other)
            && self.operation == other.operation
            && self.setting.ring == other.setting.ring
    }

    fn same(&self, other: &Self) -> bool {
        self.same_but_kernel(other) && self.setting.kernel == other.setting.kernel
    }
}

/// What one round of an operation does.
#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    groups: usize,
    terms: usize,
    /// How many times a round does what a row states.
    parts: f64,
    /// Of one part.
    needs: Needs,
}

impl Default for Shape {
    fn default() -> Self {
        Self { rows: 0, groups: 0, terms: 0, parts: 1.0, needs: Needs::default() }
    }
}

/// The measurement at one setting.
struct Bench<'b> {
    args: &'b BenchCore,
    timer: Timer,
    setting: Setting,
    progress: &'b mut Progress,
    results: &'b mut Vec<Row>,
}

impl Bench<'_> {
    /// Whether any operation of this name, or of a group with this name, was asked for.
    fn wants(&self, name: &str) -> bool {
        let only = &self.args.only;
        only.is_empty() || only.iter().any(|text| name.contains(text) || text.contains(name))
    }

    /// Times one operation, if it was asked for.
    fn run<T, E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        operation: &str,
        shape: Shape,
        work: impl FnMut() -> Result<T, E>,
    ) -> Result<(), CliError> {
        let only = &self.args.only;
        if !only.is_empty() && !only.iter().any(|text| operation.contains(text)) {
            return Ok(());
        }
        self.progress.detail(operation);
        let nanoseconds = self.timer.time(work)?.per(shape.parts);
        self.results.push(Row {
            operation: operation.to_owned(),
            setting: self.setting.clone(),
            rows: shape.rows,
            groups: shape.groups,
            terms: shape.terms,
            nanoseconds,
            products: shape.needs.products,
            memory_bytes: shape.needs.bytes,
            roofline: None,
            faster_than_portable: None,
            ratio_to_baseline: None,
        });
        Ok(())
    }
}

/// Measures and prints.
pub(super) fn run(args: &BenchCore) -> Result<(), CliError> {
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    let timer = Timer { budget: Duration::from_millis(args.millis) };
    let mut progress = Progress::new();
    let combinations = setting::all(args);
    let mut kernels: Vec<_> = combinations.iter().map(|combination| combination.2).collect();
    kernels.dedup();
    kernels.sort_unstable_by_key(ToString::to_string);
    kernels.dedup();
    progress.begin("measure the roofline");
    let before = roofline::measure(&kernels, timer, &[])?;
    let mut results = Vec::new();
    for combination in combinations {
        let (setting, parameters) = setting::parameters(combination, args)?;
        progress.begin(&format!(
            "{}, N = 2^{}, {} primes, {} digits, {} special, {}",
            setting.ring,
            setting.log_n,
            setting.primes,
            setting.digits,
            setting.special_primes,
            setting.kernel
        ));
        let mut bench =
            Bench { args, timer, setting, progress: &mut progress, results: &mut results };
        sums::transforms(&mut bench, &parameters)?;
        sums::pairs(&mut bench, &parameters)?;
        sums::tiles(&mut bench, &parameters)?;
        scheme::operations(&mut bench, &parameters)?;
    }
    progress.begin("measure the roofline again");
    let limits = roofline::measure(&kernels, timer, &before)?;
    hold(&mut results, &limits)?;
    let matrix = match args.no_matrix {
        true => None,
        false => {
            progress.begin("encrypted 128×1024 matrix times 8 encrypted vectors");
            matrix::measure(timer, args.matrix_threads)?
        }
    };
    progress.end(None);
    compare(&mut results, baseline.as_ref());
    let report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu: machine::cpu(),
        cores: machine::cores(),
        threads: 1,
        security: "128-bit classical".to_owned(),
        peak_rss_mib: process::of_self()?.peak_rss_mib,
        limits,
        results,
        matrix,
    };
    if let Some(path) = &args.plot {
        plot::draw(path, &panels(&report))?;
    }
    if args.json {
        output::json(&report)
    } else {
        output::text(&render(&report, baseline.as_ref()))
    }
}

/// A run before, from its JSON.
fn read(path: &Path) -> Result<Report, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| CliError::Content {
        path: path.to_owned(),
        reason: format!("not what `adyton bench core --json` prints: {error}"),
    })
}

/// Fills in how far sums of products are from the roofline.
fn hold(results: &mut [Row], limits: &[Limits]) -> Result<(), CliError> {
    for row in results {
        let limits = roofline::of(limits, &row.setting.kernel)?;
        let floor = limits.floor_ns(Needs { products: row.products, bytes: row.memory_bytes });
        row.roofline = (floor > 0.0).then(|| floor / row.nanoseconds.min);
    }
    Ok(())
}

/// Fills in the ratios to the portable kernel of this run and to the baseline.
fn compare(results: &mut [Row], baseline: Option<&Report>) {
    let portable: Vec<Row> =
        results.iter().filter(|row| row.setting.kernel == "portable").cloned().collect();
    for row in results {
        if row.setting.kernel != "portable" {
            let other = portable.iter().find(|other| row.same_but_kernel(other));
            row.faster_than_portable =
                other.map(|other| other.nanoseconds.min / row.nanoseconds.min);
        }
        let before = baseline.and_then(|report| report.results.iter().find(|old| row.same(old)));
        row.ratio_to_baseline = before.map(|old| row.nanoseconds.min / old.nanoseconds.min);
    }
}

/// Products a nanosecond over products for each byte from memory, below the limits of the machine; what reads no memory stands at the right.
fn panels(report: &Report) -> Vec<Panel> {
    const CACHED: f64 = 32.0;
    let panel = |limits: &Limits| {
        let peak = 1.0 / limits.product_ns;
        let roof = (-4..=5).map(|exponent| {
            let intensity = f64::from(exponent).exp2();
            (intensity, peak.min(intensity * limits.read_bytes_per_ns))
        });
        let mut series =
            vec![Series { name: "roofline".to_owned(), points: roof.collect(), line: true }];
        let rows = || report.results.iter().filter(|row| row.setting.kernel == limits.kernel);
        let mut names: Vec<&str> =
            rows().filter(|row| row.products > 0.0).map(|row| row.operation.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let point = |row: &Row| {
                let bytes = row.memory_bytes;
                let intensity = if bytes > 0.0 { row.products / bytes } else { CACHED };
                (intensity, row.products / row.nanoseconds.min)
            };
            let points = rows().filter(|row| row.operation == name).map(point).collect();
            series.push(Series { name: name.to_owned(), points, line: false });
        }
        Panel {
            title: format!("sums of products, {}", limits.kernel),
            x: "products for a byte from memory (right: none)",
            y: "products a nanosecond",
            log_y: true,
            series,
        }
    };
    report.limits.iter().map(panel).collect()
}

fn render(report: &Report, baseline: Option<&Report>) -> String {
    let mut out = format!(
        "{} ({} cores), 1 thread, {}, Adyton {}\n",
        report.cpu, report.cores, report.security, report.version
    );
    if let Some(old) = baseline {
        out.push_str(&format!("baseline: {}, Adyton {}\n", old.cpu, old.version));
    }
    for limits in &report.limits {
        out.push_str(&format!(
            "{}: {:.2} products of residues a nanosecond, {:.1} GB/s read from memory\n",
            limits.kernel,
            1.0 / limits.product_ns,
            limits.read_bytes_per_ns
        ));
    }
    let mut setting: Option<&Setting> = None;
    let mut table = new_table();
    for row in &report.results {
        if setting != Some(&row.setting)
            && let Some(setting) = setting.replace(&row.setting)
        {
            out.push_str(&section(setting, &std::mem::replace(&mut table, new_table())));
        }
        let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |r| format!("{r:.2}×"));
        let operation = match (row.rows, row.groups) {
            (0, 0) => row.operation.clone(),
            (rows, groups) => format!("{}, {rows} rows, {groups} groups", row.operation),
        };
        table.row(&[
            operation,
            seconds_fine(row.nanoseconds.min * 1e-9),
            seconds_fine(row.nanoseconds.median * 1e-9),
            row.roofline.map_or_else(String::new, |part| format!("{:.0} %", 100.0 * part)),
            ratio(row.faster_than_portable),
            ratio(row.ratio_to_baseline),
        ]);
    }
    if let Some(setting) = setting {
        out.push_str(&section(setting, &table));
    }
    if let Some(m) = &report.matrix {
        out.push_str(&format!(
            "\nencrypted {}×{} matrix times {} encrypted vectors: {} (median {}), N = 2^{}, log QP {:.0}, laid out for {}, {} lanes, \
             {} threads, weights {}, error {:.1e}\n",
            m.rows,
            m.columns,
            m.vectors,
            seconds_fine(m.nanoseconds.min * 1e-9),
            seconds_fine(m.nanoseconds.median * 1e-9),
            m.log_n,
            m.max_log_qp,
            m.objective,
            m.lanes,
            m.threads,
            output::bytes(m.weight_bytes),
            m.error
        ));
    }
    out
}

fn new_table() -> Table {
    Table::new(1, &["operation", "min", "median", "of roofline", "to portable", "to baseline"])
}

fn section(setting: &Setting, table: &Table) -> String {
    format!(
        "\n{}, N = 2^{}, {} primes of {} bits, {} digits, {} special primes, log QP {:.0}, {}\n\n{}",
        setting.ring,
        setting.log_n,
        setting.primes,
        setting.prime_bits,
        setting.digits,
        setting.special_primes,
        setting.log_qp,
        setting.kernel,
        table.render()
    )
}

/// As [`seconds`], with a decimal where that would round to whole microseconds.
fn seconds_fine(s: f64) -> String {
    if s < 99.95e-6 { format!("{:.1} µs", s * 1e6) } else { seconds(s) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kernel: &str, min: f64) -> Row {
        Row {
            operation: "rotate".into(),
            setting: Setting {
                ring: "standard".into(),
                log_n: 12,
                primes: 2,
                special_primes: 1,
                digits: 2,
                prime_bits: 35,
                log_qp: 105.0,
                kernel: kernel.into(),
            },
            rows: 0,
            groups: 0,
            terms: 0,
            nanoseconds: Nanoseconds { min, median: min },
            products: 0.0,
            memory_bytes: 0.0,
            roofline: None,
            faster_than_portable: None,
            ratio_to_baseline: None,
        }
    }

    #[test]
    fn rows_are_compared_with_their_like_alone() {
        let old = Report {
            version: "0".into(),
            cpu: "c".into(),
            cores: 1,
            threads: 1,
            security: "s".into(),
            peak_rss_mib: 1.0,
            limits: Vec::new(),
            results: vec![row("avx512", 200.0)],
            matrix: None,
        };
        let mut rows = [row("portable", 400.0), row("avx512", 100.0)];
        compare(&mut rows, Some(&old));
        assert_eq!((rows[0].faster_than_portable, rows[0].ratio_to_baseline), (None, None));
        assert_eq!(rows[1].faster_than_portable, Some(4.0));
        assert_eq!(rows[1].ratio_to_baseline, Some(0.5));
        let text = serde_json::to_string(&old).unwrap();
        let again: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(again.results, old.results);
    }
}
