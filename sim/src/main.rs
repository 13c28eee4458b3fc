//! Simulates a patient and the nodes on the device's CAN bus.
#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use clap::Parser;
use lazaret_description::Description;
use sim::bus::{Bus, Setup, nodes_of};
use sim::connection;
use sim::control::{self, Event};
use sim::faults::{Change, Faults, Interval, part, percent_deci};
use sim::patient::{BuiltIn, Patient};
use sim::report::Report;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often the report is written.
const REPORT_EVERY_US: u64 = 1_000_000;
/// How soon a write is tried again where there was no room.
const RETRY_WRITE_US: u64 = 2000;

/// Simulates a patient and the nodes on the device's CAN bus: front ends that replay recorded signals at their true
/// rate, and an infusion pump that notes every late or missing command.
///
/// Control channel, one line each: drop PART, corrupt PART, delay MS, flood FRAMES_PER_S, lead-off on|off,
/// finger-off on|off, flat on|off (the heart stands still), spo2 PERCENT|recorded, report, quit.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Options {
    /// The unix socket that stands for the bus (the device's secure serial port); waited for, and found again
    #[arg(long)]
    bus: PathBuf,
    /// A recording to replay: WFDB header or CSV; given more than once, signals are taken from all of them
    #[arg(long, alias = "ecg", value_name = "FILE")]
    recording: Vec<PathBuf>,
    /// The patient to replay where no recording is given
    #[arg(long, default_value = "bidmc")]
    patient: BuiltIn,
    /// The device description that says who is on the bus [default: the one the build uses]
    #[arg(long, value_name = "FILE")]
    device: Option<PathBuf>,
    /// Write what was counted to this file, once a second and at the end (JSON)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// A unix socket to make, or - for standard input, for changes while it runs
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Part of the nodes' frames that get lost, 0 to 1
    #[arg(long, default_value = "0", value_parser = part)]
    drop: f64,
    /// Part of the nodes' frames that are changed on their way, 0 to 1
    #[arg(long, default_value = "0", value_parser = part)]
    corrupt: f64,
    /// How much later every frame of the nodes comes, milliseconds
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    delay: u64,
    /// Foreign frames a second
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    flood: u32,
    /// When the electrodes are off, seconds since the start; may be given more than once
    #[arg(long, value_name = "FROM:TO")]
    lead_off: Vec<Interval>,
    /// When the clip is off the finger, seconds since the start; may be given more than once
    #[arg(long, value_name = "FROM:TO")]
    finger_off: Vec<Interval>,
    /// Saturation to report where none was recorded, percent (made up, and said so)
    #[arg(long, default_value = "97", value_parser = percent_deci)]
    spo2: u16,
    /// Where the faults' chances start
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let description = match &options.device {
        Some(path) => Description::load(path)?,
        None => Description::load_default()?,
    };
    let paths = match options.recording.is_empty() {
        true => vec![options.patient.path()],
        false => options.recording.clone(),
    };
    let patient = Patient::open(&paths)?;
    introduce(&patient);
    let setup = Setup {
        nodes: nodes_of(&description),
        bit_rate: *description.can.bit_rate.as_ref(),
        patient,
        spo2_deci: options.spo2,
        faults: Faults {
            drop: options.drop,
            corrupt: options.corrupt,
            delay_ms: options.delay,
            flood_per_s: options.flood,
            ..Faults::NONE
        },
        lead_off: options.lead_off,
        finger_off: options.finger_off,
        seed: options.seed,
    };
    let (sender, events) = channel();
    let stop = sender.clone();
    ctrlc::set_handler(move || {
        let _ = stop.send(Event::Stop);
    })
    .context("signals cannot be handled")?;
    if let Some(path) = &options.control {
        control::spawn(path, sender.clone())
            .with_context(|| format!("control channel {}", path.display()))?;
    }
    connection::spawn(options.bus, sender);
    let simulator = Simulator {
        start: Instant::now(),
        bus: Bus::new(setup, 0),
        stream: None,
        reports: options
            .report
            .as_ref()
            .map(|path| spawn_writer(path.clone())),
    };
    let report = simulator.run(&events);
    println!("sim: {report}");
    if let Some(path) = &options.report {
        report
            .write(path)
            .with_context(|| format!("report {}", path.display()))?;
    }
    Ok(())
}

/// Says what is replayed, and what is missing.
fn introduce(patient: &Patient) {
    let tracks = [
        (
            "ECG",
            &patient.ecg.source,
            patient.ecg.rate_hz,
            patient.ecg.samples.len(),
        ),
        (
            "pleth",
            &patient.pleth.source,
            patient.pleth.rate_hz,
            patient.pleth.samples.len(),
        ),
    ];
    for (what, source, rate_hz, samples) in tracks {
        if !source.is_empty() {
            let seconds = samples as f64 / rate_hz;
            eprintln!(
                "sim: {what}: {source}, {rate_hz} Hz, {seconds:.0} s, then from the start again (the signal jumps there)"
            );
        }
    }
    for problem in &patient.problems {
        eprintln!("sim: {problem}");
    }
}

/// Writes reports as they come, so that a slow disk does not hold up the bus.
fn spawn_writer(path: PathBuf) -> Sender<Report> {
    let (sender, reports) = channel::<Report>();
    thread::spawn(move || {
        let mut has_failed = false;
        for report in reports {
            if let Err(error) = report.write(&path) {
                if !has_failed {
                    eprintln!("sim: report {}: {error}", path.display());
                }
                has_failed = true;
            }
        }
    });
    sender
}

/// The bus at the host's clock.
struct Simulator {
    start: Instant,
    bus: Bus,
    stream: Option<UnixStream>,
    reports: Option<Sender<Report>>,
}

impl Simulator {
    fn us_of(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Runs until told to stop; the last report.
    fn run(mut self, events: &Receiver<Event>) -> Report {
        let mut report_us = REPORT_EVERY_US;
        loop {
            let now_us = self.us_of(Instant::now());
            self.bus.advance(now_us);
            self.flush();
            if now_us >= report_us {
                report_us = now_us / REPORT_EVERY_US * REPORT_EVERY_US + REPORT_EVERY_US;
                if let Some(reports) = &self.reports {
                    let _ = reports.send(self.bus.report(now_us));
                }
            }
            let mut next_us = self.bus.next_us().min(report_us);
            if !self.bus.output().is_empty() {
                next_us = next_us.min(now_us + RETRY_WRITE_US);
            }
            let now_us = self.us_of(Instant::now());
            let timeout = Duration::from_micros(next_us.saturating_sub(now_us));
            let mut event = match events.recv_timeout(timeout) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.bus.report(now_us),
            };
            while let Some(happened) = event {
                if self.handle(happened) {
                    let now_us = self.us_of(Instant::now());
                    return self.bus.report(now_us);
                }
                event = events.try_recv().ok();
            }
        }
    }

    /// Writes what waits, where somebody takes it.
    fn flush(&mut self) {
        match &mut self.stream {
            Some(stream) => connection::write(stream, self.bus.output()),
            None => self.bus.output().clear(),
        }
    }

    /// True if this is the end.
    fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::Connected(stream) => {
                eprintln!("sim: on the bus");
                self.stream = Some(stream);
                self.bus.connected();
            }
            Event::Line(at, line) => {
                let at_us = self.us_of(at);
                self.bus.line(line, at_us);
            }
            Event::Disconnected => {
                eprintln!("sim: nobody at the other end of the bus any more");
                self.stream = None;
                self.bus.disconnected();
            }
            Event::Control(line, answer) => {
                let _ = answer.send(self.control(line.trim()));
            }
            Event::Stop => return true,
        }
        false
    }

    fn control(&mut self, line: &str) -> String {
        let now_us = self.us_of(Instant::now());
        match line {
            "report" => serde_json::to_string(&self.bus.report(now_us)).unwrap_or_default(),
            _ => match line.parse::<Change>() {
                Ok(change) => {
                    eprintln!("sim: {line}");
                    self.bus.change(change, now_us);
                    "ok".to_owned()
                }
                Err(why) => format!("error: {why}"),
            },
        }
    }
}
