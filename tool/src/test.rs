//! Everything CI checks, in the order in which it is cheapest to fail.

use crate::{build, docs, paths, sizes, ui};
use anyhow::{Result, bail};
use std::process::Command;
use std::time::Instant;

/// What `lazaret test` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run only the steps whose names contain this
    #[arg(long)]
    pub only: Option<String>,
    /// Name the steps and stop
    #[arg(long)]
    pub list: bool,
}

/// One step: its name and what it does.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("description", || build::description().map(drop)),
    ("format", || host(&["fmt", "--all", "--check"])),
    ("clippy on the host", || {
        host(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "-q",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("clippy on the firmware", clippy_firmware),
    ("unit and property tests", || {
        host(&[
            "test",
            "--locked",
            "--workspace",
            "--exclude",
            "system-tests",
            "-q",
        ])
    }),
    ("build", || {
        build::everything(build::description()?).map(drop)
    }),
    ("size budgets", sizes::check),
    ("docs", docs::check),
    ("system tests", || {
        host(&[
            "test",
            "--locked",
            "-p",
            "system-tests",
            "--",
            "--test-threads=1",
            "--nocapture",
        ])
    }),
];

/// Runs the steps and prints `N passed, N failed`.
///
/// # Errors
/// Where a step failed; the others ran all the same.
pub fn run(options: &Options) -> Result<()> {
    let wanted = |name: &str| {
        options
            .only
            .as_deref()
            .is_none_or(|only| name.contains(only))
    };
    let steps: Vec<&Step> = STEPS.iter().filter(|(name, _)| wanted(name)).collect();
    if options.list {
        steps.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    if steps.is_empty() {
        bail!("no step of that name; `./lazaret test --list` names them");
    }
    let mut failed = Vec::new();
    for (index, (name, step)) in steps.iter().enumerate() {
        println!("[{}/{}] {name}", index + 1, steps.len());
        let started = Instant::now();
        match step() {
            Ok(()) => ui::done(&format!("{name} ({} s)", started.elapsed().as_secs())),
            Err(error) => {
                ui::failed(&format!("{name}: {error:#}"));
                failed.push(*name);
            }
        }
    }
    println!(
        "steps: {} passed, {} failed",
        steps.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// Runs cargo for the host, its output on this terminal.
fn host(arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(paths::root())
        .status()?;
    if status.success() {
        return Ok(());
    }
    bail!("cargo {} failed", arguments.join(" "))
}

fn clippy_firmware() -> Result<()> {
    let stages = build::stages(&build::description()?);
    for target in [build::SOFTFLOAT, build::HARDFLOAT] {
        let work = ui::Work::start(&format!("clippy for {target}"));
        let packages: Vec<&str> = stages
            .iter()
            .filter(|stage| stage.target == target)
            .flat_map(|stage| ["-p", &stage.package])
            .collect();
        build::firmware_cargo(
            &work,
            "clippy",
            target,
            &packages,
            &["--", "-D", "warnings"],
        )?;
        work.finish("");
    }
    Ok(())
}
