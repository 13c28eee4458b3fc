//! Rows of the table: what was measured, what it shall be, what others need.

use anyhow::Result;
use serde::Serialize;

/// What a number shall be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// It is only told.
    None,
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The number; none where it could not be measured.
    pub ours: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// What it shall be.
    pub target: Target,
    /// What others need.
    pub others: String,
    /// Whether it is at or under its target; none where it has none.
    pub met: Option<bool>,
}

impl Row {
    /// A number that was measured.
    #[must_use]
    pub fn new(name: &str, ours: f64, unit: &'static str, target: Target, others: &str) -> Self {
        let met = match target {
            Target::None => None,
            Target::AtMost(most) => Some(ours <= most),
            Target::AtLeast(least) => Some(ours >= least),
        };
        Self {
            name: name.to_owned(),
            ours: Some(ours),
            unit,
            target,
            others: others.to_owned(),
            met,
        }
    }

    /// A number, or a whole group of them, that could not be measured: counts as missed.
    #[must_use]
    pub fn failed(name: &str, why: &str) -> Self {
        Self {
            name: name.to_owned(),
            ours: None,
            unit: "",
            target: Target::None,
            others: format!("not measured: {why}"),
            met: Some(false),
        }
    }
}

/// How many numbers with a target meet it, and how many there are.
#[must_use]
pub fn count(rows: &[Row]) -> (usize, usize) {
    let judged: Vec<bool> = rows.iter().filter_map(|row| row.met).collect();
    (judged.iter().filter(|met| **met).count(), judged.len())
}

/// All of it for machines.
///
/// # Errors
/// Never in practice: numbers are finite.
pub fn json(rows: &[Row]) -> Result<String> {
    let (met, of) = count(rows);
    let document = serde_json::json!({"rows": rows, "met": met, "of": of});
    Ok(serde_json::to_string_pretty(&document)?)
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!(
        "  {:<46} {:>14} {:<12} {:>14}   others",
        "what", "ours", "", "target"
    );
    for row in rows {
        let mark = match row.met {
            Some(true) => "✓",
            Some(false) => "✗",
            None => " ",
        };
        let target = match row.target {
            Target::None => String::new(),
            Target::AtMost(most) => format!("<= {}", grouped(most)),
            Target::AtLeast(least) => format!(">= {}", grouped(least)),
        };
        let ours = row.ours.map_or("-".to_owned(), grouped);
        println!(
            "{mark} {:<46} {ours:>14} {:<12} {target:>14}   {}",
            row.name, row.unit, row.others
        );
    }
}

/// A number for people: groups of three digits, decimals only where they say something.
#[must_use]
pub fn grouped(number: f64) -> String {
    let text = if number.fract() == 0.0 || number.abs() >= 1000.0 {
        format!("{number:.0}")
    } else if number.abs() < 10.0 {
        format!("{number:.4}")
    } else {
        format!("{number:.2}")
    };
    let (whole, rest) = text
        .split_once('.')
        .map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(rest) = rest
        .map(|rest| rest.trim_end_matches('0'))
        .filter(|rest| !rest.is_empty())
    {
        out.push('.');
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(33_550_000.0), "33,550,000");
        assert_eq!(grouped(1.0042), "1.0042");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(47.5), "47.5");
    }

    #[test]
    fn a_row_that_was_not_measured_is_missed() {
        let rows = [
            Row::new("a", 60.0, "", Target::AtMost(60.0), ""),
            Row::new("b", 99.7, "%", Target::AtLeast(99.8), ""),
            Row::new("c", 1.0, "", Target::None, ""),
            Row::failed("d", "no machine"),
        ];
        assert_eq!(count(&rows), (1, 3));
    }
}
