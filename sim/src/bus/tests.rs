//! The bus heard by a device: what it counts must be what was done to it.

use super::*;
use crate::patient::{Oximetry, Track};
use can::message::PumpCommand;
use can::receive::{Counters, Receiver};
use can::slcan::Parser;

static NODES: [Node; 3] = [
    Node {
        id: 1,
        kind: NodeKind::Ecg,
    },
    Node {
        id: 2,
        kind: NodeKind::Pleth,
    },
    Node {
        id: 3,
        kind: NodeKind::Pump,
    },
];

/// Ten seconds of a counting ECG and pleth at 100 Hz; no saturation was recorded.
fn setup() -> Setup {
    let track = |source: &str| (source.to_owned(), 100.0);
    let (source, rate_hz) = track("test");
    Setup {
        nodes: nodes_of(&Description::load_default().expect("the description")),
        bit_rate: 500_000,
        patient: Patient {
            ecg: Track {
                source: source.clone(),
                rate_hz,
                samples: (0..1000).map(|n| [n, -n]).collect(),
            },
            pleth: Track {
                source,
                rate_hz,
                samples: (0..1000).collect(),
            },
            oximetry: vec![
                Oximetry {
                    spo2_deci: None,
                    pulse_deci: 600
                };
                10
            ],
            problems: Vec::new(),
        },
        spo2_deci: 970,
        faults: Faults::NONE,
        lead_off: Vec::new(),
        finger_off: Vec::new(),
        seed: 7,
    }
}

/// The other end of the line.
struct Device {
    parser: Parser,
    receiver: Receiver,
    heard: Vec<(u64, Message)>,
    answers: Vec<Line>,
}

impl Device {
    fn new() -> Self {
        Self {
            parser: Parser::new(),
            receiver: Receiver::new(&NODES),
            heard: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn take(&mut self, bus: &mut Bus, now_us: u64) {
        for byte in std::mem::take(bus.output()) {
            match self.parser.push(byte) {
                Some(Ok(Line::Frame(frame))) => {
                    if let Some(heard) = self.receiver.take(&frame, now_us) {
                        self.heard.push((now_us, heard.message));
                    }
                }
                Some(Ok(other)) => self.answers.push(other),
                Some(Err(Malformed)) => self.receiver.malformed(),
                None => {}
            }
        }
    }
}

/// An open channel, and what the device has heard after `seconds`, looked at every 3 ms.
fn run(setup: Setup, seconds: u64) -> (Bus, Device) {
    let mut bus = Bus::new(setup, 0);
    let mut device = Device::new();
    bus.connected();
    bus.line(Ok(Line::BitRate(6)), 0);
    bus.line(Ok(Line::Open), 0);
    for now_us in (0..seconds * 1_000_000).step_by(3000) {
        bus.advance(now_us);
        device.take(&mut bus, now_us);
    }
    assert_eq!(device.answers, [Line::Done, Line::Done]);
    (bus, device)
}

fn frames(bus: &Bus, now_us: u64) -> FrameCounters {
    let report = bus.report(now_us);
    let all = report.nodes.values().map(|node| node.frames);
    all.fold(FrameCounters::default(), |sum, one| FrameCounters {
        frames_sent: sum.frames_sent + one.frames_sent,
        unheard: sum.unheard + one.unheard,
        blocked: sum.blocked + one.blocked,
        skipped: sum.skipped + one.skipped,
        dropped: sum.dropped + one.dropped,
        corrupted: sum.corrupted + one.corrupted,
        worst_lag_us: sum.worst_lag_us.max(one.worst_lag_us),
    })
}

#[test]
fn everything_comes_at_its_rate_and_nothing_is_missing() {
    let (bus, device) = run(setup(), 20);
    let ecg: Vec<i16> = device
        .heard
        .iter()
        .filter_map(|(_, message)| match message {
            Message::Ecg(sample) => Some(sample.leads[0]),
            _ => None,
        })
        .collect();
    // From the start again at the end.
    let expected: Vec<i16> = (0..2000).map(|n| n % 1000).collect();
    assert_eq!(ecg, expected);
    let numerics = device
        .heard
        .iter()
        .filter(|(_, m)| matches!(m, Message::Numerics(n) if n.spo2 == 970 && n.pulse == 600));
    assert_eq!(numerics.count(), 20);
    assert_eq!(frames(&bus, 0).frames_sent, 2000 * 2 + 20 + 3 * 20);
    let expected = Counters {
        received: 4080,
        restarts: 0,
        ..Counters::default()
    };
    assert_eq!(device.receiver.counters, expected);
    assert_eq!(bus.report(0).patient.ecg_loops, 1);
    assert!(frames(&bus, 0).worst_lag_us < 3000);
}

#[test]
fn what_is_dropped_is_what_is_missed() {
    let mut dropping = setup();
    dropping.faults.drop = 0.1;
    let (bus, device) = run(dropping, 20);
    let frames = frames(&bus, 0);
    assert!((300..500).contains(&frames.dropped), "{frames:?}");
    // What is dropped last, or before the first frame of its kind was heard, is missed by nobody.
    assert!(
        frames.dropped - device.receiver.counters.lost <= 5,
        "{:?}",
        device.receiver.counters
    );
    assert_eq!(frames.dropped + frames.frames_sent, 4080);
    assert_eq!(device.receiver.counters.received, frames.frames_sent);
}

#[test]
fn what_is_corrupted_is_counted_or_at_least_no_message_of_nobody() {
    let mut corrupting = setup();
    corrupting.faults.corrupt = 0.05;
    let (bus, device) = run(corrupting, 20);
    let corrupted = frames(&bus, 0).corrupted;
    assert!((120..300).contains(&corrupted), "{corrupted}");
    let counters = device.receiver.counters;
    // Two thirds are no lines any more; of the flipped bits most hit digits that stay digits.
    assert!(
        counters.malformed + counters.unknown > corrupted / 2,
        "{counters:?}"
    );
    assert!(counters.malformed + counters.unknown <= corrupted);
}

#[test]
fn a_flood_takes_no_place_from_the_nodes() {
    let mut flooding = setup();
    flooding.faults.flood_per_s = 2000;
    let (bus, device) = run(flooding, 10);
    let report = bus.report(0);
    assert_eq!(
        report.bus.flooded, 19_999,
        "the last look is 1 ms before the end"
    );
    assert_eq!(device.receiver.counters.unknown, report.bus.flooded);
    assert_eq!(
        (
            device.receiver.counters.lost,
            device.receiver.counters.malformed
        ),
        (0, 0)
    );
    assert_eq!(frames(&bus, 0).blocked, 0);
}

#[test]
fn delayed_frames_come_later_and_in_order() {
    let mut delaying = setup();
    delaying.faults.delay_ms = 50;
    let (mut bus, mut device) = run(delaying, 2);
    let first = device.heard.first().expect("heard");
    assert_eq!(first.0, 51_000, "looked at every 3 ms");
    bus.change("delay 0".parse().expect("good"), 2_000_000);
    for now_us in (2_000_000..3_000_000).step_by(3000) {
        bus.advance(now_us);
        device.take(&mut bus, now_us);
    }
    assert_eq!(
        (
            device.receiver.counters.lost,
            device.receiver.counters.duplicate
        ),
        (0, 0)
    );
}

#[test]
fn electrodes_and_clip_can_be_off_and_the_heart_can_stand_still() {
    let mut off = setup();
    off.lead_off = vec!["1:2".parse().expect("good")];
    off.finger_off = vec!["1:2".parse().expect("good")];
    let (mut bus, mut device) = run(off, 3);
    let count = |device: &Device, wanted: &dyn Fn(&Message) -> bool| {
        device.heard.iter().filter(|(_, m)| wanted(m)).count()
    };
    let off_both = [LEAD_OFF; 2];
    let leads = count(
        &device,
        &|m| matches!(m, Message::Ecg(e) if e.leads == off_both),
    );
    assert!((99..=101).contains(&leads), "{leads}");
    let clip = count(&device, &|m| matches!(m, Message::Pleth(FINGER_OFF)));
    assert!((99..=101).contains(&clip), "{clip}");
    let silent = count(
        &device,
        &|m| matches!(m, Message::Numerics(n) if n.spo2 == 0 && n.pulse == 0),
    );
    assert_eq!(silent, 1);
    device.heard.clear();
    bus.change(Change::Flat(true), 3_000_000);
    bus.change(Change::Spo2(Some(850)), 3_000_000);
    bus.advance(3_600_000);
    device.take(&mut bus, 3_600_000);
    assert!(
        count(
            &device,
            &|m| matches!(m, Message::Ecg(e) if e.leads == [0, 0])
        ) > 10
    );
    assert_eq!(
        count(
            &device,
            &|m| matches!(m, Message::Numerics(n) if n.spo2 == 850)
        ),
        1
    );
}

#[test]
fn the_adapter_answers_as_one() {
    let mut bus = Bus::new(setup(), 0);
    bus.connected();
    let command = Message::Command(PumpCommand {
        rate: 50,
        time_ms: 1,
    });
    let frame = Line::Frame(encode_message(NODES[2], command, 0));
    bus.line(Ok(frame), 0);
    bus.line(Ok(Line::BitRate(5)), 0);
    bus.line(Err(Malformed), 0);
    assert_eq!(
        *bus.output(),
        [7, 7, 7],
        "closed, wrong bit rate, malformed"
    );
    bus.output().clear();
    bus.line(Ok(Line::BitRate(6)), 0);
    bus.line(Ok(Line::Open), 0);
    bus.line(Ok(Line::BitRate(6)), 0);
    bus.line(Ok(frame), 0);
    assert_eq!(*bus.output(), b"\r\r\x07\r");
    let other = Line::Frame(encode_message(
        NODES[0],
        Message::Ecg(EcgSample { leads: [0; 2] }),
        0,
    ));
    bus.line(Ok(other), 0);
    let report = bus.report(0);
    assert_eq!(
        report.nodes["pump"]
            .commands
            .expect("a pump")
            .commands_received,
        1
    );
    assert_eq!(
        (report.bus.unknown, report.bus.malformed, report.bus.refused),
        (1, 1, 4)
    );
}

#[test]
fn who_does_not_read_misses_what_was_blocked() {
    let mut bus = Bus::new(setup(), 0);
    let mut device = Device::new();
    bus.advance(100_000);
    assert_eq!(frames(&bus, 0).unheard, 11 + 11 + 2);
    bus.connected();
    bus.line(Ok(Line::Open), 100_000);
    for now_us in (110_000..4_500_000).step_by(3000) {
        bus.advance(now_us);
        if now_us < 1_500_000 {
            device.take(&mut bus, now_us);
        }
    }
    assert!(bus.output().len() <= MAX_WAITING_BYTES);
    device.take(&mut bus, 4_500_000);
    bus.advance(4_503_000);
    device.take(&mut bus, 4_503_000);
    bus.advance(4_800_000);
    device.take(&mut bus, 4_800_000);
    let blocked = frames(&bus, 0).blocked;
    assert!(blocked > 300, "{blocked}");
    let lost = device.receiver.counters.lost;
    assert!(blocked - lost <= 6, "blocked {blocked}, lost {lost}");
}
