//! The nodes and the adapter that joins them to the device: what is due goes out as lines, what comes in is taken.
//!
//! No socket and no clock in here: times are microseconds since the start and come from the caller, lines come and
//! go as bytes.

use crate::faults::{Change, Faults, Interval, Random};
use crate::front_end::{Clockwork, Due};
use crate::patient::Patient;
use crate::pump::Pump;
use crate::report::{BusReport, FrameCounters, NodeReport, PatientReport, Report};
use can::message::{
    EcgSample, FINGER_OFF, Heartbeat, LEAD_OFF, Message, Node, NodeKind, NodeState, Numerics,
    decode, encode as encode_message,
};
use can::slcan::{BIT_RATES, Line, Malformed, encode};
use lazaret_description::{CanNodeKind, Description};
use std::collections::VecDeque;

/// Most bytes that wait for the device to take them: about 200 frames. A bus does not keep more either.
const MAX_WAITING_BYTES: usize = 4600;
/// Foreign frames have the least urgent identifiers: they get on the bus only where no more than this waits.
const FLOOD_WAITING_BYTES: usize = 440;
/// Most frames that wait because of a delay on request.
const MAX_DELAYED: usize = 20_000;
/// SpO2 numerics come in the middle of the second, so that not everything comes at once.
const NUMERICS_OFFSET_US: u64 = 500_000;
/// Heartbeats of the nodes are this far apart.
const HEARTBEAT_OFFSET_US: u64 = 100_000;

/// What is to be simulated.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Who is on the bus.
    pub nodes: Vec<NodeSetup>,
    /// Bits per second the device must set.
    pub bit_rate: u32,
    /// Whose signals are replayed.
    pub patient: Patient,
    /// Saturation where none was recorded, tenths of a percent.
    pub spo2_deci: u16,
    /// What is wrong from the start.
    pub faults: Faults,
    /// When the electrodes are off.
    pub lead_off: Vec<Interval>,
    /// When the clip is off.
    pub finger_off: Vec<Interval>,
    /// Where the faults' chances start.
    pub seed: u64,
}

/// One node of the description.
#[derive(Debug, Clone)]
pub struct NodeSetup {
    /// Its name.
    pub name: String,
    /// Number and kind.
    pub node: Node,
    /// Of a pump: how often it expects a command, and how late is late; microseconds.
    pub command_us: (u64, u64),
}

/// The nodes a description puts on the bus.
#[must_use]
pub fn nodes_of(description: &Description) -> Vec<NodeSetup> {
    let described = description.can.node.iter();
    described
        .map(|node| NodeSetup {
            name: node.name().to_owned(),
            node: Node {
                id: node.id as u8,
                kind: match node.kind {
                    CanNodeKind::Ecg => NodeKind::Ecg,
                    CanNodeKind::Pleth => NodeKind::Pleth,
                    CanNodeKind::InfusionPump => NodeKind::Pump,
                },
            },
            command_us: (
                node.command_period_us.unwrap_or(10_000).into(),
                node.late_after_us.unwrap_or(5000).into(),
            ),
        })
        .collect()
}

/// A node at work.
struct Station {
    setup: NodeSetup,
    counters: FrameCounters,
    samples: Option<Clockwork>,
    numerics: Option<Clockwork>,
    heartbeats: Clockwork,
    /// Next sequence number of samples, numerics, heartbeats.
    sequences: [u8; 3],
    pump: Option<Pump>,
}

/// The bus.
pub struct Bus {
    stations: Vec<Station>,
    nodes: Vec<Node>,
    patient: Patient,
    spo2_deci: u16,
    bit_rate: u32,
    faults: Faults,
    lead_off: Vec<Interval>,
    finger_off: Vec<Interval>,
    random: Random,
    flood: Option<(u32, Clockwork)>,
    delayed: VecDeque<(u64, Vec<u8>)>,
    output: Vec<u8>,
    report: BusReport,
}

impl Bus {
    /// Everything begins at `now_us`.
    #[must_use]
    pub fn new(setup: Setup, now_us: u64) -> Self {
        let patient = setup.patient;
        let stations: Vec<Station> = setup
            .nodes
            .into_iter()
            .enumerate()
            .map(|(index, node)| {
                let rate_hz = match node.node.kind {
                    NodeKind::Ecg => Some(patient.ecg.rate_hz),
                    NodeKind::Pleth => Some(patient.pleth.rate_hz),
                    NodeKind::Pump => None,
                };
                let is_pleth = node.node.kind == NodeKind::Pleth;
                let is_pump = node.node.kind == NodeKind::Pump;
                let heartbeat_us = now_us + index as u64 * HEARTBEAT_OFFSET_US;
                Station {
                    counters: FrameCounters::default(),
                    samples: rate_hz.map(|rate_hz| Clockwork::new(now_us, rate_hz)),
                    numerics: is_pleth.then(|| Clockwork::new(now_us + NUMERICS_OFFSET_US, 1.0)),
                    heartbeats: Clockwork::new(heartbeat_us, 1.0),
                    sequences: [0; 3],
                    pump: is_pump.then(|| Pump::new(node.command_us.0, node.command_us.1)),
                    setup: node,
                }
            })
            .collect();
        let mut bus = Self {
            nodes: stations.iter().map(|station| station.setup.node).collect(),
            stations,
            patient,
            spo2_deci: setup.spo2_deci,
            bit_rate: setup.bit_rate,
            faults: setup.faults,
            lead_off: setup.lead_off,
            finger_off: setup.finger_off,
            random: Random::new(setup.seed),
            flood: None,
            delayed: VecDeque::new(),
            output: Vec::new(),
            report: BusReport::default(),
        };
        bus.set_flood(now_us);
        bus
    }

    /// Changes what is wrong.
    pub fn change(&mut self, change: Change, now_us: u64) {
        self.faults.apply(change);
        self.set_flood(now_us);
    }

    fn set_flood(&mut self, now_us: u64) {
        let per_s = self.faults.flood_per_s;
        match &self.flood {
            Some((now, _)) if *now == per_s => {}
            _ if per_s == 0 => self.flood = None,
            _ => self.flood = Some((per_s, Clockwork::new(now_us, per_s.into()))),
        }
    }

    /// Somebody has come to the other end. The channel is closed until it is opened.
    pub fn connected(&mut self) {
        self.output.clear();
        self.delayed.clear();
        self.report.connected = true;
        self.report.open = false;
        self.report.connections += 1;
    }

    /// Nobody is at the other end any more.
    pub fn disconnected(&mut self) {
        self.output.clear();
        self.delayed.clear();
        self.report.connected = false;
        self.report.open = false;
        self.stations
            .iter_mut()
            .filter_map(|s| s.pump.as_mut())
            .for_each(Pump::disconnected);
    }

    /// Whole lines that wait to be written; the caller drains what it wrote.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// When something is due next.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        let clockworks = self.stations.iter().flat_map(|station| {
            [
                station.samples.as_ref(),
                station.numerics.as_ref(),
                Some(&station.heartbeats),
            ]
        });
        let flood = self.flood.as_ref().map(|(_, clockwork)| clockwork);
        let next_us = clockworks
            .flatten()
            .chain(flood)
            .map(Clockwork::next_us)
            .min();
        let delayed_us = self.delayed.front().map(|(due_us, _)| *due_us);
        next_us
            .into_iter()
            .chain(delayed_us)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Puts everything that is due on the bus.
    pub fn advance(&mut self, now_us: u64) {
        for index in 0..self.stations.len() {
            self.send_samples(index, now_us);
            self.send_numerics(index, now_us);
            self.send_heartbeats(index, now_us);
            if let Some(pump) = &mut self.stations[index].pump {
                pump.watch(now_us);
            }
        }
        self.send_flood(now_us);
        while let Some((_, bytes)) = self.delayed.pop_front_if(|(due_us, _)| *due_us <= now_us) {
            self.output.extend_from_slice(&bytes);
        }
    }

    fn send_samples(&mut self, index: usize, now_us: u64) {
        let Some(mut samples) = self.stations[index].samples.take() else {
            return;
        };
        let skipped = samples.skip_stale(now_us);
        let station = &mut self.stations[index];
        station.counters.skipped += skipped;
        station.sequences[0] = station.sequences[0].wrapping_add(skipped as u8);
        while let Some(due) = samples.take(now_us) {
            let counters = &mut self.stations[index].counters;
            counters.worst_lag_us = counters.worst_lag_us.max(due.lag_us);
            let message = self.sample(index, due, now_us);
            self.send(index, 0, message, now_us);
        }
        self.stations[index].samples = Some(samples);
    }

    /// What a front end measures.
    fn sample(&self, index: usize, due: Due, now_us: u64) -> Message {
        let at = |length: usize| (due.number % length.max(1) as u64) as usize;
        if self.stations[index].setup.node.kind == NodeKind::Ecg {
            let samples = &self.patient.ecg.samples;
            let recorded = samples.get(at(samples.len())).copied();
            let leads = if self.faults.lead_off || self.lead_off.iter().any(|i| i.contains(now_us))
            {
                [LEAD_OFF; 2]
            } else if self.faults.flat {
                [0; 2]
            } else {
                recorded.unwrap_or([LEAD_OFF; 2])
            };
            return Message::Ecg(EcgSample { leads });
        }
        let samples = &self.patient.pleth.samples;
        let recorded = samples.get(at(samples.len())).copied();
        if self.finger_is_off(now_us) {
            return Message::Pleth(FINGER_OFF);
        }
        Message::Pleth(recorded.unwrap_or(FINGER_OFF))
    }

    fn finger_is_off(&self, now_us: u64) -> bool {
        self.faults.finger_off
            || self.patient.pleth.source.is_empty()
            || self
                .finger_off
                .iter()
                .any(|interval| interval.contains(now_us))
    }

    /// Saturation and pulse, once a second; 0 = none.
    fn send_numerics(&mut self, index: usize, now_us: u64) {
        let Some(mut numerics) = self.stations[index].numerics.take() else {
            return;
        };
        numerics.skip_stale(now_us);
        while let Some(due) = numerics.take(now_us) {
            let seconds = self.patient.oximetry.len().max(1) as u64;
            let recorded = self.patient.oximetry.get((due.number % seconds) as usize);
            let spo2 = self.faults.spo2_deci.or(recorded.and_then(|r| r.spo2_deci));
            let values = if self.finger_is_off(now_us) {
                Numerics { spo2: 0, pulse: 0 }
            } else {
                Numerics {
                    spo2: spo2.unwrap_or(self.spo2_deci),
                    pulse: recorded.map_or(0, |r| r.pulse_deci),
                }
            };
            self.send(index, 1, Message::Numerics(values), now_us);
        }
        self.stations[index].numerics = Some(numerics);
    }

    fn send_heartbeats(&mut self, index: usize, now_us: u64) {
        self.stations[index].heartbeats.skip_stale(now_us);
        while let Some(due) = self.stations[index].heartbeats.take(now_us) {
            let station = &self.stations[index];
            let rate_deci = |rate_hz: f64| (rate_hz * 10.0).round() as u16;
            let (running, value) = match (station.setup.node.kind, &station.pump) {
                (NodeKind::Ecg, _) => (true, rate_deci(self.patient.ecg.rate_hz)),
                (NodeKind::Pleth, _) => (true, rate_deci(self.patient.pleth.rate_hz)),
                (NodeKind::Pump, Some(pump)) => (pump.is_running(), pump.faults()),
                (NodeKind::Pump, None) => (false, 0),
            };
            let state = match (due.number, running) {
                (0, _) => NodeState::BootUp,
                (_, true) => NodeState::Operational,
                (_, false) => NodeState::Stopped,
            };
            self.send(
                index,
                2,
                Message::Heartbeat(Heartbeat { state, value }),
                now_us,
            );
        }
    }

    fn send_flood(&mut self, now_us: u64) {
        let Some((per_s, mut clockwork)) = self.flood.take() else {
            return;
        };
        clockwork.skip_stale(now_us);
        while clockwork.take(now_us).is_some() {
            let line = self.random.foreign();
            if !self.report.open {
                continue;
            }
            if self.output.len() > FLOOD_WAITING_BYTES {
                self.report.flood_blocked += 1;
            } else {
                self.output.extend_from_slice(line.as_bytes());
                self.report.flooded += 1;
            }
        }
        self.flood = Some((per_s, clockwork));
    }

    /// One frame of a node, with everything that can happen to it on its way. Its number is used in any case.
    fn send(&mut self, index: usize, stream: usize, message: Message, now_us: u64) {
        let station = &mut self.stations[index];
        let sequence = station.sequences[stream];
        station.sequences[stream] = sequence.wrapping_add(1);
        let counters = &mut station.counters;
        if !self.report.open {
            counters.unheard += 1;
            return;
        }
        if self.random.chance(self.faults.drop) {
            counters.dropped += 1;
            return;
        }
        let line = encode(&Line::Frame(encode_message(
            station.setup.node,
            message,
            sequence,
        )));
        let is_delayed = self.faults.delay_ms > 0 || !self.delayed.is_empty();
        let is_full = match is_delayed {
            true => self.delayed.len() >= MAX_DELAYED,
            false => self.output.len() + line.as_bytes().len() > MAX_WAITING_BYTES,
        };
        if is_full {
            counters.blocked += 1;
            return;
        }
        counters.frames_sent += 1;
        let bytes = if self.random.chance(self.faults.corrupt) {
            counters.corrupted += 1;
            self.random.corrupted(&line)
        } else {
            line.as_bytes().to_vec()
        };
        if is_delayed {
            // Frames keep their order when the delay becomes shorter.
            let earliest_us = self.delayed.back().map_or(0, |(due_us, _)| *due_us);
            let due_us = (now_us + self.faults.delay_ms * 1000).max(earliest_us);
            self.delayed.push_back((due_us, bytes));
        } else {
            self.output.extend_from_slice(&bytes);
        }
    }

    /// Takes a line from the device and answers it as an adapter does: carriage return, or bell.
    pub fn line(&mut self, line: Result<Line, Malformed>, now_us: u64) {
        let is_done = match line {
            Ok(Line::Open) => {
                self.report.open = true;
                self.report.opens += 1;
                true
            }
            Ok(Line::Close) => {
                self.report.open = false;
                true
            }
            Ok(Line::BitRate(index)) => {
                !self.report.open && BIT_RATES.get(usize::from(index)) == Some(&self.bit_rate)
            }
            Ok(Line::Frame(frame)) if self.report.open => {
                self.take(&frame, now_us);
                true
            }
            Ok(Line::Frame(_)) => false,
            Ok(Line::Done | Line::Failed) => return,
            Err(Malformed) => {
                self.report.malformed += 1;
                false
            }
        };
        self.report.refused += u64::from(!is_done);
        let answer = encode(if is_done { &Line::Done } else { &Line::Failed });
        if self.output.len() < MAX_WAITING_BYTES {
            self.output.extend_from_slice(answer.as_bytes());
        }
    }

    /// A frame of the device.
    fn take(&mut self, frame: &can::Frame, now_us: u64) {
        match decode(&self.nodes, frame) {
            Ok((index, Message::Command(command), sequence)) => {
                if let Some(pump) = &mut self.stations[index].pump {
                    pump.command(now_us, sequence, command);
                }
            }
            // The device speaks as if it were a node.
            Ok(_) | Err(can::message::Refusal::Unknown) => self.report.unknown += 1,
            Err(can::message::Refusal::Malformed) => self.report.malformed += 1,
        }
    }

    /// Everything that has been counted.
    #[must_use]
    pub fn report(&self, now_us: u64) -> Report {
        let count = |kind| {
            let station = self.stations.iter().find(|s| s.setup.node.kind == kind);
            station
                .and_then(|s| s.samples.as_ref())
                .map_or(0, Clockwork::count)
        };
        let loops = |count: u64, length: usize| count.saturating_sub(1) / length.max(1) as u64;
        let patient = &self.patient;
        let has = |source: &str, loops: u64| if source.is_empty() { 0 } else { loops };
        let ecg_loops = loops(count(NodeKind::Ecg), patient.ecg.samples.len());
        let pleth_loops = loops(count(NodeKind::Pleth), patient.pleth.samples.len());
        Report {
            time_s: now_us as f64 / 1e6,
            bus: self.report,
            patient: PatientReport {
                ecg: patient.ecg.source.clone(),
                ecg_rate_hz: patient.ecg.rate_hz,
                ecg_loops: has(&patient.ecg.source, ecg_loops),
                pleth: patient.pleth.source.clone(),
                pleth_rate_hz: patient.pleth.rate_hz,
                pleth_loops: has(&patient.pleth.source, pleth_loops),
                problems: patient.problems.clone(),
            },
            nodes: self
                .stations
                .iter()
                .map(|s| (s.setup.name.clone(), s.report()))
                .collect(),
            faults: self.faults,
        }
    }
}

impl Station {
    fn report(&self) -> NodeReport {
        NodeReport {
            id: self.setup.node.id,
            kind: match self.setup.node.kind {
                NodeKind::Ecg => "ecg",
                NodeKind::Pleth => "pleth",
                NodeKind::Pump => "pump",
            },
            frames: self.counters,
            commands: self.pump.as_ref().map(|pump| pump.counters),
        }
    }
}

#[cfg(test)]
mod tests;
