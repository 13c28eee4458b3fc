//! What a secure task links: entry, system calls, panic.
//!
//! A task's `main.rs` is `task_runtime::entry!(main);` with `fn main() -> !`; its `build.rs` is
//! `lazaret_description::emit::kernel::task("<name>")`, which writes `plan.rs` (the task's peers,
//! peripherals and shared memory, included with [`plan`]) and the linker script.
#![no_std]

use arch::el0::system_call;
pub use kernel_core::abi::{self, Call, SendError};
pub use task_messages as messages;

/// Memory lent to the receiver of a message for as long as the sender waits.
pub enum Lease<'a> {
    /// The receiver may read it.
    Read(&'a [u8]),
    /// The receiver may write (and read) it.
    Write(&'a mut [u8]),
}

/// Most leases of one message.
pub const MAX_LEASES: usize = abi::MAX_LEASES;

const _: () = {
    use messages::notification::{DOORBELL, FAULT, INTERRUPT};
    assert!(INTERRUPT == abi::INTERRUPT_BIT);
    assert!(DOORBELL == abi::DOORBELL_BIT);
    assert!(FAULT == abi::FAULT_BIT);
};

/// What [`receive`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Notification bits that were set.
    Notification(u32),
    /// A message; its first bytes are in the buffer.
    Message(Message),
}

/// A message that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Who sent it: the index of a task.
    pub from: u32,
    /// What is asked.
    pub operation: u16,
    /// Bytes of the message, all in the buffer.
    pub length: usize,
    /// Most bytes the answer may have.
    pub reply_limit: usize,
    /// How many leases come with it.
    pub leases: usize,
}

/// Sends a message to a task of higher priority and waits for the answer: its code and length.
///
/// # Errors
/// See [`SendError`]; also where the receiver has been restarted meanwhile.
pub fn send(
    to: u32,
    operation: u16,
    message: &[u8],
    reply: &mut [u8],
    leases: &mut [Lease<'_>],
) -> Result<(u32, usize), SendError> {
    let mut table = [[0_u64; 3]; MAX_LEASES];
    if leases.len() > MAX_LEASES {
        return Err(SendError::Malformed);
    }
    for (entry, lease) in table.iter_mut().zip(leases.iter_mut()) {
        *entry = match lease {
            Lease::Read(bytes) => [bytes.as_ptr() as u64, bytes.len() as u64, 0],
            Lease::Write(bytes) => [bytes.as_mut_ptr() as u64, bytes.len() as u64, 1],
        };
    }
    let arguments = [
        u64::from(to) | (u64::from(operation) << 16),
        message.as_ptr() as u64,
        message.len() as u64,
        reply.as_mut_ptr() as u64,
        reply.len() as u64,
        table.as_ptr() as u64,
        leases.len() as u64,
    ];
    // SAFETY: message and leases are borrowed for the call, writable where they say so; so is reply.
    let [status, code, length, ..] = unsafe { system_call(Call::Send as u64, arguments) };
    SendError::from_status(status)?;
    Ok((code as u32, (length as usize).min(reply.len())))
}

/// Waits for a notification in `mask` or a message; its bytes go to `buffer`.
pub fn receive(buffer: &mut [u8], mask: u32) -> Received {
    let arguments = [
        buffer.as_mut_ptr() as u64,
        buffer.len() as u64,
        u64::from(mask),
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the buffer is borrowed mutably for the call.
    let [from, operation, length, reply_limit, leases, ..] =
        unsafe { system_call(Call::Receive as u64, arguments) };
    if from == abi::FROM_KERNEL {
        return Received::Notification(operation as u32);
    }
    Received::Message(Message {
        from: from as u32,
        operation: operation as u16,
        length: (length as usize).min(buffer.len()),
        reply_limit: reply_limit as usize,
        leases: leases as usize,
    })
}

/// Waits for a notification in `mask` only: messages stay where they are.
pub fn wait(mask: u32) -> u32 {
    let arguments = [0, 0, u64::from(mask), 1, 0, 0, 0];
    // SAFETY: no address is given.
    let [_, bits, ..] = unsafe { system_call(Call::Receive as u64, arguments) };
    bits as u32
}

/// Answers a message. What the sender has no room for is cut; a sender that is gone is no error.
pub fn reply(to: u32, code: u32, bytes: &[u8]) {
    let arguments = [
        u64::from(to),
        u64::from(code),
        bytes.as_ptr() as u64,
        bytes.len() as u64,
        0,
        0,
        0,
    ];
    // SAFETY: the bytes are borrowed for the call.
    unsafe { system_call(Call::Reply as u64, arguments) };
}

/// Reads from a lease of a waiting sender; the number of bytes read, `None` where there is no such lease.
pub fn borrow_read(from: u32, lease: usize, offset: usize, bytes: &mut [u8]) -> Option<usize> {
    let arguments = [
        u64::from(from),
        lease as u64,
        offset as u64,
        bytes.as_mut_ptr() as u64,
        bytes.len() as u64,
        0,
        0,
    ];
    // SAFETY: the bytes are borrowed mutably for the call.
    let [status, count, ..] = unsafe { system_call(Call::Borrow as u64, arguments) };
    (status == abi::STATUS_OK).then_some(count as usize)
}

/// Writes to a lease of a waiting sender; the number of bytes written, `None` where there is no such lease.
pub fn borrow_write(from: u32, lease: usize, offset: usize, bytes: &[u8]) -> Option<usize> {
    let arguments = [
        u64::from(from),
        lease as u64,
        offset as u64,
        bytes.as_ptr() as u64,
        bytes.len() as u64,
        1,
        0,
    ];
    // SAFETY: the bytes are borrowed for the call.
    let [status, count, ..] = unsafe { system_call(Call::Borrow as u64, arguments) };
    (status == abi::STATUS_OK).then_some(count as usize)
}

/// Sets `bits` at `deadline_ticks` (of the physical counter); `None` takes the timer back.
pub fn set_timer(deadline_ticks: Option<u64>, bits: u32) {
    let arguments = [
        deadline_ticks.unwrap_or(u64::MAX),
        u64::from(bits),
        0,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: no address is given.
    unsafe { system_call(Call::SetTimer as u64, arguments) };
}

/// Sets notification bits of a task; false where the description does not allow it.
pub fn post(to: u32, bits: u32) -> bool {
    let arguments = [u64::from(to), u64::from(bits), 0, 0, 0, 0, 0];
    // SAFETY: no address is given.
    let [status, ..] = unsafe { system_call(Call::Post as u64, arguments) };
    status == abi::STATUS_OK
}

/// Lets this task's peripheral interrupt again.
pub fn interrupt_unmask() {
    // SAFETY: no address is given.
    unsafe { system_call(Call::InterruptUnmask as u64, [0; 7]) };
}

/// Raises the interrupt in the partition that the description gives this task; false where it gives none.
pub fn raise_guest_interrupt() -> bool {
    // SAFETY: no address is given.
    let [status, ..] = unsafe { system_call(Call::RaiseGuestInterrupt as u64, [0; 7]) };
    status == abi::STATUS_OK
}

/// Asks the kernel about tasks, or to restart or hold one; the supervisor only.
pub fn supervise(query: abi::Query, task: u32) -> Option<[u64; 6]> {
    // SAFETY: no address is given.
    let [status, rest @ ..] = unsafe {
        system_call(
            Call::Supervise as u64,
            [query as u64, u64::from(task), 0, 0, 0, 0, 0],
        )
    };
    (status == abi::STATUS_OK).then_some(rest)
}

/// A system call that does nothing, to measure one.
pub fn null_call() {
    // SAFETY: no address is given.
    unsafe { system_call(Call::Null as u64, [0; 7]) };
}

/// What the loader verified and started: components, digests, sequence numbers, times.
#[must_use]
pub fn boot_info() -> &'static bootinfo::BootInfo {
    #[cfg(target_os = "none")]
    {
        let address = kernel_core::plan::BOOT_INFO_ADDRESS as usize;
        let pointer = core::ptr::with_exposed_provenance::<bootinfo::BootInfo>(address);
        // SAFETY: the kernel maps BootInfo's page there, read-only, in every task, and starts no task
        // without a BootInfo it has checked; every bit pattern is a valid one and nobody writes it.
        unsafe { &*pointer }
    }
    #[cfg(not(target_os = "none"))]
    &bootinfo::BootInfo::EMPTY
}

/// The physical counter now, in ticks.
#[must_use]
pub fn now_ticks() -> u64 {
    arch::el0::now_ticks()
}

/// Ticks of the counter in a second; never 0.
#[must_use]
pub fn ticks_per_second() -> u64 {
    arch::counter::ticks_per_second()
}

/// Microseconds since power-on.
#[must_use]
pub fn now_us() -> u64 {
    us_of_ticks(now_ticks())
}

/// Ticks in microseconds, rounded down.
#[must_use]
pub fn us_of_ticks(ticks: u64) -> u64 {
    let per_second = ticks_per_second();
    (ticks / per_second) * 1_000_000 + (ticks % per_second) * 1_000_000 / per_second
}

/// Microseconds in ticks, rounded down.
#[must_use]
pub fn ticks_of_us(duration_us: u64) -> u64 {
    arch::counter::ticks_of_us(duration_us)
}

/// Sends an event to `audit` (the index is in the task's plan). A lost event is not worth waiting for.
pub fn log_event(audit: u32, code: u32, a: u64, b: u64) {
    let event = messages::LogEvent { code, a, b };
    let _ = send(
        audit,
        messages::operation::LOG_EVENT,
        &event.encode(),
        &mut [],
        &mut [],
    );
}

/// Ends this task with a fault: the supervisor restarts it.
pub fn fault(line: u32) -> ! {
    loop {
        // SAFETY: no address is given.
        unsafe { system_call(Call::Panic as u64, [u64::from(line), 0, 0, 0, 0, 0, 0]) };
    }
}

/// Includes the constants the description gives this task.
#[macro_export]
macro_rules! plan {
    () => {
        /// What the description gives this task.
        #[allow(
            dead_code,
            missing_docs,
            reason = "generated; a task need not use all of it"
        )]
        mod plan {
            include!(concat!(env!("OUT_DIR"), "/plan.rs"));
        }
    };
}

/// Makes `main` (of type `fn() -> !`) the first thing the task runs, and panics faults of the task.
/// On a host the crate compiles as a program that nobody runs.
#[macro_export]
macro_rules! entry {
    ($main:ident) => {
        #[cfg(target_os = "none")]
        mod task_entry {
            /// First instruction of the task: the kernel has set the stack.
            // SAFETY: the name is unique in the task's image: the linker script's entry.
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".text.entry")]
            extern "C" fn _start() -> ! {
                let main: fn() -> ! = super::$main;
                main()
            }

            #[panic_handler]
            fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
                $crate::fault(info.location().map_or(0, core::panic::Location::line))
            }
        }
    };
}
