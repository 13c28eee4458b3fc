//! The main job: the whole device, the ward and a patient, up and watched.

use crate::report::{Report, observe};
use crate::session::{HANG, Session, Setup, check_port, run_directory};
use crate::{build, ui};
use anyhow::{Context as _, Result, bail};
use lazaret_description::Description;
use serde_json::Value;
use std::fs;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the demo is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run this long, unattended, then stop (for instance 60s or 5m)
    #[arg(long = "for", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Write what was observed, as JSON
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Port of the ward for records (0 takes any free one); the description's by default
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the ward's web page (0 takes any free one); the description's by default
    #[arg(long)]
    pub http_port: Option<u16>,
    /// A WFDB header or CSV to replay instead of the built-in patient's ECG
    #[arg(long)]
    pub recording: Option<PathBuf>,
    /// A flash image to run instead of building one
    #[arg(long)]
    pub flash: Option<PathBuf>,
}

/// Reads `60s`, `5m`, `1h` or a plain number of seconds.
///
/// # Errors
/// Where it is none of them.
pub fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no duration; write 60s, 5m or 1h"))?;
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("{unit:?} is no unit; write s, m or h")),
    };
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

/// Builds, starts and watches; ends after `--for`, else with Ctrl-C.
///
/// # Errors
/// Where a part did not come up, or did not stay up.
pub fn run(options: &Options) -> Result<()> {
    let description = build::description()?;
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let records = loopback(options.port.unwrap_or(description.ward.port));
    let http = loopback(options.http_port.unwrap_or(description.ward.http_port));
    check_port(records, "--port")?;
    check_port(http, "--http-port")?;
    if let Some(recording) = &options.recording {
        fs::metadata(recording).with_context(|| recording.display().to_string())?;
    }
    let flash = match &options.flash {
        Some(flash) => {
            build::host_programs()?;
            flash.clone()
        }
        None => build::everything(description.clone())?.flash,
    };
    let mut setup = Setup::new(&flash, &run_directory("demo"));
    setup.records = records;
    setup.http = http;
    if let Some(recording) = &options.recording {
        setup.simulator_arguments = vec!["--ecg".to_owned(), recording.display().to_string()];
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    // Yesterday's readings are not today's first ones.
    let _ = fs::remove_dir_all(setup.machine.directory.join("ward"));
    let mut session = Session::start(&description, setup)?;
    let report = watch(&description, &mut session, options, &stop);
    if let Some(path) = &options.report {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        ui::note(&format!("report in {}", path.display()));
    }
    if report.ok {
        return Ok(());
    }
    bail!(
        "not everything was well:\n  {}",
        report.problems.join("\n  ")
    )
}

/// Shows the chain of trust as it goes up, then the page, then how things are.
fn watch(
    description: &Description,
    session: &mut Session,
    options: &Options,
    stop: &AtomicBool,
) -> Report {
    let mut early = Vec::new();
    let mut first_reading = None;
    ui::note(session.pinned);
    match come_up(session, stop) {
        Ok(arrived) => {
            first_reading = arrived;
            if arrived.is_some() {
                ui::done(&format!("the ward's page: {}", session.page()));
            }
        }
        Err(error) => early.push(format!("{error:#}")),
    }
    if early.is_empty()
        && let Err(error) = stay_up(session, options, stop)
    {
        early.push(format!("{error:#}"));
    }
    let ran = session.power_on.elapsed();
    let device = session.device();
    session.stop();
    let simulator = session.simulator_report();
    let console = session.machine.console();
    observe(
        description,
        &console,
        device,
        simulator,
        first_reading,
        ran,
        early,
    )
}

/// Prints a line for each stage until the first reading is on the ward; how long that took.
fn come_up(session: &mut Session, stop: &AtomicBool) -> Result<Option<Duration>> {
    let mut shown = 0;
    let deadline = Instant::now() + HANG;
    loop {
        show_stages(&session.machine.console(), &mut shown);
        session.check()?;
        let device = session.device().unwrap_or(Value::Null);
        if readings(&device) > 0 {
            let took = session
                .first_reading(&device)
                .unwrap_or(session.power_on.elapsed());
            let seconds = took.as_secs_f64();
            ui::done(&format!("first reading on the ward after {seconds:.1} s"));
            return Ok(Some(took));
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if Instant::now() > deadline {
            bail!(
                "no reading reached the ward; the console's last lines:\n{}",
                crate::machine::last_lines(&session.machine.console(), 15)
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Prints the firmware's whole lines from `shown` on; Linux's own are its business.
fn show_stages(console: &str, shown: &mut usize) {
    let new = console.get(*shown..).unwrap_or("");
    let whole = new.rfind('\n').map_or(0, |end| end + 1);
    for line in new[..whole].lines().map(str::trim) {
        match stage_of(line) {
            Some(_) if is_bad(line) => ui::failed(line),
            Some(_) => ui::done(line),
            None => {}
        }
    }
    *shown += whole;
}

/// Whether a stage's line tells of something that must not happen.
#[must_use]
pub fn is_bad(line: &str) -> bool {
    ["REFUSED", "halted", "faulted", "did not come up", "panic"]
        .iter()
        .any(|word| line.contains(word))
}

/// What our own programs in the Linux guest begin their lines with.
const GUEST: &str = "lazaret-guest";

/// The stage a console line is from, where it is one of the firmware's or of our own in Linux.
#[must_use]
pub fn stage_of(line: &str) -> Option<&str> {
    const STAGES: [&str; 6] = ["rom", "loader", "monitor", "kernel", "hypervisor", GUEST];
    let (stage, _) = line.split_once(": ")?;
    STAGES.contains(&stage).then_some(stage)
}

/// Waits for `--for` or Ctrl-C, saying how things are on one line.
fn stay_up(session: &mut Session, options: &Options, stop: &AtomicBool) -> Result<()> {
    let live = std::io::stdout().is_terminal();
    match options.duration {
        Some(limit) => ui::note(&format!(
            "running until {} s after power-on",
            limit.as_secs()
        )),
        None => ui::note("Ctrl-C ends it"),
    }
    let over = |session: &Session| {
        let asked = stop.load(Ordering::Relaxed);
        asked
            || options
                .duration
                .is_some_and(|limit| session.power_on.elapsed() >= limit)
    };
    while !over(session) {
        session.check()?;
        if live && let Some(device) = session.device() {
            anstream::print!("\r\x1b[K{}", state_line(&device));
            std::io::stdout().flush()?;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    if live {
        println!();
    }
    Ok(())
}

/// Readings the ward has stored of a device.
#[must_use]
pub fn readings(device: &Value) -> u64 {
    device["stored"]["readings"].as_u64().unwrap_or(0)
}

fn state_line(device: &Value) -> String {
    let number = |value: &Value| {
        value
            .as_f64()
            .map_or("--".to_owned(), |n| format!("{n:.0}"))
    };
    let can = &device["status"]["can"];
    format!(
        "heart {} /min  SpO2 {} %  readings {}  frames {} lost {} late {}  pump commands {} missed {}",
        number(&device["numerics"]["heart_rate_bpm"]),
        number(&device["numerics"]["spo2_percent"]),
        readings(device),
        number(&can["received"]),
        number(&can["lost"]),
        number(&can["late"]),
        number(&can["commands_sent"]),
        number(&can["commands_missed"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("s").is_err() && duration("5 parsecs").is_err());
    }

    #[test]
    fn stages_of_console_lines() {
        assert_eq!(stage_of("rom: loader 0.1.0 verified"), Some("rom"));
        assert_eq!(stage_of("[    0.1] random: crng init done"), None);
    }
}
