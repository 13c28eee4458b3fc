//! Records on their way: fetched from the tasks that make them, kept, sent over the connection.

use crate::plan;
use reading::MAX_BODY_BYTES;
use task_runtime::messages::{code, operation};
use task_runtime::{Lease, boot_info, now_us, send};
use uplink::{Identity, Session, greeting};
use vsock::{Refused, Stream};

/// Room for the records of one message.
const BATCH_BYTES: usize = 4096;
/// Most messages to one task in one round.
const BATCHES: usize = 8;

/// The tasks that make records, and how many each has dropped so far.
struct Source {
    task: u32,
    dropped: u32,
}

/// Everything between the tasks and the connection.
pub struct Records<'a> {
    session: Session<'a>,
    identity: Identity<'static>,
    sources: [Source; 2],
    /// Answers of a task that are no records: a fault of ours.
    malformed: u64,
    /// Connections that came up so far.
    pub ups: u32,
    /// Connections that have gone so far.
    pub downs: u32,
}

impl<'a> Records<'a> {
    /// Keeps records in `memory`; this start of the device is number `boot`.
    pub fn new(memory: &'a mut [u8], boot: u64) -> Self {
        let source = |task| Source { task, dropped: 0 };
        Self {
            session: Session::new(memory),
            identity: Identity {
                device_id: plan::DEVICE_ID,
                product: plan::PRODUCT_NAME,
                version: plan::PRODUCT_VERSION,
                boot,
            },
            sources: [source(plan::TASK_VITALS), source(plan::TASK_AUDIT)],
            malformed: 0,
            ups: 0,
            downs: 0,
        }
    }

    /// Records that wait for the ward's acknowledgement.
    pub fn waiting(&self) -> u32 {
        self.session.waiting()
    }

    /// Records sent, again included.
    pub fn sent(&self) -> u64 {
        self.session.sent()
    }

    /// Records dropped here and before they came here.
    pub fn dropped(&self) -> u64 {
        let before: u64 = self.sources.iter().map(|s| u64::from(s.dropped)).sum();
        self.session.dropped() + before + self.malformed
    }

    /// Takes what the tasks have.
    pub fn fetch(&mut self) {
        for index in 0..self.sources.len() {
            for _ in 0..BATCHES {
                if !self.fetch_batch(index) {
                    break;
                }
            }
        }
    }

    /// Takes one message's worth from a task; false where it has no more, or is not there.
    fn fetch_batch(&mut self, index: usize) -> bool {
        let mut batch = [0; BATCH_BYTES];
        let mut answer = [0; 12];
        let task = self.sources[index].task;
        let leases = &mut [Lease::Write(&mut batch)];
        let sent = send(task, operation::TAKE_RECORDS, &[], &mut answer, leases);
        if !matches!(sent, Ok((code::OK, 12))) {
            return false;
        }
        let [w0, w1, w2, w3, r0, r1, r2, r3, d0, d1, d2, d3] = answer;
        let written = u32::from_le_bytes([w0, w1, w2, w3]) as usize;
        let records = u32::from_le_bytes([r0, r1, r2, r3]);
        self.sources[index].dropped = u32::from_le_bytes([d0, d1, d2, d3]);
        self.keep(batch.get(..written).unwrap_or(&[]));
        records > 0
    }

    /// Keeps each of the records, which come with their lengths before them.
    fn keep(&mut self, mut bytes: &[u8]) {
        while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
            let length = usize::from(u16::from_le_bytes(*length));
            let Some((body, rest)) = rest
                .split_at_checked(length)
                .filter(|_| (1..=MAX_BODY_BYTES).contains(&length))
            else {
                self.malformed = self.malformed.saturating_add(1);
                return;
            };
            self.session.add(body);
            bytes = rest;
        }
    }
}

impl Stream for Records<'_> {
    fn connected(&mut self) {
        self.ups = self.ups.wrapping_add(1);
        let identity = self.identity;
        self.session
            .connected(|out| greeting(&identity, boot_info(), now_us(), out));
    }
    fn disconnected(&mut self) {
        self.downs = self.downs.wrapping_add(1);
        self.session.disconnected();
    }
    fn received(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.session.received(bytes).map_err(|_| Refused)
    }
    fn is_waiting(&self) -> bool {
        self.session.is_waiting()
    }
    fn send(&mut self, out: &mut [u8]) -> usize {
        self.session.send(out)
    }
}
