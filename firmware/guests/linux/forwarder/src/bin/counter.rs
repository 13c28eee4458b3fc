//! Prints the system counter (CNTVCT_EL0, ticks): how far the machine had come when init ran.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ticks() {
        Some(ticks) => println!("{ticks}"),
        None => {
            eprintln!("counter: only an Arm processor has the counter");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The virtual counter; Linux lets programs read it (CNTKCTL_EL1.EL0VCTEN), the vDSO does.
#[cfg(target_arch = "aarch64")]
fn ticks() -> Option<u64> {
    let ticks: u64;
    // SAFETY: reading the counter touches no memory and no flags.
    unsafe {
        std::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
    };
    Some(ticks)
}

#[cfg(not(target_arch = "aarch64"))]
fn ticks() -> Option<u64> {
    None
}
