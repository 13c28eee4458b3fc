//! Records as the ward keeps them: owned, in the units people use, and with numbers the database can hold.

use reading::{Channel, Lists, Record, event};
use serde::{Deserialize, Serialize};

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// `reading` refuses it.
    Body(reading::Error),
    /// A time, sample number or name no device of ours would have.
    Range,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body(reading::Error::TooLong) => f.write_str("a record that is too long"),
            Self::Body(reading::Error::Malformed) => f.write_str("bytes that are no record"),
            Self::Body(reading::Error::UnknownKind(kind)) => {
                write!(f, "a record of the unknown kind {kind}")
            }
            Self::Range => f.write_str("a record with an impossible time, number or name"),
        }
    }
}

/// A component the device verified and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// First eight bytes of its SHA-256, hexadecimal.
    pub digest: String,
}

/// Who a connection says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Name of the device.
    pub device_id: String,
    /// Name of the product.
    pub product: String,
    /// Version of the firmware.
    pub version: String,
    /// Sequence number of the booted manifest.
    pub manifest_sequence: u64,
    /// Microseconds since power-on.
    pub t_us: u64,
    /// Number of this start of the device.
    pub boot: u64,
    /// Verified components.
    pub components: Vec<Component>,
}

/// A stretch of a signal without a gap inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// Which signal.
    pub channel: Channel,
    /// Number of the first sample, lost ones counted.
    pub first_sample: u64,
    /// When the first sample came, microseconds since power-on.
    pub t_us: u64,
    /// Samples a second, times ten.
    pub rate_decihertz: u16,
    /// The samples; -32768 = lead off.
    pub samples: Vec<i16>,
}

/// Numbers, once a second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numerics {
    /// Microseconds since power-on.
    pub t_us: u64,
    /// Beats a minute.
    pub heart_rate_bpm: Option<f64>,
    /// Oxygen saturation, percent.
    pub spo2_percent: Option<f64>,
    /// Pulse rate of the finger clip, beats a minute.
    pub pulse_bpm: Option<f64>,
    /// Signal quality of each ECG lead, 0 to 100.
    pub quality: [u8; 2],
    /// Channels that are off the patient.
    pub leads_off: Vec<&'static str>,
}

/// An alarm that began or ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// Microseconds since power-on.
    pub t_us: u64,
    /// What it is about.
    pub kind: &'static str,
    /// `high`, `medium` or `low` (IEC 60601-1-8).
    pub priority: &'static str,
    /// Whether it began (else it ended).
    pub active: bool,
    /// The value that caused it, where there is one.
    pub value: Option<f64>,
}

/// Something the device's log keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Number of the event, without gaps.
    pub number: u64,
    /// Microseconds since power-on.
    pub t_us: u64,
    /// Its code.
    pub code: u32,
    /// Its name, where the code is known.
    pub name: &'static str,
    /// First detail, hexadecimal: a browser's numbers are too short for it.
    pub a: String,
    /// Second detail, hexadecimal.
    pub b: String,
}

/// A secure task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    name: String,
    state: &'static str,
    restarts: u32,
    overruns: u32,
    used_ms: u64,
}

/// What the device has counted on the CAN bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Can {
    received: u64,
    lost: u64,
    late: u64,
    malformed: u64,
    unknown: u64,
    dropped: u64,
    commands_sent: u64,
    commands_missed: u64,
    commands_late: u64,
    worst_delay_us: u64,
}

/// Exits of the partition for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exit {
    reason: String,
    count: u64,
}

/// The partition as the hypervisor counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    state: &'static str,
    refused: u64,
    exits: Vec<Exit>,
}

/// What the link to the ward has counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    waiting: u32,
    dropped: u64,
    violations: u64,
}

/// How the device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Microseconds since power-on.
    pub t_us: u64,
    cores: u8,
    tasks: Vec<Task>,
    can: Can,
    partition: Partition,
    link: Link,
}

/// A record with a number of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A stretch of a signal.
    Strip(Strip),
    /// Numbers.
    Numerics(Numerics),
    /// An alarm began or ended.
    Alarm(Alarm),
    /// Something for the log.
    Event(Event),
    /// How the device is.
    Status(Status),
    /// A record of a kind that is newer than this ward: kept as it came.
    Unknown(Vec<u8>),
}

/// What a body says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Who is there.
    Hello(Hello),
    /// Everything else.
    Reading(Reading),
}

/// The names of the kinds of readings, in the order of [`Reading::kind`].
pub const KINDS: [&str; 6] = [
    "strips", "numerics", "alarms", "events", "statuses", "unknown",
];

impl Reading {
    /// Index into [`KINDS`].
    #[must_use]
    pub const fn kind(&self) -> usize {
        match self {
            Self::Strip(_) => 0,
            Self::Numerics(_) => 1,
            Self::Alarm(_) => 2,
            Self::Event(_) => 3,
            Self::Status(_) => 4,
            Self::Unknown(_) => 5,
        }
    }

    /// Microseconds since power-on; 0 where nobody can say.
    #[must_use]
    pub const fn t_us(&self) -> u64 {
        match self {
            Self::Strip(strip) => strip.t_us,
            Self::Numerics(numerics) => numerics.t_us,
            Self::Alarm(alarm) => alarm.t_us,
            Self::Event(event) => event.t_us,
            Self::Status(status) => status.t_us,
            Self::Unknown(_) => 0,
        }
    }

    /// Whether it is of the patient.
    #[must_use]
    pub const fn is_of_patient(&self) -> bool {
        matches!(self, Self::Strip(_) | Self::Numerics(_))
    }
}

/// The name of a channel, in addresses and JSON.
#[must_use]
pub const fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::EcgFirst => "ecg-1",
        Channel::EcgSecond => "ecg-2",
        Channel::Pleth => "pleth",
    }
}

/// All channels, in the order of their numbers.
pub const CHANNELS: [Channel; 3] = [Channel::EcgFirst, Channel::EcgSecond, Channel::Pleth];

/// The channel of that name.
#[must_use]
pub fn channel_of(name: &str) -> Option<Channel> {
    CHANNELS
        .into_iter()
        .find(|channel| channel_name(*channel) == name)
}

/// The name of an event's code.
#[must_use]
pub const fn event_name(code: u32) -> &'static str {
    match code {
        event::STARTED => "started",
        event::TASK_RESTARTED => "task-restarted",
        event::TASK_HELD => "task-held",
        event::LINK_UP => "link-up",
        event::LINK_DOWN => "link-down",
        event::PARTITION_REFUSED => "partition-refused",
        event::PARTITION_STOPPED => "partition-stopped",
        event::RECORDS_DROPPED => "records-dropped",
        event::BEAT => "beat",
        _ => "unknown",
    }
}

/// The name of an alarm's number.
#[must_use]
pub const fn alarm_name(kind: reading::AlarmKind) -> &'static str {
    match kind {
        reading::AlarmKind::Asystole => "asystole",
        reading::AlarmKind::Tachycardia => "tachycardia",
        reading::AlarmKind::Bradycardia => "bradycardia",
        reading::AlarmKind::SpO2Low => "spo2-low",
        reading::AlarmKind::LeadOff => "lead-off",
    }
}

const fn priority_name(priority: reading::Priority) -> &'static str {
    match priority {
        reading::Priority::Low => "low",
        reading::Priority::Medium => "medium",
        reading::Priority::High => "high",
    }
}

/// Reads a body.
///
/// # Errors
/// Where it is no record of ours, or holds what the ward cannot keep: times and sample numbers from
/// 2^63 on, a device without a name.
pub fn decode(bytes: &[u8]) -> Result<Body, Error> {
    let mut lists = Lists::default();
    let record = match Record::decode(bytes, &mut lists) {
        Err(reading::Error::UnknownKind(_)) => {
            return Ok(Body::Reading(Reading::Unknown(bytes.to_vec())));
        }
        decoded => decoded.map_err(Error::Body)?,
    };
    let body = match record {
        Record::Hello(hello) => return own_hello(&hello).map(Body::Hello),
        Record::Strip(strip) => {
            let last = strip.first_sample.checked_add(strip.samples.len() as u64);
            if last.is_none_or(|last| i64::try_from(last).is_err()) {
                return Err(Error::Range);
            }
            Reading::Strip(Strip {
                channel: strip.channel,
                first_sample: strip.first_sample,
                t_us: strip.t_us,
                rate_decihertz: strip.rate_decihertz,
                samples: strip.samples.iter().collect(),
            })
        }
        Record::Numerics(numerics) => Reading::Numerics(own_numerics(&numerics)),
        Record::Alarm(alarm) => Reading::Alarm(Alarm {
            t_us: alarm.t_us,
            kind: alarm_name(alarm.kind),
            priority: priority_name(alarm.priority),
            active: alarm.active,
            value: (alarm.value_deci != 0).then(|| tenth(alarm.value_deci)),
        }),
        Record::Event(event) => Reading::Event(Event {
            number: event.number,
            t_us: event.t_us,
            code: event.code,
            name: event_name(event.code),
            a: format!("{:x}", event.a),
            b: format!("{:x}", event.b),
        }),
        Record::Status(status) => Reading::Status(own_status(&status)),
    };
    if i64::try_from(body.t_us()).is_err() {
        return Err(Error::Range);
    }
    Ok(Body::Reading(body))
}

fn tenth(deci: u16) -> f64 {
    f64::from(deci) / 10.0
}

fn own_hello(hello: &reading::Hello<'_>) -> Result<Hello, Error> {
    let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_plain(hello.device_id) || i64::try_from(hello.sequence).is_err() {
        return Err(Error::Range);
    }
    let own = |component: &reading::Component<'_>| Component {
        name: component.name.to_owned(),
        version: component.version.to_owned(),
        digest: component
            .digest
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
    };
    Ok(Hello {
        device_id: hello.device_id.to_owned(),
        product: hello.product.to_owned(),
        version: hello.version.to_owned(),
        manifest_sequence: hello.sequence,
        t_us: hello.t_us,
        boot: hello.boot,
        components: hello.components.iter().map(own).collect(),
    })
}

fn own_numerics(numerics: &reading::Numerics) -> Numerics {
    let is_off = |channel: &Channel| numerics.leads_off >> (*channel as u8) & 1 == 1;
    Numerics {
        t_us: numerics.t_us,
        heart_rate_bpm: numerics.heart_rate_deci.map(tenth),
        spo2_percent: numerics.spo2_deci.map(tenth),
        pulse_bpm: numerics.pulse_deci.map(tenth),
        quality: numerics.quality,
        leads_off: CHANNELS
            .into_iter()
            .filter(is_off)
            .map(channel_name)
            .collect(),
    }
}

fn own_status(status: &reading::Status<'_>) -> Status {
    let task = |task: &reading::TaskStatus<'_>| Task {
        name: task.name.to_owned(),
        state: match task.state {
            0 => "running",
            1 => "faulted",
            2 => "held",
            _ => "unknown",
        },
        restarts: task.restarts,
        overruns: task.overruns,
        used_ms: task.used_ms,
    };
    let exit = |exit: &reading::Exit<'_>| Exit {
        reason: exit.reason.to_owned(),
        count: exit.count,
    };
    let can = &status.can;
    Status {
        t_us: status.t_us,
        cores: status.cores,
        tasks: status.tasks.iter().map(task).collect(),
        can: Can {
            received: can.received,
            lost: can.lost,
            late: can.late,
            malformed: can.malformed,
            unknown: can.unknown,
            dropped: can.dropped,
            commands_sent: can.commands_sent,
            commands_missed: can.commands_missed,
            commands_late: can.commands_late,
            worst_delay_us: can.worst_delay_us,
        },
        partition: Partition {
            state: match status.partition.state {
                0 => "off",
                1 => "running",
                2 => "stopped",
                3 => "faulted",
                _ => "unknown",
            },
            refused: status.partition.refused,
            exits: status.partition.exits.iter().map(exit).collect(),
        },
        link: Link {
            waiting: status.link.waiting,
            dropped: status.link.dropped,
            violations: status.link.violations,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(record: Record<'_>) -> Vec<u8> {
        let mut out = [0; reading::MAX_BODY_BYTES];
        let count = record.encode(&mut out).expect("fits");
        out[..count].to_vec()
    }

    #[test]
    fn units_are_those_of_people() {
        let body = encoded(Record::Numerics(reading::Numerics {
            heart_rate_deci: Some(723),
            leads_off: 0b110,
            ..Default::default()
        }));
        let Ok(Body::Reading(Reading::Numerics(numerics))) = decode(&body) else {
            panic!("numerics");
        };
        assert_eq!(numerics.heart_rate_bpm, Some(72.3));
        assert_eq!(numerics.spo2_percent, None);
        assert_eq!(numerics.leads_off, ["ecg-2", "pleth"]);
    }

    #[test]
    fn what_the_database_cannot_hold_is_refused() {
        let late = encoded(Record::Numerics(reading::Numerics {
            t_us: 1 << 63,
            ..Default::default()
        }));
        assert_eq!(decode(&late), Err(Error::Range));
        let samples = reading::Samples::new(&[0, 0]).expect("even");
        let far = encoded(Record::Strip(reading::Strip {
            channel: Channel::Pleth,
            first_sample: u64::MAX,
            t_us: 0,
            rate_decihertz: 1250,
            samples,
        }));
        assert_eq!(decode(&far), Err(Error::Range));
        for device_id in ["", "bed\n07"] {
            let nobody = encoded(Record::Hello(reading::Hello {
                device_id,
                ..Default::default()
            }));
            assert_eq!(decode(&nobody), Err(Error::Range));
        }
    }

    #[test]
    fn records_of_a_newer_kind_are_kept_as_they_are() {
        let body = [0x81, 9];
        let kept = Body::Reading(Reading::Unknown(body.to_vec()));
        assert_eq!(decode(&body), Ok(kept));
    }
}
