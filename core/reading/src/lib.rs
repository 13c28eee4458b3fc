//! Readings as they travel from the device to the ward: records, framing, acknowledgements.
//!
//! A *body* is a CBOR array `[kind, ...]`, made by the task that has the data. A *frame* is a
//! length (u16, big-endian, 1 to [`MAX_FRAME_BYTES`]) and the CBOR array `[sequence, body]`, made by the
//! task that sends. The ward answers with frames `[sequence]`: everything up to it is stored.
#![no_std]
#![forbid(unsafe_code)]

mod frame;
mod record;

pub use frame::{
    Ack, Deframer, FRAME_OVERHEAD_BYTES, Frame, FrameError, MAX_FRAME_BYTES, encode_ack,
    encode_frame,
};
pub use record::{
    Alarm, AlarmKind, CanCounters, Channel, Component, Error, Event, Exit, Hello, LinkCounters,
    Lists, MAX_BODY_BYTES, MAX_LIST, MAX_SAMPLES, Numerics, PartitionStatus, Priority, Record,
    Samples, Status, Strip, TaskStatus, event,
};
