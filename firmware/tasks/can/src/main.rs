//! S-EL0: Owns the CAN bus: samples in, pump commands out, every 10 ms.
//!
//! Commands come first: they are due at fixed times, and what is received in one period is bounded by what a real bus
//! could have brought and by half of the budget, so that a flood cannot use up the time of the next command. What does not fit waits in
//! the port's queue, and the other end is held up.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod adapter;

use adapter::Adapter;
use arch::once::Once;
use can::Frame;
use can::message::{self, Message as Meaning, Node, PumpCommand};
use can::queue::Queue;
use can::receive::{Heard, Receiver};
use can::schedule::Schedule;
use can::slcan::Line;
use task_runtime::messages::notification::{DATA, INTERRUPT, TIMER};
use task_runtime::messages::{
    CanStatus, SAMPLE_BYTES, Sample, SampleBatch, code, operation, sample,
};
use task_runtime::{
    Message, Received, borrow_write, interrupt_unmask, now_us, post, receive, reply, set_timer,
    ticks_of_us,
};

task_runtime::plan!();
task_runtime::entry!(main);

/// What the description says of the bus.
mod bedside {
    include!(concat!(env!("OUT_DIR"), "/bedside.rs"));
}

use bedside::{BIT_RATE, NODES, PUMPS};

/// Samples kept until `vitals` takes them: about three seconds of both front ends at 125 Hz.
const QUEUE_SAMPLES: usize = 1024;
/// `vitals` is told when so many wait, or when the oldest has waited for two ticks.
const SAMPLES_TO_TELL: usize = 16;
/// Samples that are written into the lease at once.
const CHUNK_SAMPLES: usize = 32;
/// How often is looked after everything, whether there are pumps or not.
const TICK_US: u64 = 10_000;
/// Bits of a frame of eight bytes on the bus, at least (ISO 11898-1: 11-bit identifier, no stuff bits), with the space between.
const FRAME_BITS: u32 = 111;
/// Characters of its line.
const LINE_BYTES: u32 = 22;
/// Most bytes that are received in a tick: as many as a full bus brings, and one queue of the port.
const BYTES_A_TICK: u32 = BIT_RATE / FRAME_BITS * LINE_BYTES / (1_000_000 / TICK_US as u32) + 32;
/// Longest time that is spent on receiving in a tick: half of this task's budget in the description, so that the next
/// command is never paid for by a flood, however dear a byte is.
const RECEIVE_US_A_TICK: u64 = 2000;
/// After so many bytes the clock is looked at.
const BYTES_A_LOOK: u32 = 16;
/// What the pump shall deliver, 0.1 ml/h, until a therapy says otherwise: just enough to keep the vein open.
const KEEP_OPEN_RATE: u16 = 50;

/// Where samples wait.
static QUEUE: Once<Queue<Sample, QUEUE_SAMPLES>> = Once::new(Queue::new());

/// Everything this task knows.
struct Bus {
    adapter: Adapter,
    receiver: Receiver,
    queue: &'static mut Queue<Sample, QUEUE_SAMPLES>,
    schedules: [Schedule; PUMPS.len()],
    next_tick_us: u64,
    /// Bytes that may still be received in this tick, and time for it.
    bytes_left: u32,
    receive_us_left: u64,
    /// Ticks since samples began to wait unannounced.
    ticks_waiting: u32,
}

fn main() -> ! {
    let Some(queue) = QUEUE.take() else {
        task_runtime::fault(line!());
    };
    let start_us = now_us();
    let mut bus = Bus {
        adapter: Adapter::new(BIT_RATE),
        receiver: Receiver::new(&NODES),
        queue,
        schedules: PUMPS.map(|(_, period_us)| Schedule::new(period_us, start_us)),
        next_tick_us: (start_us / TICK_US + 1) * TICK_US,
        bytes_left: BYTES_A_TICK,
        receive_us_left: RECEIVE_US_A_TICK,
        ticks_waiting: 0,
    };
    bus.adapter.open(start_us);
    bus.receive(start_us);
    let mut buffer = [0; 16];
    loop {
        // One tick of the counter more: rounding must not wake us before the time.
        set_timer(Some(ticks_of_us(bus.next_us()) + 1), TIMER);
        match receive(&mut buffer, TIMER | INTERRUPT) {
            Received::Notification(bits) => {
                let woken_us = now_us();
                bus.command();
                if bits & TIMER != 0 {
                    bus.tick();
                }
                bus.receive(woken_us);
            }
            Received::Message(message) => bus.answer(&message),
        }
    }
}

impl Bus {
    /// When something is due next.
    fn next_us(&self) -> u64 {
        let commands = self.schedules.iter().map(Schedule::next_us);
        commands.fold(self.next_tick_us, u64::min)
    }

    /// Sends the commands that are due.
    fn command(&mut self) {
        let now_us = now_us();
        for (schedule, (index, _)) in self.schedules.iter_mut().zip(PUMPS) {
            let (Some(due), Some(node)) = (schedule.take(now_us), NODES.get(index)) else {
                continue;
            };
            let command = PumpCommand {
                rate: KEEP_OPEN_RATE,
                time_ms: (now_us / 1000) as u16,
            };
            let frame = message::encode(*node, Meaning::Command(command), due.sequence);
            self.adapter.send(&Line::Frame(frame));
        }
    }

    /// Every 10 ms: room for what comes, and word to `vitals`.
    fn tick(&mut self) {
        let now_us = now_us();
        if now_us < self.next_tick_us {
            return;
        }
        self.next_tick_us = (now_us / TICK_US + 1) * TICK_US;
        self.bytes_left = BYTES_A_TICK;
        self.receive_us_left = RECEIVE_US_A_TICK;
        if !self.queue.is_empty() {
            self.ticks_waiting += 1;
            if self.ticks_waiting >= 2 {
                self.tell();
            }
        }
    }

    fn tell(&mut self) {
        self.ticks_waiting = 0;
        post(plan::TASK_VITALS, DATA);
    }

    /// Takes everything the port has, as far as this tick allows; the time counts since the task woke. The interrupt stays masked where there is more.
    fn receive(&mut self, woken_us: u64) {
        let mut looked_us = woken_us;
        while self.bytes_left > 0 && self.receive_us_left > 0 {
            let Some(byte) = self.adapter.receive() else {
                interrupt_unmask();
                break;
            };
            self.bytes_left -= 1;
            match self.adapter.line(byte, looked_us) {
                Some(Ok(frame)) => self.frame(&frame, looked_us),
                Some(Err(_)) => self.receiver.malformed(),
                None => {}
            }
            if self.bytes_left.is_multiple_of(BYTES_A_LOOK) {
                looked_us = self.charge(looked_us);
            }
        }
        self.charge(looked_us);
        if self.queue.len() >= SAMPLES_TO_TELL {
            self.tell();
        }
    }

    /// Takes the time since then from what receiving may use in this tick; the time of now.
    fn charge(&mut self, since_us: u64) -> u64 {
        let now_us = now_us();
        let passed_us = now_us.saturating_sub(since_us);
        self.receive_us_left = self.receive_us_left.saturating_sub(passed_us);
        now_us
    }

    /// What is new in a frame waits for `vitals`.
    fn frame(&mut self, frame: &Frame, now_us: u64) {
        let heard = self.receiver.take(frame, now_us);
        if let Some(sample) = heard.and_then(sample_of) {
            self.queue.push(sample);
        }
    }

    fn answer(&mut self, message: &Message) {
        match message.operation {
            operation::TAKE_SAMPLES => self.give_samples(message),
            operation::CAN_STATUS => reply(message.from, code::OK, &self.status().encode()),
            _ => reply(message.from, code::UNKNOWN, &[]),
        }
    }

    /// Writes what fits into the lease, the oldest first.
    fn give_samples(&mut self, message: &Message) {
        if message.from != plan::TASK_VITALS || message.leases == 0 {
            return reply(message.from, code::MALFORMED, &[]);
        }
        let mut count = 0;
        loop {
            let mut chunk = [0; CHUNK_SAMPLES * SAMPLE_BYTES];
            let mut filled = 0;
            for (place, bytes) in chunk.chunks_exact_mut(SAMPLE_BYTES).enumerate() {
                let Some(sample) = self.queue.get(place) else {
                    break;
                };
                bytes.copy_from_slice(&sample.encode());
                filled += SAMPLE_BYTES;
            }
            let offset = count * SAMPLE_BYTES;
            let chunk = chunk.get(..filled).unwrap_or(&[]);
            let written = borrow_write(message.from, 0, offset, chunk).unwrap_or(0) / SAMPLE_BYTES;
            self.queue.forget(written);
            count += written;
            if written < CHUNK_SAMPLES {
                break;
            }
        }
        self.ticks_waiting = 0;
        let batch = SampleBatch {
            count: count as u32,
            waiting: self.queue.len() as u32,
            dropped: u32::try_from(self.queue.dropped).unwrap_or(u32::MAX),
        };
        reply(message.from, code::OK, &batch.encode());
    }

    fn status(&self) -> CanStatus {
        let counters = &self.receiver.counters;
        let mut status = CanStatus {
            received: counters.received,
            lost: counters.lost,
            late: counters.late,
            duplicate: counters.duplicate,
            malformed: counters.malformed,
            unknown: counters.unknown,
            dropped: self.queue.dropped,
            commands_missed: self.adapter.cut,
            ..CanStatus::default()
        };
        for schedule in &self.schedules {
            let counters = &schedule.counters;
            status.commands_sent += counters.sent;
            status.commands_missed += counters.missed;
            status.commands_late += counters.late;
            status.worst_delay_us = status.worst_delay_us.max(counters.worst_delay_us);
        }
        status
    }
}

/// What `vitals` is given of a message; heartbeats stay here.
fn sample_of(heard: Heard) -> Option<Sample> {
    let (kind, first, second) = match heard.message {
        Meaning::Ecg(ecg) => (sample::ECG, ecg.leads[0], ecg.leads[1]),
        Meaning::Pleth(value) => (sample::PLETH, value.cast_signed(), 0),
        Meaning::Numerics(numerics) => (
            sample::NUMERICS,
            numerics.spo2.cast_signed(),
            numerics.pulse.cast_signed(),
        ),
        Meaning::Heartbeat(_) | Meaning::Command(_) => return None,
    };
    let Node { id, .. } = heard.node;
    Some(Sample {
        t_us: heard.t_us,
        index: heard.index,
        node: id,
        kind,
        first,
        second,
        rate_decihertz: heard.rate_decihertz,
    })
}
