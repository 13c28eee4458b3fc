//! The device against Linux's driver, and against a guest that breaks every rule.

extern crate std;
use crate::model::{BASE, Counting, Linux, PORT, RAM_BYTES, Random, SOCKET_BUFFER, byte};
use crate::registers::{offset, status};
use crate::{Counters, Device, Operation, SNAPSHOT_WORDS};
use std::vec::Vec;

fn up() -> (Linux, Device, Counting) {
    let (mut linux, mut device) = (Linux::new(), Device::new(3, PORT));
    let mut stream = Counting::default();
    linux.probe(&mut device, &mut stream);
    (linux, device, stream)
}

fn connected() -> (Linux, Device, Counting) {
    let (mut linux, mut device, mut stream) = up();
    linux.connect();
    linux.settle(&mut device, &mut stream);
    assert!(linux.connected && stream.up && device.is_connected());
    assert_eq!(device.counters, Counters::default());
    (linux, device, stream)
}

fn needs_reset(device: &Device) -> bool {
    device.page()[offset::STATUS as usize / 4] & status::NEEDS_RESET != 0
}

#[test]
fn megabytes_arrive_in_both_directions_whatever_the_pace() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let (mut linux, mut device, mut stream) = connected();
        stream.to_send = 4 << 20;
        let (mut read, mut written) = (0, 0);
        let outgoing: Vec<u8> = (0..1 << 20).map(byte).collect();
        while read < stream.to_send || written < outgoing.len() {
            match random.below(4) {
                0 => {
                    let end = outgoing.len().min(written + random.below(9000));
                    written += linux.send(&outgoing[written..end]);
                    linux.transmit(&mut device, &mut stream);
                }
                1 => {
                    for got in linux.recv(random.below(40_000)) {
                        assert_eq!(got, byte(read));
                        read += 1;
                    }
                }
                2 => {
                    device.serve(&mut linux.ram, &mut stream);
                    if device.take_interrupt() {
                        linux.interrupt(&mut device, &mut stream);
                    }
                }
                _ => linux.settle(&mut device, &mut stream),
            }
        }
        linux.settle(&mut device, &mut stream);
        assert_eq!(stream.received, outgoing);
        assert_eq!(device.counters, Counters::default());
    }
}

#[test]
fn indexes_wrap_around_with_small_packets() {
    let (mut linux, mut device, mut stream) = connected();
    stream.largest = 3;
    stream.to_send = 3 * 70_000;
    let mut read = 0;
    while read < stream.to_send {
        linux.settle(&mut device, &mut stream);
        let bytes = linux.recv(usize::MAX);
        assert!(!bytes.is_empty(), "it stopped at {read}");
        for got in bytes {
            assert_eq!(got, byte(read));
            read += 1;
        }
        assert_eq!(linux.send(&[7]), 1);
    }
    assert_eq!(device.counters, Counters::default());
}

#[test]
fn a_reader_that_stops_stops_the_stream_and_nothing_else() {
    let (mut linux, mut device, mut stream) = connected();
    stream.to_send = 1 << 20;
    linux.settle(&mut device, &mut stream);
    assert_eq!(stream.sent, SOCKET_BUFFER as usize);
    device.tick(&stream);
    linux.settle(&mut device, &mut stream);
    assert_eq!(stream.sent, SOCKET_BUFFER as usize);
    let mut read = 0;
    while read < stream.to_send {
        read += linux.recv(100_000).len();
        device.tick(&stream);
        linux.settle(&mut device, &mut stream);
    }
    assert_eq!(device.counters, Counters::default());
}

#[test]
fn an_interrupt_that_is_not_acknowledged_comes_again() {
    let (mut linux, mut device, mut stream) = up();
    linux.connect();
    linux.transmit(&mut device, &mut stream);
    device.serve(&mut linux.ram, &mut stream);
    assert!(device.take_interrupt());
    device.remind();
    assert!(!device.take_interrupt(), "it had no time yet");
    device.remind();
    assert!(device.take_interrupt());
    linux.interrupt(&mut device, &mut stream);
    for _ in 0..3 {
        device.remind();
        assert!(!device.take_interrupt());
    }
}

#[test]
fn registers_are_written_seldom_while_data_flows() {
    let (mut linux, mut device, mut stream) = connected();
    let before = linux.exits;
    stream.to_send = 2 << 20;
    let mut read = 0;
    while read < stream.to_send {
        linux.settle(&mut device, &mut stream);
        read += linux.recv(usize::MAX).len();
    }
    let packets = (stream.to_send / 4096) as u64;
    assert!(
        linux.exits - before < packets / 4,
        "{} exits",
        linux.exits - before
    );
}

#[test]
fn a_close_is_answered_and_a_new_connection_begins_anew() {
    let (mut linux, mut device, mut stream) = connected();
    for round in 2..5 {
        linux.queue_packet(Operation::Shutdown, &[], 3);
        linux.settle(&mut device, &mut stream);
        assert!(!linux.connected && linux.error && !stream.up);
        linux.port += 1;
        linux.connect();
        linux.settle(&mut device, &mut stream);
        assert!(linux.connected && stream.up);
        assert_eq!(stream.connections, round);
    }
    linux.queue_packet(Operation::Reset, &[], 0);
    linux.settle(&mut device, &mut stream);
    assert!(!stream.up);
    assert_eq!(device.counters, Counters::default());
}

#[test]
fn one_connection_at_a_time_to_one_port() {
    let (mut linux, mut device, mut stream) = connected();
    let first = linux.port;
    linux.port = 7777;
    linux.connect();
    linux.settle(&mut device, &mut stream);
    assert!(!linux.connected && linux.error && stream.up, "refused");
    linux.port = first;
    linux.connect();
    linux.settle(&mut device, &mut stream);
    assert!(linux.connected, "the same port again replaces it");
    assert_eq!((stream.connections, stream.up), (2, true));
    assert_eq!(device.counters, Counters::default());
}

#[test]
fn packets_for_nobody_are_counted_and_refused() {
    let (mut linux, mut device, mut stream) = connected();
    let good = crate::Header {
        source_cid: 3,
        destination_cid: 2,
        source_port: linux.port,
        destination_port: PORT,
        kind: 1,
        operation: Operation::CreditUpdate as u16,
        buffer_bytes: SOCKET_BUFFER,
        ..Default::default()
    };
    let bad = [
        crate::Header {
            destination_port: 22,
            ..good
        },
        crate::Header { kind: 2, ..good },
        crate::Header {
            operation: 9,
            ..good
        },
        crate::Header {
            operation: Operation::Response as u16,
            ..good
        },
        crate::Header {
            destination_cid: 1,
            ..good
        },
        crate::Header {
            source_cid: 4,
            ..good
        },
        crate::Header { length: 5, ..good },
        crate::Header {
            operation: Operation::Data as u16,
            length: 70_000,
            ..good
        },
    ];
    for (count, header) in (1..).zip(bad) {
        linux.queue_raw(header, &[0; 5]);
        // The answer is for a port that is not connected: the model must not take it as its own.
        linux.port = 1;
        linux.settle(&mut device, &mut stream);
        linux.port = good.source_port;
        assert_eq!(device.counters.packets, count, "number {count}");
        assert!(stream.up);
    }
    assert_eq!(device.counters.total(), bad.len() as u64);
}

#[test]
fn breaches_of_flow_control_end_the_connection() {
    let breaches: [fn(&mut crate::Header); 2] = [
        |header| header.forwarded_bytes = 1,
        |header| {
            header.operation = Operation::Data as u16;
            header.length = crate::BUFFER_BYTES + 1;
        },
    ];
    for breach in breaches {
        let (mut linux, mut device, mut stream) = connected();
        let mut header = crate::Header {
            source_cid: 3,
            destination_cid: 2,
            source_port: linux.port,
            destination_port: PORT,
            kind: 1,
            operation: Operation::CreditUpdate as u16,
            ..Default::default()
        };
        breach(&mut header);
        linux.queue_raw(header, &std::vec![0; header.length as usize]);
        linux.settle(&mut device, &mut stream);
        assert!(linux.error && !stream.up);
        assert_eq!(device.counters.stream, 1);
    }
}

#[test]
fn a_stream_that_makes_no_sense_is_ended() {
    let (mut linux, mut device, mut stream) = connected();
    stream.refuses = true;
    assert_eq!(linux.send(&[1, 2, 3]), 3);
    linux.settle(&mut device, &mut stream);
    assert!(linux.error && !stream.up);
    assert_eq!(device.counters.stream, 1);
}

#[test]
fn a_restarted_device_goes_on_and_the_program_connects_again() {
    let (mut linux, mut device, mut stream) = connected();
    stream.to_send = 300_000;
    linux.settle(&mut device, &mut stream);
    linux.recv(1000);
    linux.transmit(&mut device, &mut stream);
    for round in 0..3 {
        let kept = device.snapshot();
        let mut again = Counting {
            to_send: 50_000,
            ..Counting::default()
        };
        device = Device::new(3, PORT);
        assert!(device.restore(&kept, &linux.ram, &mut again));
        linux.settle(&mut device, &mut again);
        assert!(!linux.connected && linux.error, "the program hears of it");
        linux.port += 1;
        linux.connect();
        linux.settle(&mut device, &mut again);
        assert!(linux.connected, "round {round}");
        let bytes = linux.recv(usize::MAX);
        assert_eq!(bytes, (0..50_000).map(byte).collect::<Vec<_>>());
        assert_eq!(device.counters, Counters::default());
    }
}

#[test]
fn a_restart_before_the_driver_or_after_a_failure_is_a_power_on() {
    let mut stream = Counting::default();
    let mut linux = Linux::new();
    let mut device = Device::new(3, PORT);
    assert!(!device.restore(&[0; SNAPSHOT_WORDS], &linux.ram, &mut stream));
    assert!(!device.restore(&[u32::MAX; SNAPSHOT_WORDS], &linux.ram, &mut stream));
    linux.probe(&mut device, &mut stream);
    let mut words = device.snapshot();
    words[5] = 0x1000; // the receive queue's table, outside of the guest's memory
    assert!(!device.restore(&words, &linux.ram, &mut stream));
    assert_eq!(device.page(), Device::new(3, PORT).page());
}

#[test]
fn a_reset_ends_the_connection_and_the_device_is_new() {
    let (mut linux, mut device, mut stream) = connected();
    device.write(offset::STATUS, 0, &linux.ram, &mut stream);
    assert!(!stream.up && !device.is_live());
    let before = linux.ram.bytes.borrow().clone();
    stream.to_send = 100;
    assert!(!device.serve(&mut linux.ram, &mut stream));
    assert_eq!(
        *linux.ram.bytes.borrow(),
        before,
        "nothing is written any more"
    );
    linux.probe(&mut device, &mut stream);
    linux.connect();
    linux.settle(&mut device, &mut stream);
    assert!(linux.connected);
}

/// Each way to break a ring: what the driver puts on the transmit queue.
#[test]
fn broken_rings_stop_the_device_until_it_is_reset() {
    const ADDRESS: u64 = BASE + 0x20000;
    let end = BASE + RAM_BYTES as u64;
    // Address, length, flags, next of descriptor 5 and on.
    let chains: [&[(u64, u32, u16, u16)]; 9] = [
        &[(0, 44, 0, 0)],
        &[(end - 43, 44, 0, 0)],
        &[(u64::MAX - 3, 44, 0, 0)],
        &[(ADDRESS, u32::MAX, 0, 0)],
        &[(ADDRESS, 0, 0, 0)],
        &[(ADDRESS, 44, 1, 5)],
        &[(ADDRESS, 44, 4, 0)],
        &[(ADDRESS, 44, 1, 128)],
        &[(ADDRESS, 44, 3, 6), (ADDRESS, 44, 0, 0)],
    ];
    for chain in chains {
        let (mut linux, mut device, mut stream) = connected();
        for (n, (address, length, flags, next)) in (0..).zip(chain) {
            let mut entry = Vec::from(address.to_le_bytes());
            entry.extend(length.to_le_bytes());
            entry.extend(flags.to_le_bytes());
            entry.extend(next.to_le_bytes());
            linux
                .ram
                .put(linux.rings[1].descriptors + 16 * (5 + n), &entry);
        }
        linux.rings[1].offer(&linux.ram, 5);
        device.serve(&mut linux.ram, &mut stream);
        assert!(needs_reset(&device), "{chain:?}");
        assert_eq!(device.counters.rings, 1);
        assert!(device.take_interrupt() && !stream.up);
        linux.probe(&mut device, &mut stream);
        linux.connect();
        linux.settle(&mut device, &mut stream);
        assert!(linux.connected, "after a reset it works again");
    }
    for (index, head) in [(2_u16, 128_u16), (300, 0)] {
        let (mut linux, mut device, mut stream) = connected();
        let ring = &linux.rings[1];
        (0..128).for_each(|n| {
            linux
                .ram
                .put(ring.available + 4 + 2 * n, &head.to_le_bytes())
        });
        linux.ram.put(ring.available + 2, &index.to_le_bytes());
        device.serve(&mut linux.ram, &mut stream);
        assert!(needs_reset(&device));
    }
}

#[test]
fn queues_outside_of_the_guests_memory_are_not_ready() {
    for (register, value) in [
        (offset::QUEUE_DESCRIPTORS_HIGH, 1),
        (offset::QUEUE_DESCRIPTORS_LOW, BASE as u32 + 8),
        (offset::QUEUE_AVAILABLE_LOW, BASE as u32 + 1),
        (
            offset::QUEUE_USED_LOW,
            BASE as u32 + RAM_BYTES as u32 - 0x400,
        ),
        (offset::QUEUE_SIZE, 3),
        (offset::QUEUE_SIZE, 0),
        (offset::QUEUE_SIZE, 256),
    ] {
        let (linux, mut device, mut stream) = up();
        let mut write = |offset, value| {
            device.write(offset, value, &linux.ram, &mut stream);
        };
        write(offset::QUEUE_SELECT, 1);
        write(offset::QUEUE_READY, 0);
        write(register, value);
        write(offset::QUEUE_READY, 1);
        assert_eq!(device.page()[offset::QUEUE_READY as usize / 4], 0);
        assert!(needs_reset(&device), "{register:#x} {value:#x}");
    }
}

/// Honest work with bytes of rings, tables and packets changed at random under the device's hands.
#[test]
fn no_guest_makes_it_panic_or_run_on() {
    let mut random = Random(1);
    for round in 0..300 {
        let (mut linux, mut device, mut stream) = connected();
        stream.to_send = usize::MAX;
        linux.ram.fickle = round % 3 == 0;
        for _ in 0..200 {
            for _ in 0..random.below(4) {
                let at =
                    BASE + [random.below(0xa100), random.below(RAM_BYTES)][random.below(2)] as u64;
                let value = [random.next() as u8, 0, 0xff][random.below(3)];
                linux.ram.put(at, &[value]);
            }
            if random.below(3) == 0 {
                let offset = random.below(0x110) as u32 & !(random.below(4) as u32);
                let value = [random.next() as u32, random.below(256) as u32][random.below(2)];
                device.write(offset, value, &linux.ram, &mut stream);
            }
            let kept = device.snapshot();
            if random.below(20) == 0 {
                device.restore(&kept, &linux.ram, &mut stream);
            }
            let _ = device.serve(&mut linux.ram, &mut stream);
            device.tick(&stream);
            let _ = device.take_interrupt();
            let _ = device.page();
        }
        linux.ram.fickle = false;
        device.write(offset::STATUS, 0, &linux.ram, &mut stream);
        stream = Counting::default();
        linux.probe(&mut device, &mut stream);
        linux.connect();
        linux.settle(&mut device, &mut stream);
        assert!(
            linux.connected,
            "an honest driver finds a device that works"
        );
    }
}
