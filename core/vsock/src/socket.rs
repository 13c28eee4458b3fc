//! The one stream socket (virtio 1.2, section 5.10.6): who may connect, what flows, how much.
//!
//! One connection at a time. A request while one is up is refused: there is one forwarder, and its
//! kernel ends the old connection before the forwarder can ask for a new one. Only a request from the
//! very port that is connected replaces it: its owner has forgotten the old one.

use crate::Counters;
use crate::packet::{HOST_CID, Header, MAX_PAYLOAD_BYTES, Operation, TYPE_STREAM};

/// Room for what the guest sends, bytes. It sends acknowledgements of a few bytes, taken at once.
pub const BUFFER_BYTES: u32 = 16 << 10;
/// Answers that wait for a buffer of the guest; while there is no room, its packets wait.
const MAX_REPLIES: usize = 16;

/// The stream cannot go on: what the guest said makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Who speaks over the connection.
pub trait Stream {
    /// A connection is up: begin anew.
    fn connected(&mut self);
    /// It is gone.
    fn disconnected(&mut self);
    /// Bytes came.
    ///
    /// # Errors
    /// The connection is then ended.
    fn received(&mut self, bytes: &[u8]) -> Result<(), Refused>;
    /// Whether there are bytes to send.
    fn is_waiting(&self) -> bool;
    /// Writes the next bytes to send to `out`, and says how many.
    fn send(&mut self, out: &mut [u8]) -> usize;
}

/// A connection, with the flow control of both directions (section 5.10.6.3); counts are modulo 2^32.
#[derive(Debug, Clone, Copy)]
struct Connection {
    port: u32,
    /// Room the guest has said it has.
    their_buffer: u32,
    /// Of what we sent, how much it has said it took.
    their_forwarded: u32,
    /// Bytes sent to it.
    sent: u32,
    /// Bytes it sent, all taken.
    received: u32,
    /// `received` as we last told it.
    told: u32,
    /// It must be told how much room there is.
    owes_update: bool,
    /// It must be asked how much room there is.
    owes_request: bool,
}

impl Connection {
    /// Bytes on the way that it has not said it took.
    const fn in_flight(&self) -> u32 {
        self.sent.wrapping_sub(self.their_forwarded)
    }

    /// Bytes that may be sent.
    const fn credit(&self) -> u32 {
        self.their_buffer.saturating_sub(self.in_flight())
    }

    /// What a header says about room; false where it says it took what was not sent.
    fn learn(&mut self, header: &Header) -> bool {
        let taken = header.forwarded_bytes.wrapping_sub(self.their_forwarded);
        if taken > self.in_flight() {
            return false;
        }
        self.their_forwarded = header.forwarded_bytes;
        self.their_buffer = header.buffer_bytes;
        true
    }
}

/// What is done with the payload of a packet from the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Done,
    /// It belongs to the stream; [`Socket::taken`] or [`Socket::end`] follows.
    Payload,
}

/// An answer that waits.
#[derive(Debug, Clone, Copy, Default)]
struct Reply {
    operation: u16,
    our_cid: u64,
    our_port: u32,
    their_port: u32,
    kind: u16,
}

/// The socket.
#[derive(Debug)]
pub struct Socket {
    guest_cid: u64,
    port: u32,
    connection: Option<Connection>,
    replies: [Reply; MAX_REPLIES],
    first_reply: usize,
    reply_count: usize,
}

impl Socket {
    /// Listens on `port` of the host for the guest of that address.
    #[must_use]
    pub const fn new(guest_cid: u64, port: u32) -> Self {
        const NONE: Reply = Reply {
            operation: 0,
            our_cid: 0,
            our_port: 0,
            their_port: 0,
            kind: 0,
        };
        Self {
            guest_cid,
            port,
            connection: None,
            replies: [NONE; MAX_REPLIES],
            first_reply: 0,
            reply_count: 0,
        }
    }

    /// True while a connection is up.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// True if another packet of the guest can be answered.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.reply_count < MAX_REPLIES
    }

    /// Forgets the connection and everything that waits: the device was reset.
    pub fn forget(&mut self, stream: &mut impl Stream) {
        self.reply_count = 0;
        if self.connection.take().is_some() {
            stream.disconnected();
        }
    }

    /// Ends the connection from our side.
    pub fn end(&mut self, stream: &mut impl Stream) {
        if let Some(connection) = self.connection.take() {
            self.push(Reply {
                operation: Operation::Reset as u16,
                our_cid: HOST_CID,
                our_port: self.port,
                their_port: connection.port,
                kind: TYPE_STREAM,
            });
            stream.disconnected();
        }
    }

    /// Carries out a packet of the guest, but for its payload. Call only where there [is room](Self::has_room).
    pub fn handle(
        &mut self,
        header: &Header,
        counters: &mut Counters,
        stream: &mut impl Stream,
    ) -> Verdict {
        let Some(operation) = self.check(header) else {
            counters.packets = counters.packets.saturating_add(1);
            if header.source_cid == self.guest_cid && header.operation != Operation::Reset as u16 {
                self.refuse(header);
            }
            return Verdict::Done;
        };
        if operation == Operation::Request {
            self.request(header, stream);
            return Verdict::Done;
        }
        let Some(connection) = self
            .connection
            .as_mut()
            .filter(|connection| connection.port == header.source_port)
        else {
            // Of a connection that is gone, or was before a restart: its owner must hear of it.
            if operation != Operation::Reset {
                self.refuse(header);
            }
            return Verdict::Done;
        };
        if !connection.learn(header) {
            counters.stream = counters.stream.saturating_add(1);
            self.end(stream);
            return Verdict::Done;
        }
        match operation {
            Operation::Data if header.length > BUFFER_BYTES => {
                counters.stream = counters.stream.saturating_add(1);
                self.end(stream);
            }
            Operation::Data => return Verdict::Payload,
            Operation::CreditRequest => connection.owes_update = true,
            // The stream is of use only in both directions: half an end is an end.
            Operation::Shutdown => self.end(stream),
            Operation::Reset => {
                self.connection = None;
                stream.disconnected();
            }
            Operation::CreditUpdate | Operation::Request | Operation::Response => {}
        }
        Verdict::Done
    }

    /// The operation of a packet that is for this socket, from this guest.
    fn check(&self, header: &Header) -> Option<Operation> {
        let is_ours = header.source_cid == self.guest_cid
            && header.destination_cid == HOST_CID
            && header.destination_port == self.port
            && header.kind == TYPE_STREAM;
        let operation = Operation::of(header.operation).filter(|_| is_ours)?;
        let has_payload = header.length != 0;
        let is_well_formed = match operation {
            Operation::Data => header.length as usize <= MAX_PAYLOAD_BYTES,
            // Only the guest connects.
            Operation::Response => false,
            _ => !has_payload,
        };
        is_well_formed.then_some(operation)
    }

    fn request(&mut self, header: &Header, stream: &mut impl Stream) {
        match &self.connection {
            Some(connection) if connection.port != header.source_port => {
                return self.refuse(header);
            }
            Some(_) => stream.disconnected(),
            None => {}
        }
        self.connection = Some(Connection {
            port: header.source_port,
            their_buffer: header.buffer_bytes,
            their_forwarded: 0,
            sent: 0,
            received: 0,
            told: 0,
            owes_update: false,
            owes_request: false,
        });
        self.answer(header, Operation::Response);
        stream.connected();
    }

    fn refuse(&mut self, header: &Header) {
        self.answer(header, Operation::Reset);
    }

    fn answer(&mut self, header: &Header, operation: Operation) {
        self.push(Reply {
            operation: operation as u16,
            our_cid: header.destination_cid,
            our_port: header.destination_port,
            their_port: header.source_port,
            kind: header.kind,
        });
    }

    fn push(&mut self, reply: Reply) {
        if self.reply_count < MAX_REPLIES {
            self.replies[(self.first_reply + self.reply_count) % MAX_REPLIES] = reply;
            self.reply_count += 1;
        }
    }

    /// The guest's payload was taken: `bytes` bytes.
    pub fn taken(&mut self, bytes: usize) {
        if let Some(connection) = &mut self.connection {
            connection.received = connection.received.wrapping_add(bytes as u32);
            let untold = connection.received.wrapping_sub(connection.told);
            connection.owes_update |= untold >= BUFFER_BYTES / 2;
        }
    }

    /// Asks for room where none is left, so that a lost update cannot stop the stream for ever.
    pub fn ask_for_room(&mut self, stream: &impl Stream) {
        if let Some(connection) = &mut self.connection {
            connection.owes_request = stream.is_waiting() && connection.credit() == 0;
        }
    }

    /// Whether there is a packet for the guest.
    #[must_use]
    pub fn is_waiting(&self, stream: &impl Stream) -> bool {
        self.reply_count > 0
            || self.connection.as_ref().is_some_and(|connection| {
                connection.owes_update
                    || connection.owes_request
                    || (connection.credit() > 0 && stream.is_waiting())
            })
    }

    /// The next packet for the guest: its header, its payload at the start of `payload`.
    pub fn next(&mut self, payload: &mut [u8], stream: &mut impl Stream) -> Option<Header> {
        if self.reply_count > 0 {
            let reply = self.replies[self.first_reply];
            self.first_reply = (self.first_reply + 1) % MAX_REPLIES;
            self.reply_count -= 1;
            return Some(self.reply_header(&reply));
        }
        let connection = self.connection.as_mut()?;
        let room = payload.len().min(connection.credit() as usize);
        let length = if room > 0 {
            stream.send(&mut payload[..room]).min(room)
        } else {
            0
        };
        let operation = if length > 0 {
            Operation::Data
        } else if connection.owes_request {
            connection.owes_request = false;
            Operation::CreditRequest
        } else if connection.owes_update {
            Operation::CreditUpdate
        } else {
            return None;
        };
        connection.owes_update = false;
        connection.sent = connection.sent.wrapping_add(length as u32);
        connection.told = connection.received;
        Some(Header {
            source_cid: HOST_CID,
            destination_cid: self.guest_cid,
            source_port: self.port,
            destination_port: connection.port,
            length: length as u32,
            kind: TYPE_STREAM,
            operation: operation as u16,
            flags: 0,
            buffer_bytes: BUFFER_BYTES,
            forwarded_bytes: connection.received,
        })
    }

    fn reply_header(&self, reply: &Reply) -> Header {
        let is_response = reply.operation == Operation::Response as u16;
        Header {
            source_cid: reply.our_cid,
            destination_cid: self.guest_cid,
            source_port: reply.our_port,
            destination_port: reply.their_port,
            length: 0,
            kind: reply.kind,
            operation: reply.operation,
            flags: 0,
            buffer_bytes: if is_response { BUFFER_BYTES } else { 0 },
            forwarded_bytes: 0,
        }
    }
}
