//! The kernel's system calls, counted by single steps on the real images: no hooks in them.
//!
//! The supervisor is asked by `audit` once a second. There the machine is stopped at the kernel's
//! trap vector and stepped, instruction by instruction, to the first one of whoever runs next.

use super::rig;
use super::rows::{Row, Target};
use crate::build;
use crate::gdb::{Gdb, PC};
use anyhow::{Context as _, Result, bail};
use kernel_core::abi::Call;
use kernel_core::plan::IMAGE_ADDRESS;
use object::{Object as _, ObjectSymbol as _};

/// The vector of a trap from EL0 (Arm ARM, D1.3.1, "lower level, AArch64, synchronous").
const FROM_EL0: u64 = 0x400;
/// Registers of a system call: x0 to x8.
const ARGUMENTS: usize = 9;
/// The supervisor's number: it has the highest priority.
const SUPERVISOR: u64 = 0;
/// Most traps until `audit` asks, and most steps of a measurement.
const MOST: usize = 100_000;

/// Steps through a call that does nothing, a message, its answer, and a restart.
///
/// # Errors
/// Where the machine does not come up or something else happens on the way.
pub fn measure() -> Result<Vec<Row>> {
    let description = build::description()?;
    // A partition that sleeps: `1: wfi; b 1b`.
    let idle = [0xd503_207f_u32, 0x17ff_ffff]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let flash = rig::flash(&description, "tasks", &rig::no_guest(idle), &[])?;
    let mut machine = rig::counting(&flash, "tasks", |config| {
        // Without sleep=off: a single step would never end while the other cores sleep.
        config.instructions = false;
        config.arguments = ["-icount", "shift=0"].map(str::to_owned).to_vec();
        config.gdb = true;
        config.stopped = true;
        config.network = false;
    })?;
    let socket = machine.config().socket("gdb.sock");
    let mut kernel = Kernel {
        gdb: Gdb::connect(&socket)?,
        trap: vectors()? + FROM_EL0,
    };
    kernel.gdb.core(0)?;
    kernel.run_to(|number, first| number == Call::Send as u64 && first & 0xffff == SUPERVISOR)?;
    let null = kernel.null_call()?;
    let message = kernel.steps_to(|pc| pc >= IMAGE_ADDRESS)?;
    kernel.run_to(|number, _| number == Call::Reply as u64)?;
    let answer = kernel.steps_to(|pc| pc >= IMAGE_ADDRESS)? + 1;
    kernel.run_to(|number, first| number == Call::Send as u64 && first & 0xffff == SUPERVISOR)?;
    let restart = kernel.restart(entry()?)?;
    machine.stop();
    let row = |name: &str, count: u64, target, others: &str| {
        Row::new(name, count as f64, "instructions", target, others)
    };
    let others = "L4Re on A53: 691 cycles (published)";
    Ok(vec![
        row("null system call", null, Target::None, ""),
        row(
            "message between address spaces, one way",
            message,
            Target::AtMost(300.0),
            others,
        ),
        row("answer to it", answer, Target::None, ""),
        row(
            "task restart, fault to its first instruction",
            restart,
            Target::None,
            "",
        ),
    ])
}

/// A machine stopped in the kernel's trap vector.
struct Kernel {
    gdb: Gdb,
    trap: u64,
}

impl Kernel {
    /// Goes on until a task makes a system call for which `wanted` says so, given its number and
    /// first argument; stands then at the vector's first instruction.
    fn run_to(&mut self, wanted: impl Fn(u64, u64) -> bool) -> Result<()> {
        self.gdb.set_breakpoint(self.trap)?;
        for _ in 0..MOST {
            if self.gdb.register(PC)? == self.trap {
                // Going on from a breakpoint would hit it again at once.
                self.gdb.step(0)?;
            }
            self.gdb.go_until_stop()?;
            if self.gdb.register(PC)? != self.trap {
                bail!("stopped somewhere else: {:#x}", self.gdb.register(PC)?);
            }
            if wanted(self.gdb.register(8)?, self.gdb.register(0)?) {
                return self.gdb.remove_breakpoint(self.trap);
            }
        }
        bail!("no task makes such a call")
    }

    /// Steps core 0 until `there` says so of the program counter; how many steps that took.
    fn steps_to(&mut self, there: impl Fn(u64) -> bool) -> Result<u64> {
        for steps in 1..=MOST as u64 {
            self.gdb.step(0)?;
            if there(self.gdb.register(PC)?) {
                return Ok(steps);
            }
        }
        bail!("not there after {MOST} instructions")
    }

    /// Makes the task's call one that does nothing, counts it, and lets the task make its own.
    fn null_call(&mut self) -> Result<u64> {
        let saved: Vec<u64> = (0..ARGUMENTS)
            .map(|n| self.gdb.register(n))
            .collect::<Result<_>>()?;
        self.gdb.set_register(8, Call::Null as u64)?;
        // The svc itself was executed before the vector.
        let steps = self.steps_to(|pc| pc >= IMAGE_ADDRESS)? + 1;
        for (number, value) in saved.into_iter().enumerate() {
            self.gdb.set_register(number, value)?;
        }
        let after = self.gdb.register(PC)?;
        self.gdb.set_register(PC, after - 4)?;
        Ok(steps)
    }

    /// Makes the task's call a panic and counts until it starts again at `entry`: the kernel, its
    /// line on the console, and the supervisor's decision included.
    fn restart(&mut self, entry: u64) -> Result<u64> {
        self.gdb.set_register(8, Call::Panic as u64)?;
        Ok(self.steps_to(|pc| pc == entry)? + 1)
    }
}

/// The address of the kernel's vectors.
fn vectors() -> Result<u64> {
    let stages = build::stages(&build::description()?);
    let kernel = stages
        .iter()
        .find(|stage| stage.component == "kernel")
        .context("no kernel")?;
    let bytes = std::fs::read(kernel.elf())?;
    let file = object::File::parse(&*bytes)?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok("vectors"));
    Ok(symbol
        .context("the kernel has no symbol `vectors`")?
        .address())
}

/// The address of the first instruction of `audit`.
fn entry() -> Result<u64> {
    let stages = build::stages(&build::description()?);
    let audit = stages
        .iter()
        .find(|stage| stage.component == "task-audit")
        .context("no audit")?;
    let image = build::flat(audit)?;
    match kernel_core::image::Layout::read(&image, u64::MAX, u64::MAX) {
        Ok(layout) => Ok(layout.entry),
        Err(error) => bail!("the image of audit: {error:?}"),
    }
}
