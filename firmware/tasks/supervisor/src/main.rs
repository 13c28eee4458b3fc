//! S-EL0: Restarts tasks that fault, holds those that only fault, and says how each is.
#![cfg_attr(target_os = "none", no_std, no_main)]

use kernel_core::policy::{History, Verdict};
use task_runtime::abi::Query;
use task_runtime::messages::{TaskStatus, code, notification::FAULT, operation};
use task_runtime::{Message, Received, now_us, receive, reply, supervise, us_of_ticks};

task_runtime::plan!();
task_runtime::entry!(main);

/// How many tasks there are.
const TASKS: usize = plan::TASK_NAMES.len();

/// What the kernel says of a task's last fault.
#[derive(Clone, Copy, Default)]
struct LastFault {
    cause: u32,
    syndrome: u64,
    address: u64,
    pc: u64,
}

fn main() -> ! {
    let mut histories = [History::EMPTY; TASKS];
    let mut faults = [LastFault::default(); TASKS];
    let mut buffer = [0; 8];
    loop {
        match receive(&mut buffer, FAULT) {
            Received::Notification(_) => answer_faults(&mut histories, &mut faults),
            Received::Message(message) => answer(&message, &buffer, &faults),
        }
    }
}

/// Every task that has faulted is started anew or held.
fn answer_faults(histories: &mut [History; TASKS], faults: &mut [LastFault; TASKS]) {
    while let Some([task, cause, syndrome, address, pc, _]) = supervise(Query::NextFault, 0) {
        let index = task as usize;
        let (Some(history), Some(last)) = (histories.get_mut(index), faults.get_mut(index)) else {
            return;
        };
        *last = LastFault {
            cause: cause as u32,
            syndrome,
            address,
            pc,
        };
        let order = match history.fault(now_us()) {
            Verdict::Restart => Query::Restart,
            Verdict::Hold => Query::Hold,
        };
        let _ = supervise(order, task as u32);
    }
}

/// How a task is, for who asks.
fn answer(message: &Message, buffer: &[u8], faults: &[LastFault; TASKS]) {
    if message.operation != operation::TASK_STATUS {
        return reply(message.from, code::UNKNOWN, &[]);
    }
    let index = buffer.get(..message.length).and_then(<[u8]>::first);
    let status = index.and_then(|&index| {
        let last = faults.get(usize::from(index))?;
        let [state, restarts, overruns, used_ticks, tasks, _] =
            supervise(Query::Status, u32::from(index))?;
        Some(TaskStatus {
            state: state as u32,
            restarts: restarts as u32,
            overruns: overruns as u32,
            tasks: tasks as u32,
            used_us: us_of_ticks(used_ticks),
            cause: last.cause,
            address: last.address,
            syndrome: last.syndrome,
            pc: last.pc,
        })
    });
    match status {
        Some(status) => reply(message.from, code::OK, &status.encode()),
        None => reply(message.from, code::MALFORMED, &[]),
    }
}
