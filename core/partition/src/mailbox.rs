//! Page 1 of the mailbox: register writes to the secure world, and commands from it.
//!
//! A write to the vsock register page: the hypervisor takes `lock`, writes `offset`, `value` and
//! `core`, adds one to `request`, rings, and waits until `acknowledged` is the same.
//! A command: the secure world writes a new `command`, reclaims the cores, and repeats that
//! until `command_acknowledged` is the same.

use core::sync::atomic::{AtomicU32, Ordering};

/// The page. Both worlds write to it and neither trusts it: what is read is checked where it is used.
#[repr(C)]
#[derive(Debug)]
pub struct Mailbox {
    /// 0 free, else 1 + the core that holds it. Between normal-world cores only.
    pub lock: AtomicU32,
    /// Counts register writes.
    pub request: AtomicU32,
    /// The last one the secure world carried out.
    pub acknowledged: AtomicU32,
    /// Offset in the register page, a multiple of 4.
    pub offset: AtomicU32,
    /// The value.
    pub value: AtomicU32,
    /// The core that wrote it.
    pub core: AtomicU32,
    /// What the secure world asks for: see [`Command`].
    pub command: AtomicU32,
    /// The last command that was carried out or refused, as it was.
    pub command_acknowledged: AtomicU32,
}

/// What the secure world may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Stop the partition.
    Stop,
    /// Start it again; its images are in place and verified.
    Restart,
}

impl Command {
    /// The command a word stands for: kind in bits 7:0 (1 stop, 2 restart), above it a number
    /// that makes two commands of a kind different.
    #[must_use]
    pub const fn of(word: u32) -> Option<Self> {
        match word & 0xff {
            1 => Some(Self::Stop),
            2 => Some(Self::Restart),
            _ => None,
        }
    }

    /// The word for this command; `number` counts commands (bits 23:0 of it are used).
    #[must_use]
    pub const fn word(self, number: u32) -> u32 {
        let kind = match self {
            Self::Stop => 1,
            Self::Restart => 2,
        };
        kind | (number << 8)
    }
}

impl Mailbox {
    /// All zero, as the page is after power-on.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lock: AtomicU32::new(0),
            request: AtomicU32::new(0),
            acknowledged: AtomicU32::new(0),
            offset: AtomicU32::new(0),
            value: AtomicU32::new(0),
            core: AtomicU32::new(0),
            command: AtomicU32::new(0),
            command_acknowledged: AtomicU32::new(0),
        }
    }

    /// The command that waits to be carried out: its word, to be acknowledged as it is.
    #[must_use]
    pub fn pending(&self) -> Option<u32> {
        let word = self.command.load(Ordering::Acquire);
        (word != self.command_acknowledged.load(Ordering::Relaxed)).then_some(word)
    }

    /// Answers a command.
    pub fn acknowledge(&self, word: u32) {
        self.command_acknowledged.store(word, Ordering::Release);
    }

    /// Tries to take the lock for `core`.
    #[must_use]
    pub fn try_lock(&self, core: usize) -> bool {
        self.lock
            .compare_exchange(0, core as u32 + 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Gives the lock back.
    pub fn unlock(&self) {
        self.lock.store(0, Ordering::Release);
    }

    /// Places a register write; the number whose acknowledgement is to be awaited.
    #[must_use]
    pub fn place(&self, core: usize, offset: u32, value: u32) -> u32 {
        self.offset.store(offset, Ordering::Relaxed);
        self.value.store(value, Ordering::Relaxed);
        self.core.store(core as u32, Ordering::Relaxed);
        let number = self.request.load(Ordering::Relaxed).wrapping_add(1);
        self.request.store(number, Ordering::Release);
        number
    }

    /// True once the write of that number was carried out.
    #[must_use]
    pub fn is_acknowledged(&self, number: u32) -> bool {
        self.acknowledged.load(Ordering::Acquire) == number
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_acknowledged_by_its_number() {
        let mailbox = Mailbox::new();
        assert!(mailbox.try_lock(1));
        assert!(!mailbox.try_lock(2));
        let number = mailbox.place(1, 0x50, 2);
        assert!(!mailbox.is_acknowledged(number));
        mailbox.acknowledged.store(number, Ordering::Release);
        assert!(mailbox.is_acknowledged(number));
        mailbox.unlock();
        assert!(mailbox.try_lock(2));
    }

    #[test]
    fn the_same_command_twice_is_two_commands() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.pending(), None);
        for number in 1..3 {
            mailbox
                .command
                .store(Command::Stop.word(number), Ordering::Release);
            let word = mailbox.pending().expect("pending");
            assert_eq!(Command::of(word), Some(Command::Stop));
            mailbox.acknowledge(word);
            assert_eq!(mailbox.pending(), None);
        }
        assert_eq!(Command::of(0x77), None);
    }
}
