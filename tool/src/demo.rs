//! The main job: the whole device, the ward and a patient, up and watched.

use crate::machine::{Config, Machine};
use crate::{build, paths, ui};
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long each part may take before it counts as hung. Emulators on loaded hosts are slow;
/// nothing here measures speed.
const HANG: Duration = Duration::from_secs(180);

/// What the demo is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run this long, unattended, then stop (for instance 60s or 5m)
    #[arg(long = "for", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Write what was observed, as JSON
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Port of the ward for records
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the ward's web page
    #[arg(long)]
    pub http_port: Option<u16>,
    /// A WFDB header or CSV to replay instead of the built-in patient
    #[arg(long)]
    pub recording: Option<PathBuf>,
}

/// Reads `60s`, `5m`, `1h` or a plain number of seconds.
///
/// # Errors
/// Where it is none of them.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no duration; write 60s, 5m or 1h"))?;
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("{unit:?} is no unit; write s, m or h")),
    };
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

/// What was observed, for `--report`.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Report {
    /// Whether every part came up and stayed up.
    pub ok: bool,
    /// What was wrong, if anything.
    pub problems: Vec<String>,
    /// Components that were verified, in order.
    pub stages_verified: Vec<String>,
    /// Cores that were brought up.
    pub cores: Value,
    /// Tasks with their state and restarts.
    pub tasks: Value,
    /// CAN frames as the device counted them.
    pub can: Value,
    /// Pump commands as the pump counted them.
    pub pump: Value,
    /// Everything the simulator counted.
    pub simulator: Value,
    /// Readings stored by the ward.
    pub readings_stored: u64,
    /// Heart rate as the ward shows it, beats a minute.
    pub heart_rate_bpm: Option<f64>,
    /// From power-on to the first reading on the ward, milliseconds of the host's clock.
    pub first_reading_ms: Option<u64>,
    /// Exits of the partition by reason.
    pub exits: Value,
    /// How long the device ran, seconds.
    pub ran_s: u64,
}

/// A child process that ends with us.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with its output in `log`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(name: &'static str, program: &Path, arguments: &[String], log: PathBuf) -> Result<Self> {
        let output = fs::File::create(&log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { name, child, log })
    }

    /// An error with the end of its log, where it has ended.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Ok(Some(status)) = self.child.try_wait() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            bail!("{} ended ({status}):\n{}", self.name, crate::machine::last_lines(&log, 8));
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM), waits, and ends it if it does not.
    pub fn stop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
