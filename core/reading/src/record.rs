//! What a record says, and its encoding: a CBOR array `[kind, ...]`, every list bounded.

use minicbor::encode::write::{Cursor, EndOfSlice};
use minicbor::{Decoder, Encoder};

/// Most bytes of an encoded body.
pub const MAX_BODY_BYTES: usize = 1000;
/// Most samples in a strip.
pub const MAX_SAMPLES: usize = 400;
/// Most entries of any list (components, tasks, exits).
pub const MAX_LIST: usize = 32;
/// Most bytes of any text.
const MAX_TEXT_BYTES: usize = 64;

/// Why a record was not encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It does not fit.
    TooLong,
    /// It is not a record of ours.
    Malformed,
    /// It is a record of a kind we do not know.
    UnknownKind(u8),
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    /// First ECG lead, 5 uV per unit.
    EcgFirst = 0,
    /// Second ECG lead, 5 uV per unit.
    EcgSecond = 1,
    /// Plethysmogram, 1e-4 of full scale per unit.
    Pleth = 2,
}

/// IEC 60601-1-8 alarm priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// Awareness.
    Low = 0,
    /// Prompt response.
    Medium = 1,
    /// Immediate response.
    High = 2,
}

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AlarmKind {
    /// No heart beat.
    Asystole = 0,
    /// Heart rate too high.
    Tachycardia = 1,
    /// Heart rate too low.
    Bradycardia = 2,
    /// Oxygen saturation too low.
    SpO2Low = 3,
    /// An electrode or the finger clip is off.
    LeadOff = 4,
}

macro_rules! from_number {
    ($type:ident: $($number:literal => $variant:ident),*) => {
        impl $type {
            /// The variant of that number.
            #[must_use]
            pub const fn of(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
from_number!(Channel: 0 => EcgFirst, 1 => EcgSecond, 2 => Pleth);
from_number!(Priority: 0 => Low, 1 => Medium, 2 => High);
from_number!(AlarmKind: 0 => Asystole, 1 => Tachycardia, 2 => Bradycardia, 3 => SpO2Low, 4 => LeadOff);

/// Event codes.
pub mod event {
    /// The device has started; a = manifest sequence number.
    pub const STARTED: u32 = 1;
    /// A task was restarted; a = task, b = cause << 32 | low half of the program counter.
    pub const TASK_RESTARTED: u32 = 2;
    /// A task is held: it faulted too often; a = task.
    pub const TASK_HELD: u32 = 3;
    /// The ward's connection came up.
    pub const LINK_UP: u32 = 4;
    /// The ward's connection is gone.
    pub const LINK_DOWN: u32 = 5;
    /// The partition did something refused; a = reason, b = address.
    pub const PARTITION_REFUSED: u32 = 6;
    /// The partition has stopped; a = why.
    pub const PARTITION_STOPPED: u32 = 7;
    /// Records were dropped because there was no room; a = how many so far.
    pub const RECORDS_DROPPED: u32 = 8;
    /// A beat; a = sample index.
    pub const BEAT: u32 = 9;
}

/// A component that was verified and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Component<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// First eight bytes of its SHA-256.
    pub digest: [u8; 8],
}

/// The first record of every connection and start: who is there and what it runs. Components beyond what fits
/// one record follow in further ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hello<'a> {
    /// Name of the device.
    pub device_id: &'a str,
    /// Name of the product.
    pub product: &'a str,
    /// Version of the firmware.
    pub version: &'a str,
    /// Sequence number of the booted manifest.
    pub sequence: u64,
    /// Microseconds since power-on.
    pub t_us: u64,
    /// A number chosen at this start of the device: record sequences of two starts are not one.
    pub boot: u64,
    /// Verified components, at most [`MAX_LIST`].
    pub components: &'a [Component<'a>],
}

/// Samples of a strip: made from integers, read from the encoding (little-endian i16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Samples<'a>(&'a [u8]);

impl<'a> Samples<'a> {
    /// Samples in their encoding; `None` where there is half a sample.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len().is_multiple_of(2) {
            Some(Self(bytes))
        } else {
            None
        }
    }
    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len() / 2
    }
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Each sample.
    pub fn iter(&self) -> impl Iterator<Item = i16> + 'a {
        self.0
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
    }
}

/// A stretch of one signal, without a gap inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strip<'a> {
    /// Which signal.
    pub channel: Channel,
    /// Number of the first sample since the node's first, counting lost ones: a gap shows as a jump.
    pub first_sample: u64,
    /// When the first sample came, microseconds since power-on.
    pub t_us: u64,
    /// Samples a second, times ten.
    pub rate_decihertz: u16,
    /// The samples; -32768 = lead off.
    pub samples: Samples<'a>,
}

/// Numbers, once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numerics {
    /// Microseconds since power-on.
    pub t_us: u64,
    /// Heart rate in tenths of a beat a minute.
    pub heart_rate_deci: Option<u16>,
    /// Oxygen saturation in tenths of a percent.
    pub spo2_deci: Option<u16>,
    /// Pulse rate in tenths of a beat a minute.
    pub pulse_deci: Option<u16>,
    /// Signal quality of each ECG lead, 0 to 100.
    pub quality: [u8; 2],
    /// Bit n: channel n is off the patient.
    pub leads_off: u8,
}

/// An alarm that began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Microseconds since power-on.
    pub t_us: u64,
    /// What it is about.
    pub kind: AlarmKind,
    /// How urgent.
    pub priority: Priority,
    /// Whether it began (else it ended).
    pub active: bool,
    /// The value that caused it, tenths of its unit; 0 where there is none.
    pub value_deci: u16,
}

/// Something the log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event {
    /// Number of the event, without gaps.
    pub number: u64,
    /// Microseconds since power-on.
    pub t_us: u64,
    /// See [`event`].
    pub code: u32,
    /// First detail.
    pub a: u64,
    /// Second detail.
    pub b: u64,
}

/// A secure task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskStatus<'a> {
    /// Its name.
    pub name: &'a str,
    /// 0 running or waiting, 1 faulted, 2 held.
    pub state: u8,
    /// Times it was restarted.
    pub restarts: u32,
    /// Periods in which it used up its budget.
    pub overruns: u32,
    /// Time it has used, milliseconds.
    pub used_ms: u64,
}

/// What the device has counted on the CAN bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CanCounters {
    /// Frames received and understood.
    pub received: u64,
    /// Frames missing by sequence number.
    pub lost: u64,
    /// Frames later than their period allows.
    pub late: u64,
    /// Lines that are no frame.
    pub malformed: u64,
    /// Frames with an identifier nobody here uses.
    pub unknown: u64,
    /// Samples dropped because nobody took them in time.
    pub dropped: u64,
    /// Pump commands sent.
    pub commands_sent: u64,
    /// Pump commands not sent because their time had passed.
    pub commands_missed: u64,
    /// Pump commands sent late.
    pub commands_late: u64,
    /// Longest delay of a command, microseconds.
    pub worst_delay_us: u64,
}

/// Exits of a partition for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exit<'a> {
    /// The reason.
    pub reason: &'a str,
    /// How many.
    pub count: u64,
}

/// The partition as the hypervisor counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionStatus<'a> {
    /// 0 off, 1 running, 2 stopped, 3 faulted.
    pub state: u8,
    /// Accesses refused.
    pub refused: u64,
    /// Exits by reason, at most [`MAX_LIST`].
    pub exits: &'a [Exit<'a>],
}

/// What the link to the ward has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Records waiting for the ward's acknowledgement.
    pub waiting: u32,
    /// Records dropped because there was no room.
    pub dropped: u64,
    /// Things the partition did wrong on the rings.
    pub violations: u64,
}

/// How the device is, every second or so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status<'a> {
    /// Microseconds since power-on.
    pub t_us: u64,
    /// Cores that are up.
    pub cores: u8,
    /// The secure tasks, at most [`MAX_LIST`].
    pub tasks: &'a [TaskStatus<'a>],
    /// The CAN bus.
    pub can: CanCounters,
    /// The partition.
    pub partition: PartitionStatus<'a>,
    /// The link.
    pub link: LinkCounters,
}

/// Any record. Decoding needs room for lists; see [`Record::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// Who is there.
    Hello(Hello<'a>),
    /// A stretch of a signal.
    Strip(Strip<'a>),
    /// Numbers.
    Numerics(Numerics),
    /// An alarm began or ended.
    Alarm(Alarm),
    /// Something for the log.
    Event(Event),
    /// How the device is.
    Status(Status<'a>),
}

/// Room for the lists of a record that is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    components: [Component<'a>; MAX_LIST],
    tasks: [TaskStatus<'a>; MAX_LIST],
    exits: [Exit<'a>; MAX_LIST],
}

type Encoding<'a> = Encoder<Cursor<&'a mut [u8]>>;
type Encoded = Result<(), minicbor::encode::Error<EndOfSlice>>;

impl Record<'_> {
    /// Writes the body to `out`; the number of bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`] where it does not fit `out` or is over [`MAX_BODY_BYTES`].
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        let room = out.len().min(MAX_BODY_BYTES);
        let mut encoder = Encoder::new(Cursor::new(&mut out[..room]));
        self.write(&mut encoder).map_err(|_| Error::TooLong)?;
        Ok(encoder.writer().position())
    }

    fn write(&self, e: &mut Encoding<'_>) -> Encoded {
        match self {
            Self::Hello(hello) => write_hello(e, hello),
            Self::Strip(s) => {
                e.array(6)?
                    .u8(1)?
                    .u8(s.channel as u8)?
                    .u64(s.first_sample)?
                    .u64(s.t_us)?
                    .u16(s.rate_decihertz)?;
                e.bytes(s.samples.0)?;
                Ok(())
            }
            Self::Numerics(n) => {
                e.array(8)?.u8(2)?.u64(n.t_us)?;
                for value in [n.heart_rate_deci, n.spo2_deci, n.pulse_deci] {
                    match value {
                        Some(value) => e.u16(value)?,
                        None => e.null()?,
                    };
                }
                e.u8(n.quality[0])?.u8(n.quality[1])?.u8(n.leads_off)?;
                Ok(())
            }
            Self::Alarm(a) => {
                e.array(6)?
                    .u8(3)?
                    .u64(a.t_us)?
                    .u8(a.kind as u8)?
                    .u8(a.priority as u8)?
                    .bool(a.active)?
                    .u16(a.value_deci)?;
                Ok(())
            }
            Self::Event(v) => {
                e.array(6)?
                    .u8(4)?
                    .u64(v.number)?
                    .u64(v.t_us)?
                    .u32(v.code)?
                    .u64(v.a)?
                    .u64(v.b)?;
                Ok(())
            }
            Self::Status(status) => write_status(e, status),
        }
    }
}

fn write_hello(e: &mut Encoding<'_>, hello: &Hello<'_>) -> Encoded {
    e.array(8)?
        .u8(0)?
        .str(hello.device_id)?
        .str(hello.product)?
        .str(hello.version)?;
    e.u64(hello.sequence)?.u64(hello.t_us)?.u64(hello.boot)?;
    e.array(hello.components.len() as u64)?;
    for component in hello.components {
        e.array(3)?
            .str(component.name)?
            .str(component.version)?
            .bytes(&component.digest)?;
    }
    Ok(())
}

fn write_status(e: &mut Encoding<'_>, status: &Status<'_>) -> Encoded {
    e.array(7)?.u8(5)?.u64(status.t_us)?.u8(status.cores)?;
    e.array(status.tasks.len() as u64)?;
    for task in status.tasks {
        e.array(5)?
            .str(task.name)?
            .u8(task.state)?
            .u32(task.restarts)?
            .u32(task.overruns)?
            .u64(task.used_ms)?;
    }
    let c = &status.can;
    let counters = [
        c.received,
        c.lost,
        c.late,
        c.malformed,
        c.unknown,
        c.dropped,
        c.commands_sent,
        c.commands_missed,
        c.commands_late,
        c.worst_delay_us,
    ];
    e.array(counters.len() as u64)?;
    for counter in counters {
        e.u64(counter)?;
    }
    let partition = &status.partition;
    e.array(3)?
        .u8(partition.state)?
        .u64(partition.refused)?
        .array(partition.exits.len() as u64)?;
    for exit in partition.exits {
        e.array(2)?.str(exit.reason)?.u64(exit.count)?;
    }
    e.array(3)?
        .u32(status.link.waiting)?
        .u64(status.link.dropped)?
        .u64(status.link.violations)?;
    Ok(())
}

impl Default for Lists<'_> {
    fn default() -> Self {
        Self {
            components: [Component::default(); MAX_LIST],
            tasks: [TaskStatus::default(); MAX_LIST],
            exits: [Exit::default(); MAX_LIST],
        }
    }
}

/// Reads one after the other; anything unexpected is [`Error::Malformed`].
struct Reading<'b>(Decoder<'b>);

macro_rules! read {
    ($($name:ident: $type:ty),*) => {$(
        fn $name(&mut self) -> Result<$type, Error> {
            self.0.$name().map_err(|_| Error::Malformed)
        }
    )*};
}

impl<'b> Reading<'b> {
    read!(u8: u8, u16: u16, u32: u32, u64: u64, bool: bool);

    fn array(&mut self, length: u64) -> Result<(), Error> {
        if self.0.array().map_err(|_| Error::Malformed)? == Some(length) {
            Ok(())
        } else {
            Err(Error::Malformed)
        }
    }

    fn list(&mut self) -> Result<usize, Error> {
        match self.0.array() {
            Ok(Some(length)) if length <= MAX_LIST as u64 => Ok(length as usize),
            _ => Err(Error::Malformed),
        }
    }

    fn text(&mut self) -> Result<&'b str, Error> {
        let text = self.0.str().map_err(|_| Error::Malformed)?;
        if text.len() > MAX_TEXT_BYTES {
            Err(Error::Malformed)
        } else {
            Ok(text)
        }
    }

    fn bytes(&mut self) -> Result<&'b [u8], Error> {
        self.0.bytes().map_err(|_| Error::Malformed)
    }

    fn option_u16(&mut self) -> Result<Option<u16>, Error> {
        if self.0.datatype().map_err(|_| Error::Malformed)? == minicbor::data::Type::Null {
            self.0.null().map_err(|_| Error::Malformed)?;
            return Ok(None);
        }
        self.u16().map(Some)
    }
}

impl<'a> Record<'a> {
    /// Reads a body; its lists go to `lists`.
    ///
    /// # Errors
    /// Where it is not a record of ours, whole and nothing after it.
    pub fn decode(body: &'a [u8], lists: &'a mut Lists<'a>) -> Result<Self, Error> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::TooLong);
        }
        let mut r = Reading(Decoder::new(body));
        let fields =
            r.0.array()
                .map_err(|_| Error::Malformed)?
                .ok_or(Error::Malformed)?;
        let kind = r.u8()?;
        let record = match (kind, fields) {
            (0, 8) => read_hello(&mut r, lists)?,
            (1, 6) => read_strip(&mut r)?,
            (2, 8) => Self::Numerics(Numerics {
                t_us: r.u64()?,
                heart_rate_deci: r.option_u16()?,
                spo2_deci: r.option_u16()?,
                pulse_deci: r.option_u16()?,
                quality: [r.u8()?, r.u8()?],
                leads_off: r.u8()?,
            }),
            (3, 6) => Self::Alarm(Alarm {
                t_us: r.u64()?,
                kind: AlarmKind::of(r.u8()?).ok_or(Error::Malformed)?,
                priority: Priority::of(r.u8()?).ok_or(Error::Malformed)?,
                active: r.bool()?,
                value_deci: r.u16()?,
            }),
            (4, 6) => Self::Event(Event {
                number: r.u64()?,
                t_us: r.u64()?,
                code: r.u32()?,
                a: r.u64()?,
                b: r.u64()?,
            }),
            (5, 7) => read_status(&mut r, lists)?,
            (0..=5, _) => return Err(Error::Malformed),
            _ => return Err(Error::UnknownKind(kind)),
        };
        if r.0.position() == body.len() {
            Ok(record)
        } else {
            Err(Error::Malformed)
        }
    }
}

fn read_hello<'a>(r: &mut Reading<'a>, lists: &'a mut Lists<'a>) -> Result<Record<'a>, Error> {
    let mut hello = Hello {
        device_id: r.text()?,
        product: r.text()?,
        version: r.text()?,
        sequence: r.u64()?,
        t_us: r.u64()?,
        boot: r.u64()?,
        components: &[],
    };
    let count = r.list()?;
    for component in &mut lists.components[..count] {
        r.array(3)?;
        *component = Component {
            name: r.text()?,
            version: r.text()?,
            digest: r.bytes()?.try_into().map_err(|_| Error::Malformed)?,
        };
    }
    hello.components = &lists.components[..count];
    Ok(Record::Hello(hello))
}

fn read_strip<'a>(r: &mut Reading<'a>) -> Result<Record<'a>, Error> {
    let strip = Strip {
        channel: Channel::of(r.u8()?).ok_or(Error::Malformed)?,
        first_sample: r.u64()?,
        t_us: r.u64()?,
        rate_decihertz: r.u16()?,
        samples: Samples::new(r.bytes()?).ok_or(Error::Malformed)?,
    };
    if strip.samples.len() > MAX_SAMPLES || strip.rate_decihertz == 0 {
        return Err(Error::Malformed);
    }
    Ok(Record::Strip(strip))
}

fn read_status<'a>(r: &mut Reading<'a>, lists: &'a mut Lists<'a>) -> Result<Record<'a>, Error> {
    let mut status = Status {
        t_us: r.u64()?,
        cores: r.u8()?,
        ..Status::default()
    };
    let tasks = r.list()?;
    for task in &mut lists.tasks[..tasks] {
        r.array(5)?;
        *task = TaskStatus {
            name: r.text()?,
            state: r.u8()?,
            restarts: r.u32()?,
            overruns: r.u32()?,
            used_ms: r.u64()?,
        };
    }
    r.array(10)?;
    status.can = CanCounters {
        received: r.u64()?,
        lost: r.u64()?,
        late: r.u64()?,
        malformed: r.u64()?,
        unknown: r.u64()?,
        dropped: r.u64()?,
        commands_sent: r.u64()?,
        commands_missed: r.u64()?,
        commands_late: r.u64()?,
        worst_delay_us: r.u64()?,
    };
    r.array(3)?;
    (status.partition.state, status.partition.refused) = (r.u8()?, r.u64()?);
    let exits = r.list()?;
    for exit in &mut lists.exits[..exits] {
        r.array(2)?;
        *exit = Exit {
            reason: r.text()?,
            count: r.u64()?,
        };
    }
    r.array(3)?;
    status.link = LinkCounters {
        waiting: r.u32()?,
        dropped: r.u64()?,
        violations: r.u64()?,
    };
    status.tasks = &lists.tasks[..tasks];
    status.partition.exits = &lists.exits[..exits];
    Ok(Record::Status(status))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// One record of each kind.
    fn with_all(check: impl Fn(Record<'_>)) {
        let component = Component {
            name: "monitor",
            version: "0.1.0",
            digest: *b"12345678",
        };
        let components = [component; 12];
        check(Record::Hello(Hello {
            device_id: "bed-07",
            product: "p",
            version: "1",
            sequence: 3,
            t_us: 9,
            boot: 5,
            components: &components,
        }));
        let bytes: Vec<u8> = (0..MAX_SAMPLES * 2).map(|n| n as u8).collect();
        let samples = Samples::new(&bytes).expect("even");
        check(Record::Strip(Strip {
            channel: Channel::Pleth,
            first_sample: 1 << 40,
            t_us: u64::MAX,
            rate_decihertz: 3600,
            samples,
        }));
        check(Record::Numerics(Numerics {
            heart_rate_deci: Some(723),
            quality: [100, 3],
            ..Numerics::default()
        }));
        check(Record::Alarm(Alarm {
            t_us: 1,
            kind: AlarmKind::LeadOff,
            priority: Priority::High,
            active: true,
            value_deci: 0,
        }));
        check(Record::Event(Event {
            number: u64::MAX,
            t_us: 1,
            code: 2,
            a: 3,
            b: u64::MAX,
        }));
        let tasks = [TaskStatus {
            name: "supervisor",
            state: 2,
            restarts: 1,
            overruns: 9,
            used_ms: 10,
        }; 6];
        let exits = [Exit {
            reason: "sgi",
            count: u64::MAX,
        }; 12];
        let partition = PartitionStatus {
            state: 1,
            refused: 4,
            exits: &exits,
        };
        check(Record::Status(Status {
            t_us: 2,
            cores: 4,
            tasks: &tasks,
            partition,
            ..Status::default()
        }));
    }

    #[test]
    fn every_kind_survives_the_way_there_and_back() {
        with_all(|record| {
            let mut out = [0; MAX_BODY_BYTES];
            let count = record.encode(&mut out).expect("fits");
            let mut lists = Lists::default();
            let body = out;
            assert_eq!(Record::decode(&body[..count], &mut lists), Ok(record));
        });
    }

    #[test]
    fn cut_and_lengthened_bodies_are_refused() {
        with_all(|record| {
            let mut out = [0; MAX_BODY_BYTES + 1];
            let count = record.encode(&mut out).expect("fits");
            for length in (0..count).chain([count + 1]) {
                let mut lists = Lists::default();
                let body = out;
                assert!(Record::decode(&body[..length], &mut lists).is_err());
            }
        });
    }

    #[test]
    fn any_bytes_never_panic() {
        let mut seed = 3_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u8
        };
        with_all(|record| {
            let mut out = [0; MAX_BODY_BYTES];
            let count = record.encode(&mut out).expect("fits");
            for at in 0..count {
                for value in [0, 0x1b, 0x7f, 0x9f, 0xff] {
                    let mut body = out;
                    body[at] = value;
                    let mut lists = Lists::default();
                    let _ = Record::decode(&body[..count], &mut lists);
                }
            }
        });
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random()).map(|_| random()).collect();
            let mut lists = Lists::default();
            let _ = Record::decode(&bytes, &mut lists);
        }
    }
}
