//! The system calls, as numbers: number in x8, arguments in x0 to x6, answers in x0 to x6.

/// Most leases of one message.
pub const MAX_LEASES: usize = 2;
/// Longest message or answer in bytes; larger data travels by lease.
pub const MAX_MESSAGE_BYTES: u64 = 256;
/// x0 of `receive` where a notification came instead of a message.
pub const FROM_KERNEL: u64 = 0xffff;

/// Notification bit of the task's peripheral; its interrupt is masked until unmasked.
pub const INTERRUPT_BIT: u32 = 1 << 1;
/// Notification bit of the task's doorbell; masked until the task receives again.
pub const DOORBELL_BIT: u32 = 1 << 2;
/// Notification bit of the supervisor: a task has faulted. Nobody can post it.
pub const FAULT_BIT: u32 = 1 << 31;

/// x0: done.
pub const STATUS_OK: u64 = 0;
/// x0: the task is restarting or held, or was restarted before it answered.
pub const STATUS_DEAD: u64 = 1;
/// x0: the description does not allow it.
pub const STATUS_DENIED: u64 = 2;
/// x0: no such task, lease or query, or too long.
pub const STATUS_MALFORMED: u64 = 3;

/// System call numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Call {
    /// x0 = to | operation << 16, x1, x2 = message, x3, x4 = room for the answer, x5, x6 = lease
    /// table (address, bytes, writable: three u64 each). Answers status, code, answer's length.
    Send = 1,
    /// x0, x1 = room, x2 = mask, x3 = 1: notifications only. Answers from, operation or bits, length, room
    /// for the answer, leases.
    Receive = 2,
    /// x0 = to, x1 = code, x2, x3 = answer.
    Reply = 3,
    /// x0 = lender, x1 = lease, x2 = offset, x3, x4 = memory, x5 = 1 to write. Answers status, bytes.
    Borrow = 4,
    /// x0 = deadline in ticks (all ones: never), x1 = bits.
    SetTimer = 5,
    /// x0 = to, x1 = bits. Answers status.
    Post = 6,
    /// No argument.
    InterruptUnmask = 7,
    /// No argument. Answers status.
    RaiseGuestInterrupt = 8,
    /// x0 = [`Query`], x1 = task. The supervisor only. Answers status and what the query says.
    Supervise = 9,
    /// x0 = line. Does not return.
    Panic = 10,
    /// Nothing.
    Null = 11,
}

impl Call {
    /// The call of that number.
    #[must_use]
    pub const fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Send,
            2 => Self::Receive,
            3 => Self::Reply,
            4 => Self::Borrow,
            5 => Self::SetTimer,
            6 => Self::Post,
            7 => Self::InterruptUnmask,
            8 => Self::RaiseGuestInterrupt,
            9 => Self::Supervise,
            10 => Self::Panic,
            11 => Self::Null,
            _ => return None,
        })
    }
}

/// What the supervisor may ask or order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Query {
    /// The next faulted task from `task` on: index (all ones: none), cause, syndrome, address, program counter.
    NextFault = 0,
    /// Starts a task anew from its verified image.
    Restart = 1,
    /// State (0 running or waiting, 1 faulted, 2 held), restarts, overruns, ticks used, number of tasks.
    Status = 2,
    /// Leaves a faulted task as it is.
    Hold = 3,
}

impl Query {
    /// The query of that number.
    #[must_use]
    pub const fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::NextFault,
            1 => Self::Restart,
            2 => Self::Status,
            3 => Self::Hold,
            _ => return None,
        })
    }
}

/// Why a message got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The receiver is restarting or held, or was restarted before it answered.
    Dead,
    /// The description does not let this task send to that one.
    Denied,
    /// No such task, too long, too many leases, or memory that is not the sender's.
    Malformed,
}

impl SendError {
    /// From a call's status.
    ///
    /// # Errors
    /// Everything but [`STATUS_OK`].
    pub const fn from_status(status: u64) -> Result<(), Self> {
        match status {
            STATUS_OK => Ok(()),
            STATUS_DEAD => Err(Self::Dead),
            STATUS_DENIED => Err(Self::Denied),
            _ => Err(Self::Malformed),
        }
    }
}
