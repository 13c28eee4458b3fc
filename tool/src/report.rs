//! What a run of the whole path was, for machines: observed, then judged.

use lazaret_description::Description;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// What was observed.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Report {
    /// Whether every part came up, stayed up, and did its work.
    pub ok: bool,
    /// What was wrong, if anything.
    pub problems: Vec<String>,
    /// Worth knowing, but the host's doing: an emulator on a loaded host is late.
    pub notes: Vec<String>,
    /// Components that were verified, in order, as the console told.
    pub stages_verified: Vec<String>,
    /// Cores that are up, as the device told the ward.
    pub cores: Option<u64>,
    /// Secure tasks with their state, restarts and budget overruns.
    pub tasks: Value,
    /// CAN frames and pump commands as the device counted them.
    pub can: Value,
    /// Everything the simulator counted, the pump's commands among it.
    pub simulator: Value,
    /// Readings stored by the ward.
    pub readings_stored: u64,
    /// Heart rate as the ward has it, beats a minute.
    pub heart_rate_bpm: Option<f64>,
    /// From power-on to the first reading on the ward, milliseconds of the host's clock.
    pub first_reading_ms: Option<u64>,
    /// Exits of the partition by reason.
    pub exits: Value,
    /// What the link to the ward counted.
    pub link: Value,
    /// How long the device ran, seconds.
    pub ran_s: f64,
}

/// Names of the components the console said were verified, in order.
#[must_use]
pub fn verified(console: &str) -> Vec<String> {
    let mut list = Vec::new();
    for line in console.lines().map(str::trim) {
        let said = line
            .strip_prefix("rom: ")
            .or_else(|| line.strip_prefix("loader: "));
        let Some(said) = said.filter(|said| said.contains(" verified")) else {
            continue;
        };
        list.extend(said.split_whitespace().next().map(str::to_owned));
    }
    list
}

/// Puts together what was observed and judges it. `early` is what went wrong on the way.
#[must_use]
pub fn observe(
    description: &Description,
    console: &str,
    device: Option<Value>,
    simulator: Option<Value>,
    first_reading: Option<Duration>,
    ran: Duration,
    early: Vec<String>,
) -> Report {
    let device = device.unwrap_or(Value::Null);
    let status = &device["status"];
    let mut report = Report {
        problems: early,
        stages_verified: verified(console),
        cores: status["cores"].as_u64(),
        tasks: status["tasks"].clone(),
        can: status["can"].clone(),
        simulator: simulator.unwrap_or(Value::Null),
        readings_stored: crate::demo::readings(&device),
        heart_rate_bpm: device["numerics"]["heart_rate_bpm"].as_f64(),
        first_reading_ms: first_reading.and_then(|took| u64::try_from(took.as_millis()).ok()),
        exits: status["partition"]["exits"].clone(),
        link: status["link"].clone(),
        ran_s: ran.as_secs_f64(),
        ..Report::default()
    };
    judge(description, console, &device, &mut report);
    report.ok = report.problems.is_empty();
    report
}

fn judge(description: &Description, console: &str, device: &Value, report: &mut Report) {
    let mut problems = Vec::new();
    let expected = description.component_names();
    let missing: Vec<&str> = expected
        .iter()
        .filter(|name| !report.stages_verified.contains(name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        problems.push(format!("not verified: {}", missing.join(", ")));
    }
    for line in console.lines().filter(|line| {
        crate::demo::stage_of(line).is_some_and(|stage| stage != "linux")
            && (line.contains("REFUSED") || line.contains("halted") || line.contains("faulted"))
    }) {
        problems.push(format!("the console says: {}", line.trim()));
    }
    let cores = description.core.len() as u64;
    if report.cores != Some(cores) {
        let found = report
            .cores
            .map_or("nothing".to_owned(), |found| found.to_string());
        problems.push(format!("{cores} cores expected, the device tells {found}"));
    }
    judge_tasks(description, &report.tasks, &mut problems);
    if report.readings_stored == 0 {
        problems.push("the ward has stored no reading".to_owned());
    }
    if device["connected"] != Value::Bool(true) {
        problems.push("the device is not connected to the ward".to_owned());
    }
    if !report.heart_rate_bpm.is_some_and(|rate| rate > 0.0) {
        problems.push("the ward has no heart rate".to_owned());
    }
    judge_bus(report, &mut problems);
    report.problems.extend(problems);
}

/// Every described task runs and none was restarted.
fn judge_tasks(description: &Description, tasks: &Value, problems: &mut Vec<String>) {
    for task in &description.task {
        let name = task.name();
        let list = tasks.as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(found) = list.iter().find(|found| found["name"] == name) else {
            problems.push(format!("the device tells nothing of task {name}"));
            continue;
        };
        if found["state"].as_str() != Some("running") && found["state"].as_u64() != Some(0) {
            problems.push(format!("task {name} is {}", found["state"]));
        }
        if found["restarts"].as_u64() != Some(0) {
            problems.push(format!(
                "task {name} was restarted {} times",
                found["restarts"]
            ));
        }
    }
}

/// Frames on the bus: none may be lost or malformed (nothing here loses them); late ones are
/// the emulator's, whose threads the host may stop at any time, and only noted.
fn judge_bus(report: &mut Report, problems: &mut Vec<String>) {
    let can = |name: &str| report.can[name].as_u64();
    if !can("received").is_some_and(|count| count > 0) {
        problems.push("the device has received no CAN frame".to_owned());
    }
    for name in ["lost", "malformed", "unknown", "dropped"] {
        match can(name) {
            Some(0) => {}
            Some(count) => problems.push(format!("CAN: {count} frames {name}")),
            None => problems.push(format!("the device tells nothing of {name} CAN frames")),
        }
    }
    if !can("commands_sent").is_some_and(|count| count > 0) {
        problems.push("no pump command was sent".to_owned());
    }
    for name in ["late", "commands_late", "commands_missed"] {
        if let Some(count) = can(name).filter(|count| *count > 0) {
            report
                .notes
                .push(format!("CAN: {name}: {count} (real time on an emulator)"));
        }
    }
    if report.simulator.is_null() {
        problems.push("the simulator wrote no report".to_owned());
    }
}
