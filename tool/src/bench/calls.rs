//! What a guest feels of the hypervisor, and the hypervisor of the monitor, to the instruction.

use super::rig;
use super::rows::{Row, Target};
use crate::build;
use anyhow::{Context as _, Result, bail};

/// Name in the bench guest's lines, what it is, most instructions, what others need.
type Wanted = (&'static str, &'static str, f64, &'static str);

const OF_THE_HYPERVISOR: &[Wanted] = &[
    ("hvc", "HVC round trip", 60.0, "Bao 188"),
    ("trapped-smc", "trapped SMC", 80.0, "Bao 202"),
    (
        "distributor-read",
        "distributor read, trapped",
        110.0,
        "Bao 224",
    ),
    (
        "timer",
        "virtual timer: deadline to handler",
        1.0,
        "Bao 200, bare metal 1",
    ),
];
const OF_THE_MONITOR: &[Wanted] = &[(
    "monitor-smc",
    "SMC PSCI_VERSION at EL3",
    60.0,
    "TF-A BL31 195",
)];

/// In the kernel's place: `1: wfi; b 1b`.
const IDLE: [u32; 2] = [0xd503_207f, 0x17ff_ffff];

/// Runs the bench guest as a partition's kernel, then in the hypervisor's place.
///
/// # Errors
/// Where a machine does not come up, or a check of the secure world fails.
pub fn measure() -> Result<Vec<Row>> {
    let guest = rig::bench_guest()?;
    // The secure core sleeps: emulated cores share one clock, and its work would count as the guest's.
    let idle = IDLE.iter().flat_map(|word| word.to_le_bytes()).collect();
    let as_guest = console("guest", guest.clone(), &[("kernel", idle)])?;
    let as_hypervisor = console("el2", vec![0; 4096], &[("hypervisor", guest)])?;
    let mut rows = rows_of(&as_guest, OF_THE_HYPERVISOR)?;
    rows.extend(rows_of(&as_hypervisor, OF_THE_MONITOR)?);
    for (console, who) in [(&as_guest, "hypervisor"), (&as_hypervisor, "secure world")] {
        let failed = |line: &&str| line.starts_with("check ") && line.contains("FAILED");
        let failed: Vec<&str> = console.lines().filter(failed).collect();
        if !failed.is_empty() {
            bail!("the {who} gave way: {}", failed.join("; "));
        }
    }
    Ok(rows)
}

/// What the console shows once the bench guest is done.
///
/// # Errors
/// Where it never is.
pub fn console(name: &str, kernel: Vec<u8>, others: &[(&str, Vec<u8>)]) -> Result<String> {
    let description = build::description()?;
    let flash = rig::flash(&description, name, &rig::no_guest(kernel), others)?;
    let machine = rig::counting(&flash, name, |_| ())?;
    machine.wait_for("bench done", rig::HANG)
}

fn rows_of(console: &str, wanted: &[Wanted]) -> Result<Vec<Row>> {
    let row = |(name, what, most, others): &Wanted| {
        let measured = thousandths(console, name).with_context(|| format!("no line for {name}"))?;
        let instructions = measured as f64 / 1000.0;
        Ok(Row::new(
            what,
            instructions,
            "instructions",
            Target::AtMost(*most),
            others,
        ))
    };
    wanted.iter().map(row).collect()
}

/// The number in the line `bench NAME NUMBER`.
fn thousandths(console: &str, name: &str) -> Option<u64> {
    let prefix = format!("bench {name} ");
    let number = console
        .lines()
        .find_map(|line| line.trim().strip_prefix(&prefix).map(str::to_owned));
    number?.trim().parse().ok()
}
