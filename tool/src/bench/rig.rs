//! What the measurements share: images with one part exchanged, and machines that count.

use crate::build::{self, GuestImages, Stage};
use crate::machine::{Config, Machine};
use crate::{paths, ui};
use anyhow::{Context as _, Result, bail};
use lazaret_description::Description;
use partition::counters::{self, CORES, Counters, EXITS, MARKS, REFUSALS, State};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A run that takes longer than this hangs.
pub const HANG: Duration = Duration::from_secs(600);
/// Instructions (nanoseconds of virtual time) in a tick of the 62.5 MHz counter.
pub const TICK: u64 = 16;

/// The folder of a measurement.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    paths::output().join("bench").join(name)
}

/// A guest of noise: for measurements in which Linux does not run.
#[must_use]
pub fn no_guest(kernel: Vec<u8>) -> GuestImages {
    GuestImages {
        kernel,
        initramfs: vec![0; 4096],
        root: vec![0; 4096],
        kernel_version: "bench".to_owned(),
        root_version: "bench".to_owned(),
    }
}

/// A signed flash image with `guest`, and the components named in `others` exchanged.
///
/// # Errors
/// Where something was not built or does not fit.
pub fn flash(
    description: &Description,
    name: &str,
    guest: &GuestImages,
    others: &[(&str, Vec<u8>)],
) -> Result<PathBuf> {
    let stages = build::stages(description);
    let mut components = build::components(description, &stages, guest)?;
    for (wanted, bytes) in others {
        let found = components
            .iter_mut()
            .find(|component| component.name == *wanted);
        found
            .with_context(|| format!("no component {wanted:?}"))?
            .bytes
            .clone_from(bytes);
    }
    let file = folder(name).join("built.img");
    build::assemble(description, &stages, components, &file)?;
    Ok(file)
}

/// Builds the guest that measures, and returns it flat.
///
/// # Errors
/// Where cargo fails.
pub fn bench_guest() -> Result<Vec<u8>> {
    let stage = Stage {
        component: "bench-guest".to_owned(),
        package: "bench-guest".to_owned(),
        target: build::SOFTFLOAT,
    };
    let work = ui::Work::start("the guest that measures");
    build::firmware_cargo(&work, "build", stage.target, &["-p", "bench-guest"], &[])?;
    work.finish("");
    build::flat(&stage)
}

/// A machine that counts instructions, running `flash` in the folder `name`.
///
/// # Errors
/// Where QEMU does not start.
pub fn counting(flash: &Path, name: &str, change: impl FnOnce(&mut Config)) -> Result<Machine> {
    let mut config = Config::new(flash, &folder(name));
    config.instructions = true;
    change(&mut config);
    Machine::start(config)
}

/// Compiles the plugin that counts each core's instructions.
///
/// # Errors
/// Where there is no C compiler.
pub fn plugin() -> Result<PathBuf> {
    let (source, library) = (
        folder("plugin").join("count.c"),
        folder("plugin").join("count.so"),
    );
    fs::create_dir_all(folder("plugin"))?;
    fs::write(&source, include_str!("count.c"))?;
    let mut command = Command::new("gcc");
    command
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    run(&mut command, "gcc, of Debian's package gcc")?;
    Ok(library)
}

/// Runs a tool to its end.
///
/// # Errors
/// Where it is missing or fails, with what it said.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{what} cannot be started"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{what} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The instructions of each core that the plugin wrote when the machine ended.
///
/// # Errors
/// Where it wrote none.
pub fn executed(file: &Path) -> Result<Vec<u64>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    text.lines()
        .map(|line| line.parse().context("the plugin's numbers"))
        .collect()
}

/// A copy of the hypervisor's counters, as they lie on the mailbox's first page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// State of the partition.
    pub state: Option<State>,
    /// Moments of the boot, ticks since power-on, by [`counters::Mark`].
    pub marks: [u64; MARKS],
    /// Exits of all cores, by [`counters::Exit`].
    pub exits: [u64; EXITS],
    /// Refusals on all cores, by [`counters::Refusal`].
    pub refused: [u64; REFUSALS],
}

/// Bytes before the marks, and before the cores' columns (`counters::Counters`, repr(C)).
const MARKS_AT: usize = 16;
const CORES_AT: usize = MARKS_AT + 8 * MARKS;

impl Snapshot {
    /// Reads them out of a machine; `None` while the hypervisor has not written them.
    ///
    /// # Errors
    /// Where QEMU does not answer.
    pub fn read(description: &Description, machine: &mut Machine) -> Result<Option<Self>> {
        let base = description
            .memory("mailbox")
            .context("no mailbox is described")?
            .base;
        let file = machine.config().directory.join("counters.bin");
        let size = size_of::<Counters>();
        machine.qmp(
            "pmemsave",
            json!({"val": base, "size": size, "filename": file}),
        )?;
        Ok(Self::of(&fs::read(&file)?))
    }

    /// Reads them out of the page's bytes; `None` where they are none.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        if (word(0)?, word(4)?) != (counters::MAGIC, counters::VERSION) {
            return None;
        }
        // Each core's column is a `counters::Core`: exits, then refusals, then its last fault.
        let sum = |field: usize| {
            (0..CORES)
                .map(|core| long(CORES_AT + core * size_of::<counters::Core>() + 8 * field))
                .sum::<Option<u64>>()
        };
        let mut snapshot = Self {
            state: State::of(word(8)?),
            marks: [0; MARKS],
            exits: [0; EXITS],
            refused: [0; REFUSALS],
        };
        for (index, mark) in snapshot.marks.iter_mut().enumerate() {
            *mark = long(MARKS_AT + 8 * index)?;
        }
        for (index, count) in snapshot.exits.iter_mut().enumerate() {
            *count = sum(index)?;
        }
        for (index, count) in snapshot.refused.iter_mut().enumerate() {
            *count = sum(EXITS + index)?;
        }
        Some(snapshot)
    }
}

/// Waits until `enough` says so of the hypervisor's counters.
///
/// # Errors
/// Where it never does.
pub fn wait_counters(
    description: &Description,
    machine: &mut Machine,
    what: &str,
    enough: impl Fn(&Snapshot) -> bool,
) -> Result<Snapshot> {
    let deadline = Instant::now() + HANG;
    loop {
        if let Some(snapshot) = Snapshot::read(description, machine)?
            && enough(&snapshot)
        {
            return Ok(snapshot);
        }
        if Instant::now() > deadline || !machine.is_running() {
            bail!(
                "{what} never came; the console's last lines:\n{}",
                crate::machine::last_lines(&machine.console(), 15)
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_lie_where_they_are_looked_for() {
        assert_eq!(
            size_of::<Counters>(),
            CORES_AT + CORES * size_of::<counters::Core>()
        );
        let mut page = vec![0; size_of::<Counters>()];
        assert_eq!(Snapshot::of(&page), None);
        page[..4].copy_from_slice(&counters::MAGIC.to_le_bytes());
        page[4] = counters::VERSION as u8;
        page[8] = State::Running as u8;
        page[MARKS_AT + 8] = 7;
        for core in 0..CORES {
            let column = CORES_AT + core * size_of::<counters::Core>();
            page[column + 8 * counters::Exit::SecureCall as usize] = 2;
            page[column + 8 * (EXITS + counters::Refusal::Dma as usize)] = 1;
        }
        let snapshot = Snapshot::of(&page).expect("counters");
        assert_eq!(snapshot.state, Some(State::Running));
        assert_eq!(snapshot.marks[counters::Mark::PartitionStart as usize], 7);
        assert_eq!(snapshot.exits[counters::Exit::SecureCall as usize], 8);
        assert_eq!(snapshot.refused[counters::Refusal::Dma as usize], 4);
        assert_eq!(Snapshot::of(&page[..100]), None);
    }
}
