//! Feeds a ward with devices that are not there, to look at its page: `synthetic ADDRESS:PORT [SECONDS]`.

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use reading::{AlarmKind, Priority};
use std::net::SocketAddr;
use std::time::Duration;
use synthetic::{Device, Patient};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:7300".to_owned());
    let address: SocketAddr = address.parse().expect("an address and port");
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(3600));
    let boot = u64::from(std::process::id());
    let mut threads = Vec::new();
    for (n, (name, rate, spo2)) in [("bed-07", 72.0, 97.4), ("bed-08", 58.0, 86.5)]
        .into_iter()
        .enumerate()
    {
        threads.push(std::thread::spawn(move || {
            let patient = Patient {
                heart_rate_bpm: rate,
                spo2_percent: spo2,
            };
            let mut device = Device::connect(address, name, boot + n as u64, 1);
            synthetic::send_started(&mut device);
            if spo2 < 88.0 {
                let kind = AlarmKind::SpO2Low;
                synthetic::send_alarm(&mut device, kind, Priority::High, true, 9000);
            }
            // Half a second is lost in every twenty.
            let is_lost = |t_ms: u64| n == 1 && t_ms % 20_000 > 19_400;
            synthetic::run(&mut device, &patient, 4000, length, is_lost);
        }));
    }
    for thread in threads {
        thread.join().expect("it ended by itself");
    }
}
