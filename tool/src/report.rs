//! What a run of the whole path was, for machines: observed, then judged.

use lazaret_description::{Description, World};
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
    /// Cores that are up, and those that have work.
    pub cores: Cores,
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

/// Cores of the device.
#[derive(Debug, Clone, Copy, Serialize, Default, PartialEq, Eq)]
pub struct Cores {
    /// Those that came up, as the monitor tells.
    pub up: Option<u64>,
    /// Those at work in the secure world and in partitions, as the device tells the ward.
    pub used: Option<u64>,
}

fn told(count: Option<u64>) -> String {
    count.map_or("none".to_owned(), |count| count.to_string())
}

/// How many cores came up: `monitor: N cores up, ...`.
fn cores_up(console: &str) -> Option<u64> {
    let said = console
        .lines()
        .find_map(|line| line.trim().strip_prefix("monitor: "))?;
    said.split_once(" cores up")?.0.parse().ok()
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
        cores: Cores {
            up: cores_up(console),
            used: status["cores"].as_u64(),
        },
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
    for line in console.lines().map(str::trim) {
        let ours = crate::demo::stage_of(line).is_some_and(|stage| stage != "lazaret-guest");
        if ours && crate::demo::is_bad(line) {
            problems.push(format!("the console says: {line}"));
        }
    }
    let cores = description.core.len() as u64;
    if report.cores.up != Some(cores) {
        let up = told(report.cores.up);
        problems.push(format!("{cores} cores expected, the monitor tells of {up}"));
    }
    // A core that is kept is up, and does nothing.
    let used = description
        .core
        .iter()
        .filter(|core| core.world != Some(World::Off))
        .count() as u64;
    if report.cores.used != Some(used) {
        let found = told(report.cores.used);
        problems.push(format!(
            "{used} cores at work expected, the device tells {found}"
        ));
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
    if can("received").is_none_or(|count| count == 0) {
        problems.push("the device has received no CAN frame".to_owned());
    }
    // What the simulator itself did not send, or changed on request, the device rightly misses.
    let kept_back: u64 = nodes(&report.simulator)
        .flat_map(|node| {
            ["blocked", "skipped", "dropped", "corrupted"].map(|name| node[name].as_u64())
        })
        .flatten()
        .sum();
    for name in ["lost", "malformed", "unknown", "dropped"] {
        let excused = if name == "lost" { kept_back } else { 0 };
        match can(name) {
            Some(count) if count <= excused => {}
            Some(count) => problems.push(format!("CAN: {count} frames {name}")),
            None => problems.push(format!("the device tells nothing of {name} CAN frames")),
        }
    }
    if can("commands_sent").is_none_or(|count| count == 0) {
        problems.push("no pump command was sent".to_owned());
    }
    for name in ["late", "commands_late", "commands_missed"] {
        if let Some(count) = can(name).filter(|count| *count > 0) {
            report
                .notes
                .push(format!("CAN: {name}: {count} (real time on an emulator)"));
        }
    }
    judge_pump(report, problems);
}

/// The simulator's nodes.
fn nodes(simulator: &Value) -> impl Iterator<Item = &Value> {
    simulator["nodes"]
        .as_object()
        .into_iter()
        .flat_map(|nodes| nodes.values())
}

/// Every command the device did send arrives: the pump misses no more numbers than the device
/// says it left out, but for those on their way when the report was made.
fn judge_pump(report: &mut Report, problems: &mut Vec<String>) {
    if report.simulator.is_null() {
        problems.push("the simulator wrote no report".to_owned());
        return;
    }
    let Some(pump) = nodes(&report.simulator).find(|node| node["kind"] == "pump") else {
        return;
    };
    let number = |name: &str| pump[name].as_u64().unwrap_or(0);
    if number("commands_received") == 0 {
        problems.push("the pump has received no command".to_owned());
    }
    let left_out = report.can["commands_missed"].as_u64().unwrap_or(0);
    if number("missed") > left_out {
        // The device's last word came up to two seconds before the pump's.
        let text = format!(
            "the pump misses {} commands, the device told of {left_out}",
            number("missed")
        );
        report.notes.push(text);
    }
    if number("restarts") > 0 {
        problems.push("the pump saw the device's commands begin anew".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Description {
        Description::load_default().expect("the shipped description")
    }

    fn console(description: &Description) -> String {
        let lines = description
            .component_names()
            .into_iter()
            .map(|name| match name.as_str() {
                "loader" => {
                    "rom: loader 0.1.0 verified (ES256 + ML-DSA-65, sequence 1)\r\n".to_owned()
                }
                name => format!("loader: {name} 0.1.0 verified\r\n"),
            });
        lines
            .chain(["monitor: 4 cores up, core 0 secure, interrupts divided\r\n".to_owned()])
            .collect()
    }

    fn device(description: &Description) -> Value {
        let task = |task: &lazaret_description::Task| json!({"name": task.name(), "state": "running", "restarts": 0});
        let tasks: Vec<Value> = description.task.iter().map(task).collect();
        json!({
            "connected": true,
            "stored": {"readings": 100},
            "numerics": {"heart_rate_bpm": 61.5},
            "status": {"cores": 3, "tasks": tasks, "partition": {"exits": []}, "link": {}, "can": {
                "received": 1000, "lost": 0, "late": 3, "malformed": 0, "unknown": 0, "dropped": 0,
                "commands_sent": 900, "commands_missed": 0, "commands_late": 0,
            }},
        })
    }

    fn problems(change: impl FnOnce(&mut String, &mut Value, &mut Value)) -> Vec<String> {
        let description = description();
        let (mut console, mut device) = (console(&description), device(&description));
        let mut simulator = json!({"nodes": {"pump": {
            "kind": "pump", "commands_received": 900, "missed": 0, "restarts": 0, "skipped": 0}}});
        change(&mut console, &mut device, &mut simulator);
        let second = Duration::from_secs(1);
        observe(
            &description,
            &console,
            Some(device),
            Some(simulator),
            Some(second),
            second,
            vec![],
        )
        .problems
    }

    #[test]
    fn a_good_run_is_good() {
        assert_eq!(problems(|_, _, _| ()), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_missing_is_said() {
        type Change = fn(&mut String, &mut Value, &mut Value);
        let cases: [(Change, &str); 8] = [
            (
                |console, _, _| *console = console.replace("task-link", "other"),
                "not verified: task-link",
            ),
            (
                |console, _, _| console.push_str("kernel: task can faulted: cause 1"),
                "faulted",
            ),
            (
                |_, device, _| device["status"]["cores"] = json!(2),
                "3 cores at work",
            ),
            (
                |_, device, _| device["status"]["tasks"][1]["restarts"] = json!(1),
                "restarted 1 times",
            ),
            (
                |_, device, _| device["numerics"]["heart_rate_bpm"] = Value::Null,
                "no heart rate",
            ),
            (
                |_, device, _| device["status"]["can"]["lost"] = json!(2),
                "2 frames lost",
            ),
            (
                |_, device, _| device["connected"] = json!(false),
                "not connected",
            ),
            (|_, _, simulator| *simulator = Value::Null, "no report"),
        ];
        for (change, expected) in cases {
            let found = problems(change);
            assert!(
                found.iter().any(|problem| problem.contains(expected)),
                "{expected}: {found:?}"
            );
        }
    }
}
