//! The NOR flash: two chips of 16 bits side by side, Intel's command set (CFI command set 0001).
//!
//! QEMU 7.2's `pflash_cfi01` as `virt` makes it: 64 MiB, sectors of 256 KiB, words of 32 bits of which each
//! chip holds a half. A command takes effect on the whole bank: until [`Flash`] has put it back, every read returns
//! status, whoever reads. Nobody may run from flash then, and nobody does: after boot all cores are in secure RAM or DRAM.

use arch::mmio;

/// Bytes that are erased at once (`hw/arm/virt.c`: VIRT_FLASH_SECTOR_SIZE).
pub const SECTOR_BYTES: usize = 256 << 10;
/// Bytes that are programmed by one command, at a multiple of as many: half of what QEMU's chips take.
const BUFFER_BYTES: usize = 2048;
/// Looks at the status without a pause between them.
const QUICK_LOOKS: u32 = 64;
/// Most looks in all; with a pause of a millisecond between them longer than any erasure (4 s, 28F640J3 data sheet).
const MOST_LOOKS: u32 = 8192;

/// Commands (28F640J3 data sheet, "Command set").
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Command {
    EraseSetup = 0x20,
    ClearStatus = 0x50,
    ReadStatus = 0x70,
    Confirm = 0xd0,
    BufferedProgram = 0xe8,
    ReadArray = 0xff,
}

/// Status: the chip takes commands.
const READY: u32 = 0x80;
/// Status: erase or program error, voltage too low, sector locked.
const ERRORS: u32 = 0x20 | 0x10 | 0x08 | 0x02;

/// The same for both chips.
const fn both(value: u32) -> u32 {
    value | value << 16
}

/// Why the flash was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Outside of the window, or not whole words.
    Range,
    /// The chip was not ready in time.
    Timeout,
    /// The chip reports an error; its status.
    Status(u32),
    /// It reads otherwise than it was written.
    Verify,
}

/// Words of the flash.
pub trait Bus {
    /// How many words there are.
    fn words(&self) -> usize;
    /// Reads a word; whoever calls has checked that it is there.
    fn read(&self, word: usize) -> u32;
    /// Writes a word.
    fn write(&mut self, word: usize, value: u32);
}

/// A part of the flash, as it is mapped.
pub struct Window(&'static [mmio::ReadWrite<u32>]);

impl Window {
    /// The part of `bytes` bytes at `address`.
    ///
    /// # Safety
    /// As for [`mmio::block`]: the flash is mapped there, as device memory, and is no Rust object. Nobody else gives it
    /// commands, and nothing runs from it.
    #[must_use]
    pub unsafe fn new(address: usize, bytes: usize) -> Self {
        let first = core::ptr::with_exposed_provenance::<mmio::ReadWrite<u32>>(address);
        // SAFETY: as the caller promises; cells are as large and as aligned as words.
        Self(unsafe { core::slice::from_raw_parts(first, bytes / 4) })
    }
}

impl Bus for Window {
    fn words(&self) -> usize {
        self.0.len()
    }
    fn read(&self, word: usize) -> u32 {
        self.0.get(word).map_or(u32::MAX, mmio::ReadWrite::read)
    }
    fn write(&mut self, word: usize, value: u32) {
        if let Some(cell) = self.0.get(word) {
            cell.write(value);
        }
    }
}

/// A part of the flash that is read, programmed and erased. It begins at a sector where it is to be erased.
pub struct Flash<B> {
    bus: B,
    pause: fn(),
}

impl<B: Bus> Flash<B> {
    /// `pause` is called while a chip is busy; it should take about a millisecond.
    pub fn new(bus: B, pause: fn()) -> Self {
        let mut flash = Self { bus, pause };
        // Whoever had it before may have been stopped in the middle of a command.
        flash.command(0, Command::ReadStatus);
        flash.clear();
        flash
    }

    /// Bytes there are.
    pub fn bytes(&self) -> usize {
        self.bus.words() * 4
    }

    /// A word; ones where there is none.
    pub fn word(&self, index: usize) -> u32 {
        if index < self.bus.words() {
            self.bus.read(index)
        } else {
            u32::MAX
        }
    }

    /// Reads from any offset; past the end are ones.
    pub fn read(&self, offset: usize, out: &mut [u8]) {
        let mut at = offset;
        let mut left = out;
        while !left.is_empty() {
            let word = self.word(at / 4).to_le_bytes();
            let within = &word[at % 4..];
            let count = within.len().min(left.len());
            let (now, rest) = left.split_at_mut(count);
            now.copy_from_slice(&within[..count]);
            (at, left) = (at + count, rest);
        }
    }

    /// Programs whole words at a multiple of four, and reads them back. Bits that are zero stay zero.
    ///
    /// # Errors
    /// See [`Error`]; what was programmed before the error stays.
    pub fn program(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let end = offset.checked_add(bytes.len()).ok_or(Error::Range)?;
        if !(offset | end).is_multiple_of(4) || end > self.bytes() {
            return Err(Error::Range);
        }
        let mut at = offset;
        let mut left = bytes;
        while !left.is_empty() {
            let room = BUFFER_BYTES - at % BUFFER_BYTES;
            let (now, rest) = left.split_at(room.min(left.len()));
            self.program_buffer(at / 4, now)?;
            (at, left) = (at + now.len(), rest);
        }
        Ok(())
    }

    /// Programs what one command takes.
    fn program_buffer(&mut self, first: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut words = [0; BUFFER_BYTES / 4];
        let words = &mut words[..bytes.len() / 4];
        let chunks = bytes.as_chunks::<4>().0;
        for (index, (word, bytes)) in words.iter_mut().zip(chunks).enumerate() {
            *word = u32::from_le_bytes(*bytes) & self.bus.read(first + index);
        }
        self.command(first, Command::BufferedProgram);
        let accepted = self.wait(first);
        if accepted.is_ok() {
            // How many words, less one (data sheet, "Write to buffer").
            self.bus.write(first, both(words.len() as u32 - 1));
            for (index, word) in words.iter().enumerate() {
                self.bus.write(first + index, *word);
            }
            self.command(first, Command::Confirm);
        }
        let done = accepted.and_then(|()| self.wait(first));
        self.end(done)?;
        let is_there = |(index, word): (usize, &u32)| self.bus.read(first + index) == *word;
        if words.iter().enumerate().all(is_there) {
            Ok(())
        } else {
            Err(Error::Verify)
        }
    }

    /// Erases the sector at `offset`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn erase(&mut self, offset: usize) -> Result<(), Error> {
        let end = offset.checked_add(SECTOR_BYTES).ok_or(Error::Range)?;
        if !offset.is_multiple_of(SECTOR_BYTES) || end > self.bytes() {
            return Err(Error::Range);
        }
        let first = offset / 4;
        self.command(first, Command::EraseSetup);
        self.command(first, Command::Confirm);
        let done = self.wait(first);
        self.end(done)?;
        let all = first..first + SECTOR_BYTES / 4;
        if all.into_iter().all(|word| self.bus.read(word) == u32::MAX) {
            Ok(())
        } else {
            Err(Error::Verify)
        }
    }

    fn command(&mut self, word: usize, command: Command) {
        self.bus.write(word, both(command as u32));
    }

    /// Waits until both chips are ready, and looks for errors.
    fn wait(&mut self, word: usize) -> Result<(), Error> {
        for look in 0..MOST_LOOKS {
            let status = self.bus.read(word);
            if status & both(READY) == both(READY) {
                let errors = status & both(ERRORS);
                return if errors == 0 {
                    Ok(())
                } else {
                    Err(Error::Status(errors))
                };
            }
            if look >= QUICK_LOOKS {
                (self.pause)();
            }
        }
        Err(Error::Timeout)
    }

    /// Lets the bank be read again; errors would stay in the status.
    fn end(&mut self, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Ok(()) => self.command(0, Command::ReadArray),
            Err(_) => self.clear(),
        }
        done
    }

    fn clear(&mut self) {
        self.command(0, Command::ClearStatus);
        self.command(0, Command::ReadArray);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::cell::{Cell, RefCell};
    use std::vec;
    use std::vec::Vec;

    /// What the chips are in the middle of.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum State {
        Array,
        Status,
        Erase,
        Count,
        Data(usize, Vec<(usize, u32)>),
        Buffered(Vec<(usize, u32)>),
    }

    /// Two chips with the commands' state machine of the data sheet; they are busy for some looks.
    struct Chips {
        words: Vec<u32>,
        state: State,
        status: u32,
        busy: Cell<u32>,
        busy_for: u32,
        fails: bool,
        log: RefCell<u32>,
    }

    fn chips(sectors: usize) -> Chips {
        Chips {
            words: vec![u32::MAX; sectors * SECTOR_BYTES / 4],
            state: State::Array,
            status: READY,
            busy: Cell::new(0),
            busy_for: 3,
            fails: false,
            log: RefCell::new(0),
        }
    }

    impl Bus for Chips {
        fn words(&self) -> usize {
            self.words.len()
        }
        fn read(&self, word: usize) -> u32 {
            if self.state == State::Array {
                return self.words[word];
            }
            *self.log.borrow_mut() += 1;
            if self.busy.get() > 0 {
                self.busy.set(self.busy.get() - 1);
                // One chip may be ready before the other.
                return self.status & 0xffff_0000 & !READY | READY << 16;
            }
            both(self.status)
        }
        fn write(&mut self, word: usize, value: u32) {
            assert_eq!(self.busy.get(), 0, "a command while it is busy");
            let state = core::mem::replace(&mut self.state, State::Status);
            if let State::Data(left, mut data) = state {
                data.push((word, value));
                self.state = match left {
                    1 => State::Buffered(data),
                    left => State::Data(left - 1, data),
                };
                return;
            }
            if state == State::Count {
                let count = value as u16;
                assert_eq!(value, both(count.into()));
                self.state = State::Data(usize::from(count) + 1, Vec::new());
                return;
            }
            assert_eq!(value, both(value & 0xff), "both chips get the same command");
            match (state, value & 0xff) {
                (State::Erase, 0xd0) => {
                    let sector = word * 4 / SECTOR_BYTES * SECTOR_BYTES / 4;
                    if self.fails {
                        self.status |= 0x20;
                    } else {
                        self.words[sector..sector + SECTOR_BYTES / 4].fill(u32::MAX);
                    }
                    self.busy.set(self.busy_for);
                }
                (State::Buffered(data), 0xd0) => {
                    let buffer = data[0].0 * 4 / BUFFER_BYTES;
                    assert!(data.iter().all(|(at, _)| at * 4 / BUFFER_BYTES == buffer));
                    for (at, value) in data {
                        if self.fails {
                            self.status |= 0x10;
                        } else {
                            self.words[at] &= value;
                        }
                    }
                    self.busy.set(self.busy_for);
                }
                (_, 0x20) => self.state = State::Erase,
                (_, 0xe8) => self.state = State::Count,
                (_, 0x50) => self.status = READY,
                (_, 0x70) => {}
                (_, 0xff) => self.state = State::Array,
                (state, command) => panic!("{command:#x} in {state:?}"),
            }
        }
    }

    // The state `Count` answers reads with status, as the chips do.
    fn flash(sectors: usize) -> Flash<Chips> {
        Flash::new(chips(sectors), || {})
    }

    fn read(flash: &Flash<Chips>, offset: usize, count: usize) -> Vec<u8> {
        let mut out = vec![0; count];
        flash.read(offset, &mut out);
        out
    }

    #[test]
    fn what_is_programmed_is_there_and_nothing_else() {
        let mut flash = flash(2);
        let bytes: Vec<u8> = (0..6000).map(|n| (n * 7) as u8).collect();
        flash.program(1000, &bytes).expect("programmed");
        assert_eq!(read(&flash, 1000, 6000), bytes);
        assert_eq!(read(&flash, 1003, 50), bytes[3..53]);
        assert_eq!(read(&flash, 0, 1000), [0xff; 1000]);
        assert_eq!(read(&flash, 7000, 100), [0xff; 100]);
        assert_eq!(read(&flash, 2 * SECTOR_BYTES - 2, 4), [0xff; 4]);
        flash.erase(0).expect("erased");
        assert_eq!(read(&flash, 0, 8000), [0xff; 8000]);
        assert_eq!(flash.bus.state, State::Array);
    }

    #[test]
    fn zeroes_stay_zero() {
        let mut flash = flash(1);
        flash
            .program(8, &[0x0f, 0xff, 0x00, 0xff])
            .expect("programmed");
        flash
            .program(8, &[0xf1, 0x12, 0xff, 0xff])
            .expect("what comes out is known before");
        assert_eq!(read(&flash, 8, 4), [0x01, 0x12, 0x00, 0xff]);
    }

    #[test]
    fn errors_are_told_and_the_array_can_be_read_afterwards() {
        let mut flash = flash(1);
        flash.program(0, &[1, 2, 3, 4]).expect("programmed");
        flash.bus.fails = true;
        assert_eq!(flash.program(4, &[0; 4]), Err(Error::Status(both(0x10))));
        assert_eq!(flash.erase(0), Err(Error::Status(both(0x20))));
        assert_eq!(read(&flash, 0, 8), [1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff]);
        flash.bus.fails = false;
        flash
            .program(4, &[5, 6, 7, 8])
            .expect("the error was cleared");
        assert_eq!(flash.program(2, &[0; 4]), Err(Error::Range));
        assert_eq!(flash.program(4, &[0; 3]), Err(Error::Range));
        assert_eq!(flash.program(SECTOR_BYTES - 4, &[0; 8]), Err(Error::Range));
        assert_eq!(flash.program(usize::MAX - 3, &[0; 8]), Err(Error::Range));
        assert_eq!(flash.erase(4), Err(Error::Range));
        assert_eq!(flash.erase(SECTOR_BYTES), Err(Error::Range));
    }

    #[test]
    fn waiting_ends() {
        let mut slow = chips(1);
        slow.busy_for = 500;
        let mut flash = Flash::new(slow, || {});
        flash.erase(0).expect("slow is no error");
        flash.bus.busy_for = u32::MAX;
        flash.bus.state = State::Erase;
        flash.bus.write(0, both(0xd0));
        assert_eq!(flash.wait(0), Err(Error::Timeout));
    }
}
