//! HVC and SMC of the partition: PSCI about its own cores.

use crate::exits::Frame;
use crate::lifecycle;
use crate::plan::{LINUX, counters};
use arch::registers::{core_number, elr_el2};
use partition::counters::Fault;
use partition::power::{self, Answer};
use partition::{Exit, Refusal, State};
use psci::function;

/// Bit of ESR_EL2 by which SMC (class 0x17) differs from HVC (0x16).
const IS_SMC: u64 = 1 << 26;

/// Entered by vectors.S with x0 to x17 saved; x18 to x30 are not in the frame.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_call(frame: &mut Frame, syndrome: u64) {
    let core = core_number();
    let exit = if syndrome & IS_SMC == 0 {
        Exit::Hypercall
    } else {
        // A trapped SMC was not executed: EL1 would make it again.
        arch::el2::skip_instruction();
        Exit::SecureCall
    };
    counters().exit(core, exit);
    if let Some(value) = power::fixed(frame.registers[0] as u32) {
        frame.registers[0] = value;
        return;
    }
    decide(frame, core, exit, syndrome);
}

#[inline(never)]
fn decide(frame: &mut Frame, core: usize, exit: Exit, syndrome: u64) {
    let [id, first, second, third, ..] = frame.registers;
    let arguments = [first, second, third];
    frame.registers[0] = match power::call(LINUX.cores, LINUX.boot_core, core, id as u32, arguments)
    {
        Answer::Return(value) => value,
        Answer::Refuse(value) => {
            let fault = Fault {
                exit: exit as u16,
                core: core as u16,
                syndrome,
                at: elr_el2::read(),
                physical: first,
                ..Fault::default()
            };
            counters().refuse(Refusal::Core, &fault);
            value
        }
        Answer::Start {
            core,
            entry,
            context,
        } => lifecycle::start_core(core, entry, context),
        Answer::CoreOff => lifecycle::leave(core),
        Answer::IsOn(other) => arch::call::smc(function::AFFINITY_INFO, [other as u64, 0, 0])[0],
        Answer::End(state) => {
            let what = match state {
                State::SwitchedOff => "switched itself off",
                _ => "asked for a restart, or panicked",
            };
            lifecycle::end(state, what);
            lifecycle::leave(core)
        }
    };
}
