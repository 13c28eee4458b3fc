//! What a hijacked hypervisor would try against the secure world, on the real firmware.

use lazaret::bench::{calls, rig};

/// The bench guest runs in the hypervisor's place: properly signed, and hostile.
#[test]
fn a_hijacked_hypervisor_reaches_nothing_of_the_secure_world() {
    let guest = rig::bench_guest().expect("the guest is built");
    let console =
        calls::console("hijack", vec![0; 4096], &[("hypervisor", guest)]).expect("it ends");
    let checks: Vec<&str> = console
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("check "))
        .collect();
    println!("{}", checks.join("\n"));
    for line in &checks {
        assert!(line.ends_with(" ok"), "{line}");
    }
    for name in [
        "read-flash",
        "read-kernel",
        "read-can",
        "write-can",
        "start-secure-core",
        "secure-interrupt",
    ] {
        assert!(
            checks.iter().any(|line| line.contains(name)),
            "{name} was not tried"
        );
    }
}
