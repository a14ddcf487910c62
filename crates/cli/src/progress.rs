//! Progress on standard error: a moving line on a terminal, plain lines elsewhere.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often plain progress is repeated.
const PLAIN_EVERY: Duration = Duration::from_millis(200);

/// Progress of one command.
pub(crate) struct Progress {
    terminal: bool,
    current: Option<Current>,
    indent: &'static str,
}

struct Current {
    what: String,
    began: Instant,
    said: Instant,
    detail: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Progress that shows every step, and keeps a line for each when it ends.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, current: None, indent: "  " }
    }

    /// A line above the steps that follow.
    pub(crate) fn heading(&self, text: &str) {
        output::note(text);
    }

    /// Begins a step; one that is under way ends.
    pub(crate) fn begin(&mut self, what: &str) {
        self.end(None);
        let now = Instant::now();
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            // Cut short of 80 columns: a line that wraps leaves its rest behind.
            let style = ProgressStyle::with_template("  {spinner} {elapsed:>4} {msg:64!}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            output::note(&format!("{}{what} …", self.indent));
        }
        let (what, detail) = (what.to_owned(), String::new());
        self.current = Some(Current { what, detail, began: now, said: now, bar });
    }

    /// Says how far the step is.
    pub(crate) fn detail(&mut self, detail: &str) {
        let Some(current) = &mut self.current else { return };
        match &current.bar {
            Some(bar) => bar.set_message(format!("{}: {detail}", current.what)),
            None if current.said.elapsed() >= PLAIN_EVERY && current.detail != detail => {
                current.said = Instant::now();
                current.detail = detail.to_owned();
                output::note(&format!("{}{}: {detail}", self.indent, current.what));
            }
            None => {}
        }
    }

    /// Ends the step, if one is under way; on a terminal its line stays, with its time and what came of it.
    pub(crate) fn end(&mut self, outcome: Option<&str>) {
        let Some(current) = self.current.take() else { return };
        if let Some(bar) = current.bar {
            bar.finish_and_clear();
            let seconds = output::seconds(current.began.elapsed().as_secs_f64());
            let outcome = outcome.map(|o| format!(", {o}")).unwrap_or_default();
            output::note(&format!("{}✓ {}  {seconds}{outcome}", self.indent, current.what));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.current.take().and_then(|c| c.bar) {
            bar.finish_and_clear();
        }
    }
}
