//! Metrics in Prometheus' text format (version 0.0.4).

use crate::readings::KINDS;
use crate::ward::Ward;
use crate::web::Shared;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use std::fmt::{Display, Write as _};

/// `GET /metrics`.
pub async fn show(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text(&shared.ward))
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(
            self.0,
            "# HELP ward_{name} {help}\n# TYPE ward_{name} {kind}"
        );
    }
    fn value(&mut self, name: &str, label: Option<(&str, &str)>, value: impl Display) {
        let _ = match label {
            Some((key, label)) => {
                writeln!(
                    self.0,
                    "ward_{name}{{{key}=\"{}\"}} {value}",
                    escaped(label)
                )
            }
            None => writeln!(self.0, "ward_{name} {value}"),
        };
    }
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, None, value);
    }
}

/// A label's value: backslash, quote and line feed are escaped.
fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn text(ward: &Ward) -> String {
    let mut text = Text(String::new());
    let counters = &ward.counters;
    text.family(
        "readings_stored_total",
        "counter",
        "Readings stored since the ward was started.",
    );
    for (kind, count) in KINDS.iter().zip(&counters.stored) {
        text.value("readings_stored_total", Some(("kind", kind)), count.get());
    }
    for (name, help, count) in [
        (
            "frames_received_total",
            "Frames received and understood.",
            &counters.received,
        ),
        (
            "malformed_total",
            "Connections ended for malformed bytes.",
            &counters.malformed,
        ),
        (
            "duplicates_total",
            "Readings that came again.",
            &counters.duplicates,
        ),
        (
            "missing_records_total",
            "Readings missing by their numbers.",
            &counters.missing_records,
        ),
        (
            "missing_samples_total",
            "Samples missing by their numbers.",
            &counters.missing_samples,
        ),
        (
            "not_kept_total",
            "Readings shown but not kept because the buffer was full; devices send them again.",
            &counters.not_kept,
        ),
        (
            "expired_total",
            "Readings removed because they were too old.",
            &counters.expired,
        ),
        (
            "connections_total",
            "Connections of devices taken.",
            &counters.connections,
        ),
        (
            "connections_refused_total",
            "Connections refused because there were too many.",
            &counters.refused_connections,
        ),
        (
            "failed_writes_total",
            "Writes to the database that failed.",
            &counters.failed_writes,
        ),
    ] {
        text.one(name, "counter", help, count.get());
    }
    let (records, bytes) = ward.store.queue.size();
    text.one(
        "buffered_records",
        "gauge",
        "Readings waiting for the database.",
        records,
    );
    text.one("buffered_bytes", "gauge", "Bytes of the same.", bytes);
    let state = ward.store.state().state;
    text.family(
        "database_state",
        "gauge",
        "How the database is: 1 for the state it is in.",
    );
    for name in ["opening", "ok", "full", "unwritable"] {
        let is = u8::from(name == state);
        text.value("database_state", Some(("state", name)), is);
    }
    text.one(
        "database_bytes",
        "gauge",
        "Size of the database's file and its write-ahead log.",
        ward.store.bytes(),
    );
    of_devices(ward, &mut text);
    text.0
}

fn of_devices(ward: &Ward, text: &mut Text) {
    let devices = ward.devices.all();
    text.family(
        "device_connected",
        "gauge",
        "Whether the device is connected.",
    );
    for device in &devices {
        let is = u8::from(device.summary().connected);
        text.value("device_connected", Some(("device", &device.name)), is);
    }
    text.family(
        "device_readings",
        "gauge",
        "Readings stored of the device's present start.",
    );
    for device in &devices {
        let count = device.summary().readings_stored;
        text.value("device_readings", Some(("device", &device.name)), count);
    }
    text.family(
        "device_first_reading_seconds",
        "gauge",
        "When the first reading of the device's present start came, seconds since 1970.",
    );
    for device in &devices {
        if let Some(first_ms) = device.first_reading_ms() {
            let seconds = format!("{}.{:03}", first_ms / 1000, first_ms % 1000);
            let label = Some(("device", device.name.as_str()));
            text.value("device_first_reading_seconds", label, seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let mut text = Text(String::new());
        text.value("x", Some(("device", "a\"} 1\nward_y 2\\")), 1);
        assert_eq!(text.0, "ward_x{device=\"a\\\"} 1\\nward_y 2\\\\\"} 1\n");
    }
}
