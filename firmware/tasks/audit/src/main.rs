//! S-EL0: Numbers and times events; gathers counters; hands both to `link` as records.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod device;
mod log;

use device::Device;
use log::Log;
use partition::Counters;
use reading::{MAX_BODY_BYTES, Record, event};
use task_runtime::messages::notification::{DATA, TIMER};
use task_runtime::messages::{self, code, operation};
use task_runtime::{
    Message, Received, boot_info, borrow_write, now_ticks, now_us, post, receive, reply, send,
    set_timer, ticks_of_us,
};

task_runtime::plan!();
task_runtime::entry!(main);

/// How often everything is gathered.
const PERIOD_US: u64 = 1_000_000;
/// How many tasks there are.
const TASKS: usize = plan::TASK_NAMES.len();

/// Everything this task knows.
struct Audit {
    log: Log,
    device: Device<TASKS>,
    /// The newest status record, until it is taken.
    status: [u8; MAX_BODY_BYTES],
    status_bytes: usize,
}

fn main() -> ! {
    let mut audit = Audit {
        log: Log::new(),
        device: Device::new(&plan::TASK_NAMES),
        status: [0; MAX_BODY_BYTES],
        status_bytes: 0,
    };
    let sequence = boot_info().sequence;
    audit.log.add(now_us(), event::STARTED, sequence, 0);
    let mut buffer = [0; 64];
    let period = ticks_of_us(PERIOD_US);
    let mut next = now_ticks() + period;
    set_timer(Some(next), TIMER);
    loop {
        match receive(&mut buffer, TIMER) {
            Received::Notification(_) => {
                audit.gather();
                next = (next + period).max(now_ticks());
                set_timer(Some(next), TIMER);
            }
            Received::Message(message) => {
                let bytes = buffer.get(..message.length).unwrap_or(&[]);
                audit.answer(&message, bytes);
            }
        }
    }
}

/// The hypervisor's page of the mailbox.
fn hypervisor_page() -> &'static Counters {
    // SAFETY: the description gives this task the mailbox, the kernel maps it there as normal memory;
    // page 0 is `Counters` (ARCHITECTURE.md), all atomics, so that whatever the other side writes is a value.
    unsafe { arch::mmio::block(plan::SHARED_MAILBOX_BASE) }
}

impl Audit {
    /// Asks everybody, notes what has changed, and makes a status record.
    fn gather(&mut self) {
        let t_us = now_us();
        for index in 0..TASKS {
            let mut answer = [0; messages::TASK_STATUS_BYTES];
            let asked = [index as u8];
            let sent = send(
                plan::TASK_SUPERVISOR,
                operation::TASK_STATUS,
                &asked,
                &mut answer,
                &mut [],
            );
            if let (Ok((code::OK, _)), Some(status)) = (sent, messages::TaskStatus::decode(&answer))
            {
                self.device.task(index, status, t_us, &mut self.log);
            }
        }
        let mut answer = [0; messages::CAN_STATUS_BYTES];
        let sent = send(
            plan::TASK_CAN,
            operation::CAN_STATUS,
            &[],
            &mut answer,
            &mut [],
        );
        if let (Ok((code::OK, _)), Some(status)) = (sent, messages::CanStatus::decode(&answer)) {
            self.device.can = status;
        }
        self.device
            .hypervisor(hypervisor_page(), t_us, &mut self.log);
        self.status_bytes = self.device.status(t_us, &mut self.status).unwrap_or(0);
        post(plan::TASK_LINK, DATA);
    }

    fn answer(&mut self, message: &Message, bytes: &[u8]) {
        let answered = match message.operation {
            operation::LOG_EVENT => messages::LogEvent::decode(bytes).map(|event| {
                self.log.add(now_us(), event.code, event.a, event.b);
            }),
            operation::LINK_STATUS => messages::LinkStatus::decode(bytes).map(|status| {
                self.device.link = status;
            }),
            operation::TAKE_RECORDS => return self.give_records(message),
            _ => return reply(message.from, code::UNKNOWN, &[]),
        };
        let answer = if answered.is_some() {
            code::OK
        } else {
            code::MALFORMED
        };
        reply(message.from, answer, &[]);
    }

    /// Writes what fits into the lease: events, the oldest first, then the newest status.
    fn give_records(&mut self, message: &Message) {
        if message.from != plan::TASK_LINK || message.leases == 0 {
            return reply(message.from, code::MALFORMED, &[]);
        }
        let (mut written, mut records) = (0_usize, 0_u32);
        let mut body = [0; 2 + 64];
        while let Some(event) = self.log.oldest() {
            let Ok(bytes) = Record::Event(event).encode(&mut body[2..]) else {
                self.log.take();
                continue;
            };
            body[..2].copy_from_slice(&(bytes as u16).to_le_bytes());
            if !write_whole(message.from, written, &body[..2 + bytes]) {
                break;
            }
            self.log.take();
            written += 2 + bytes;
            records += 1;
        }
        if self.status_bytes > 0 {
            let length = (self.status_bytes as u16).to_le_bytes();
            let status = &self.status[..self.status_bytes];
            if write_whole(message.from, written + 2, status)
                && write_whole(message.from, written, &length)
            {
                written += 2 + self.status_bytes;
                records += 1;
                self.status_bytes = 0;
            }
        }
        let mut answer = [0; 12];
        let numbers = [written as u32, records, self.log.dropped()];
        for (place, number) in answer.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        reply(message.from, code::OK, &answer);
    }
}

/// True if all bytes fitted the sender's lease 0; a part that did not is not counted by anyone.
fn write_whole(to: u32, offset: usize, bytes: &[u8]) -> bool {
    borrow_write(to, 0, offset, bytes) == Some(bytes.len())
}
