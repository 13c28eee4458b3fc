//! The messages secure tasks exchange: operations and their encodings.
//!
//! Data flows down by notification (`post`) and is fetched upwards by a message with a lease:
//! the receiver lends memory, the sender of the data writes into it. Everything is little-endian.
#![no_std]
#![forbid(unsafe_code)]

/// Notification bits every task uses alike.
pub mod notification {
    /// The task's timer has expired.
    pub const TIMER: u32 = 1 << 0;
    /// The task's peripheral has interrupted; masked until unmasked.
    pub const INTERRUPT: u32 = 1 << 1;
    /// The hypervisor has rung.
    pub const DOORBELL: u32 = 1 << 2;
    /// A task of higher priority has data.
    pub const DATA: u32 = 1 << 3;
    /// A task has faulted (to the supervisor).
    pub const FAULT: u32 = 1 << 31;
}

/// Operations: the number a message carries.
pub mod operation {
    /// To `can`: reply = [`super::SampleBatch`] header; samples written to lease 0 (writable),
    /// [`super::SAMPLE_BYTES`] each. From `vitals`.
    pub const TAKE_SAMPLES: u16 = 1;
    /// To `can`: reply = [`super::CanStatus`]. From `audit`.
    pub const CAN_STATUS: u16 = 2;
    /// To `vitals` or `audit`: encoded record bodies written to lease 0 (writable), each with its
    /// length as u16 before it; reply = bytes written u32, records u32, records dropped so far u32.
    /// From `link`.
    pub const TAKE_RECORDS: u16 = 3;
    /// To `audit`: message = [`super::LogEvent`]; no reply. From any task of lower priority.
    pub const LOG_EVENT: u16 = 4;
    /// To `supervisor`: message = index of a task u8; reply = [`super::TaskStatus`]. From `audit`.
    pub const TASK_STATUS: u16 = 5;
    /// To `audit`: message = [`super::LinkStatus`]; no reply. From `link`.
    pub const LINK_STATUS: u16 = 6;
}

/// What a [`Sample`] is.
pub mod sample {
    /// Two leads of an ECG, 5 uV per unit.
    pub const ECG: u8 = 0;
    /// `first`, as u16: plethysmogram, 1e-4 of full scale.
    pub const PLETH: u8 = 1;
    /// As u16: saturation in 0.1 %, pulse rate in 0.1 a minute; 0 = none.
    pub const NUMERICS: u8 = 2;
}

/// Answer codes of messages between our tasks.
pub mod code {
    /// Done.
    pub const OK: u32 = 0;
    /// The operation is not known here.
    pub const UNKNOWN: u32 = 1;
    /// The message or a lease has not the form the operation asks for.
    pub const MALFORMED: u32 = 2;
}

/// Reads little-endian fields one after the other; `None` past the end.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }
}

/// Makes a record of integers with a fixed little-endian encoding.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident, $bytes:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        /// Encoded size in bytes.
        pub const $bytes: usize = 0 $(+ size_of::<$type>())*;

        impl $name {
            /// The encoding.
            #[must_use]
            pub fn encode(&self) -> [u8; $bytes] {
                let mut bytes = [0; $bytes];
                let mut rest = &mut bytes[..];
                $(
                    let (head, tail) = rest.split_at_mut(size_of::<$type>());
                    head.copy_from_slice(&self.$field.to_le_bytes());
                    rest = tail;
                )*
                let _ = rest;
                bytes
            }
            /// Reads an encoding; `None` where it is too short. Further bytes are ignored.
            #[must_use]
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                let mut reader = Reader(bytes);
                Some(Self { $($field: <$type>::from_le_bytes(reader.take()?),)* })
            }
        }
    };
}

record! {
    /// One sample frame as it came from the bus.
    Sample, SAMPLE_BYTES {
        /// When it came, without the delays of its way, microseconds since power-on.
        t_us: u64,
        /// Number since the first of its kind from this node, counting missing ones: a gap shows as a jump.
        /// Starts anew where `can` has been restarted.
        index: u64,
        /// CAN node number.
        node: u8,
        /// What it is: see [`sample`].
        kind: u8,
        /// First value of the payload.
        first: i16,
        /// Second value of the payload.
        second: i16,
        /// Samples a second of the node in tenths; 0 = not known yet.
        rate_decihertz: u16,
    }
}

record! {
    /// Answer to [`operation::TAKE_SAMPLES`].
    SampleBatch, SAMPLE_BATCH_BYTES {
        /// Samples written to the lease.
        count: u32,
        /// Samples still waiting.
        waiting: u32,
        /// Samples dropped so far because nobody took them in time.
        dropped: u32,
    }
}

record! {
    /// What the `can` task has counted.
    CanStatus, CAN_STATUS_BYTES {
        /// Frames received and understood.
        received: u64,
        /// Frames missing by sequence number.
        lost: u64,
        /// Frames that came later than their period allows.
        late: u64,
        /// Frames with a sequence number seen already.
        duplicate: u64,
        /// Lines that are no frame.
        malformed: u64,
        /// Frames with an identifier nobody here uses.
        unknown: u64,
        /// Samples dropped because nobody took them in time.
        dropped: u64,
        /// Pump commands sent.
        commands_sent: u64,
        /// Pump commands not sent because their time had passed.
        commands_missed: u64,
        /// Pump commands sent more than half a period after they were due.
        commands_late: u64,
        /// Longest delay of a command, microseconds.
        worst_delay_us: u64,
    }
}

record! {
    /// An event for the log.
    LogEvent, LOG_EVENT_BYTES {
        /// What happened: see `reading`'s event codes.
        code: u32,
        /// First detail.
        a: u64,
        /// Second detail.
        b: u64,
    }
}

record! {
    /// How a task is.
    TaskStatus, TASK_STATUS_BYTES {
        /// 0 running or waiting, 1 faulted, 2 held by the supervisor.
        state: u32,
        /// Times it was restarted.
        restarts: u32,
        /// Periods in which it used up its budget.
        overruns: u32,
        /// How many tasks there are.
        tasks: u32,
        /// Time it has used, microseconds.
        used_us: u64,
        /// Cause of its last fault: exception class (ESR_EL1.EC), 0x100 it gave up, 0x101 a system call
        /// that no correct task makes; 0 none yet.
        cause: u32,
        /// Address the last fault was about; of a panic the line is in `syndrome`.
        address: u64,
        /// Syndrome of the last fault (ESR_EL1).
        syndrome: u64,
        /// Program counter of the last fault.
        pc: u64,
    }
}

record! {
    /// What the `link` task has counted.
    LinkStatus, LINK_STATUS_BYTES {
        /// 1 while the forwarder is connected.
        connected: u32,
        /// Records waiting for the ward's acknowledgement.
        waiting: u32,
        /// Records dropped because there was no room.
        dropped: u64,
        /// Records sent, again included.
        sent: u64,
        /// Things the partition did wrong on the rings.
        violations: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_way_there_and_back() {
        let sample = Sample {
            t_us: u64::MAX,
            index: 7,
            node: 1,
            kind: 2,
            first: -32768,
            second: 5,
            rate_decihertz: 9,
        };
        assert_eq!(Sample::decode(&sample.encode()), Some(sample));
        assert_eq!(SAMPLE_BYTES, 24);
        let status = CanStatus {
            received: 1,
            worst_delay_us: 2,
            ..CanStatus::default()
        };
        assert_eq!(CanStatus::decode(&status.encode()), Some(status));
    }

    #[test]
    fn short_input_is_refused() {
        let bytes = LogEvent {
            code: 1,
            a: 2,
            b: 3,
        }
        .encode();
        for length in 0..bytes.len() {
            assert_eq!(LogEvent::decode(&bytes[..length]), None);
        }
    }
}
