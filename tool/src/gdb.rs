//! A small client for QEMU's gdb stub: stop, look, change registers, go on.
//!
//! GDB Remote Serial Protocol, <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html>.

use anyhow::{Context as _, Result, bail};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Number of the program counter in QEMU's AArch64 target description (x0-x30, sp, pc, cpsr).
pub const PC: usize = 32;
/// Number of the program status register.
pub const CPSR: usize = 33;

/// A connection to the stub.
pub struct Gdb {
    stream: UnixStream,
}

impl Gdb {
    /// Connects; the machine stops by that.
    ///
    /// # Errors
    /// Where the socket does not answer.
    pub fn connect(socket: &Path) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error).context("gdb socket"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let mut gdb = Self { stream };
        gdb.ask("?")?;
        // Before it was asked for its registers' names, QEMU 7.2 reads them all as zero.
        let mut answer = gdb.ask("qXfer:features:read:target.xml:0,ffb")?;
        // A machine that was running says that it stopped, before or after the answers to come.
        while answer.starts_with(['T', 'S']) {
            answer = gdb.receive()?;
        }
        Ok(gdb)
    }

    /// Sends one packet and returns the answer's text.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        self.receive()
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.stream, "${packet}#{sum:02x}")?;
        Ok(self.stream.flush()?)
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {}
        let mut text = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => text.push(byte),
            }
        }
        self.byte()?;
        self.byte()?;
        self.stream.write_all(b"+")?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Chooses the core, from 0, that the next calls are about.
    ///
    /// # Errors
    /// Where there is no such core.
    pub fn core(&mut self, core: u32) -> Result<()> {
        expect_ok(&self.ask(&format!("Hg{:x}", core + 1))?)
    }

    /// Reads a 64-bit register (x0 to x30 are 0 to 30).
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn register(&mut self, number: usize) -> Result<u64> {
        let answer = self.ask(&format!("p{number:x}"))?;
        let mut bytes = [0; 8];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let Some(digits) = answer.get(index * 2..index * 2 + 2) else {
                break;
            };
            *byte = u8::from_str_radix(digits, 16)
                .with_context(|| format!("register {number}: {answer}"))?;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes a 64-bit register.
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn set_register(&mut self, number: usize, value: u64) -> Result<()> {
        let digits: String = value
            .to_le_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        expect_ok(&self.ask(&format!("P{number:x}={digits}"))?)
    }

    /// Reads memory as the chosen core sees it now.
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn memory(&mut self, address: u64, bytes: usize) -> Result<Vec<u8>> {
        let mut all = Vec::with_capacity(bytes);
        while all.len() < bytes {
            let at = address + all.len() as u64;
            // A packet of the stub holds 4096 characters.
            let count = (bytes - all.len()).min(1024);
            let answer = self.ask(&format!("m{at:x},{count:x}"))?;
            let byte = |index: usize| u8::from_str_radix(answer.get(index..index + 2)?, 16).ok();
            let part: Option<Vec<u8>> = (0..count).map(|index| byte(2 * index)).collect();
            all.extend(part.with_context(|| format!("memory at {at:#x}: {answer:.40}"))?);
        }
        Ok(all)
    }

    /// Writes memory as the chosen core sees it now.
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn set_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect_ok(&self.ask(&format!("M{address:x},{:x}:{digits}", bytes.len()))?)
    }

    /// Stops wherever `address` is executed (hardware breakpoint).
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        expect_ok(&self.ask(&format!("Z1,{address:x},4"))?)
    }

    /// Takes a breakpoint back.
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn remove_breakpoint(&mut self, address: u64) -> Result<()> {
        expect_ok(&self.ask(&format!("z1,{address:x},4"))?)
    }

    /// Lets the machine go on.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn go(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Lets the machine go on until it stops by itself; the core that stopped is chosen.
    ///
    /// # Errors
    /// Where it does not stop within the connection's two minutes.
    pub fn go_until_stop(&mut self) -> Result<String> {
        self.send("c")?;
        self.receive()
    }

    /// Lets `core` execute one instruction, without interrupts; the others stand still.
    ///
    /// # Errors
    /// Where the stub refuses.
    pub fn step(&mut self, core: u32) -> Result<()> {
        let answer = self.ask(&format!("vCont;s:{:x}", core + 1))?;
        if answer.starts_with('T') {
            return Ok(());
        }
        bail!("gdb stub answered {answer:?} to a step")
    }

    /// Stops the machine.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn stop(&mut self) -> Result<()> {
        self.stream.write_all(&[3])?;
        self.receive().map(drop)
    }

    /// Leaves; the machine goes on.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn detach(mut self) -> Result<()> {
        self.ask("D").map(drop)
    }
}

fn expect_ok(answer: &str) -> Result<()> {
    if answer == "OK" {
        return Ok(());
    }
    bail!("gdb stub answered {answer:?}")
}
