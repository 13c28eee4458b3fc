//! Bad input from people: refused, with the place and what to do.

use lazaret_description::Description;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use system_tests::{folder, lazaret, said};

/// Builds from a description in which `from` became `to`; what was said, and the line of the change.
fn build_with(name: &str, from: &str, to: &str) -> (String, usize) {
    let text = fs::read_to_string(Description::default_path()).expect("the shipped description");
    let at = text.find(from).expect("such a text in the description");
    let file = folder(name).join("device.toml");
    fs::write(&file, text.replacen(from, to, 1)).expect("written");
    let path = file.display().to_string();
    let output = lazaret(&["build"], &[("LAZARET_DEVICE", &path)]).expect("it runs");
    assert!(!output.status.success(), "built from a bad description");
    let said = said(&output).replace(&path, "device.toml");
    (said, text[..at].lines().count())
}

#[test]
fn overlapping_memory_is_refused_at_its_line() {
    let (said, _) = build_with("overlap", "base = 0x0e20_0000", "base = 0x0e1f_0000");
    let name = said.lines().find(|line| line.contains("device.toml:"));
    let name = name.unwrap_or_else(|| panic!("no line is named:\n{said}"));
    assert!(
        name.contains("monitor") && name.contains("loader"),
        "{said}"
    );
}

#[test]
fn an_unknown_key_is_refused_at_its_line() {
    let (said, line) = build_with("key", "stack_kib = 8\n", "stack_kib = 8\nstak_kib = 9\n");
    assert!(said.contains("stak_kib"), "{said}");
    let near = |offset: usize| said.contains(&format!("device.toml:{}:", line + offset));
    assert!(near(1) || near(2), "expected a line about {line}:\n{said}");
}

#[test]
fn an_impossible_number_is_refused_at_its_line() {
    for (name, from, to) in [
        ("negative", "budget_us = 9000", "budget_us = -1"),
        ("budget", "budget_us = 9000", "budget_us = 90000"),
        ("stack", "stack_kib = 32", "stack_kib = 0"),
        (
            "size",
            "size = 0x0020_0000",
            "size = 0x1_0000_0000_0000_0000",
        ),
    ] {
        let (said, _) = build_with(name, from, to);
        let expected = fs::read_to_string(Description::default_path()).expect("the description");
        let line = expected[..expected.find(from).expect("there")]
            .lines()
            .count();
        let near = |offset: usize| said.contains(&format!("device.toml:{}:", line + offset));
        assert!(
            near(0) || near(1),
            "{name}: expected a line about {line}:\n{said}"
        );
    }
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let empty = folder("no-tools");
    let path = empty.display().to_string();
    let output = lazaret(&["doctor"], &[("PATH", &path)]).expect("it runs");
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    for package in [
        "qemu-system-arm",
        "gcc-aarch64-linux-gnu",
        "cargo-web",
        "erofs-utils",
    ] {
        assert!(text.contains(package), "{package} is not named:\n{text}");
    }
    let flash = empty.join("flash.img");
    fs::write(&flash, [0xff; 64]).expect("written");
    let file = flash.display().to_string();
    let output = lazaret(&["run", "--flash", &file], &[("PATH", &path)]).expect("it runs");
    assert!(!output.status.success());
    assert!(
        said(&output).contains("qemu-system-arm"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_port_in_use_is_said_with_the_option_to_change_it() {
    for option in ["--port", "--http-port"] {
        let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port().to_string();
        let other = if option == "--port" {
            "--http-port"
        } else {
            "--port"
        };
        let arguments = ["demo", option, &port, other, "0"];
        let output = lazaret(&arguments, &[]).expect("it runs");
        assert!(!output.status.success());
        let text = said(&output);
        assert!(text.contains(&port) && text.contains(option), "{text}");
    }
}

#[test]
fn a_recording_that_is_not_there_is_said() {
    let arguments = [
        "demo",
        "--port",
        "0",
        "--http-port",
        "0",
        "--recording",
        "/no/such.hea",
    ];
    let output = lazaret(&arguments, &[]).expect("it runs");
    assert!(!output.status.success());
    assert!(said(&output).contains("/no/such.hea"), "{}", said(&output));
}

#[test]
fn inspect_refuses_what_is_no_image() {
    let file = folder("no-image").join("noise");
    fs::write(&file, [0x5a; 1000]).expect("written");
    let output = lazaret(&["inspect", &file.display().to_string()], &[]).expect("it runs");
    assert!(!output.status.success());
    assert!(said(&output).contains("1000 bytes"), "{}", said(&output));
}

#[test]
fn every_subcommand_has_help() {
    let output = lazaret(&["--help"], &[]).expect("it runs");
    let help = said(&output);
    for name in [
        "demo", "build", "run", "test", "bench", "inspect", "keys", "guest", "doctor",
    ] {
        assert!(help.contains(name), "{name}");
        let output = lazaret(&[name, "--help"], &[]).expect("it runs");
        assert!(
            output.status.success() && said(&output).contains("Usage"),
            "{name}"
        );
    }
    // The wrapper's text is a shell script; it must at least be one.
    let script = lazaret::paths::root().join("lazaret");
    let status = Command::new("sh")
        .arg("-n")
        .arg(script)
        .status()
        .expect("sh");
    assert!(status.success());
}
