//! Devices' connections: frames in, acknowledgements out.

use crate::devices::{Device, unix_ms};
use crate::listener::{Listener, Stream};
use crate::log;
use crate::readings::{self, Body, Hello, Reading};
use crate::store::{Entry, Item, Start};
use crate::ward::Ward;
use reading::{Ack, Deframer, Frame, encode_ack};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Semaphore, watch};

/// Most devices connected at once.
pub const MAX_CONNECTIONS: usize = 256;
/// A device says something every second; silence this long is a dead connection.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest time to write an acknowledgement of 11 bytes.
const WRITE: Duration = Duration::from_secs(10);
/// How often a connection looks whether the store has room again.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The other end closed it, or the network did.
    Closed(Option<std::io::ErrorKind>),
    /// Nothing came for [`SILENCE`].
    Silent,
    /// Acknowledgements were not taken.
    NotReading,
    /// Bytes that are no frame.
    Frame,
    /// A frame that is not understood.
    Record(readings::Error),
    /// The first frame was no Hello, or a later one belongs to somebody else.
    Stranger,
    /// Too many devices.
    Crowded,
    /// The same device came again.
    Replaced,
    /// There is room again: the device shall send what was not kept.
    SendAgain,
    /// The ward ends.
    Stopping,
}

impl End {
    const fn is_malformed(&self) -> bool {
        matches!(self, Self::Frame | Self::Record(_) | Self::Stranger)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(None) => f.write_str("closed by the device"),
            Self::Closed(Some(kind)) => write!(f, "lost ({kind})"),
            Self::Silent => write!(f, "silent for {} s", SILENCE.as_secs()),
            Self::NotReading => f.write_str("acknowledgements were not taken"),
            Self::Frame => f.write_str("malformed: bytes that are no frame"),
            Self::Record(error) => write!(f, "malformed: {error}"),
            Self::Stranger => f.write_str("malformed: no greeting, or another one"),
            Self::Crowded => f.write_str("too many devices"),
            Self::Replaced => f.write_str("the device connected again"),
            Self::SendAgain => {
                f.write_str("the database has room again: the device shall send again")
            }
            Self::Stopping => f.write_str("the ward ends"),
        }
    }
}

/// Takes connections until the ward ends.
pub async fn serve(ward: Arc<Ward>, listener: Listener) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stopping = ward.stopping();
    loop {
        let (stream, peer) = tokio::select! {
            next = listener.next() => next,
            () = stopped(&mut stopping) => return,
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            ward.counters.refused_connections.add(1);
            log!("{peer}: refused, {MAX_CONNECTIONS} devices are connected");
            continue;
        };
        ward.counters.connections.add(1);
        let ward = Arc::clone(&ward);
        tokio::spawn(async move {
            Connection::run(ward, stream, peer).await;
            drop(permit);
        });
    }
}

/// Waits until the ward ends.
pub async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the ward is gone.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

/// Who is at the other end.
struct Peer {
    start: Arc<Start>,
    device: Arc<Device>,
    /// Number of this connection among the device's.
    number: u64,
}

struct Connection {
    ward: Arc<Ward>,
    address: SocketAddr,
    peer: Option<Peer>,
    acknowledgement: watch::Sender<u64>,
    /// A reading was shown but not kept: nothing after it may be kept or acknowledged on this connection.
    has_overflowed: bool,
}

impl Connection {
    async fn run(ward: Arc<Ward>, stream: Stream, address: SocketAddr) {
        let mut connection = Self {
            ward,
            address,
            peer: None,
            acknowledgement: watch::Sender::new(0),
            has_overflowed: false,
        };
        let end = connection.talk(stream).await;
        if end.is_malformed() {
            connection.ward.counters.malformed.add(1);
        }
        let name = match &connection.peer {
            Some(peer) => {
                peer.device.disconnected(peer.number, &end.to_string());
                format!("{:?}", peer.device.name)
            }
            None => "nobody we know".to_owned(),
        };
        log!("{address}: {name}: {end}");
    }

    async fn talk(&mut self, mut stream: Stream) -> End {
        let mut stopping = self.ward.stopping();
        let mut stored = self.acknowledgement.subscribe();
        let mut deframer = Box::new(Deframer::new());
        let mut buffer = vec![0; READ_BYTES];
        let mut look = tokio::time::interval(LOOK);
        let mut quiet_looks = 0_u32;
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) => return End::Closed(None),
                    Err(error) => return End::Closed(Some(error.kind())),
                    Ok(count) => {
                        quiet_looks = 0;
                        if let Err(end) = self.take(&mut deframer, &buffer[..count]) {
                            return end;
                        }
                    }
                },
                changed = stored.changed() => {
                    let sequence = *stored.borrow_and_update();
                    if changed.is_ok() && !acknowledge(&mut stream, sequence).await {
                        return End::NotReading;
                    }
                }
                _ = look.tick() => {
                    quiet_looks += 1;
                    if LOOK * quiet_looks > SILENCE {
                        return End::Silent;
                    }
                    if let Some(end) = self.look() {
                        return end;
                    }
                }
                () = stopped(&mut stopping) => return End::Stopping,
            }
        }
    }

    /// What has changed around the connection.
    fn look(&self) -> Option<End> {
        let peer = self.peer.as_ref()?;
        if !peer.device.is_current(peer.number) {
            return Some(End::Replaced);
        }
        let has_room = self.ward.store.state().state == "ok" && self.ward.store.queue.has_room();
        (self.has_overflowed && has_room).then_some(End::SendAgain)
    }

    fn take(&mut self, deframer: &mut Deframer, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            bytes = &bytes[deframer.push(bytes)..];
            while let Some(frame) = deframer.next().map_err(|_| End::Frame)? {
                let frame = Frame::decode(frame).map_err(|_| End::Frame)?;
                self.frame(frame)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<(), End> {
        let body = readings::decode(frame.body).map_err(End::Record)?;
        self.ward.counters.received.add(1);
        match (body, frame.sequence) {
            // The greeting is of the connection: it is neither numbered nor acknowledged.
            (Body::Hello(hello), 0) => self.greet(hello),
            (Body::Reading(reading), 1..) => {
                self.reading(frame.sequence, reading, frame.body.len())
            }
            _ => Err(End::Stranger),
        }
    }

    fn greet(&mut self, hello: Hello) -> Result<(), End> {
        if let Some(peer) = &self.peer {
            let first = &peer.start.hello;
            if (&first.device_id, first.boot) != (&hello.device_id, hello.boot) {
                return Err(End::Stranger);
            }
            peer.device.more_components(&hello.components);
            let components = peer.device.hello().map(|hello| hello.components);
            let entry = Entry::Components(components.unwrap_or_default());
            self.keep(entry, 0);
            return Ok(());
        }
        let devices = &self.ward.devices;
        let device = devices.get_or_add(&hello.device_id).ok_or(End::Crowded)?;
        let number = device.connected(&hello, self.address.to_string());
        log!(
            "{}: {:?} {:?} {:?}, start {:016x}",
            self.address,
            hello.device_id,
            hello.product,
            hello.version,
            hello.boot
        );
        let start = Arc::new(Start {
            device: Arc::clone(&device),
            hello,
            acknowledgement: self.acknowledgement.clone(),
        });
        self.peer = Some(Peer {
            start,
            device,
            number,
        });
        Ok(())
    }

    fn reading(&mut self, sequence: u64, reading: Reading, bytes: usize) -> Result<(), End> {
        let peer = self.peer.as_ref().ok_or(End::Stranger)?;
        let boot = peer.start.hello.boot;
        peer.device.received(boot, sequence, &reading, unix_ms());
        self.keep(Entry::Reading(sequence, reading), bytes);
        Ok(())
    }

    fn keep(&mut self, entry: Entry, body_bytes: usize) {
        let Some(peer) = &self.peer else { return };
        let item = Item {
            start: Arc::clone(&peer.start),
            entry,
            received_ms: unix_ms(),
            body_bytes,
        };
        if self.has_overflowed || self.ward.store.queue.push(item).is_err() {
            if !self.has_overflowed {
                log!(
                    "{}: {:?}: no room to keep more readings; the device keeps them",
                    self.address,
                    peer.device.name
                );
            }
            self.has_overflowed = true;
            self.ward.counters.not_kept.add(1);
        }
    }
}

/// Sends an acknowledgement; whether it went.
async fn acknowledge(stream: &mut Stream, sequence: u64) -> bool {
    let mut out = [0; 16];
    let Ok(count) = encode_ack(Ack(sequence), &mut out) else {
        return false;
    };
    let written = tokio::time::timeout(WRITE, stream.write_all(&out[..count])).await;
    matches!(written, Ok(Ok(())))
}
