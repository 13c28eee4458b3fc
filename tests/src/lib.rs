//! System tests: the real images in QEMU.
//!
//! The tests stand in `tests/tests`; this library starts what they need and reaches into the
//! machine from outside, through QEMU's gdb stub, so that the images need no test hooks.
//! `./lazaret test` builds the images first.

pub mod browser;

pub use lazaret::gdb;

use anyhow::{Context as _, Result};
use lazaret::{build, paths};
use lazaret_description::Description;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The description the images were built from.
///
/// # Panics
/// Where it is refused.
#[must_use]
pub fn description() -> Description {
    build::description().expect("the shipped description is good")
}

/// The flash image that was built last.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn flash() -> PathBuf {
    let file = paths::output().join("flash.img");
    assert!(
        file.exists(),
        "{} is missing: run `./lazaret build` first",
        file.display()
    );
    file
}

/// A folder for one test, empty.
///
/// # Panics
/// Where it cannot be made.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    let folder = paths::output().join("tests").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// Runs the `lazaret` command with further environment variables.
///
/// # Errors
/// Where it cannot be started.
pub fn lazaret(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let program = build::host_program("lazaret");
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(paths::root());
    command
        .output()
        .with_context(|| program.display().to_string())
}

/// Everything a program said.
#[must_use]
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
