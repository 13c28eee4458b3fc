//! What waits for the database, within a bound.

use crate::devices::Device;
use crate::readings::{Component, Hello, Reading};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Bytes an item takes beside its body.
const ITEM_BYTES: usize = size_of::<Item>();
/// Readings of one transaction.
const BATCH: usize = 256;
/// So many are written at once ...
const ENOUGH: usize = 64;
/// ... or so long after the first came.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// The end of a connection that hears of what is stored.
pub type Acknowledgement = watch::Sender<u64>;

/// One start of one device, on one connection.
pub struct Start {
    /// The device.
    pub device: Arc<Device>,
    /// What it said first.
    pub hello: Hello,
    /// Gets the highest number that is stored.
    pub acknowledgement: Acknowledgement,
}

/// What is written.
pub enum Entry {
    /// A reading of this number.
    Reading(u64, Reading),
    /// All components of the start, as known now.
    Components(Vec<Component>),
}

/// What is written, and of whom.
pub struct Item {
    /// Whose.
    pub start: Arc<Start>,
    /// What.
    pub entry: Entry,
    /// When it came, milliseconds since 1970.
    pub received_ms: i64,
    /// Bytes of its body.
    pub body_bytes: usize,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// Taken by the writer and not yet stored.
    in_hand: usize,
    first_at: Option<Instant>,
}

/// The queue.
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    is_stopping: AtomicBool,
    most_records: usize,
    most_bytes: usize,
}

/// There is no room; the item is not kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Queue {
    /// An empty queue with room for so much.
    #[must_use]
    pub fn new(most_records: usize, most_bytes: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            most_records,
            most_bytes,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item.
    ///
    /// # Errors
    /// [`Full`], and then the item is gone.
    pub fn push(&self, item: Item) -> Result<(), Full> {
        let mut waiting = self.waiting();
        let bytes = ITEM_BYTES + item.body_bytes;
        if waiting.items.len() + waiting.in_hand >= self.most_records
            || waiting.bytes + bytes > self.most_bytes
        {
            return Err(Full);
        }
        waiting.bytes += bytes;
        waiting.items.push_back(item);
        let count = waiting.items.len();
        if count == 1 {
            waiting.first_at = Some(Instant::now());
        }
        drop(waiting);
        if count == 1 || count == ENOUGH {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Readings that wait, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.items.len() + waiting.in_hand, waiting.bytes)
    }

    /// Whether less than half of the room is taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let (records, bytes) = self.size();
        records < self.most_records.div_ceil(2) && bytes < self.most_bytes.div_ceil(2)
    }

    /// Whether the ward is to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// The ward is to end: the writer gets what is there and then nothing more.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits for the next batch, for `idle` at most (an empty batch); `None` at the end.
    pub(super) fn take(&self, idle: Duration) -> Option<Vec<Item>> {
        let mut waiting = self.waiting();
        let give_up = Instant::now() + idle;
        loop {
            let now = Instant::now();
            let due = waiting.first_at.map(|first| first + LONGEST_WAIT);
            let is_due = waiting.items.len() >= ENOUGH || due.is_some_and(|due| due <= now);
            if is_due || self.is_stopping() {
                break;
            }
            if now >= give_up {
                return Some(Vec::new());
            }
            let until = due.map_or(give_up, |due| due.min(give_up));
            let waited = self.changed.wait_timeout(waiting, until - now);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = waiting.items.len().min(BATCH);
        if count == 0 {
            return None;
        }
        let batch: Vec<Item> = waiting.items.drain(..count).collect();
        waiting.in_hand = count;
        waiting.first_at = (!waiting.items.is_empty()).then(Instant::now);
        Some(batch)
    }

    /// The batch is stored, or given up.
    pub(super) fn done(&self, batch: &[Item]) {
        let bytes: usize = batch.iter().map(|item| ITEM_BYTES + item.body_bytes).sum();
        let mut waiting = self.waiting();
        waiting.in_hand = 0;
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    /// Waits before another try; returns early where the ward is to end.
    pub(super) fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut waiting = self.waiting();
        while !self.is_stopping() {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return;
            };
            let waited = self.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
