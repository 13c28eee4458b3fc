//! Constants for the monitor: whose each core and each interrupt is.

use super::common::write;
use crate::{Description, World};
use std::fmt::Write as _;

/// Writes `division.rs` into `OUT_DIR`.
///
/// # Panics
/// In a build script only: where the description lacks a secure core or one of a partition.
pub fn monitor(description: &Description) {
    write("division.rs", &division(description));
}

/// `WORLDS` (by core), `SECURE_CORE`, `FIRST_NORMAL_CORE`, `SECURE_INTERRUPTS` (shared interrupts
/// of tasks), `HYPERVISOR_INTERRUPTS` (shared interrupts of the hypervisor).
#[must_use]
fn division(description: &Description) -> String {
    let mut cores: Vec<_> = description.core.iter().collect();
    cores.sort_by_key(|core| *core.id.as_ref());
    let is_secure = |core: &&&crate::Core| core.world == Some(World::Secure);
    let secure = cores.iter().find(is_secure).expect("a secure core");
    let first_normal = cores
        .iter()
        .find(|core| core.partition.is_some())
        .expect("a core of a partition");
    let mut text = format!(
        "/// The core of kernel and tasks.\npub const SECURE_CORE: usize = {};\n\
         /// The core on which the hypervisor starts.\npub const FIRST_NORMAL_CORE: usize = {};\n\
         /// The world of each core; a core that is off belongs to the normal world.\n\
         pub const WORLDS: [psci::World; {}] = [\n",
        secure.id.as_ref(),
        first_normal.id.as_ref(),
        cores.len()
    );
    for core in &cores {
        let world = if core.world == Some(World::Secure) {
            "Secure"
        } else {
            "Normal"
        };
        let _ = writeln!(text, "    psci::World::{world},");
    }
    text.push_str("];\n");
    let of = |prefix: &str| -> Vec<u32> {
        description
            .peripheral
            .iter()
            .filter(|peripheral| peripheral.owner.as_ref().starts_with(prefix))
            .flat_map(|p| p.interrupt.iter().chain(&p.interrupts))
            .copied()
            .collect()
    };
    list(&mut text, "SECURE_INTERRUPTS", "tasks", &of("task:"));
    list(
        &mut text,
        "HYPERVISOR_INTERRUPTS",
        "the hypervisor",
        &of("hypervisor"),
    );
    text
}

fn list(text: &mut String, name: &str, whose: &str, interrupts: &[u32]) {
    let _ = writeln!(
        text,
        "/// Shared interrupts of {whose} (GIC INTIDs).\npub const {name}: [u32; {}] = {interrupts:?};",
        interrupts.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_and_interrupt_has_its_owner() {
        let good = include_str!("../../../bedside-monitor.toml");
        let text = division(&Description::parse(good).expect("good"));
        for line in [
            "pub const SECURE_CORE: usize = 0;",
            "pub const FIRST_NORMAL_CORE: usize = 1;",
            "pub const SECURE_INTERRUPTS: [u32; 1] = [40];",
            "pub const HYPERVISOR_INTERRUPTS: [u32; 4] = [106, 107, 108, 109];",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("World::Secure").count(), 1);
        assert_eq!(text.matches("World::Normal").count(), 3);
    }
}
