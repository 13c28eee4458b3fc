//! Lines for whoever runs the ward, on the standard error; a noisy peer cannot fill the disk with them.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Most lines in one [`PERIOD`].
const MOST_LINES: u32 = 100;
const PERIOD: Duration = Duration::from_secs(10);

struct Limit {
    since: Option<Instant>,
    lines: u32,
}

static LIMIT: Mutex<Limit> = Mutex::new(Limit {
    since: None,
    lines: 0,
});

/// Prints a line, or counts that it was not printed.
pub fn line(text: fmt::Arguments<'_>) {
    let Ok(mut limit) = LIMIT.lock() else { return };
    if limit.since.is_none_or(|since| since.elapsed() > PERIOD) {
        if limit.lines > MOST_LINES {
            eprintln!("ward: {} more lines not printed", limit.lines - MOST_LINES);
        }
        (limit.since, limit.lines) = (Some(Instant::now()), 0);
    }
    limit.lines = limit.lines.saturating_add(1);
    if limit.lines <= MOST_LINES {
        eprintln!("ward: {text}");
    }
}

/// [`line`] with `format!`'s arguments.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
