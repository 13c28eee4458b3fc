//! Address spaces as they are while the device runs: the translation tables of every privileged stage and
//! every task, read out of the machine and followed to the last page.
//!
//! Nothing is both writable and executable, a task reaches its own memory and what the description
//! gives it, and a device of a task hangs in that task's space alone.

use lazaret::machine::{Config, Machine};
use lazaret::session::HANG;
use lazaret_description::Description;
use lazaret_description::emit::kernel::task_slots;
use std::collections::BTreeMap;
use std::ops::Range;
use system_tests::gdb::Gdb;
use system_tests::{description, flash, folder};

/// Offset of the vector of a synchronous trap from a lower level (Arm ARM, D1.3.1).
const FROM_BELOW: u64 = 0x400;
/// SCTLR_ELx.WXN: what is writable is never executed (Arm ARM, D19.2).
const WXN: u64 = 1 << 19;
/// Addresses in a descriptor.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
/// Most traps until every task has made a call.
const MOST_TRAPS: usize = 100_000;

/// A page or block that a level may use.
#[derive(Debug, Clone)]
struct Leaf {
    virtual_address: u64,
    physical: Range<u64>,
    /// Descriptor bits (Arm ARM, D8.3).
    bits: u64,
}

impl Leaf {
    fn bit(&self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }
    /// AP[2] is 0.
    fn is_writable(&self) -> bool {
        !self.bit(7)
    }
    /// AP[1] of a regime with EL0.
    fn is_el0(&self) -> bool {
        self.bit(6)
    }
}

/// A machine's system registers by name, as QEMU's stub numbers them.
fn registers(gdb: &mut Gdb) -> BTreeMap<String, usize> {
    let mut xml = String::new();
    loop {
        let packet = format!(
            "qXfer:features:read:system-registers.xml:{:x},7f0",
            xml.len()
        );
        let answer = gdb.ask(&packet).expect("the stub describes its registers");
        xml.push_str(answer.get(1..).unwrap_or(""));
        if !answer.starts_with('m') {
            break;
        }
    }
    let attribute = |text: &str, name: &str| {
        let start = text.find(&format!("{name}=\""))? + name.len() + 2;
        let value = text.get(start..)?;
        Some(value[..value.find('"')?].to_owned())
    };
    let all = xml.split("<reg ").skip(1).filter_map(|entry| {
        let number = attribute(entry, "regnum")?.parse().ok()?;
        Some((attribute(entry, "name")?, number))
    });
    all.collect()
}

/// One core, stopped, and what its registers are called.
struct View {
    gdb: Gdb,
    names: BTreeMap<String, usize>,
}

impl View {
    fn system(&mut self, name: &str) -> u64 {
        let number = *self.names.get(name).unwrap_or_else(|| panic!("no {name}"));
        self.gdb.register(number).expect(name)
    }

    /// Every leaf below the table at `root`, whose entries are `level`'s.
    fn leaves(&mut self, root: u64, level: u32) -> Vec<Leaf> {
        let mut found = Vec::new();
        self.walk(root, level, 0, &mut found);
        assert!(!found.is_empty(), "no page at all below {root:#x}");
        found
    }

    fn walk(&mut self, table: u64, level: u32, base: u64, found: &mut Vec<Leaf>) {
        let bytes = self.gdb.memory(table, 4096).expect("a table");
        let shift = 39 - 9 * level;
        for (index, entry) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let entry = u64::from_le_bytes(*entry);
            let virtual_address = base + ((index as u64) << shift);
            match (entry & 3, level) {
                (3, 0..=2) => {
                    assert_eq!(
                        entry >> 59,
                        0,
                        "rights in a table's descriptor are not used"
                    );
                    self.walk(entry & ADDRESS, level + 1, virtual_address, found);
                }
                (1, 1 | 2) | (3, 3) => {
                    let start = entry & ADDRESS;
                    found.push(Leaf {
                        virtual_address,
                        physical: start..start + (1 << shift),
                        bits: entry,
                    });
                }
                (0 | 2, _) => {}
                other => panic!("descriptor {entry:#x} of level {} is none", other.1),
            }
        }
    }
}

/// Named ranges of physical addresses.
type Ranges = Vec<(String, Range<u64>)>;

fn memory(description: &Description, names: &[&str]) -> Ranges {
    let range = |name: &&str| {
        let memory = description.memory(name).expect("described");
        ((*name).to_owned(), memory.base..memory.end())
    };
    names.iter().map(range).collect()
}

/// Devices the board fixes (`firmware/board/src/qemu_virt.rs`): interrupt controller, secure GPIO; and the console.
fn devices() -> Ranges {
    [
        ("interrupt controller", 0x0800_0000..0x0820_0000),
        ("console", 0x0900_0000..0x0900_1000),
        ("secure GPIO", 0x090b_0000..0x090b_1000),
    ]
    .map(|(name, range)| (name.to_owned(), range))
    .to_vec()
}

fn only(leaves: &[Leaf], allowed: &Ranges, who: &str) {
    for leaf in leaves {
        let inside = |range: &Range<u64>| {
            range.start <= leaf.physical.start && leaf.physical.end <= range.end
        };
        assert!(
            allowed.iter().any(|(_, range)| inside(range)),
            "{who} reaches {leaf:x?}, which is none of {allowed:x?}"
        );
    }
}

/// Of EL2's or EL3's own regime: XN is bit 54.
fn never_both(leaves: &[Leaf], who: &str) {
    for leaf in leaves {
        assert!(!leaf.is_writable() || leaf.bit(54), "{who}: {leaf:x?}");
    }
    assert!(
        leaves.iter().any(|leaf| !leaf.bit(54)),
        "{who} runs nothing?"
    );
}

/// Of the EL1&0 regime: PXN is bit 53, UXN bit 54; nothing runs at both levels.
fn never_both_of_two(leaves: &[Leaf], who: &str) {
    for leaf in leaves {
        let (at_el1, at_el0) = (!leaf.bit(53), !leaf.bit(54));
        assert!(
            !leaf.is_writable() || !(at_el1 || at_el0),
            "{who}: {leaf:x?}"
        );
        assert!(!(at_el1 && (at_el0 || leaf.is_el0())), "{who}: {leaf:x?}");
    }
}

/// What task `index` (by priority) may reach at EL0.
fn of_task(description: &Description, index: usize) -> (String, Ranges) {
    let slot = task_slots(description).swap_remove(index);
    let task = description
        .task
        .iter()
        .find(|task| task.name() == slot.name);
    let task = task.expect("described");
    let mut allowed = memory(description, &["boot-info"]);
    allowed.push(("its image".to_owned(), slot.base..slot.base + slot.size));
    let ram = slot.ram_base..slot.ram_base + slot.ram_bytes;
    allowed.push(("its RAM".to_owned(), ram));
    for device in description.peripherals_of(&format!("task:{}", slot.name)) {
        let range = device.base..device.base + device.size;
        allowed.push((device.name().to_owned(), range));
    }
    for name in &task.memory {
        allowed.extend(memory(description, &[name]));
    }
    (slot.name, allowed)
}

/// Checks the space that is in use on core 0; the physical addresses EL0 reaches.
fn check_task(view: &mut View, description: &Description, index: usize) -> Vec<Leaf> {
    let root = view.system("TTBR0_EL1") & ADDRESS & !1;
    let leaves = view.leaves(root, 1);
    let (name, allowed) = of_task(description, index);
    never_both_of_two(&leaves, &name);
    let (el0, el1): (Vec<Leaf>, Vec<Leaf>) = leaves.into_iter().partition(Leaf::is_el0);
    only(&el0, &allowed, &name);
    let mut kernels = memory(
        description,
        &["kernel", "boot-info", "task-images", "task-ram"],
    );
    kernels.extend(devices());
    only(&el1, &kernels, "the kernel");
    let constant = |leaf: &&Leaf| leaf.virtual_address >> 32 == 1 && !leaf.bit(54);
    assert!(
        el0.iter().any(|leaf| constant(&leaf)),
        "{name} runs nothing?"
    );
    el0
}

#[test]
fn every_space_keeps_to_what_the_description_says() {
    let description = description();
    let mut config = Config::new(&flash(), &folder("spaces"));
    config.gdb = true;
    config.network = false;
    let mut machine = Machine::start(config).expect("QEMU starts");
    machine.wait_for("linux starts", HANG).expect("it comes up");
    let tasks = description.task.len();
    machine
        .wait_for(&format!("{tasks} of {tasks} tasks started"), HANG)
        .expect("tasks start");

    let mut gdb = Gdb::connect(&machine.config().socket("gdb.sock")).expect("gdb");
    gdb.core(0).expect("core 0");
    let names = registers(&mut gdb);
    let mut view = View { gdb, names };

    // The monitor, on a core that is parked in it.
    let off = description
        .core
        .iter()
        .find(|core| core.partition.is_none() && *core.id.as_ref() != 0);
    let off = *off.expect("a core that is off").id.as_ref();
    view.gdb.core(off).expect("the core");
    assert_ne!(view.system("SCTLR_EL3") & WXN, 0);
    let root = view.system("TTBR0_EL3") & ADDRESS;
    let leaves = view.leaves(root, 2);
    never_both(&leaves, "the monitor");
    let mut allowed = memory(&description, &["monitor", "boot-info", "rom-ram"]);
    allowed.extend(devices());
    only(&leaves, &allowed, "the monitor");

    // Kernel and tasks: each at its first trap.
    view.gdb.core(0).expect("core 0");
    assert_ne!(view.system("SCTLR") & WXN, 0);
    let trap = view.system("VBAR") + FROM_BELOW;
    view.gdb.set_breakpoint(trap).expect("a breakpoint");
    let mut reached: BTreeMap<usize, Vec<Leaf>> = BTreeMap::new();
    for _ in 0..MOST_TRAPS {
        view.gdb.go_until_stop().expect("a task traps");
        let index = (view.system("TTBR0_EL1") >> 48) as usize - 1;
        reached
            .entry(index)
            .or_insert_with(|| check_task(&mut view, &description, index));
        if reached.len() == tasks {
            break;
        }
        // Going on from a breakpoint would hit it again at once.
        view.gdb.step(0).expect("a step");
    }
    assert_eq!(reached.len(), tasks, "every task makes a system call");
    view.gdb.remove_breakpoint(trap).expect("removed");
    for device in description.peripheral.iter() {
        if let Some(owner) = device.owner.as_ref().strip_prefix("task:") {
            let holds = |leaves: &Vec<Leaf>| {
                leaves.iter().any(|leaf| {
                    leaf.physical.start < device.base + device.size
                        && device.base < leaf.physical.end
                })
            };
            let holders: Vec<String> = reached
                .iter()
                .filter(|(_, leaves)| holds(leaves))
                .map(|(index, _)| of_task(&description, *index).0)
                .collect();
            assert_eq!(holders, [owner], "{}", device.name());
        }
    }

    // The hypervisor, when the partition next traps.
    let first = description.partition[0].cores[0];
    view.gdb.core(first).expect("core");
    let trap = view.system("VBAR_EL2") + FROM_BELOW;
    view.gdb.set_breakpoint(trap).expect("a breakpoint");
    view.gdb.go_until_stop().expect("the partition traps");
    assert_ne!(view.system("SCTLR_EL2") & WXN, 0);
    let root = view.system("TTBR0_EL2") & ADDRESS & !1;
    let leaves = view.leaves(root, 1);
    never_both(&leaves, "the hypervisor");
    // Neither the secure world's memory nor the partition's: it has no use for either.
    let mut allowed = memory(&description, &["hypervisor", "mailbox"]);
    allowed.extend(devices());
    for device in &description.peripheral {
        if !device.owner.as_ref().starts_with("task:") {
            let range = device.base..device.base + device.size;
            allowed.push((device.name().to_owned(), range));
        }
    }
    only(&leaves, &allowed, "the hypervisor");
    machine.stop();
}
