//! S-EL0: Carries readings to the partition over a vsock device it implements.
//!
//! Wiring: the device is `vsock`, the records are `uplink`. The hypervisor rings for every register
//! write of the partition; the tasks that make records post when they have some.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod memory;
mod records;

use arch::once::Once;
use memory::{PartitionRam, Shared};
use reading::event;
use records::Records;
use task_runtime::messages::notification::{DATA, DOORBELL, TIMER};
use task_runtime::messages::{LinkStatus, TASK_STATUS_BYTES, TaskStatus, code, operation};
use task_runtime::{
    boot_info, log_event, now_ticks, raise_guest_interrupt, send, set_timer, ticks_of_us, wait,
};
use vsock::{Device, offset};

task_runtime::plan!();
task_runtime::entry!(main);

/// Memory for records: about six minutes of all signals at 2.5 KiB a second.
const RECORD_BYTES: usize = 896 << 10;
/// How often the device is looked after though nobody rang.
const TICK_US: u64 = 100_000;
/// Ticks between two reports to `audit`.
const TICKS_A_REPORT: u32 = 10;
/// Most register writes, and most turns of the rings, before other things are looked at.
const REQUESTS_A_ROUND: usize = 64;
const TURNS_A_ROUND: usize = 4;

/// Where records are kept.
static RECORDS: Once<[u8; RECORD_BYTES]> = Once::new([0; RECORD_BYTES]);

/// Everything this task knows.
struct Link<'a> {
    device: Device,
    ram: PartitionRam,
    shared: Shared,
    records: Records<'a>,
    /// Connections and losses that `audit` was told of.
    told_ups: u32,
    told_downs: u32,
    told_dropped: u64,
}

fn main() -> ! {
    let Some(memory) = RECORDS.take() else {
        task_runtime::fault(line!());
    };
    let mut link = Link {
        device: Device::new(plan::VSOCK_CID.into(), plan::VSOCK_PORT),
        ram: PartitionRam::new(),
        shared: Shared::new(),
        records: Records::new(memory, boot_number()),
        told_ups: 0,
        told_downs: 0,
        told_dropped: 0,
    };
    link.begin();
    let period = ticks_of_us(TICK_US);
    let mut next = now_ticks() + period;
    let mut ticks = 0;
    set_timer(Some(next), TIMER);
    loop {
        let bits = wait(DOORBELL | DATA | TIMER);
        link.requests();
        if bits & TIMER != 0 {
            next = (next + period).max(now_ticks());
            set_timer(Some(next), TIMER);
            ticks += 1;
            link.device.remind();
        }
        if bits & (DATA | TIMER) != 0 {
            link.records.fetch();
        }
        link.serve();
        if ticks >= TICKS_A_REPORT {
            ticks = 0;
            link.device.tick(&link.records);
            link.report();
        }
    }
}

/// A number for the records of this start of this task: after a restart they are counted from 1 again.
fn boot_number() -> u64 {
    // The generator may have nothing for a moment, never for long.
    (0..16)
        .find_map(|_| arch::el0::random())
        .unwrap_or_else(|| now_ticks() ^ (boot_info().sequence << 48))
}

/// Whether this task has run before, since power-on.
fn is_restarted() -> bool {
    let mut answer = [0; TASK_STATUS_BYTES];
    let asked = [plan::TASK_LINK as u8];
    let to = plan::TASK_SUPERVISOR;
    match send(to, operation::TASK_STATUS, &asked, &mut answer, &mut []) {
        Ok((code::OK, _)) => TaskStatus::decode(&answer).is_some_and(|status| status.restarts > 0),
        _ => false,
    }
}

impl Link<'_> {
    /// After a restart the device goes on as its driver left it; else it is new, whatever the page has kept.
    fn begin(&mut self) {
        if is_restarted() {
            let kept = self.shared.kept();
            self.device.restore(&kept, &self.ram, &mut self.records);
        }
        self.shared.begin(&self.device);
        self.interrupt();
    }

    /// Carries out the partition's register writes. The page is right before the writer goes on.
    fn requests(&mut self) {
        if self.shared.partition_has_ended() && self.device.is_live() {
            // Whoever is in it now, or will be, did not give us these rings.
            self.write(offset::STATUS, 0);
        }
        for _ in 0..REQUESTS_A_ROUND {
            let Some(request) = self.shared.request() else {
                break;
            };
            self.write(request.offset, request.value);
            self.shared.acknowledge(request);
        }
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.device
            .write(offset, value, &self.ram, &mut self.records);
        self.shared.show(&self.device);
    }

    /// Moves packets both ways, until nothing moves or other things must be looked at.
    fn serve(&mut self) {
        for _ in 0..TURNS_A_ROUND {
            let has_more = self.device.serve(&mut self.ram, &mut self.records);
            self.interrupt();
            if !has_more {
                break;
            }
        }
    }

    /// Shows the registers, then interrupts the partition where it has to look.
    fn interrupt(&mut self) {
        self.shared.show(&self.device);
        if self.device.take_interrupt() {
            raise_guest_interrupt();
        }
    }

    /// Tells `audit` how the link is and what has happened.
    fn report(&mut self) {
        let dropped = self.records.dropped();
        let status = LinkStatus {
            connected: self.device.is_connected().into(),
            waiting: self.records.waiting(),
            dropped,
            sent: self.records.sent(),
            violations: self.device.counters.total(),
        };
        let audit = plan::TASK_AUDIT;
        let _ = send(
            audit,
            operation::LINK_STATUS,
            &status.encode(),
            &mut [],
            &mut [],
        );
        if self.told_downs != self.records.downs {
            self.told_downs = self.records.downs;
            log_event(audit, event::LINK_DOWN, self.told_downs.into(), 0);
        }
        if self.told_ups != self.records.ups {
            self.told_ups = self.records.ups;
            log_event(audit, event::LINK_UP, self.told_ups.into(), 0);
        }
        if self.told_dropped != dropped {
            self.told_dropped = dropped;
            log_event(audit, event::RECORDS_DROPPED, dropped, 0);
        }
    }
}
