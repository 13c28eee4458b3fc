//! How the device is: gathered from the supervisor, the CAN task and the hypervisor, and what has changed.

use crate::log::Log;
use partition::counters::{Counters, EXIT_NAMES, EXITS, REFUSALS, State};
use reading::{
    CanCounters, Error, Exit, LinkCounters, PartitionStatus, Record, Status, TaskStatus, event,
};
use task_runtime::messages;

/// What is known of the device.
pub struct Device<const TASKS: usize> {
    names: &'static [&'static str; TASKS],
    tasks: [messages::TaskStatus; TASKS],
    /// The CAN bus, as `can` counts it.
    pub can: messages::CanStatus,
    /// The link, as `link` counts it.
    pub link: messages::LinkStatus,
    partition: State,
    cores_inside: u32,
    exits: [u64; EXITS],
    refused: [u64; REFUSALS],
}

impl<const TASKS: usize> Device<TASKS> {
    /// Nothing is known yet of the tasks of these names.
    pub fn new(names: &'static [&'static str; TASKS]) -> Self {
        Self {
            names,
            tasks: [messages::TaskStatus::default(); TASKS],
            can: messages::CanStatus::default(),
            link: messages::LinkStatus::default(),
            partition: State::Off,
            cores_inside: 0,
            exits: [0; EXITS],
            refused: [0; REFUSALS],
        }
    }

    /// What the supervisor says of a task now; restarts and holds become events.
    pub fn task(&mut self, index: usize, now: messages::TaskStatus, t_us: u64, log: &mut Log) {
        let Some(before) = self.tasks.get_mut(index) else {
            return;
        };
        let place = u64::from(now.cause) << 32 | (now.pc & 0xffff_ffff);
        if now.restarts != before.restarts {
            log.add(t_us, event::TASK_RESTARTED, index as u64, place);
        }
        if now.state == 2 && before.state != 2 {
            log.add(t_us, event::TASK_HELD, index as u64, place);
        }
        *before = now;
    }

    /// What the hypervisor counts now. It may be hijacked: nothing is believed but that it was there.
    pub fn hypervisor(&mut self, page: &Counters, t_us: u64, log: &mut Log) {
        if !page.header() {
            return;
        }
        self.cores_inside = page.cores_inside();
        self.exits = page.all_exits();
        let state = page.state().unwrap_or(State::Failed);
        let has_ended = !matches!(state, State::Off | State::Running);
        if state != self.partition && has_ended {
            log.add(t_us, event::PARTITION_STOPPED, state as u64, 0);
        }
        self.partition = state;
        let refused = page.all_refused();
        if refused != self.refused {
            let last = page.cores.iter().find_map(|core| core.last.get());
            let last = last.unwrap_or_default();
            let reason = u64::from(last.refusal);
            log.add(t_us, event::PARTITION_REFUSED, reason, last.address);
            self.refused = refused;
        }
    }

    /// The status record; the number of its bytes.
    ///
    /// # Errors
    /// Where it does not fit `out`.
    pub fn status(&self, t_us: u64, out: &mut [u8]) -> Result<usize, Error> {
        let tasks: [TaskStatus<'_>; TASKS] = core::array::from_fn(|index| {
            let task = &self.tasks[index];
            TaskStatus {
                name: self.names[index],
                state: task.state as u8,
                restarts: task.restarts,
                overruns: task.overruns,
                used_ms: task.used_us / 1000,
            }
        });
        let exits: [Exit<'_>; EXITS] = core::array::from_fn(|index| Exit {
            reason: EXIT_NAMES[index],
            count: self.exits[index],
        });
        let status = Status {
            t_us,
            cores: 1 + (self.cores_inside & 0xe).count_ones() as u8,
            tasks: &tasks,
            can: can_counters(&self.can),
            partition: PartitionStatus {
                state: partition_state(self.partition),
                refused: self
                    .refused
                    .iter()
                    .fold(0, |sum, n| u64::saturating_add(sum, *n)),
                exits: &exits,
            },
            link: LinkCounters {
                waiting: self.link.waiting,
                dropped: self.link.dropped,
                violations: self.link.violations,
            },
        };
        Record::Status(status).encode(out)
    }
}

fn can_counters(can: &messages::CanStatus) -> CanCounters {
    CanCounters {
        received: can.received,
        lost: can.lost,
        late: can.late,
        malformed: can.malformed,
        unknown: can.unknown,
        dropped: can.dropped,
        commands_sent: can.commands_sent,
        commands_missed: can.commands_missed,
        commands_late: can.commands_late,
        worst_delay_us: can.worst_delay_us,
    }
}

/// 0 off, 1 running, 2 stopped, 3 faulted.
const fn partition_state(state: State) -> u8 {
    match state {
        State::Off => 0,
        State::Running => 1,
        State::Stopped | State::SwitchedOff => 2,
        State::Panicked | State::Failed => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use partition::Refusal;
    use partition::counters::Fault;
    use reading::Lists;

    static NAMES: [&str; 2] = ["supervisor", "can"];

    #[test]
    fn a_restart_and_a_hold_become_one_event_each() {
        let (mut device, mut log) = (Device::new(&NAMES), Log::new());
        let status = messages::TaskStatus {
            restarts: 1,
            cause: 0x24,
            pc: 0x1_0000_1234,
            ..Default::default()
        };
        device.task(1, status, 5, &mut log);
        device.task(1, status, 6, &mut log);
        let held = messages::TaskStatus { state: 2, ..status };
        device.task(1, held, 7, &mut log);
        device.task(99, held, 7, &mut log);
        let first = log.oldest().expect("restarted");
        assert_eq!(
            (first.code, first.a, first.t_us),
            (event::TASK_RESTARTED, 1, 5)
        );
        assert_eq!(first.b, 0x24_0000_1234);
        log.take();
        assert_eq!(log.oldest().expect("held").code, event::TASK_HELD);
        log.take();
        assert_eq!(log.oldest(), None);
    }

    #[test]
    fn the_hypervisors_page_is_read_and_told() {
        let (mut device, mut log) = (Device::new(&NAMES), Log::new());
        let page = Counters::new();
        page.set_state(State::Panicked);
        device.hypervisor(&page, 1, &mut log);
        assert_eq!(log.oldest(), None, "a page without header says nothing");
        page.begin();
        page.set_state(State::Running);
        page.core_in(1);
        let fault = Fault {
            core: 1,
            address: 0x900_0000,
            ..Default::default()
        };
        page.refuse(Refusal::Address, &fault);
        device.hypervisor(&page, 2, &mut log);
        let refused = log.oldest().expect("refused");
        assert_eq!(
            (refused.code, refused.b),
            (event::PARTITION_REFUSED, 0x900_0000)
        );
        log.take();
        page.set_state(State::Panicked);
        device.hypervisor(&page, 3, &mut log);
        assert_eq!(
            log.oldest().expect("stopped").code,
            event::PARTITION_STOPPED
        );
        let mut out = [0; 1000];
        let bytes = device.status(4, &mut out).expect("fits");
        let mut lists = Lists::default();
        let Ok(Record::Status(status)) = Record::decode(&out[..bytes], &mut lists) else {
            panic!("a status");
        };
        assert_eq!((status.partition.state, status.partition.refused), (3, 1));
        assert_eq!((status.cores, status.tasks.len()), (2, 2));
    }
}
