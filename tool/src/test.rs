//! Everything CI checks, in the order in which it is cheapest to fail.

use crate::{build, docs, paths, sizes, ui};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
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

/// How many checks passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    passed: usize,
    failed: usize,
}

/// One step: its name and what it does.
type Step = (&'static str, fn() -> Result<Count>);

const ONE: Count = Count {
    passed: 1,
    failed: 0,
};

/// Clippy before the tests: both use the dev profile, so what others wrote is compiled once.
const STEPS: &[Step] = &[
    ("description", || build::description().map(|_| ONE)),
    ("format", || host(&["fmt", "--all", "--check"])),
    ("clippy on the host", || {
        let tail = ["--workspace", "--all-targets", "-q", "--", "-D", "warnings"];
        host(&[&["clippy", "--locked"], &tail[..]].concat())
    }),
    ("clippy on the firmware", || clippy_firmware().map(|()| ONE)),
    ("unit and property tests", || {
        let others = ["--exclude", "system-tests", "--exclude", "fuzz"];
        host(
            &[
                &["test", "--locked", "--no-fail-fast", "--workspace", "-q"],
                &others[..],
            ]
            .concat(),
        )
    }),
    ("fuzz, short", || {
        host(&["test", "--locked", "-p", "fuzz", "-q", "--", "--nocapture"])
    }),
    ("build", || {
        build::everything(build::description()?).map(|_| ONE)
    }),
    ("size budgets", || sizes::check().map(|()| ONE)),
    ("docs", || docs::check().map(|()| ONE)),
    ("system tests", || {
        let serial = ["--", "--test-threads=1", "--nocapture"];
        host(
            &[
                &["test", "--locked", "--no-fail-fast", "-p", "system-tests"],
                &serial[..],
            ]
            .concat(),
        )
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
    let mut all = Count::default();
    for (index, (name, step)) in steps.iter().enumerate() {
        println!("[{}/{}] {name}", index + 1, steps.len());
        let started = Instant::now();
        let result = step();
        let took = started.elapsed().as_secs();
        let count = match &result {
            Ok(count) => *count,
            Err(error) => {
                ui::failed(&format!("{name} ({took} s): {error:#}"));
                Count {
                    passed: 0,
                    failed: 1,
                }
            }
        };
        all.passed += count.passed;
        all.failed += count.failed;
        if result.is_ok() && count.failed == 0 {
            ui::done(&format!("{name} ({took} s)"));
        } else {
            failed.push(*name);
        }
    }
    let bad = failed.join(", ");
    if !failed.is_empty() {
        ui::failed(&format!("failed: {bad}"));
    }
    println!("{} passed, {} failed", all.passed, all.failed);
    if failed.is_empty() {
        return Ok(());
    }
    // The count is the last line; the exit status says the rest.
    std::process::exit(1)
}

/// Runs cargo for the host, its output on this terminal; counts the tests it tells of.
fn host(arguments: &[&str]) -> Result<Count> {
    let mut child = Command::new("cargo")
        .args(arguments)
        .current_dir(paths::root())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started: run the `lazaret` script, which installs it")?;
    let mut count = Count::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        if let Some(more) = result_of(&line) {
            count.passed += more.passed;
            count.failed += more.failed;
        }
        // A line for each of the many crates without tests says nothing.
        if !line.is_empty()
            && !line.contains("running 0 tests")
            && result_of(&line) != Some(Count::default())
        {
            println!("{line}");
        }
    }
    let good = child.wait()?.success();
    if !good && count.failed == 0 {
        bail!("cargo {} failed", arguments.join(" "));
    }
    if count == Count::default() {
        count = ONE;
    }
    Ok(count)
}

/// Reads `test result: ok. 5 passed; 0 failed; ...`.
fn result_of(line: &str) -> Option<Count> {
    let (_, rest) = line.split_once("test result: ")?;
    let number = |what: &str| {
        let before = rest.split(what).next()?;
        before.split_whitespace().last()?.parse().ok()
    };
    Some(Count {
        passed: number(" passed")?,
        failed: number(" failed")?,
    })
}

/// Every binary that runs on the device, and the guest that measures it.
fn clippy_firmware() -> Result<()> {
    let stages = build::stages(&build::description()?);
    for target in [build::SOFTFLOAT, build::HARDFLOAT] {
        let work = ui::Work::start(&format!("clippy for {target}"));
        let mut packages: Vec<&str> = stages
            .iter()
            .filter(|stage| stage.target == target)
            .flat_map(|stage| ["-p", &stage.package])
            .collect();
        if target == build::SOFTFLOAT {
            packages.extend(["-p", "bench-guest"]);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_counts_are_read() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            result_of(line),
            Some(Count {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(result_of("running 3 tests"), None);
    }
}
