//! Constants for the tasks that serve the patient: the nodes on the CAN bus, the limits of the alarms.

use crate::{Alarm, CanNodeKind, Description, Priority};
use std::fmt::Write as _;

/// How often a pump expects a command where the description does not say.
const COMMAND_PERIOD_US: u32 = 10_000;

/// For the task `can`: `NODES` (of the crate `can`), `BIT_RATE` in bits per second, `PUMPS` (index in `NODES`, period
/// of its commands in microseconds).
#[must_use]
pub fn bus(description: &Description) -> String {
    let can = &description.can;
    let mut nodes = String::new();
    let mut pumps = String::new();
    let mut pump_count = 0;
    for (index, node) in can.node.iter().enumerate() {
        let kind = match node.kind {
            CanNodeKind::Ecg => "Ecg",
            CanNodeKind::Pleth => "Pleth",
            CanNodeKind::InfusionPump => {
                pump_count += 1;
                let period_us = node.command_period_us.unwrap_or(COMMAND_PERIOD_US);
                let _ = write!(pumps, "({index}, {period_us}), ");
                "Pump"
            }
        };
        let _ = writeln!(
            nodes,
            "    can::message::Node {{ id: {}, kind: can::message::NodeKind::{kind} }},",
            node.id
        );
    }
    format!(
        "/// The nodes on the bus.\npub static NODES: [can::message::Node; {}] = [\n{nodes}];\n\
         /// Bits per second.\npub const BIT_RATE: u32 = {};\n\
         /// Each pump: its index in `NODES`, and the period of its commands in microseconds.\n\
         pub const PUMPS: [(usize, u64); {pump_count}] = [{pumps}];\n",
        can.node.len(),
        can.bit_rate.as_ref()
    )
}

/// For the task `vitals`: `LIMITS` (of the crate `vitals`).
#[must_use]
pub fn limits(description: &Description) -> String {
    let alarms = &description.alarms;
    let mut text = String::from(
        "/// The limits of the alarms.\npub const LIMITS: vitals::Limits = vitals::Limits {\n",
    );
    for (name, alarm) in [
        ("asystole", &alarms.asystole),
        ("tachycardia", &alarms.tachycardia),
        ("bradycardia", &alarms.bradycardia),
        ("spo2_low", &alarms.spo2_low),
        ("lead_off", &alarms.lead_off),
    ] {
        let _ = writeln!(text, "    {name}: {},", limit(alarm.as_ref()));
    }
    text.push_str("};\n");
    text
}

fn limit(alarm: &Alarm) -> String {
    let priority = match alarm.priority {
        Priority::Low => "Low",
        Priority::Medium => "Medium",
        Priority::High => "High",
    };
    let whole = alarm.limit_bpm.or(alarm.limit_percent).unwrap_or(0);
    format!(
        "vitals::Limit {{ priority: vitals::Priority::{priority}, limit_deci: {}, after_ms: {} }}",
        whole * 10,
        alarm.after_ms
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_device_has_its_nodes_and_limits() {
        let description =
            Description::parse(include_str!("../../../bedside-monitor.toml")).expect("good");
        let bus = bus(&description);
        assert!(bus.contains("[can::message::Node; 3]"));
        assert!(bus.contains("Node { id: 2, kind: can::message::NodeKind::Pleth }"));
        assert!(bus.contains("PUMPS: [(usize, u64); 1] = [(2, 10000), ]"));
        let limits = limits(&description);
        assert!(limits.contains(
            "spo2_low: vitals::Limit { priority: vitals::Priority::High, limit_deci: 880, after_ms: 5000 }"
        ));
    }
}
