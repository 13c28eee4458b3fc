//! What has been counted, as JSON: written once a second and at the end, never half a file.

use crate::faults::Faults;
use crate::pump;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs, io};

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Seconds since the start.
    pub time_s: f64,
    /// The bus as seen from here.
    pub bus: BusReport,
    /// What is replayed.
    pub patient: PatientReport,
    /// Each node by its name.
    pub nodes: BTreeMap<String, NodeReport>,
    /// What is wrong on request now.
    pub faults: Faults,
}

/// The bus and its adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BusReport {
    /// Somebody is at the other end.
    pub connected: bool,
    /// The device has opened the channel.
    pub open: bool,
    /// Times somebody came to the other end.
    pub connections: u64,
    /// Times the channel was opened.
    pub opens: u64,
    /// Frames received that nobody here takes.
    pub unknown: u64,
    /// Lines received that are none of SLCAN, and frames whose length or values are wrong.
    pub malformed: u64,
    /// Lines answered with an error.
    pub refused: u64,
    /// Foreign frames sent, on request.
    pub flooded: u64,
    /// Foreign frames not sent because there was no room on the way.
    pub flood_blocked: u64,
}

/// What is replayed.
#[derive(Debug, Clone, Serialize)]
pub struct PatientReport {
    /// Record and signals of the ECG; empty = the leads are off.
    pub ecg: String,
    /// Samples a second.
    pub ecg_rate_hz: f64,
    /// Times the ECG has begun anew.
    pub ecg_loops: u64,
    /// Record and signal of the plethysmogram; empty = the clip is off.
    pub pleth: String,
    /// Samples a second.
    pub pleth_rate_hz: f64,
    /// Times the plethysmogram has begun anew.
    pub pleth_loops: u64,
    /// What the recordings lack, and what was made up for it.
    pub problems: Vec<String>,
}

/// Frames of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FrameCounters {
    /// Frames given to the adapter, changed ones too.
    pub frames_sent: u64,
    /// Frames nobody heard, because the channel was closed or nobody connected.
    pub unheard: u64,
    /// Frames not sent because the way to the device was full.
    pub blocked: u64,
    /// Samples not sent because the simulator itself was too late.
    pub skipped: u64,
    /// Frames lost on request.
    pub dropped: u64,
    /// Frames changed on request.
    pub corrupted: u64,
    /// Longest time from when a sample was due to when it was sent, microseconds (delay on request not counted).
    pub worst_lag_us: u64,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// Its number.
    pub id: u8,
    /// What it is.
    pub kind: &'static str,
    /// Its frames.
    #[serde(flatten)]
    pub frames: FrameCounters,
    /// Of a pump: its commands.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub commands: Option<pump::Counters>,
}

impl Report {
    /// Writes it beside `path` and moves it there: a reader sees the old one or the new one.
    ///
    /// # Errors
    /// Where it cannot be written or moved.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        fs::write(&name, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&name, path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s, {} connections",
            self.time_s, self.bus.connections
        )?;
        for (name, node) in &self.nodes {
            let frames = &node.frames;
            write!(
                f,
                "\n  {name}: {} frames sent, {} unheard, {} dropped, {} corrupted, {} blocked, {} skipped",
                frames.frames_sent,
                frames.unheard,
                frames.dropped,
                frames.corrupted,
                frames.blocked,
                frames.skipped
            )?;
            if let Some(commands) = &node.commands {
                write!(
                    f,
                    "\n  {name}: {} commands, {} missed, {} late ({} by the device's clock), worst interval {} us",
                    commands.commands_received,
                    commands.missed,
                    commands.late,
                    commands.late_by_device_clock,
                    commands.worst_interval_us
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_whole_and_flat() {
        let node = NodeReport {
            id: 3,
            kind: "pump",
            frames: FrameCounters::default(),
            commands: Some(pump::Counters {
                missed: 2,
                ..pump::Counters::default()
            }),
        };
        let report = Report {
            time_s: 1.0,
            bus: BusReport::default(),
            patient: PatientReport {
                ecg: String::new(),
                ecg_rate_hz: 125.0,
                ecg_loops: 0,
                pleth: String::new(),
                pleth_rate_hz: 125.0,
                pleth_loops: 0,
                problems: Vec::new(),
            },
            nodes: BTreeMap::from([("pump".to_owned(), node)]),
            faults: Faults::NONE,
        };
        let path = std::env::temp_dir().join(format!("lazaret-sim-report-{}", std::process::id()));
        report.write(&path).expect("written");
        let text = fs::read_to_string(&path).expect("there");
        fs::remove_file(&path).expect("removed");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["nodes"]["pump"]["missed"], 2);
        assert!(report.to_string().contains("2 missed"));
    }
}
