//! Recordings as tables of text: a row of names, perhaps a row of units, then a row for each sample, with a
//! column of time (as the BIDMC data set and PhysioNet's converters write them).

use crate::{Error, MAX_SIGNALS, Recording, Signal, say};

/// A step of time that is so many times the usual one is a gap.
const GAP_STEPS: f64 = 1.5;
/// Gaps are filled with NaN, so that the time stays right, with at most so many samples for each row of the table
/// and some more: a single strange time must not fill the memory.
const MAX_FILLED_PER_ROW: usize = 4;
const MAX_FILLED: usize = 10_000;
/// Shortest step of time we believe, seconds.
const MIN_STEP_S: f64 = 1e-6;

/// Reads a table; `name` becomes the record's name.
///
/// # Errors
/// Where there is no column of time, no signal, or fewer than two rows.
pub fn parse_csv(name: &str, text: &str) -> Result<Recording, Error> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
        .peekable();
    let (number, first) = lines
        .next()
        .ok_or_else(|| Error::Malformed(1, "the table is empty".into()))?;
    let separator = [',', ';', '\t']
        .into_iter()
        .max_by_key(|c| (first.matches(*c).count(), *c == ','))
        .unwrap_or(',');
    let names: Vec<&str> = cells(first, separator).collect();
    let time_column = names
        .iter()
        .position(|name| name.to_ascii_lowercase().contains("time"))
        .ok_or_else(|| Error::Malformed(number, "no column is named as time".into()))?;
    if names.len() < 2 || names.len() > MAX_SIGNALS + 1 {
        return Err(Error::Malformed(
            number,
            "1 to 64 signals are expected".into(),
        ));
    }
    let mut columns: Vec<Column> = names.iter().map(|name| Column::named(name)).collect();
    if let Some((_, second)) = lines.peek()
        && cells(second, separator).all(|cell| cell.parse::<f64>().is_err())
        && !cells(second, separator).any(|cell| seconds(cell).is_some())
    {
        for (column, unit) in columns.iter_mut().zip(cells(second, separator)) {
            column.unit = unit.into();
        }
        lines.next();
    }
    let mut problems = Vec::new();
    let mut times = Vec::new();
    for (number, line) in lines {
        read_row(
            &mut columns,
            &mut times,
            time_column,
            number,
            line,
            separator,
            &mut problems,
        );
    }
    finish(name, columns, &times, time_column, problems)
}

struct Column {
    name: String,
    unit: String,
    samples: Vec<f32>,
}

impl Column {
    /// A name such as `II` or `II [mV]`.
    fn named(text: &str) -> Self {
        let (name, unit) = match text.split_once('[') {
            Some((name, unit)) => (name.trim(), unit.trim_end_matches(']').trim()),
            None => (text, "NU"),
        };
        Self {
            name: name.into(),
            unit: unit.into(),
            samples: Vec::new(),
        }
    }
}

fn cells(line: &str, separator: char) -> impl Iterator<Item = &str> {
    line.split(separator)
        .map(|cell| cell.trim().trim_matches(['\'', '"']).trim())
}

/// A time in seconds: `12.5`, `0:12.500`, `1:02:03.004`, `[17:27:45.000 15/08/1994]`.
fn seconds(cell: &str) -> Option<f64> {
    let cell = cell.trim_start_matches('[').trim_end_matches(']');
    let clock = cell.split_whitespace().next()?;
    let mut total = 0.0;
    for part in clock.split(':') {
        total = total * 60.0 + part.parse::<f64>().ok()?;
    }
    total.is_finite().then_some(total)
}

fn read_row(
    columns: &mut [Column],
    times: &mut Vec<f64>,
    time_column: usize,
    number: usize,
    line: &str,
    separator: char,
    problems: &mut Vec<String>,
) {
    let Some(time) = cells(line, separator).nth(time_column).and_then(seconds) else {
        say(
            problems,
            format!("line {number}: no time; the row was left out"),
        );
        return;
    };
    if times.last().is_some_and(|last| time <= *last) {
        say(
            problems,
            format!("line {number}: the time does not go on; the row was left out"),
        );
        return;
    }
    times.push(time);
    let mut row = cells(line, separator);
    let mut missing = false;
    for column in columns.iter_mut() {
        let cell = row.next();
        missing |= cell.is_none();
        let value = cell.and_then(|cell| cell.parse::<f32>().ok());
        column
            .samples
            .push(value.filter(|v| v.is_finite()).unwrap_or(f32::NAN));
    }
    if missing {
        say(problems, format!("line {number}: cut short"));
    }
}

fn finish(
    name: &str,
    columns: Vec<Column>,
    times: &[f64],
    time_column: usize,
    mut problems: Vec<String>,
) -> Result<Recording, Error> {
    let [first, .., last] = times else {
        return Err(Error::NoSignals("the table has fewer than two rows".into()));
    };
    // The usual step is the mean of the steps that are no gaps; the median alone would be a rounded number.
    let mut steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    let median = steps[steps.len() / 2];
    let usual: Vec<f64> = steps
        .into_iter()
        .filter(|step| *step < median * GAP_STEPS)
        .collect();
    let step = usual.iter().sum::<f64>() / usual.len() as f64;
    if !(step >= MIN_STEP_S && (last - first).is_finite()) {
        return Err(Error::NoSignals("the steps of time make no sense".into()));
    }
    let limit = MAX_FILLED_PER_ROW * times.len() + MAX_FILLED;
    let mut filled = 0;
    let missing: Vec<usize> = times
        .windows(2)
        .map(|pair| {
            let lost = ((pair[1] - pair[0]) / step - 1.0).round().max(0.0) as usize;
            let lost = if pair[1] - pair[0] < median * GAP_STEPS {
                0
            } else {
                lost
            };
            let lost = lost.min(limit - filled);
            filled += lost;
            lost
        })
        .collect();
    if filled > 0 {
        say(
            &mut problems,
            format!("{filled} samples are missing in the table"),
        );
    }
    let signals = columns
        .into_iter()
        .enumerate()
        .filter(|(n, _)| *n != time_column);
    let signals = signals.map(|(_, column)| Signal {
        samples: with_gaps(&column.samples, &missing),
        name: column.name,
        unit: column.unit,
        rate_hz: 1.0 / step,
    });
    Ok(Recording {
        name: name.into(),
        signals: signals.collect(),
        problems,
    })
}

/// Puts NaN where rows are missing.
fn with_gaps(samples: &[f32], missing: &[usize]) -> Vec<f32> {
    let mut whole = Vec::with_capacity(samples.len());
    for (n, sample) in samples.iter().enumerate() {
        whole.push(*sample);
        let gap = missing.get(n).copied().unwrap_or(0);
        whole.extend(std::iter::repeat_n(f32::NAN, gap));
    }
    whole
}
