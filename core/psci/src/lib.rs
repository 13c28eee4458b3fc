//! Power State Coordination Interface (Arm DEN0022, version 1.1): which core is on, and who may change it.
//!
//! [`Psci`] is the state of every core and decides each call; what then happens to the machine
//! is the monitor's affair ([`Answer`]). Cores share one `Psci` without a lock: every change of
//! state is one compare-and-exchange, so two callers cannot start one core twice.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Function identifiers (DEN0022, 5.1; DEN0028 for the two of SMCCC).
pub mod function {
    /// SMCCC_VERSION.
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
    /// PSCI_VERSION.
    pub const VERSION: u32 = 0x8400_0000;
    /// CPU_SUSPEND, 32-bit.
    pub const CPU_SUSPEND_32: u32 = 0x8400_0001;
    /// CPU_OFF.
    pub const CPU_OFF: u32 = 0x8400_0002;
    /// CPU_ON, 32-bit.
    pub const CPU_ON_32: u32 = 0x8400_0003;
    /// AFFINITY_INFO, 32-bit.
    pub const AFFINITY_INFO_32: u32 = 0x8400_0004;
    /// MIGRATE_INFO_TYPE.
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    /// SYSTEM_OFF.
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    /// SYSTEM_RESET.
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    /// PSCI_FEATURES.
    pub const FEATURES: u32 = 0x8400_000a;
    /// CPU_SUSPEND.
    pub const CPU_SUSPEND: u32 = 0xc400_0001;
    /// CPU_ON.
    pub const CPU_ON: u32 = 0xc400_0003;
    /// AFFINITY_INFO.
    pub const AFFINITY_INFO: u32 = 0xc400_0004;
    /// Ours: rings the secure world (ARCHITECTURE.md, monitor calls).
    pub const DOORBELL: u32 = 0xc300_0001;
    /// Ours: takes normal-world cores back to EL2.
    pub const RECLAIM: u32 = 0xc300_0002;
}

/// Version 1.1, as PSCI_VERSION answers it.
pub const VERSION_1_1: u64 = 0x0001_0001;
/// SMC Calling Convention 1.1.
pub const SMCCC_VERSION_1_1: u64 = 0x0001_0001;
/// MIGRATE_INFO_TYPE: there is no trusted OS that would have to migrate.
pub const MIGRATION_NOT_REQUIRED: u64 = 2;

/// Return codes (DEN0022, 5.2.2), as they stand in x0.
pub mod code {
    /// Done.
    pub const SUCCESS: u64 = 0;
    /// There is no such function for this caller.
    pub const NOT_SUPPORTED: u64 = -1i64 as u64;
    /// There is no such core.
    pub const INVALID_PARAMETERS: u64 = -2i64 as u64;
    /// Not allowed.
    pub const DENIED: u64 = -3i64 as u64;
    /// The core is on.
    pub const ALREADY_ON: u64 = -4i64 as u64;
    /// The core is about to be on.
    pub const ON_PENDING: u64 = -5i64 as u64;
    /// The core did not come up.
    pub const INTERNAL_FAILURE: u64 = -6i64 as u64;
    /// The core may not start there.
    pub const INVALID_ADDRESS: u64 = -9i64 as u64;
}

/// The world a core belongs to, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Kernel and tasks.
    Secure,
    /// Hypervisor and partitions.
    Normal,
}

/// State of a core; the numbers are our own.
mod state {
    /// Did not check in at boot.
    pub const ABSENT: u32 = 0;
    /// Parked in the monitor.
    pub const OFF: u32 = 1;
    /// Claimed by a caller who is still writing where to start.
    pub const CLAIMED: u32 = 2;
    /// To be started.
    pub const ON_PENDING: u32 = 3;
    /// In its world.
    pub const ON: u32 = 4;
}

/// Where a core starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Address of the first instruction.
    pub entry: u64,
    /// Handed over in x0.
    pub context: u64,
}

/// What a call asks the monitor to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Return this in x0.
    Return(u64),
    /// Wake this core, which is parked, then return success.
    Started(usize),
    /// Park the calling core.
    CoreOff,
    /// Switch the board off.
    SystemOff,
    /// Restart the board.
    SystemReset,
    /// Ring the secure world, then return success.
    Doorbell,
    /// Take the cores whose bits are set back to EL2, then return success.
    Reclaim(u16),
}

/// A call as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The core that calls.
    pub core: usize,
    /// The world it is in.
    pub world: World,
    /// The exception level it calls from, 0 to 2.
    pub level: u8,
    /// x0, its low half.
    pub function: u32,
    /// x1 to x3.
    pub arguments: [u64; 3],
}

struct Core {
    world: World,
    state: AtomicU32,
    entry: AtomicU64,
    context: AtomicU64,
}

/// The state of all cores.
pub struct Psci<const CORES: usize> {
    cores: [Core; CORES],
    /// Start addresses must lie in here: `from..to`.
    entry_from: u64,
    entry_to: u64,
}

impl<const CORES: usize> Psci<CORES> {
    /// All cores absent; core `i` belongs to `worlds[i]`. Cores may be started at addresses
    /// from `entry_from` up to, not including, `entry_to`.
    #[must_use]
    pub const fn new(worlds: [World; CORES], entry_from: u64, entry_to: u64) -> Self {
        let mut cores = [const {
            Core {
                world: World::Normal,
                state: AtomicU32::new(state::ABSENT),
                entry: AtomicU64::new(0),
                context: AtomicU64::new(0),
            }
        }; CORES];
        let mut index = 0;
        while index < CORES {
            cores[index].world = worlds[index];
            index += 1;
        }
        Self {
            cores,
            entry_from,
            entry_to,
        }
    }

    /// The world of `core`; `None` where there is no such core.
    #[must_use]
    pub fn world(&self, core: usize) -> Option<World> {
        self.cores.get(core).map(|core| core.world)
    }

    /// A core came up at boot and is parked now.
    pub fn check_in(&self, core: usize) {
        if let Some(core) = self.cores.get(core) {
            core.state.store(state::OFF, Ordering::Release);
        }
    }

    /// True once `core` has checked in.
    #[must_use]
    pub fn is_present(&self, core: usize) -> bool {
        self.cores
            .get(core)
            .is_some_and(|core| core.state.load(Ordering::Acquire) != state::ABSENT)
    }

    /// The monitor itself starts a core (at boot); as CPU_ON, for any world and address.
    pub fn start(&self, core: usize, start: Start) -> u64 {
        let Some(core) = self.cores.get(core) else {
            return code::INVALID_PARAMETERS;
        };
        let claimed = core.state.compare_exchange(
            state::OFF,
            state::CLAIMED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match claimed {
            Ok(_) => {
                core.entry.store(start.entry, Ordering::Relaxed);
                core.context.store(start.context, Ordering::Relaxed);
                core.state.store(state::ON_PENDING, Ordering::Release);
                code::SUCCESS
            }
            Err(state::ON) => code::ALREADY_ON,
            Err(state::CLAIMED | state::ON_PENDING) => code::ON_PENDING,
            Err(_) => code::INTERNAL_FAILURE,
        }
    }

    /// A parked core asks whether to start; if so it is on from here.
    #[must_use]
    pub fn take_start(&self, core: usize) -> Option<Start> {
        let core = self.cores.get(core)?;
        if core.state.load(Ordering::Acquire) != state::ON_PENDING {
            return None;
        }
        let start = Start {
            entry: core.entry.load(Ordering::Relaxed),
            context: core.context.load(Ordering::Relaxed),
        };
        core.state.store(state::ON, Ordering::Release);
        Some(start)
    }

    /// Decides a call.
    #[must_use]
    pub fn call(&self, call: &Call) -> Answer {
        match call.world {
            World::Secure => self.secure_call(call),
            World::Normal if call.level == 2 => self.normal_call(call),
            World::Normal => Answer::Return(code::NOT_SUPPORTED),
        }
    }

    /// What both worlds may ask.
    fn common_call(function: u32) -> Answer {
        match function {
            function::SMCCC_VERSION => Answer::Return(SMCCC_VERSION_1_1),
            function::VERSION => Answer::Return(VERSION_1_1),
            function::SYSTEM_OFF => Answer::SystemOff,
            function::SYSTEM_RESET => Answer::SystemReset,
            _ => Answer::Return(code::NOT_SUPPORTED),
        }
    }

    fn secure_call(&self, call: &Call) -> Answer {
        match call.function {
            function::RECLAIM => match self.normal_cores(call.arguments[0]) {
                Some(cores) => Answer::Reclaim(cores),
                None => Answer::Return(code::INVALID_PARAMETERS),
            },
            other => Self::common_call(other),
        }
    }

    fn normal_call(&self, call: &Call) -> Answer {
        let [first, second, third] = call.arguments;
        match call.function {
            function::CPU_ON => self.core_on(first, second, third),
            function::CPU_ON_32 => self.core_on(low(first), low(second), low(third)),
            function::CPU_OFF => self.core_off(call.core),
            function::AFFINITY_INFO => Answer::Return(self.affinity_info(first, second)),
            function::AFFINITY_INFO_32 => {
                Answer::Return(self.affinity_info(low(first), low(second)))
            }
            function::MIGRATE_INFO_TYPE => Answer::Return(MIGRATION_NOT_REQUIRED),
            function::FEATURES => Answer::Return(features(low(first))),
            function::DOORBELL => Answer::Doorbell,
            other => Self::common_call(other),
        }
    }

    /// The normal-world core with this affinity (MPIDR format).
    fn normal_core(&self, affinity: u64) -> Option<usize> {
        let index = usize::try_from(affinity).ok()?;
        let core = self.cores.get(index)?;
        (core.world == World::Normal).then_some(index)
    }

    fn core_on(&self, affinity: u64, entry: u64, context: u64) -> Answer {
        let Some(core) = self.normal_core(affinity) else {
            return Answer::Return(code::INVALID_PARAMETERS);
        };
        if entry < self.entry_from || entry >= self.entry_to || !entry.is_multiple_of(4) {
            return Answer::Return(code::INVALID_ADDRESS);
        }
        match self.start(core, Start { entry, context }) {
            code::SUCCESS => Answer::Started(core),
            refused => Answer::Return(refused),
        }
    }

    fn core_off(&self, core: usize) -> Answer {
        match self.cores.get(core) {
            Some(core) => {
                core.state.store(state::OFF, Ordering::Release);
                Answer::CoreOff
            }
            None => Answer::Return(code::DENIED),
        }
    }

    /// 0 on, 1 off, 2 on its way (DEN0022, 5.7).
    fn affinity_info(&self, affinity: u64, lowest_level: u64) -> u64 {
        let core = self.normal_core(affinity).filter(|_| lowest_level == 0);
        let Some(core) = core.and_then(|index| self.cores.get(index)) else {
            return code::INVALID_PARAMETERS;
        };
        match core.state.load(Ordering::Acquire) {
            state::ON => 0,
            state::CLAIMED | state::ON_PENDING => 2,
            _ => 1,
        }
    }

    /// `mask` as it is, if it names one normal-world core at least and no other.
    fn normal_cores(&self, mask: u64) -> Option<u16> {
        let mut left = mask;
        for (index, core) in self.cores.iter().enumerate() {
            if core.world == World::Normal {
                left &= !1u64.checked_shl(u32::try_from(index).ok()?)?;
            }
        }
        (mask != 0 && left == 0)
            .then(|| u16::try_from(mask).ok())
            .flatten()
    }
}

const fn low(value: u64) -> u64 {
    value & 0xffff_ffff
}

/// PSCI_FEATURES: 0 where the function exists.
fn features(function: u64) -> u64 {
    match u32::try_from(function) {
        Ok(
            function::SMCCC_VERSION
            | function::VERSION
            | function::CPU_OFF
            | function::CPU_ON
            | function::CPU_ON_32
            | function::AFFINITY_INFO
            | function::AFFINITY_INFO_32
            | function::MIGRATE_INFO_TYPE
            | function::SYSTEM_OFF
            | function::SYSTEM_RESET
            | function::FEATURES,
        ) => code::SUCCESS,
        _ => code::NOT_SUPPORTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    const FROM: u64 = 0x4020_0000;
    const TO: u64 = 0x4040_0000;

    fn machine() -> Psci<4> {
        let normal = World::Normal;
        let psci = Psci::new([World::Secure, normal, normal, normal], FROM, TO);
        for core in 0..3 {
            psci.check_in(core);
        }
        psci
    }

    fn el2(function: u32, arguments: [u64; 3]) -> Call {
        Call {
            core: 1,
            world: World::Normal,
            level: 2,
            function,
            arguments,
        }
    }

    fn secure(function: u32, arguments: [u64; 3]) -> Call {
        Call {
            core: 0,
            world: World::Secure,
            level: 1,
            function,
            arguments,
        }
    }

    #[test]
    fn a_core_goes_off_pending_on_off() {
        let psci = machine();
        let info = |expected| {
            let call = el2(function::AFFINITY_INFO, [2, 0, 0]);
            assert_eq!(psci.call(&call), Answer::Return(expected));
        };
        info(1);
        let on = el2(function::CPU_ON, [2, FROM + 4, 77]);
        assert_eq!(psci.call(&on), Answer::Started(2));
        info(2);
        assert_eq!(psci.call(&on), Answer::Return(code::ON_PENDING));
        let start = psci.take_start(2);
        assert_eq!(
            start,
            Some(Start {
                entry: FROM + 4,
                context: 77
            })
        );
        assert_eq!(psci.take_start(2), None);
        info(0);
        assert_eq!(psci.call(&on), Answer::Return(code::ALREADY_ON));
        let off = Call {
            core: 2,
            ..el2(function::CPU_OFF, [0; 3])
        };
        assert_eq!(psci.call(&off), Answer::CoreOff);
        info(1);
        assert_eq!(psci.call(&on), Answer::Started(2));
    }

    #[test]
    fn a_core_that_never_came_up_is_a_failure() {
        let call = el2(function::CPU_ON, [3, FROM, 0]);
        assert_eq!(
            machine().call(&call),
            Answer::Return(code::INTERNAL_FAILURE)
        );
    }

    #[test]
    fn nobody_starts_the_secure_core_or_one_that_is_not() {
        let psci = machine();
        for target in [0, 4, 0x100, 0x8000_0001, u64::MAX] {
            let on = el2(function::CPU_ON, [target, FROM, 0]);
            assert_eq!(psci.call(&on), Answer::Return(code::INVALID_PARAMETERS));
            let info = el2(function::AFFINITY_INFO, [target, 0, 0]);
            assert_eq!(psci.call(&info), Answer::Return(code::INVALID_PARAMETERS));
        }
        let upper = el2(function::AFFINITY_INFO, [2, 1, 0]);
        assert_eq!(psci.call(&upper), Answer::Return(code::INVALID_PARAMETERS));
    }

    #[test]
    fn start_addresses_are_confined() {
        let psci = machine();
        for entry in [0, FROM - 4, FROM + 2, TO, u64::MAX] {
            let on = el2(function::CPU_ON, [2, entry, 0]);
            assert_eq!(psci.call(&on), Answer::Return(code::INVALID_ADDRESS));
        }
        let on = el2(function::CPU_ON, [2, TO - 4, 0]);
        assert_eq!(psci.call(&on), Answer::Started(2));
    }

    #[test]
    fn reclaim_takes_normal_cores_only_and_only_the_secure_world_may() {
        let psci = machine();
        let reclaim = |mask| psci.call(&secure(function::RECLAIM, [mask, 0, 0]));
        assert_eq!(reclaim(0b0110), Answer::Reclaim(0b0110));
        for mask in [0, 0b0111, 0b1_0010, u64::MAX] {
            assert_eq!(reclaim(mask), Answer::Return(code::INVALID_PARAMETERS));
        }
        let normal = psci.call(&el2(function::RECLAIM, [0b10, 0, 0]));
        assert_eq!(normal, Answer::Return(code::NOT_SUPPORTED));
    }

    #[test]
    fn a_guest_that_reaches_el3_gets_nothing() {
        let psci = machine();
        for function in [function::CPU_ON, function::SYSTEM_OFF, function::DOORBELL] {
            let call = Call {
                level: 1,
                ..el2(function, [2, FROM, 0])
            };
            assert_eq!(psci.call(&call), Answer::Return(code::NOT_SUPPORTED));
        }
    }

    #[test]
    fn the_secure_world_starts_and_stops_no_cores() {
        let psci = machine();
        for function in [function::CPU_ON, function::CPU_OFF, function::DOORBELL] {
            let answer = psci.call(&secure(function, [2, FROM, 0]));
            assert_eq!(answer, Answer::Return(code::NOT_SUPPORTED));
        }
        let off = psci.call(&secure(function::SYSTEM_OFF, [0; 3]));
        assert_eq!(off, Answer::SystemOff);
    }

    #[test]
    fn features_agree_with_what_calls_do() {
        let psci = machine();
        let ids = (0x8000_0000u32..0x8000_0010)
            .chain(0x8400_0000..0x8400_0020)
            .chain(0xc400_0000..0xc400_0020);
        for id in ids {
            let asked = psci.call(&el2(function::FEATURES, [u64::from(id), 0, 0]));
            let done = machine().call(&el2(id, [9, 9, 9]));
            let exists = done != Answer::Return(code::NOT_SUPPORTED);
            // FEATURES of an unknown number is itself "not supported".
            if id != function::FEATURES {
                assert_eq!(asked == Answer::Return(code::SUCCESS), exists, "{id:#x}");
            }
        }
    }

    #[test]
    fn two_callers_never_start_one_core_twice() {
        for _ in 0..200 {
            let psci = machine();
            let started = std::thread::scope(|scope| {
                let threads: std::vec::Vec<_> = (0..2)
                    .map(|context| {
                        let psci = &psci;
                        scope.spawn(move || {
                            psci.call(&el2(function::CPU_ON, [2, FROM, context]))
                                == Answer::Started(2)
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("no panic"))
                    .filter(|started| *started)
                    .count()
            });
            assert_eq!(started, 1);
        }
    }
}
