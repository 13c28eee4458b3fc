//! The parts of a running ward, and its start and end.

use crate::counters::Counters;
use crate::devices::Devices;
use crate::ingest;
use crate::listener::{Bounded, Listener, Protection};
use crate::options::Options;
use crate::store::{self, Store};
use crate::web;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Most connections of browsers and others that read.
const MAX_WEB_CONNECTIONS: usize = 256;
/// How long those may take to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why the ward does not start.
#[derive(Debug)]
pub enum Error {
    /// An address cannot be listened on.
    Listen {
        /// The option that chooses it.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system refuses something else.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen {
                option,
                address,
                error,
            } if error.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "port {} of {} is in use by another program; choose another with {option} {}:PORT (0 takes any that is free)",
                address.port(),
                address.ip(),
                address.ip()
            ),
            Self::Listen {
                option,
                address,
                error,
            } => write!(
                f,
                "cannot listen on {address}: {error}; choose another address with {option} ADDRESS:PORT"
            ),
            Self::System(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

/// What every part of the ward shares.
pub struct Ward {
    /// The devices as they are now.
    pub devices: Arc<Devices>,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// What is kept.
    pub store: Store,
    /// How devices' connections are protected.
    pub protection: Protection,
    /// When it was started.
    pub started: Instant,
    stopping: watch::Sender<bool>,
}

impl Ward {
    /// Turns true when the ward ends.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// A ward that runs.
pub struct Running {
    /// Where devices connect.
    pub records: SocketAddr,
    /// Where the page is.
    pub page: SocketAddr,
    ward: Arc<Ward>,
    ingest: JoinHandle<()>,
    web: JoinHandle<()>,
}

/// Starts everything.
///
/// # Errors
/// Where an address cannot be listened on.
pub async fn start(options: &Options) -> Result<Running, Error> {
    let listen = |option, address| async move {
        let bound = Listener::bind(address).await;
        bound.map_err(|error| Error::Listen {
            option,
            address,
            error,
        })
    };
    let records = listen("--listen", options.listen).await?;
    let page = listen("--http", options.http).await?;
    let addresses = (
        records.address().map_err(Error::System)?,
        page.address().map_err(Error::System)?,
    );
    let devices = Arc::new(Devices::default());
    let counters = Arc::new(Counters::default());
    let store = Store::start(
        store::Config {
            path: options.database(),
            limit_mib: options.database_limit_mib,
            retain: options.retain(),
            buffer_records: options.buffer_records,
            buffer_bytes: options.buffer_mib.saturating_mul(1 << 20),
        },
        Arc::clone(&devices),
        Arc::clone(&counters),
    )
    .map_err(Error::System)?;
    let ward = Arc::new(Ward {
        devices,
        counters,
        store,
        protection: records.protection(),
        started: Instant::now(),
        stopping: watch::Sender::new(false),
    });
    let ingest = tokio::spawn(ingest::serve(Arc::clone(&ward), records));
    let web = tokio::spawn(web::serve(
        Arc::clone(&ward),
        Bounded::new(page, MAX_WEB_CONNECTIONS),
    ));
    Ok(Running {
        records: addresses.0,
        page: addresses.1,
        ward,
        ingest,
        web,
    })
}

impl Running {
    /// Ends everything: connections first, then what waits is written.
    pub async fn stop(mut self) {
        self.ward.stopping.send_replace(true);
        let _ = (&mut self.ingest).await;
        if tokio::time::timeout(LAST_WORDS, &mut self.web)
            .await
            .is_err()
        {
            self.web.abort();
        }
        let ward = self.ward;
        let _ = tokio::task::spawn_blocking(move || ward.store.stop()).await;
    }
}
