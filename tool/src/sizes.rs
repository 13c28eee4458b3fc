//! Text sizes and lines of each firmware stage, and their budgets.

use crate::build::{self, Stage};
use crate::paths;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A stage's budget: text in bytes, lines of Rust.
pub struct Budget {
    /// The component.
    pub stage: &'static str,
    /// Most bytes of text.
    pub text_bytes: u64,
    /// Most lines of code, where there is a limit.
    pub lines: Option<usize>,
    /// What others need.
    pub others: &'static str,
}

/// The design's size budgets.
pub const BUDGETS: &[Budget] = &[
    Budget {
        stage: "bootrom",
        text_bytes: 64 << 10,
        lines: None,
        others: "TF-A BL1 with RSA 64,688 B",
    },
    Budget {
        stage: "monitor",
        text_bytes: 16 << 10,
        lines: None,
        others: "TF-A BL31 49,152 B",
    },
    Budget {
        stage: "kernel",
        text_bytes: 24 << 10,
        lines: None,
        others: "Hubris 24,736 B flash; OP-TEE 509,405 B",
    },
    Budget {
        stage: "hypervisor",
        text_bytes: 24 << 10,
        lines: Some(3500),
        others: "Bao 81,714 B, 10,106 lines",
    },
];

/// Bytes of machine code in a linked stage: the size of its `.text` section.
///
/// # Errors
/// Where the file is missing or has no `.text`.
pub fn text_bytes(stage: &Stage) -> Result<u64> {
    let elf = stage.elf();
    let output = Command::new("aarch64-linux-gnu-size")
        .arg("-A")
        .arg(&elf)
        .output()
        .context("aarch64-linux-gnu-size (binutils-aarch64-linux-gnu)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| line.strip_prefix(".text"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .next()
        .with_context(|| format!("{} has no .text: run `./lazaret build`", elf.display()))
}

/// Lines of code in the folders, without blank lines, comments and tests at the bottom of a file.
///
/// # Errors
/// Where a folder cannot be read.
pub fn code_lines(folders: &[String]) -> Result<usize> {
    folders
        .iter()
        .map(|folder| lines_below(&paths::root().join(folder)))
        .sum()
}

fn lines_below(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            count += lines_below(&path)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "S") {
            let text = fs::read_to_string(&path)?;
            let code = text.split("#[cfg(test)]").next().unwrap_or("");
            count += code
                .lines()
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with("//"))
                .count();
        }
    }
    Ok(count)
}

/// The folders whose code makes up a stage, beside what all stages share.
#[must_use]
pub fn folders(stage: &str) -> Vec<String> {
    let of = |list: &[&str]| list.iter().map(|&folder| folder.to_owned()).collect();
    match stage {
        "hypervisor" => of(&[
            "firmware/hypervisor/src",
            "core/partition/src",
            "core/smmu/src",
        ]),
        "monitor" => of(&["firmware/monitor/src", "core/psci/src"]),
        "kernel" => of(&["firmware/kernel/src", "core/kernel/src"]),
        "loader" => of(&["firmware/loader/src"]),
        "bootrom" => of(&[
            "firmware/bootrom/src",
            "core/verify/src",
            "core/manifest/src",
        ]),
        task => {
            let name = task.trim_start_matches("task-");
            let own = format!("firmware/tasks/{name}/src");
            let logic = format!("core/{name}/src");
            let has_logic = paths::root().join(&logic).is_dir();
            std::iter::once(own)
                .chain(has_logic.then_some(logic))
                .collect()
        }
    }
}

/// Refuses a stage that is over its budget.
///
/// # Errors
/// Naming every stage that is.
pub fn check() -> Result<()> {
    let stages = build::stages(&build::description()?);
    let mut over = Vec::new();
    for budget in BUDGETS {
        let stage = stages
            .iter()
            .find(|stage| stage.component == budget.stage)
            .context("no such stage")?;
        let (bytes, lines) = (text_bytes(stage)?, code_lines(&folders(budget.stage))?);
        println!(
            "  {:<12} {bytes:>7} of {} bytes of text, {lines} lines",
            budget.stage, budget.text_bytes
        );
        if bytes > budget.text_bytes || budget.lines.is_some_and(|most| lines > most) {
            over.push(budget.stage);
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    bail!("over budget: {}", over.join(", "))
}
