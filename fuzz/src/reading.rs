//! What travels between device and ward: frames, records, acknowledgements; the device's side of a connection.

use reading::{Ack, Deframer, Frame, Lists, MAX_BODY_BYTES, MAX_FRAME_BYTES, Record};

/// Gives `data` to each of the readers, and to a session as what the ward says.
pub fn run(data: &[u8]) {
    let _ = Ack::decode(data);
    if let Ok(frame) = Frame::decode(data) {
        record(frame.body);
    }
    record(data);
    let (mut deframer, mut left) = (Deframer::new(), data);
    'stream: while !left.is_empty() {
        let count = deframer.push(left);
        left = &left[count..];
        loop {
            match deframer.next() {
                Ok(Some(bytes)) => assert!(bytes.len() <= MAX_FRAME_BYTES),
                Ok(None) => break,
                Err(_) => break 'stream,
            }
        }
    }
    session(data);
}

/// What is read as a record is written and read as the same.
fn record(body: &[u8]) {
    let mut lists = Lists::default();
    if let Ok(record) = Record::decode(body, &mut lists) {
        let mut out = [0; MAX_BODY_BYTES];
        let count = record.encode(&mut out).expect("it was no longer before");
        let mut lists = Lists::default();
        assert_eq!(Record::decode(&out[..count], &mut lists), Ok(record));
    }
}

/// The device's side: records in, the ward's bytes in, never more waiting than was added.
fn session(data: &[u8]) {
    let mut memory = [0; 512];
    let mut session = uplink::Session::new(&mut memory);
    session.connected(|_| 0);
    for (added, piece) in (1..).zip(data.chunks(5)) {
        session.add(&piece[..1]);
        let mut out = [0; 32];
        let room = usize::from(piece[0]) % 32;
        assert!(session.send(&mut out[..room]) <= room);
        if session.received(piece).is_err() {
            session.connected(|_| 0);
        }
        assert!(session.waiting() <= added);
    }
}

/// A record of each simple kind, framed and not, and acknowledgements.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    use reading::{Alarm, AlarmKind, Channel, Event, Hello, Numerics, Priority, Samples, Strip};
    let samples: Vec<u8> = (0..100).collect();
    let records = [
        Record::Hello(Hello {
            device_id: "bed-07",
            product: "monitor",
            version: "0.1.0",
            ..Hello::default()
        }),
        Record::Strip(Strip {
            channel: Channel::EcgFirst,
            first_sample: 1000,
            t_us: 5_000_000,
            rate_decihertz: 3600,
            samples: Samples::new(&samples).expect("even"),
        }),
        Record::Numerics(Numerics::default()),
        Record::Alarm(Alarm {
            t_us: 1,
            kind: AlarmKind::Asystole,
            priority: Priority::High,
            active: true,
            value_deci: 0,
        }),
        Record::Event(Event::default()),
        Record::Status(reading::Status::default()),
    ];
    let mut seeds = Vec::new();
    for (sequence, record) in (1..).zip(records) {
        let mut body = [0; MAX_BODY_BYTES];
        let count = record.encode(&mut body).expect("fits");
        let mut frame = [0; MAX_FRAME_BYTES + 2];
        let framed = reading::encode_frame(sequence, &body[..count], &mut frame).expect("fits");
        seeds.push(body[..count].to_vec());
        seeds.push(frame[2..framed].to_vec());
        seeds.push(frame[..framed].to_vec());
    }
    let mut acks = Vec::new();
    for sequence in [1, 2, 24, 300] {
        let mut ack = [0; 16];
        let count = reading::encode_ack(Ack(sequence), &mut ack).expect("fits");
        acks.extend_from_slice(&ack[..count]);
    }
    seeds.push(acks);
    seeds
}
