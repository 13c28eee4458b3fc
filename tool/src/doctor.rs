//! Is this machine ready, and what is missing?

use crate::ui;
use anyhow::{Result, bail};
use std::process::Command;

/// A program the build or the run needs, and the Debian package that brings it.
struct Need {
    program: &'static str,
    arguments: &'static [&'static str],
    package: &'static str,
    why: &'static str,
    /// Whether only the tests need it.
    tests_only: bool,
}

const fn need(program: &'static str, package: &'static str, why: &'static str) -> Need {
    Need {
        program,
        arguments: &["--version"],
        package,
        why,
        tests_only: false,
    }
}

const NEEDS: &[Need] = &[
    need("cargo", "cargo-web", "builds everything"),
    need("rustc", "rustc-web", "compiles everything"),
    need("rust-lld", "rust-web-llvm lld-22", "links the firmware"),
    need("cargo-clippy", "rust-web-clippy", "checks the code"),
    need("rustfmt", "rustfmt-web", "checks the format"),
    need("gcc", "gcc", "links host programs"),
    need(
        "aarch64-linux-gnu-gcc",
        "gcc-aarch64-linux-gnu",
        "links the guest's program",
    ),
    need("qemu-system-aarch64", "qemu-system-arm", "is the machine"),
    need(
        "mkfs.erofs",
        "erofs-utils",
        "makes the guest's root file system",
    ),
    need("git", "git", "names the version"),
    Need {
        program: "chromium",
        arguments: &["--version"],
        package: "chromium",
        why: "looks at the ward's page",
        tests_only: true,
    },
    Need {
        program: "chromedriver",
        arguments: &["--version"],
        package: "chromium-driver",
        why: "drives chromium",
        tests_only: true,
    },
];

/// Prints what is there and what is missing.
///
/// # Errors
/// Where something that the demo needs is missing.
pub fn run() -> Result<()> {
    let mut missing = Vec::new();
    for need in NEEDS {
        match version(need) {
            Some(version) => ui::done(&format!("{:<24} {version}", need.program)),
            None => {
                let only = if need.tests_only { " (tests only)" } else { "" };
                ui::failed(&format!(
                    "{:<24} missing: {}; Debian package {}{only}",
                    need.program, need.why, need.package
                ));
                if !need.tests_only {
                    missing.push(need.package);
                }
            }
        }
    }
    sources();
    for port in [7300, 7380] {
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
            ui::note(&format!(
                "port {port} is in use: `demo` takes --port and --http-port"
            ));
        }
    }
    disk();
    if missing.is_empty() {
        ui::done("ready for ./lazaret demo");
        return Ok(());
    }
    bail!(
        "missing: {}; `./lazaret build` installs it",
        missing.join(" ")
    )
}

/// The Rust library's source or the bare-metal targets: one of the two is needed.
fn sources() {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .ok();
    let sysroot = sysroot
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    let library = std::path::Path::new(&sysroot).join("lib/rustlib/src/rust/library/core");
    if library.exists() {
        ui::done(&format!(
            "{:<24} {}",
            "Rust library source",
            library.display()
        ));
    } else {
        ui::failed(&format!(
            "{:<24} missing in {sysroot}; Debian package rust-web-src, or `rustup component add rust-src`",
            "Rust library source"
        ));
    }
}

fn disk() {
    let Ok(output) = Command::new("df")
        .args(["--output=avail", "-m"])
        .arg(crate::paths::root())
        .output()
    else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let free = text
        .lines()
        .last()
        .and_then(|line| line.trim().parse::<u64>().ok())
        .unwrap_or(u64::MAX);
    if free < 8_000 {
        ui::note(&format!(
            "{free} MiB of disk are free; a build with its tests takes about 8,000"
        ));
    }
}

/// First line of what the program says of its version.
fn version(need: &Need) -> Option<String> {
    // rust-lld wants to be told which linker it is.
    let arguments = if need.program == "rust-lld" {
        &["-flavor", "gnu", "--version"]
    } else {
        need.arguments
    };
    let output = Command::new(need.program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next().unwrap_or("").to_owned())
}
