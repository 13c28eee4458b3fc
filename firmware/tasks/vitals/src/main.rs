//! S-EL0: Turns samples into beats, numerics and alarms.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod records;

use arch::once::Once;
use records::Records;
use task_runtime::messages::notification::{DATA, TIMER};
use task_runtime::messages::{
    SAMPLE_BATCH_BYTES, SAMPLE_BYTES, Sample, SampleBatch, code, operation,
};
use task_runtime::{
    Lease, Message, Received, borrow_write, now_ticks, now_us, post, receive, reply, send,
    set_timer, ticks_of_us,
};

task_runtime::plan!();
task_runtime::entry!(main);

/// What the description says of the patient's limits.
mod bedside {
    include!(concat!(env!("OUT_DIR"), "/bedside.rs"));
}

/// Memory for strips and numbers that wait: about half a minute.
const SIGNAL_BYTES: usize = 96 << 10;
/// Memory for alarms that wait; these go last.
const ALARM_BYTES: usize = 4 << 10;
/// Samples that are taken at once.
const BATCH_SAMPLES: usize = 64;
/// Most batches before others have their turn.
const BATCHES: usize = 32;
/// Silence is noticed within this time.
const TICK_US: u64 = 100_000;
/// Longest record with its length.
const RECORD_BYTES: usize = 2 + reading::MAX_BODY_BYTES;

static SIGNALS: Once<[u8; SIGNAL_BYTES]> = Once::new([0; SIGNAL_BYTES]);
static ALARMS: Once<[u8; ALARM_BYTES]> = Once::new([0; ALARM_BYTES]);

fn main() -> ! {
    let (Some(signals), Some(alarms)) = (SIGNALS.take(), ALARMS.take()) else {
        task_runtime::fault(line!());
    };
    let mut records = Records::new(bedside::LIMITS, signals, alarms);
    let period = ticks_of_us(TICK_US);
    let mut next = now_ticks() + period;
    set_timer(Some(next), TIMER);
    loop {
        match receive(&mut [], DATA | TIMER) {
            Received::Notification(bits) => {
                if bits & TIMER != 0 {
                    next = (next + period).max(now_ticks());
                    set_timer(Some(next), TIMER);
                }
                let before = records.made();
                take_samples(&mut records);
                records.tick(now_us());
                if records.made() != before {
                    post(plan::TASK_LINK, DATA);
                }
            }
            Received::Message(message) => answer(&mut records, &message),
        }
    }
}

/// Takes what `can` has heard.
fn take_samples(records: &mut Records<'_>) {
    for _ in 0..BATCHES {
        let mut samples = [0; BATCH_SAMPLES * SAMPLE_BYTES];
        let mut answer = [0; SAMPLE_BATCH_BYTES];
        let lease = &mut [Lease::Write(&mut samples)];
        let sent = send(
            plan::TASK_CAN,
            operation::TAKE_SAMPLES,
            &[],
            &mut answer,
            lease,
        );
        let (Ok((code::OK, _)), Some(batch)) = (sent, SampleBatch::decode(&answer)) else {
            return;
        };
        let count = (batch.count as usize).min(BATCH_SAMPLES);
        let whole = samples.chunks_exact(SAMPLE_BYTES).take(count);
        whole
            .filter_map(Sample::decode)
            .for_each(|sample| records.sample(&sample));
        if batch.waiting == 0 {
            return;
        }
    }
}

fn answer(records: &mut Records<'_>, message: &Message) {
    if message.operation != operation::TAKE_RECORDS {
        return reply(message.from, code::UNKNOWN, &[]);
    }
    if message.from != plan::TASK_LINK || message.leases == 0 {
        return reply(message.from, code::MALFORMED, &[]);
    }
    let (mut written, mut count) = (0_usize, 0_u32);
    let mut record = [0; RECORD_BYTES];
    for outbox in [&mut records.alarms, &mut records.signals] {
        while let Some(bytes) = outbox.oldest(&mut record) {
            let record = record.get(..bytes).unwrap_or(&[]);
            // What does not fit the lease as a whole is not taken: the sender asks again.
            if borrow_write(message.from, 0, written, record) != Some(bytes) {
                break;
            }
            outbox.forget();
            written += bytes;
            count += 1;
        }
    }
    let mut answer = [0; 12];
    let numbers = [written as u32, count, records.dropped()];
    for (place, number) in answer.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    reply(message.from, code::OK, &answer);
}
