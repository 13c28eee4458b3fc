//! The one device description: read, checked, and everything derivable derived.
//!
//! [`Description::load`] reads a `device/*.toml`, refuses unknown keys and impossible
//! values with the line they stand on, and returns the description that every build
//! script, the `lazaret` command and the tests share.

mod check;
pub mod dtb;
pub mod emit;
mod model;

pub use model::*;

use std::fmt;
use std::path::{Path, PathBuf};

/// Environment variable that names another description than the default one.
pub const DESCRIPTION_VARIABLE: &str = "LAZARET_DEVICE";

/// One thing that is wrong with a description, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What was expected, what was found, what to do.
    pub message: String,
}

/// Why a description was refused: the file and every problem found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file that was read.
    pub file: PathBuf,
    /// Everything wrong with it, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match problem.line {
                0 => write!(f, "{}: {}", self.file.display(), problem.message)?,
                line => write!(f, "{}:{line}: {}", self.file.display(), problem.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl Description {
    /// Reads and checks the description at `path`.
    ///
    /// # Errors
    /// Every problem found, each with its line.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error {
            file: path.to_owned(),
            problems: vec![Problem {
                line: 0,
                message: format!("cannot be read: {error}"),
            }],
        })?;
        Self::parse(&text).map_err(|problems| Error {
            file: path.to_owned(),
            problems,
        })
    }

    /// Reads and checks a description given as text.
    ///
    /// # Errors
    /// Every problem found, each with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let description: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            vec![Problem {
                line,
                message: error.message().trim().to_owned(),
            }]
        })?;
        let mut problems = check::problems(&description, text);
        if problems.is_empty() {
            return Ok(description);
        }
        problems.sort_by_key(|problem| problem.line);
        Err(problems)
    }

    /// The description a build uses: the file named by `LAZARET_DEVICE`, else
    /// `device/bedside-monitor.toml` of this tree.
    ///
    /// # Errors
    /// As [`Description::load`].
    pub fn load_default() -> Result<Self, Error> {
        Self::load(&Self::default_path())
    }

    /// The file [`Description::load_default`] reads.
    #[must_use]
    pub fn default_path() -> PathBuf {
        std::env::var_os(DESCRIPTION_VARIABLE).map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../bedside-monitor.toml"),
            PathBuf::from,
        )
    }

    /// The memory region of that name; the checks make sure that every name used exists.
    #[must_use]
    pub fn memory(&self, name: &str) -> Option<&Memory> {
        self.memory.iter().find(|memory| memory.name() == name)
    }

    /// The flash region of that name.
    #[must_use]
    pub fn flash_region(&self, name: &str) -> Option<&FlashRegion> {
        self.flash
            .regions
            .iter()
            .find(|region| region.name() == name)
    }

    /// The peripheral of that name.
    #[must_use]
    pub fn peripheral(&self, name: &str) -> Option<&Peripheral> {
        self.peripheral
            .iter()
            .find(|peripheral| peripheral.name() == name)
    }

    /// Peripherals that belong to `owner`, as written in the description (`task:can`, `partition:linux`).
    pub fn peripherals_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Peripheral> {
        self.peripheral
            .iter()
            .filter(move |peripheral| peripheral.owner.as_ref() == owner)
    }

    /// The names of everything the signed manifests list, in the order it is loaded:
    /// the written components, then one per task, then four per partition.
    #[must_use]
    pub fn component_names(&self) -> Vec<String> {
        let written = self.component.iter().map(|c| c.name().to_owned());
        let tasks = self.task.iter().map(|task| format!("task-{}", task.name()));
        let partitions = self.partition.iter().flat_map(|partition| {
            ["kernel", "initramfs", "dtb", "root"]
                .map(|part| format!("{}-{part}", partition.name()))
        });
        written.chain(tasks).chain(partitions).collect()
    }
}

/// The line, from 1, in which byte `offset` of `text` stands.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../bedside-monitor.toml");

    /// The problems of the shipped description after one text replacement.
    fn problems_after(from: &str, to: &str) -> Vec<Problem> {
        assert!(
            GOOD.contains(from),
            "the shipped description lacks {from:?}"
        );
        Description::parse(&GOOD.replacen(from, to, 1)).expect_err("must be refused")
    }

    #[test]
    fn shipped_description_is_good() {
        let description = Description::parse(GOOD).expect("good");
        assert_eq!(description.component_names().len(), 4 + 5 + 4);
    }

    #[test]
    fn unknown_key_is_refused_with_its_line() {
        let problems = problems_after("dram_mib = 1024", "dram_mib = 1024\ncolour = \"red\"");
        let line = GOOD
            .lines()
            .position(|l| l == "dram_mib = 1024")
            .expect("there")
            + 2;
        assert_eq!(problems[0].line, line);
        assert!(problems[0].message.contains("colour"), "{problems:?}");
    }

    #[test]
    fn overlapping_memory_is_refused_with_its_line() {
        let problems = problems_after("base = 0x0e40_0000", "base = 0x0e23_0000");
        assert!(problems[0].message.contains("overlaps"), "{problems:?}");
        assert!(
            GOOD.lines()
                .nth(problems[0].line - 1)
                .expect("line")
                .contains("name")
        );
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (from, to, word) in [
            ("priority = 4", "priority = 3", "priority"),
            ("budget_us = 8000", "budget_us = 80000", "budget"),
            ("id = 3\nworld", "id = 2\nworld", "core"),
            (
                "late_after_us = 5_000",
                "late_after_us = 0",
                "late_after_us",
            ),
            ("interrupt = 40", "interrupt = 33", "interrupt"),
            ("bit_rate = 500_000", "bit_rate = 500_001", "bit_rate"),
            ("dram_mib = 1024", "dram_mib = 16", "DRAM"),
            ("cores = [1, 2]", "cores = [0, 2]", "core"),
        ] {
            let problems = problems_after(from, to);
            assert!(
                problems
                    .iter()
                    .any(|p| p.message.contains(word) && p.line > 0),
                "{to}: {problems:?}"
            );
        }
    }

    #[test]
    fn rights_are_checked() {
        for (from, to, word) in [
            (
                "owner = \"task:can\"",
                "owner = \"partition:linux\"",
                "normal world",
            ),
            ("owner = \"task:can\"", "owner = \"task:cam\"", "task"),
            (
                "sends = [\"can\", \"audit\"]",
                "sends = [\"link\"]",
                "higher priority",
            ),
            (
                "memory = [\"mailbox\", \"linux-ram\"]",
                "memory = [\"kernel\"]",
                "normal",
            ),
        ] {
            let problems = problems_after(from, to);
            assert!(
                problems
                    .iter()
                    .any(|p| p.message.contains(word) && p.line > 0),
                "{to}: {problems:?}"
            );
        }
    }
}
