//! Everything that goes to standard output goes through here; progress and errors go to standard error.

use crate::error::CliError;
use serde::Serialize;
use std::io::Write;

/// Prints lines of text on standard output.
pub(crate) fn text(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush())
        .map_err(CliError::Output)
}

/// Prints one JSON object on standard output.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), CliError> {
    let rendered = serde_json::to_string_pretty(value).map_err(|e| CliError::Output(e.into()))?;
    text(&rendered)
}

/// Prints a line for people on standard error: progress of a command whose standard output is its result.
pub(crate) fn note(line: &str) {
    // Standard error may be closed; then nobody reads notes.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Text with aligned columns. The first row is the header; columns after the first are right-aligned.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// An empty table whose first `left` columns are aligned to the left.
    pub(crate) fn new<S: ToString>(left: usize, header: &[S]) -> Self {
        Self { rows: vec![header.iter().map(S::to_string).collect()], left }
    }

    /// Appends a row.
    pub(crate) fn row<S: ToString>(&mut self, cells: &[S]) {
        self.rows.push(cells.iter().map(S::to_string).collect());
    }

    /// The table, each line indented by two spaces, a rule under the header.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            self.rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = String::from(" ");
            for (c, (cell, &w)) in row.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(w - cell.chars().count());
                line.push(' ');
                if c > 0 {
                    line.push(' ');
                }
                if c < self.left {
                    line.push_str(cell);
                    line.push_str(&pad);
                } else {
                    line.push_str(&pad);
                    line.push_str(cell);
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
            if i == 0 {
                let rule = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
                out.push_str("  ");
                out.push_str(&"─".repeat(rule));
                out.push('\n');
            }
        }
        out
    }
}

/// Seconds for people: three significant digits, in the unit that suits.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s >= 9.995 => format!("{s:.1} s"),
        s if s >= 0.9995 => format!("{s:.2} s"),
        s if s >= 0.0995 => format!("{:.0} ms", s * 1e3),
        s if s >= 0.000_995 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// Bytes for people, in binary units.
pub(crate) fn bytes(n: u64) -> String {
    const KIB: f64 = 1024.0;
    let f = n as f64;
    if f >= KIB * KIB * KIB {
        format!("{:.2} GiB", f / (KIB * KIB * KIB))
    } else if f >= KIB * KIB {
        format!("{:.1} MiB", f / (KIB * KIB))
    } else if f >= KIB {
        format!("{:.1} KiB", f / KIB)
    } else {
        format!("{n} B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut t = Table::new(1, &["step", "time"]);
        t.row(&["encrypt", "1.50 s"]);
        t.row(&["µ", "12.0 ms"]);
        let lines: Vec<String> = t.render().lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "  step        time",
                "  ────────────────",
                "  encrypt   1.50 s",
                "  µ        12.0 ms"
            ]
        );
    }

    #[test]
    fn units_suit_the_magnitude() {
        assert_eq!(seconds(12.345), "12.3 s");
        assert_eq!(seconds(1.0), "1.00 s");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(0.0125), "12.5 ms");
        assert_eq!(seconds(0.000_2), "200 µs");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 20), "5.0 MiB");
        assert_eq!(bytes(3 << 30), "3.00 GiB");
    }
}
