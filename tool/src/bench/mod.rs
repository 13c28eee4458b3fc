//! Measures, and prints our numbers beside the ones to beat.
//!
//! Firmware is counted in instructions (`-icount shift=0,sleep=off`: one instruction is one
//! nanosecond of virtual time), which repeats to the last digit on any machine.

pub mod boot;
pub mod calls;
pub mod path;
pub mod rig;
pub mod rows;
pub mod tasks;
pub mod vitals;

use crate::{build, sizes, ui};
use anyhow::{Result, bail};
use rows::{Row, Target};

/// What `lazaret bench` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only these groups, separated by commas: sizes, calls, tasks, boot, path, vitals
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// A folder of WFDB records with reference annotations, to score the beat detector on too
    #[arg(long)]
    pub records: Option<std::path::PathBuf>,
    /// Something else to measure
    #[command(subcommand)]
    pub what: Option<What>,
}

/// Benchmarks of their own.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum What {
    /// Score the beat detector on a folder of WFDB records by the EC57 rules
    Vitals(vitals::Options),
}

/// A group of rows, measured together.
type Group = (&'static str, fn(&Options) -> Result<Vec<Row>>);

const GROUPS: &[Group] = &[
    ("sizes", |_| size_rows()),
    ("calls", |_| calls::measure()),
    ("tasks", |_| tasks::measure()),
    ("boot", |_| boot::measure()),
    ("path", |_| path::measure()),
    ("vitals", vitals::measure),
];

/// Measures and prints.
///
/// # Errors
/// Where a number is over its target, or could not be measured.
pub fn run(options: &Options) -> Result<()> {
    if let Some(What::Vitals(vitals)) = &options.what {
        return vitals::run(vitals);
    }
    let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options
        .only
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        bail!("no group {unknown:?}; there are {}", known.join(", "));
    }
    // What machines read is on stdout alone.
    ui::quiet(options.json);
    build::everything(build::description()?)?;
    let mut list = Vec::new();
    for (name, measure) in GROUPS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        ui::note(&format!("measuring {name}"));
        match measure(options) {
            Ok(rows) => list.extend(rows),
            Err(error) => list.push(Row::failed(name, &format!("{error:#}"))),
        }
    }
    let (good, all) = rows::count(&list);
    if options.json {
        println!("{}", rows::json(&list)?);
    } else {
        rows::print(&list);
        println!("{good} of {all} at or under target");
    }
    if good == all {
        return Ok(());
    }
    bail!(
        "{} of {all} numbers are over their targets or could not be measured",
        all - good
    )
}

/// Text sizes and lines of code, from what was built.
fn size_rows() -> Result<Vec<Row>> {
    let stages = build::stages(&build::description()?);
    let mut list = Vec::new();
    for stage in &stages {
        let budget = sizes::BUDGETS
            .iter()
            .find(|budget| budget.stage == stage.component);
        let target = budget.map_or(Target::None, |budget| {
            Target::AtMost(budget.text_bytes as f64)
        });
        let text = sizes::text_bytes(stage)? as f64;
        let name = format!("{} text", stage.component);
        list.push(Row::new(
            &name,
            text,
            "B",
            target,
            budget.map_or("", |budget| budget.others),
        ));
    }
    for stage in &stages {
        let lines = sizes::code_lines(&sizes::folders(&stage.component))? as f64;
        let budget = sizes::BUDGETS
            .iter()
            .find(|budget| budget.stage == stage.component);
        let target = budget.and_then(|budget| budget.lines);
        let target = target.map_or(Target::None, |most| Target::AtMost(most as f64));
        let others = if stage.component == "hypervisor" {
            "Bao 10,106"
        } else {
            ""
        };
        list.push(Row::new(
            &format!("{} code", stage.component),
            lines,
            "lines",
            target,
            others,
        ));
    }
    Ok(list)
}
