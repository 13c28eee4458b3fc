//! What the ward counts of itself since it was started.

use crate::readings::KINDS;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that many threads count up.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Readings stored, by [`crate::readings::Reading::kind`].
    pub stored: [Count; KINDS.len()],
    /// Frames received, whole and understood.
    pub received: Count,
    /// Frames and bodies that were refused.
    pub malformed: Count,
    /// Readings that came again after they were stored.
    pub duplicates: Count,
    /// Readings missing by their numbers.
    pub missing_records: Count,
    /// Samples missing by their numbers.
    pub missing_samples: Count,
    /// Readings shown but not kept, because the buffer was full: devices keep them and send them again.
    pub not_kept: Count,
    /// Readings that retention has removed from the database.
    pub expired: Count,
    /// Connections taken.
    pub connections: Count,
    /// Connections refused because there were too many.
    pub refused_connections: Count,
    /// Writes to the database that failed.
    pub failed_writes: Count,
}
