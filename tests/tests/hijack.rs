//! What a hijacked hypervisor would try against the secure world, and a hijacked guest against the
//! hypervisor: on the real firmware, by a guest of ours that is properly signed, and hostile.

use lazaret::bench::{calls, rig};

/// The checks a console shows; every one held, and those in `named` were among them.
fn all_held(console: &str, named: &[&str]) {
    let lines = console.lines().map(str::trim);
    let checks: Vec<&str> = lines.filter(|line| line.starts_with("check ")).collect();
    println!("{}", checks.join("\n"));
    for line in &checks {
        assert!(line.ends_with(" ok"), "{line}");
    }
    for name in named {
        let tried = |line: &&str| line.split(' ').nth(1) == Some(name);
        assert!(checks.iter().any(&tried), "{name} was not tried");
    }
}

#[test]
fn a_hijacked_hypervisor_reaches_nothing_of_the_secure_world() {
    let guest = rig::bench_guest().expect("the guest is built");
    let others = [("hypervisor", guest)];
    let console = calls::console("hijacked-el2", vec![0; 4096], &others).expect("it ends");
    let named = [
        "read-flash",
        "read-kernel",
        "read-can",
        "write-can",
        "write-task-memory",
        "start-secure-core",
        "secure-interrupt",
        "reclaim-from-el2",
    ];
    all_held(&console, &named);
}

#[test]
fn a_hijacked_guest_stays_in_its_partition() {
    let guest = rig::bench_guest().expect("the guest is built");
    let console = calls::console("hijacked-guest", guest, &[]).expect("it ends");
    let named = [
        "read-can",
        "read-flash",
        "read-hypervisor",
        "read-mailbox",
        "read-after-ram",
        "write-root",
        "sgi-of-others",
        "start-secure-core",
        "redistributor-of-secure-core",
        "dma-own",
    ];
    all_held(&console, &named);
}
