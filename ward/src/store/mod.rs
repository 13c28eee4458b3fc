//! Readings on disk: a bounded queue, one thread that writes, and reading it back.

mod query;
mod queue;
mod schema;
mod writer;

pub use query::{Query, QueryError, Rows, channel_names};
pub use queue::{Acknowledgement, Entry, Item, Queue, Start};

use crate::counters::Counters;
use crate::devices::Devices;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where and how much.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database's file.
    pub path: PathBuf,
    /// Most MiB of it; none = as much as the disk has.
    pub limit_mib: Option<u32>,
    /// Readings older than this are removed; none = kept for ever.
    pub retain: Option<Duration>,
    /// Most readings that wait for the database.
    pub buffer_records: usize,
    /// Most bytes of the same.
    pub buffer_bytes: usize,
}

/// How the database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// `opening`, `ok`, `full` or `unwritable`.
    pub state: &'static str,
    /// What the database says, where it is not ok.
    pub detail: Option<String>,
    /// Since when, milliseconds since 1970.
    pub since_unix_ms: i64,
}

/// The store: give it readings with [`Store::queue`], ask it with [`Store::query`].
pub struct Store {
    /// What waits to be written.
    pub queue: Arc<Queue>,
    state: Arc<Mutex<State>>,
    path: PathBuf,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Starts the writer. A database that cannot be opened is tried again and again: meanwhile
    /// readings are shown and wait.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(
        config: Config,
        devices: Arc<Devices>,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(config.buffer_records, config.buffer_bytes));
        let state = Arc::new(Mutex::new(State {
            state: "opening",
            detail: None,
            since_unix_ms: crate::devices::unix_ms(),
        }));
        let path = config.path.clone();
        let writer = writer::Writer::new(
            config,
            Arc::clone(&queue),
            Arc::clone(&state),
            devices,
            counters,
        );
        let handle = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            queue,
            state,
            path,
            writer: Mutex::new(Some(handle)),
        })
    }

    /// How the database is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the database's file and its write-ahead log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        size(&self.path) + size(Path::new(&log))
    }

    /// Writes what waits, if the database lets us, and ends the writer.
    pub fn stop(&self) {
        self.queue.stop();
        let handle = self.writer.lock().map(|mut handle| handle.take());
        if let Ok(Some(handle)) = handle {
            let _ = handle.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}
