//! What a person sees while something runs: stages, progress, colour on a terminal only.

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();

/// Whether stdout is for machines: then people are told on stderr.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Keeps stdout free for machines: what people are told goes to stderr.
pub fn quiet(yes: bool) {
    QUIET.store(yes, Ordering::Relaxed);
}

/// Tells people a line.
pub fn tell(text: &str) {
    if QUIET.load(Ordering::Relaxed) {
        anstream::eprintln!("{text}");
    } else {
        anstream::println!("{text}");
    }
}

/// One finished stage: a check mark and a line.
pub fn done(text: &str) {
    tell(&format!("{GOOD}✓{GOOD:#} {text}"));
}

/// Something that failed.
pub fn failed(text: &str) {
    anstream::eprintln!("{BAD}✗{BAD:#} {text}");
}

/// Something worth knowing.
pub fn note(text: &str) {
    tell(&format!("{NOTE}·{NOTE:#} {text}"));
}

/// Work that takes a while: a spinner on a terminal, two plain lines elsewhere.
pub struct Work {
    bar: ProgressBar,
    name: String,
    started: std::time::Instant,
}

impl Work {
    /// Starts showing `name`.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            tell(&format!("  {name} ..."));
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            bar,
            name: name.to_owned(),
            started: std::time::Instant::now(),
        }
    }

    /// What it is at right now.
    pub fn at(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Ends with a check mark and the time it took.
    pub fn finish(self, what: &str) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs();
        let took = if seconds > 1 {
            format!(" ({seconds} s)")
        } else {
            String::new()
        };
        let what = if what.is_empty() {
            String::new()
        } else {
            format!(": {what}")
        };
        done(&format!("{}{what}{took}", self.name));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
