//! The whole path, for real: recording, CAN bus, secure world, Linux, network, ward, page.

use lazaret::session::{HANG, Session, Setup};
use lazaret::{demo, report};
use serde_json::Value;
use std::path::Path;
use system_tests::{description, flash, folder};

/// Beats a minute over the first `seconds` of the reference annotations.
fn reference_rate(header: &Path, seconds: f64) -> f64 {
    let rate_hz = wfdb::Recording::open(header)
        .expect("the recording")
        .signals[0]
        .rate_hz;
    let (annotations, problems) = wfdb::annotations(&header.with_extension("atr")).expect("beats");
    assert!(problems.is_empty(), "{problems:?}");
    let beats: Vec<f64> = annotations
        .iter()
        .filter(|annotation| annotation.is_beat())
        .map(|annotation| annotation.sample as f64 / rate_hz)
        .take_while(|&at| at <= seconds)
        .collect();
    (beats.len() - 1) as f64 * 60.0 / (beats[beats.len() - 1] - beats[0])
}

#[test]
fn a_recorded_heart_arrives_on_the_ward() {
    let description = description();
    let header = lazaret::paths::root().join("sim/recordings/115.hea");
    let expected_bpm = reference_rate(&header, 60.0);
    let folder = folder("path");
    let mut setup = Setup::new(&flash(), &folder);
    setup.simulator_arguments = vec!["--recording".to_owned(), header.display().to_string()];
    let mut session = Session::start(&description, setup).expect("everything starts");
    // A rate needs some beats; 30 s of strips show that they keep coming.
    let has_rate = |device: &Value| device["numerics"]["heart_rate_bpm"].as_f64();
    session
        .wait_device("a heart rate", HANG, has_rate)
        .expect("a heart rate");
    let rates = |session: &Session| -> Vec<f64> {
        let rows = session.get("/api/devices/bed-07/numerics").expect("rows");
        let rows = rows["numerics"].as_array().expect("rows").clone();
        rows.iter()
            .filter_map(|row| row["heart_rate_bpm"].as_f64())
            .collect()
    };
    // The heart of record 115 is not regular: its mean over the minute is what the annotations give.
    let device = session
        .wait_device("a minute of rates", HANG, |device| {
            (device["stored"]["numerics"].as_u64()? >= 60).then(|| device.clone())
        })
        .expect("numerics keep coming");
    let rates = rates(&session);
    assert!(rates.len() > 40, "only {} rates", rates.len());
    let rate_bpm = rates.iter().sum::<f64>() / rates.len() as f64;
    println!(
        "mean heart rate {rate_bpm:.1} bpm on the ward, {expected_bpm:.1} in the reference annotations"
    );
    assert!(
        (rate_bpm - expected_bpm).abs() <= expected_bpm * 0.05,
        "{device:#}"
    );
    // What the page says in red (page.rs looks at it).
    assert_eq!(device["connection"]["protection"], "unprotected");
    assert!(
        session
            .get_text("/metrics")
            .expect("metrics")
            .contains("ward_")
    );
    let ran = session.power_on.elapsed();
    let first = session.first_reading(&device);
    session.stop();
    let simulator = session.simulator_report();
    let console = session.machine.console();
    let all = report::observe(
        &description,
        &console,
        Some(device),
        simulator,
        first,
        ran,
        Vec::new(),
    );
    println!("{}", serde_json::to_string_pretty(&all).expect("JSON"));
    assert!(all.ok, "{:?}", all.problems);
    assert_eq!(all.stages_verified, description.component_names());
    assert!(first.is_some_and(|took| took < HANG));
}

#[test]
fn malformed_and_unknown_frames_are_counted_and_dropped() {
    let description = description();
    let mut setup = Setup::new(&flash(), &folder("faults-on-the-bus"));
    let faults = ["--corrupt", "0.02", "--flood", "50"];
    setup.simulator_arguments = faults.map(str::to_owned).to_vec();
    let mut session = Session::start(&description, setup).expect("everything starts");
    let device = session
        .wait_device("counted faults", HANG, |device| {
            let can = |name: &str| device["status"]["can"][name].as_u64();
            let counted = can("malformed")? + can("lost")? > 0 && can("unknown")? > 100;
            (counted && demo::readings(device) > 20).then(|| device.clone())
        })
        .expect("faults are counted, readings go on");
    for task in device["status"]["tasks"].as_array().expect("tasks") {
        assert_eq!(task["restarts"], 0, "{task}");
    }
}

/// The ward ends and comes back: the device keeps what it has, and nothing is lost.
#[test]
fn a_ward_that_comes_back_gets_what_it_missed() {
    let description = description();
    let mut setup = Setup::new(&flash(), &folder("reconnect"));
    setup.ward_arguments = Vec::new();
    let mut session = Session::start(&description, setup.clone()).expect("everything starts");
    let strips = |device: &Value| device["stored"]["strips"].as_u64();
    session
        .wait_device("strips", HANG, |device| (strips(device)? > 5).then_some(()))
        .expect("readings arrive");
    session
        .restart_ward(&setup)
        .expect("the ward comes back on the same ports");
    let device = session
        .wait_device("strips again", HANG, |device| {
            let fresh = device["connected"] == Value::Bool(true) && strips(device)? > 30;
            fresh.then(|| device.clone())
        })
        .expect("readings arrive again");
    assert_eq!(device["stored"]["missing_records"], 0, "{device:#}");
}
