//! PSCI for a partition: its own cores only, and the machine never.
//!
//! The partition's first core cannot be switched off: the hypervisor stays reachable there. Linux is
//! told so as PSCI tells of a trusted OS that cannot migrate (DEN0022, 5.1.5).

use crate::counters::State;
use crate::owns;
use psci::{MIGRATION_NOT_REQUIRED, SMCCC_VERSION_1_1, VERSION_1_1, code, function};

/// MIGRATE_INFO_TYPE's answer: something lives on one core and does not migrate.
const MIGRATION_IMPOSSIBLE: u64 = MIGRATION_NOT_REQUIRED - 1;
/// MIGRATE_INFO_UP_CPU.
const MIGRATE_INFO_UP_CPU: u32 = 0xc400_0005;

/// What the hypervisor does about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Returns this in x0.
    Return(u64),
    /// Returns this in x0, and counts a refusal.
    Refuse(u64),
    /// Starts a core of the partition.
    Start {
        /// The core.
        core: usize,
        /// Its first instruction, as the partition sees it.
        entry: u64,
        /// Its x0.
        context: u64,
    },
    /// Switches the calling core off.
    CoreOff,
    /// Asks the monitor whether that core is on.
    IsOn(usize),
    /// Ends the partition.
    End(State),
}

/// The answer to a call that is the same for every core and argument; `None` where [`call`] has
/// to decide.
#[inline(always)]
#[must_use]
pub const fn fixed(id: u32) -> Option<u64> {
    match id {
        function::VERSION => Some(VERSION_1_1),
        _ => None,
    }
}

/// Decides a call from `core` of a partition that has `cores` and boots on `boot_core`.
#[inline]
#[must_use]
pub fn call(cores: u32, boot_core: usize, core: usize, id: u32, arguments: [u64; 3]) -> Answer {
    match id {
        function::VERSION => Answer::Return(VERSION_1_1),
        function::SMCCC_VERSION => Answer::Return(SMCCC_VERSION_1_1),
        function::FEATURES => Answer::Return(features(arguments[0] as u32)),
        function::CPU_ON => start(cores, arguments),
        function::AFFINITY_INFO => affinity(cores, arguments),
        function::CPU_OFF if core == boot_core => Answer::Return(code::DENIED),
        function::CPU_OFF => Answer::CoreOff,
        function::MIGRATE_INFO_TYPE => Answer::Return(MIGRATION_IMPOSSIBLE),
        MIGRATE_INFO_UP_CPU => Answer::Return(boot_core as u64),
        function::SYSTEM_OFF => Answer::End(State::SwitchedOff),
        function::SYSTEM_RESET => Answer::End(State::Panicked),
        _ => Answer::Return(code::NOT_SUPPORTED),
    }
}

fn features(id: u32) -> u64 {
    match id {
        function::VERSION
        | function::SMCCC_VERSION
        | function::FEATURES
        | function::CPU_ON
        | function::AFFINITY_INFO
        | function::CPU_OFF
        | function::MIGRATE_INFO_TYPE
        | MIGRATE_INFO_UP_CPU
        | function::SYSTEM_OFF
        | function::SYSTEM_RESET => code::SUCCESS,
        _ => code::NOT_SUPPORTED,
    }
}

fn start(cores: u32, [target, entry, context]: [u64; 3]) -> Answer {
    if !owns(cores, target) {
        return Answer::Refuse(code::INVALID_PARAMETERS);
    }
    Answer::Start {
        core: target as usize,
        entry,
        context,
    }
}

fn affinity(cores: u32, [target, level, _]: [u64; 3]) -> Answer {
    if !owns(cores, target) {
        return Answer::Refuse(code::INVALID_PARAMETERS);
    }
    if level != 0 {
        return Answer::Return(code::INVALID_PARAMETERS);
    }
    Answer::IsOn(target as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(core: usize, id: u32, arguments: [u64; 3]) -> Answer {
        call(0b110, 1, core, id, arguments)
    }

    #[test]
    fn own_cores_are_started_and_others_refused() {
        let got = ask(1, function::CPU_ON, [2, 0x5000_1234, 7]);
        let expected = Answer::Start {
            core: 2,
            entry: 0x5000_1234,
            context: 7,
        };
        assert_eq!(got, expected);
        for foreign in [0, 3, 4, 32, 0x100, 0x1_0000_0002, u64::MAX] {
            for id in [function::CPU_ON, function::AFFINITY_INFO] {
                let got = ask(1, id, [foreign, 0, 0]);
                assert_eq!(
                    got,
                    Answer::Refuse(code::INVALID_PARAMETERS),
                    "{foreign:#x}"
                );
            }
        }
    }

    #[test]
    fn the_machine_is_not_the_partitions() {
        let end = ask(2, function::SYSTEM_RESET, [0; 3]);
        assert_eq!(end, Answer::End(State::Panicked));
        assert_eq!(
            ask(2, function::RECLAIM, [0b1, 0, 0]),
            Answer::Return(code::NOT_SUPPORTED)
        );
        assert_eq!(
            ask(2, function::DOORBELL, [0; 3]),
            Answer::Return(code::NOT_SUPPORTED)
        );
    }

    #[test]
    fn the_boot_core_stays() {
        assert_eq!(
            ask(1, function::CPU_OFF, [0; 3]),
            Answer::Return(code::DENIED)
        );
        assert_eq!(ask(2, function::CPU_OFF, [0; 3]), Answer::CoreOff);
    }

    #[test]
    fn features_tell_what_calls_do() {
        for id in 0x8400_0000u32..0x8400_0020 {
            let known =
                ask(1, function::FEATURES, [u64::from(id), 0, 0]) == Answer::Return(code::SUCCESS);
            let answered = ask(1, id, [0x8400_0000, 0, 0]) != Answer::Return(code::NOT_SUPPORTED);
            assert_eq!(known, answered, "{id:#x}");
            if let Some(value) = fixed(id) {
                assert_eq!(ask(2, id, [0; 3]), Answer::Return(value));
            }
        }
    }
}
