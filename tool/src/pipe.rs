//! One end of the guest's only connection: copies bytes between QEMU's network and the ward.
//!
//! QEMU's user network reaches nothing (`restrict=on`) but one address and port, the ward's; for
//! each connection to it QEMU starts `lazaret pipe ADDRESS` and joins it by stdin and stdout.

use anyhow::{Context as _, Result};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// What `lazaret pipe` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The ward's address on this host
    pub address: SocketAddr,
}

/// Copies until either side ends.
///
/// # Errors
/// Where the ward does not answer.
pub fn run(options: &Options) -> Result<()> {
    let ward = TcpStream::connect(options.address)
        .with_context(|| format!("the ward at {}", options.address))?;
    ward.set_nodelay(true)?;
    let (mut from_ward, mut to_ward) = (ward.try_clone()?, ward);
    std::thread::spawn(move || {
        let _ = copy(&mut std::io::stdin().lock(), &mut to_ward);
        let _ = to_ward.shutdown(Shutdown::Both);
    });
    let _ = copy(&mut from_ward, &mut std::io::stdout().lock());
    // The other direction may wait for the guest for ever: the process's end ends it.
    std::process::exit(0)
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0_u8; 16 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count])?;
        to.flush()?;
    }
}
