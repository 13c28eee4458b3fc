//! Everything else that brings a core of the partition here: answered, or refused and counted.

use crate::plan::{LINUX, MEMORY_MAILBOX_BASE, counters, mailbox};
use crate::{dma, interrupts, lifecycle};
use arch::counter::{now_ticks, ticks_of_us};
use arch::registers::{
    core_number, elr_el2, esr_el2, far_el2, hpfar_el2, sctlr_el1, spsr_el2, vbar_el1,
};
use partition::access::{self, Access};
use partition::counters::Fault;
use partition::exception::{Cause, exception};
use partition::features::{Register, is_identification};
use partition::{Exit, Refusal, State};
use psci::{code, function};

/// Registers of the partition's core, as vectors.S saves them: x0 to x30.
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub registers: [u64; 31],
}

impl Frame {
    #[inline(always)]
    fn get(&self, register: usize) -> u64 {
        self.registers.get(register).copied().unwrap_or(0)
    }
    #[inline(always)]
    fn set(&mut self, register: usize, value: u64) {
        if let Some(place) = self.registers.get_mut(register) {
            *place = value;
        }
    }
}

/// Exception classes (DDI 0487, D19.2.37).
mod class {
    pub const SYSTEM_REGISTER: u64 = 0x18;
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    pub const DATA_ABORT: u64 = 0x24;
}
/// Fault status of aborts, without the level: translation, permission.
const STATUS: u64 = 0x3c;
const STATUS_TRANSLATION: u64 = 0x04;
const STATUS_PERMISSION: u64 = 0x0c;
/// The fault was on a walk of EL1's own tables.
const ON_WALK: u64 = 1 << 7;
/// A load of 4 bytes that found nothing mapped: class, valid, size, no sign, no walk, a read, translation.
const DEVICE_LOAD: u64 = (class::DATA_ABORT << 26) | (1 << 24) | (2 << 22) | STATUS_TRANSLATION;
const DEVICE_LOAD_MASK: u64 =
    (0x3f << 26) | (1 << 24) | (3 << 22) | (1 << 21) | ON_WALK | (1 << 6) | STATUS;
/// How long a core waits for the secure world to carry out a register write.
const DOORBELL_US: u64 = 200_000;

/// Entered by vectors.S with all registers saved: a synchronous exit that is not a call.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_exit(frame: &mut Frame, syndrome: u64) {
    if syndrome & DEVICE_LOAD_MASK == DEVICE_LOAD {
        let address = access::address(hpfar_el2::read(), far_el2::read());
        if let Some(offset) = interrupts::distributor_offset(address)
            && let Some(value) = interrupts::load_frequent(offset)
        {
            counters().exit(core_number(), Exit::Distributor);
            frame.set((syndrome >> 16) as usize & 31, value);
            return arch::el2::skip_instruction();
        }
    }
    other_exit(frame, syndrome);
}

#[inline(never)]
fn other_exit(frame: &mut Frame, syndrome: u64) {
    match (syndrome >> 26) & 0x3f {
        class::DATA_ABORT => data_abort(frame, syndrome),
        class::SYSTEM_REGISTER => system_register(frame, syndrome),
        class::INSTRUCTION_ABORT => {
            let address = fault_address(syndrome);
            refuse(
                Exit::InstructionFault,
                Refusal::Address,
                Cause::Instruction,
                syndrome,
                address,
            );
        }
        _ => refuse(Exit::Trap, Refusal::Trap, Cause::Undefined, syndrome, 0),
    }
}

/// The partition's physical address of an abort; 0 where nobody knows it.
fn fault_address(syndrome: u64) -> u64 {
    let far = far_el2::read();
    if syndrome & STATUS == STATUS_PERMISSION && syndrome & ON_WALK == 0 {
        return arch::el2::translate_el1(far).unwrap_or(0);
    }
    access::address(hpfar_el2::read(), far)
}

fn data_abort(frame: &mut Frame, syndrome: u64) {
    if syndrome & STATUS == STATUS_TRANSLATION
        && let Some(access) = Access::of(syndrome, hpfar_el2::read(), far_el2::read())
        && let Some(place) = interrupts::place(access.address)
    {
        return interrupt_controller(frame, place, &access, syndrome);
    }
    memory_fault(frame, syndrome);
}

fn interrupt_controller(
    frame: &mut Frame,
    place: interrupts::Place,
    access: &Access,
    syndrome: u64,
) {
    let exit = match place {
        interrupts::Place::Distributor(_) => Exit::Distributor,
        interrupts::Place::Redistributor(..) => Exit::Redistributor,
    };
    counters().exit(core_number(), exit);
    let refused = if access.write {
        interrupts::write(place, access, frame.get(access.register))
    } else {
        let (value, refused) = interrupts::read(place, access);
        frame.set(access.register, value);
        refused
    };
    if refused {
        let refusal = match place {
            interrupts::Place::Distributor(_) => Refusal::Interrupt,
            interrupts::Place::Redistributor(..) => Refusal::Redistributor,
        };
        note(exit, refusal, syndrome, access.address);
    }
    arch::el2::skip_instruction();
}

/// The vsock device's doorbell, or an address the partition does not have.
#[inline(never)]
fn memory_fault(frame: &Frame, syndrome: u64) {
    if counters().state() != Some(State::Running) {
        lifecycle::leave(core_number())
    }
    let address = fault_address(syndrome);
    let hpfar = (address >> 8) & !0xf;
    let offset = address.wrapping_sub(LINUX.doorbell_page);
    if offset < 4096
        && let Some(access) = Access::of(syndrome, hpfar, address)
        && access.write
        && access.bytes == 4
        && access.is_aligned()
    {
        let core = core_number();
        counters().exit(core, Exit::Doorbell);
        if !ring(core, offset as u32, frame.get(access.register) as u32) {
            note(Exit::Doorbell, Refusal::DoorbellTimeout, syndrome, address);
        }
        arch::el2::skip_instruction();
        return;
    }
    refuse(
        Exit::DataFault,
        Refusal::Address,
        Cause::Data,
        syndrome,
        address,
    );
}

/// Has the secure world write a register of the vsock device; false where it did not in time.
fn ring(core: usize, offset: u32, value: u32) -> bool {
    let mailbox = mailbox();
    let deadline = now_ticks().saturating_add(ticks_of_us(DOORBELL_US));
    if !until(deadline, || mailbox.try_lock(core)) {
        return false;
    }
    let number = mailbox.place(core, offset, value);
    let rung = arch::call::smc(function::DOORBELL, [0; 3])[0] == code::SUCCESS;
    let done = rung && until(deadline, || mailbox.is_acknowledged(number));
    mailbox.unlock();
    done
}

fn until(deadline: u64, condition: impl Fn() -> bool) -> bool {
    while !condition() {
        if now_ticks() > deadline {
            return false;
        }
        arch::barrier::yield_now();
    }
    true
}

/// Registers that trap: SGIs, filtered; identification, as far as it is shown; nothing else.
fn system_register(frame: &mut Frame, syndrome: u64) {
    let field = |low: u32, bits: u32| (syndrome >> low) as u8 & ((1 << bits) - 1);
    let (op0, op1, crn, crm, op2) = (
        field(20, 2),
        field(14, 3),
        field(10, 4),
        field(1, 4),
        field(17, 3),
    );
    let register = usize::from(field(5, 5));
    let is_read = syndrome & 1 != 0;
    match (op0, op1, crn, crm, op2) {
        // ICC_SGI1R_EL1.
        (3, 0, 12, 11, 5) if !is_read => send(frame.get(register), syndrome),
        // ICC_ASGI1R_EL1 and ICC_SGI0R_EL1: of the other world.
        (3, 0, 12, 11, 6 | 7) if !is_read => {
            counters().exit(core_number(), Exit::SoftwareInterrupt);
            let value = frame.get(register);
            note(
                Exit::SoftwareInterrupt,
                Refusal::SoftwareInterrupt,
                syndrome,
                value,
            );
            arch::el2::skip_instruction();
        }
        _ if is_read && is_identification(op0, op1, crn, crm) => {
            counters().exit(core_number(), Exit::Trap);
            frame.set(register, identification(crm, op2));
            arch::el2::skip_instruction();
        }
        _ => refuse(Exit::Trap, Refusal::Trap, Cause::Undefined, syndrome, 0),
    }
}

fn send(value: u64, syndrome: u64) {
    let core = core_number();
    counters().exit(core, Exit::SoftwareInterrupt);
    let (allowed, refused) = LINUX.interrupts.send(core, value);
    if allowed != 0 {
        arch::barrier::dsb_sy();
        arch::el2::send_group_1(allowed);
    }
    if refused {
        note(
            Exit::SoftwareInterrupt,
            Refusal::SoftwareInterrupt,
            syndrome,
            value,
        );
    }
    arch::el2::skip_instruction();
}

fn identification(crm: u8, op2: u8) -> u64 {
    use arch::registers as physical;
    let Some(register) = Register::of(crm, op2) else {
        return 0;
    };
    let value = match register {
        Register::Processor0 => physical::id_aa64pfr0_el1::read(),
        Register::Processor1 => physical::id_aa64pfr1_el1::read(),
        Register::Debug0 => physical::id_aa64dfr0_el1::read(),
        Register::Instructions0 => physical::id_aa64isar0_el1::read(),
        Register::Instructions1 => physical::id_aa64isar1_el1::read(),
        Register::Instructions2 => physical::id_aa64isar2_el1::read(),
        Register::Memory0 => physical::id_aa64mmfr0_el1::read(),
        Register::Memory1 => physical::id_aa64mmfr1_el1::read(),
        Register::Memory2 => physical::id_aa64mmfr2_el1::read(),
    };
    let view = register.view();
    (value & view.keep) | view.set
}

/// Group 0, handed down by the monitor: the secure world takes the core, or the SMMU stopped something.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_reclaim(_frame: &mut Frame) {
    let core = core_number();
    counters().exit(core, Exit::Reclaim);
    dma::count_events();
    lifecycle::reclaimed(core);
}

/// A system error while the partition ran: counted, and given to it.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_system_error(_frame: &mut Frame) {
    counters().exit(core_number(), Exit::SystemError);
    note(Exit::SystemError, Refusal::Address, esr_el2::read(), 0);
    arch::el2::give_system_error();
}

/// What is not routed here. The partition goes on.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_unexpected(_frame: &mut Frame) {
    counters().exit(core_number(), Exit::Unknown);
    note(Exit::Unknown, Refusal::Trap, esr_el2::read(), 0);
}

/// Counts an exit that is refused, and gives the partition the exception it would have had on bare metal.
#[inline(never)]
fn refuse(exit: Exit, refusal: Refusal, cause: Cause, syndrome: u64, physical: u64) {
    let core = core_number();
    if counters().state() != Some(State::Running) {
        lifecycle::leave(core)
    }
    counters().exit(core, exit);
    note(exit, refusal, syndrome, physical);
    let given = exception(
        cause,
        syndrome,
        spsr_el2::read(),
        sctlr_el1::read(),
        vbar_el1::read(),
    );
    arch::el2::give_exception(given.syndrome, far_el2::read(), given.at, given.state);
}

/// Counts a refusal: what, where and by which instruction.
#[inline(never)]
fn note(exit: Exit, refusal: Refusal, syndrome: u64, physical: u64) {
    let fault = Fault {
        exit: exit as u16,
        core: core_number() as u16,
        syndrome,
        address: far_el2::read(),
        at: elr_el2::read(),
        physical,
        ..Fault::default()
    };
    counters().refuse(refusal, &fault);
}

const _: () = assert!(MEMORY_MAILBOX_BASE.is_multiple_of(4096));
