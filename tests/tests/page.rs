//! The ward's page as somebody at a screen sees it, in a real browser.

#[path = "../../ward/tests/synthetic/mod.rs"]
mod synthetic;

use anyhow::Result;
use lazaret::build::host_program;
use lazaret::process::Process;
use reading::{AlarmKind, Priority};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use synthetic::{Device, Patient};
use system_tests::browser::Browser;

/// For what hangs only.
const HANG: Duration = Duration::from_secs(120);

/// The ward alone, fed by a device that is not there.
struct Ward {
    _process: Process,
    records: SocketAddr,
    page: String,
}

fn start_ward(folder: &Path) -> Result<Ward> {
    let data = folder.join("data").display().to_string();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--data",
        &data,
    ];
    let mut process = Process::start(
        "the ward",
        &host_program("ward"),
        &arguments.map(str::to_owned),
        folder.join("ward.log"),
    )?;
    let (records, page) = process.wait_for(HANG, |text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ward: records on "))?;
        let (records, page) = line.split_once(", page on ")?;
        Some((records.parse().ok()?, page.to_owned()))
    })?;
    Ok(Ward {
        _process: process,
        records,
        page,
    })
}

/// A device that runs until it is told to end; then it gives its connection back.
struct Feed {
    is_ending: Arc<AtomicBool>,
    is_losing: Arc<AtomicBool>,
    thread: JoinHandle<(Device, u64)>,
}

impl Feed {
    fn start(mut device: Device, mut t_ms: u64) -> Self {
        let (is_ending, is_losing) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (ending, losing) = (Arc::clone(&is_ending), Arc::clone(&is_losing));
        let thread = std::thread::spawn(move || {
            let patient = Patient {
                heart_rate_bpm: 72.0,
                spo2_percent: 97.0,
            };
            while !ending.load(Ordering::Relaxed) {
                let second = Duration::from_millis(1000);
                let is_lost = |_| losing.load(Ordering::Relaxed);
                t_ms = synthetic::run(&mut device, &patient, t_ms, second, is_lost);
            }
            (device, t_ms)
        });
        Self {
            is_ending,
            is_losing,
            thread,
        }
    }

    fn lose(&self, yes: bool) {
        self.is_losing.store(yes, Ordering::Relaxed);
    }

    fn end(self) -> (Device, u64) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.thread.join().expect("the device ends")
    }
}

/// How much of a canvas is painted, a sum of its pixels that changes with them, and whether a gap is marked on it.
fn look(browser: &Browser, canvas: &str) -> Result<(u64, u64, bool)> {
    let script = format!(
        "const canvas = document.querySelector('{canvas}');
         const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
         let painted = 0, sum = 0, amber = 0;
         for (let n = 0; n < pixels.length; n += 4) {{
             if (pixels[n + 3] === 0) continue;
             painted += 1;
             sum = (sum * 31 + n + pixels[n + 1]) % 1000000007;
             if (pixels[n] > 230 && pixels[n + 1] > 140 && pixels[n + 1] < 200 && pixels[n + 2] < 90) amber += 1;
         }}
         return [painted, sum, amber];"
    );
    let seen = browser.run(&script)?;
    let number = |n: usize| seen[n].as_u64().unwrap_or(0);
    Ok((number(0), number(1), number(2) > 20))
}

fn text_is(id: &str, text: &str) -> String {
    format!("return document.getElementById('{id}').textContent === '{text}'")
}

fn state_is(id: &str, state: &str) -> String {
    format!("return document.getElementById('{id}').dataset.state === '{state}'")
}

#[test]
fn a_heart_is_seen_to_beat_and_what_is_missing_is_seen_to_be_missing() -> Result<()> {
    let folder = system_tests::folder("page");
    let ward = start_ward(&folder)?;
    let browser = Browser::start(&folder, (1280, 800))?;
    browser.open(&ward.page)?;
    browser.wait("an empty ward", &text_is("connection", "no device yet"))?;
    assert_eq!(look(&browser, "#ecg")?.0, 0, "nothing is drawn of nobody");

    let mut device = Device::connect(ward.records, "bed-07", 1, 1);
    synthetic::send_started(&mut device);
    let feed = Feed::start(device, 4000);
    browser.wait("the heart rate", &text_is("heart-rate", "72"))?;
    browser.wait("SpO2", &text_is("spo2", "97"))?;
    browser.wait("the pulse", &text_is("pulse", "72"))?;
    browser.wait("the connection", &state_is("connection", "live"))?;
    strips_move(&browser)?;
    channel_is_red(&browser)?;
    browser.screenshot(&folder.join("monitor.png"))?;

    feed.lose(true);
    std::thread::sleep(Duration::from_millis(1500));
    feed.lose(false);
    browser.wait(
        "a gap",
        "return Number(document.getElementById('gaps').dataset.samples) > 100",
    )?;
    browser.wait(
        "a gap's line",
        "return [...document.querySelectorAll('#gaps tr[data-kind=samples]')].some((row) => row.textContent.includes('ECG'))",
    )?;
    for canvas in ["#ecg", "#pleth"] {
        wait_for_mark(&browser, canvas)?;
    }
    browser.screenshot(&folder.join("gap.png"))?;

    let (mut device, t_ms) = feed.end();
    synthetic::send_alarm(&mut device, AlarmKind::SpO2Low, Priority::High, true, t_ms);
    browser.wait("the alarm", "return document.querySelector('#alarms [data-priority=high]')?.textContent.includes('LOW')")?;
    let next = device.next;
    drop(device);
    connection_is_lost_and_comes_back(&browser, ward.records, next, t_ms)?;
    phone(&browser)?;
    browser.screenshot(&folder.join("phone.png"))?;
    let errors = browser.errors()?;
    assert!(errors.is_empty(), "the console says: {errors:#?}");
    Ok(())
}

/// Strips are there, and are other ones a moment later.
fn strips_move(browser: &Browser) -> Result<()> {
    for canvas in ["#ecg", "#ecg-2", "#pleth"] {
        let drawn = format!(
            "const c = document.querySelector('{canvas}');
             return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((value) => value > 0)"
        );
        browser.wait("a line", &drawn)?;
        std::thread::sleep(Duration::from_secs(2));
        let (painted, before, _) = look(browser, canvas)?;
        assert!(painted > 500, "{canvas}: only {painted} pixels");
        std::thread::sleep(Duration::from_millis(700));
        let (_, after, _) = look(browser, canvas)?;
        assert_ne!(before, after, "{canvas} stands still");
    }
    Ok(())
}

fn channel_is_red(browser: &Browser) -> Result<()> {
    browser.wait("the channel", &state_is("channel-state", "unprotected"))?;
    let seen = browser.run(
        "const badge = document.getElementById('channel-state');
         return [badge.textContent, getComputedStyle(badge).backgroundColor, badge.getBoundingClientRect().width]",
    )?;
    assert_eq!(seen[0], "unprotected channel");
    assert!(seen[2].as_f64().is_some_and(|width| width > 80.0), "{seen}");
    let colour = seen[1].as_str().unwrap_or_default();
    let parts: Vec<u32> = colour
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect();
    assert!(
        matches!(parts[..], [r, g, b] if r > 180 && g < 60 && b < 60),
        "{colour} is no red"
    );
    Ok(())
}

/// The hatched place comes under the pen a second later.
fn wait_for_mark(browser: &Browser, canvas: &str) -> Result<()> {
    let until = std::time::Instant::now() + HANG;
    while !look(browser, canvas)?.2 {
        assert!(
            std::time::Instant::now() < until,
            "no gap is marked on {canvas}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn connection_is_lost_and_comes_back(
    browser: &Browser,
    records: SocketAddr,
    next: u64,
    t_ms: u64,
) -> Result<()> {
    browser.wait("the loss", &state_is("connection", "lost"))?;
    browser.wait("no old number", &text_is("heart-rate", "--"))?;
    browser.wait("the loss as an alarm", "return document.querySelector('#alarms [data-kind=connection]')?.textContent.includes('NO CONNECTION')")?;
    // The alarm's record, and two more that never come.
    let device = Device::connect(records, "bed-07", 1, next + 2);
    let feed = Feed::start(device, t_ms + 3000);
    browser.wait("it is back", &state_is("connection", "live"))?;
    browser.wait("the heart rate", &text_is("heart-rate", "72"))?;
    browser.wait("the reconnect", "return document.querySelector('#gaps tr[data-kind=connection]')?.textContent.includes('again')")?;
    browser.wait(
        "missing records",
        "return document.getElementById('gaps').dataset.records === '2'",
    )?;
    feed.end();
    Ok(())
}

/// On a phone nothing sticks out, and everything is there.
fn phone(browser: &Browser) -> Result<()> {
    browser.resize((390, 844))?;
    browser.wait(
        "a page as wide as the phone",
        "return innerWidth === 390 && document.documentElement.scrollWidth <= innerWidth",
    )?;
    let width =
        browser.run("return document.getElementById('ecg').getBoundingClientRect().width")?;
    assert!(width.as_f64().is_some_and(|width| width > 300.0), "{width}");
    Ok(())
}
