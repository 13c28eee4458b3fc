//! Passes bytes between the secure world (vsock) and the ward (TCP).
//!
//! `forwarder --secure CID:PORT --ward ADDRESS:PORT`. The ward is reached first, then the secure
//! world: it sends only while somebody listens. When either ends, both do, and all starts again.

use forwarder::{End, join};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, VsockAddr, connect, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection to the ward may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long the ward may leave bytes unacknowledged before it counts as gone (TCP_USER_TIMEOUT).
const SILENCE_LIMIT_MS: u32 = 15_000;
/// Between two tries: the first wait, doubled up to the last.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_LAST: Duration = Duration::from_secs(4);
/// A connection that held this long was a good one: waiting starts over.
const GOOD_AFTER: Duration = Duration::from_secs(5);
const USAGE: &str = "usage: forwarder --secure CID:PORT --ward ADDRESS:PORT";

fn main() -> ExitCode {
    let plan = match Plan::parse(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("forwarder: {problem}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    if nix::unistd::geteuid().is_root() {
        eprintln!("forwarder: will not run as root");
        return ExitCode::FAILURE;
    }
    run(&plan)
}

/// Connects, passes bytes, waits, for ever.
fn run(plan: &Plan) -> ! {
    let mut wait = WAIT_FIRST;
    let mut said = String::new();
    loop {
        let started = Instant::now();
        let result = plan.connect();
        match result {
            Ok((secure, ward)) => {
                say(&format!(
                    "connected: secure world {} <-> ward {}",
                    plan.secure_text, plan.ward
                ));
                said.clear();
                let ended = join(&secure, &ward);
                let why = ended
                    .error
                    .map_or_else(|| "closed".to_owned(), |error| error.to_string());
                say(&format!(
                    "ended: {why}; {} bytes to the ward, {} back",
                    ended.forward_bytes, ended.backward_bytes
                ));
                if started.elapsed() > GOOD_AFTER {
                    wait = WAIT_FIRST;
                }
            }
            // The same reason again and again is said once.
            Err(problem) if problem != said => {
                say(&format!("waiting: {problem}"));
                said = problem;
            }
            Err(_) => {}
        }
        thread::sleep(wait);
        wait = (wait * 2).min(WAIT_LAST);
    }
}

/// One line on the console.
fn say(text: &str) {
    println!("lazaret-guest: forwarder {text}");
}

/// Where to connect.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    secure: (u32, u32),
    secure_text: String,
    /// A plain address: the guest has no name service.
    ward: SocketAddr,
}

impl Plan {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut secure, mut ward) = (None, None);
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--secure" => secure = Some((numbers(&value)?, value)),
                "--ward" => {
                    ward = Some(
                        value
                            .parse()
                            .map_err(|_| format!("{value:?} is not ADDRESS:PORT"))?,
                    )
                }
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        let (secure, secure_text) = secure.ok_or("--secure is missing")?;
        Ok(Self {
            secure,
            secure_text,
            ward: ward.ok_or("--ward is missing")?,
        })
    }

    /// Both ends, the ward first.
    fn connect(&self) -> Result<(End, End), String> {
        let ward =
            connect_ward(&self.ward).map_err(|error| format!("ward {}: {error}", self.ward))?;
        let secure = connect_secure(self.secure)
            .map_err(|error| format!("secure world {}: {error}", self.secure_text))?;
        Ok((End::from(secure), End::from(ward)))
    }
}

fn connect_ward(address: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, CONNECT_LIMIT)?;
    stream.set_nodelay(true)?;
    setsockopt(&stream, sockopt::TcpUserTimeout, &SILENCE_LIMIT_MS)?;
    setsockopt(&stream, sockopt::KeepAlive, &true)?;
    setsockopt(&stream, sockopt::TcpKeepIdle, &(SILENCE_LIMIT_MS / 1000))?;
    Ok(stream)
}

/// Connects to a vsock port; the kernel gives up after two seconds (`VSOCK_DEFAULT_CONNECT_TIMEOUT`).
fn connect_secure((cid, port): (u32, u32)) -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Vsock,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    connect(socket.as_raw_fd(), &VsockAddr::new(cid, port))?;
    Ok(socket)
}

/// `CID:PORT`.
fn numbers(text: &str) -> Result<(u32, u32), String> {
    let parts = text
        .split_once(':')
        .and_then(|(cid, port)| Some((cid.parse().ok()?, port.parse().ok()?)));
    parts.ok_or_else(|| format!("{text:?} is not CID:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, String> {
        Plan::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_in_any_order_and_nothing_is_guessed() {
        let plan = parse("--ward 10.0.2.2:7300 --secure 2:5000").expect("good");
        assert_eq!(
            (plan.secure, plan.ward),
            ((2, 5000), SocketAddr::from(([10, 0, 2, 2], 7300)))
        );
        for bad in [
            "--secure 2:5000",
            "--ward a:1",
            "--secure 2 --ward 10.0.2.2:1",
            "--secure 2:x --ward 10.0.2.2:1",
            "--secure 2:5000 --wart 10.0.2.2:1",
            "--ward",
            "--secure 4294967296:1 --ward 10.0.2.2:1",
            "--secure 2:5000 --ward ward:7300",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
