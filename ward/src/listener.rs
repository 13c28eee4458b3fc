//! Where connections come from. TLS becomes a second variant of both enums; nobody else needs to know.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Anyone on the way can read and change it.
    None,
}

impl Protection {
    /// For the page and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "unprotected",
        }
    }
}

/// A place where connections arrive.
#[derive(Debug)]
pub enum Listener {
    /// TCP as it is.
    Plain(TcpListener),
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
}

impl Listener {
    /// Listens on `address`; port 0 takes any that is free.
    ///
    /// # Errors
    /// Where the system refuses; [`io::ErrorKind::AddrInUse`] where somebody else has the port.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Plain)
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(listener) => listener.local_addr(),
        }
    }

    /// How connections from here are protected.
    #[must_use]
    pub const fn protection(&self) -> Protection {
        match self {
            Self::Plain(_) => Protection::None,
        }
    }

    /// The next connection. Errors of single connections, and running out of file descriptors, are waited out.
    pub async fn next(&self) -> (Stream, SocketAddr) {
        loop {
            let accepted = match self {
                Self::Plain(listener) => listener.accept().await,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Acknowledgements are small and somebody waits for them.
                    let _ = stream.set_nodelay(true);
                    return (Stream::Plain(stream), peer);
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// The web server's listener: no more connections at once than it has permits; further ones wait.
pub struct Bounded {
    listener: Listener,
    permits: Arc<Semaphore>,
}

impl Bounded {
    /// At most `connections` at once.
    #[must_use]
    pub fn new(listener: Listener, connections: usize) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(connections)),
        }
    }
}

/// A connection that gives its permit back when it ends.
pub struct Permitted {
    stream: Stream,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Permitted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Permitted {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Permitted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (stream, peer) = self.listener.next().await;
        let permitted = Permitted {
            stream,
            _permit: permit,
        };
        (permitted, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.address()
    }
}
