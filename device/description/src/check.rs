//! The checks a description must pass before anything is built.

use crate::{Alarm, Description, PartitionKind, Problem, World, line_of};
use std::collections::{HashMap, HashSet};
use toml::Spanned;

/// DRAM starts here on every board we have (`hw/arm/virt.c`: VIRT_MEM).
const DRAM_BASE: u64 = 0x4000_0000;
/// Smallest unit of a translation table.
const PAGE_BYTES: u64 = 4096;
/// Bit rates SLCAN can name (`S0` to `S8`).
const SLCAN_BIT_RATES: [u32; 9] = [
    10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000,
];

/// Everything wrong with `description`, whose source is `text`.
pub fn problems(description: &Description, text: &str) -> Vec<Problem> {
    let mut check = Check {
        description,
        text,
        problems: Vec::new(),
    };
    check.names();
    check.cores();
    check.flash();
    check.memory();
    check.peripherals();
    check.tasks();
    check.partitions();
    check.bus();
    check.alarms();
    check.problems
}

struct Check<'a> {
    description: &'a Description,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn say<T>(&mut self, at: &Spanned<T>, message: String) {
        let line = line_of(self.text, at.span().start);
        self.problems.push(Problem { line, message });
    }

    /// Reports the second and later of equal keys.
    fn unique<'s, K: std::hash::Hash + Eq + std::fmt::Display, T: 's>(
        &mut self,
        what: &str,
        items: impl Iterator<Item = (K, &'s Spanned<T>)>,
    ) {
        let mut seen: HashMap<K, usize> = HashMap::new();
        for (key, at) in items {
            let line = line_of(self.text, at.span().start);
            match seen.get(&key) {
                Some(first) => {
                    let message = format!("{what} {key} is already taken in line {first}");
                    self.say(at, message);
                }
                None => {
                    seen.insert(key, line);
                }
            }
        }
    }

    fn names(&mut self) {
        let d = self.description;
        macro_rules! unique_names {
            ($what:literal, $list:expr) => {
                self.unique($what, $list.iter().map(|x| (x.name().to_owned(), &x.name)))
            };
        }
        unique_names!("the memory name", d.memory);
        unique_names!("the flash region name", d.flash.regions);
        unique_names!("the component name", d.component);
        unique_names!("the peripheral name", d.peripheral);
        unique_names!("the task name", d.task);
        unique_names!("the partition name", d.partition);
        unique_names!("the CAN node name", d.can.node);
        for component in &d.component {
            if d.memory(&component.region).is_none() {
                let message = format!(
                    "component {:?} is loaded to memory {:?}, which is not described",
                    component.name(),
                    component.region
                );
                self.say(&component.name, message);
            }
            if component.name().len() > 24 {
                self.say(
                    &component.name,
                    "a component name has at most 24 bytes".into(),
                );
            }
        }
        if d.board.name.as_ref() != "qemu-virt" {
            let message = format!(
                "no board {:?} in firmware/board; there is: qemu-virt",
                d.board.name.as_ref()
            );
            self.say(&d.board.name, message);
        }
        let id = d.product.device_id.as_ref();
        if id.is_empty() || id.len() > 32 || !id.bytes().all(|b| b.is_ascii_graphic()) {
            self.say(
                &d.product.device_id,
                "device_id must be 1 to 32 printable ASCII characters without spaces".into(),
            );
        }
        let version = d.product.version.as_ref();
        if version.is_empty() || version.len() > 15 {
            self.say(
                &d.product.version,
                "version must have 1 to 15 characters".into(),
            );
        }
    }

    fn cores(&mut self) {
        let d = self.description;
        self.unique(
            "core",
            d.core.iter().map(|core| (*core.id.as_ref(), &core.id)),
        );
        for core in &d.core {
            if *core.id.as_ref() > 7 {
                self.say(&core.id, "core numbers go from 0 to 7".into());
            }
            match (core.world, core.partition.as_deref()) {
                (None, Some(name)) => match d.partition.iter().find(|p| p.name() == name) {
                    None => self.say(
                        &core.id,
                        format!("core belongs to partition {name:?}, which is not described"),
                    ),
                    Some(partition) if !partition.cores.contains(core.id.as_ref()) => {
                        self.say(
                            &core.id,
                            format!("core names partition {name:?}, whose `cores` do not list it"),
                        );
                    }
                    Some(_) => {}
                },
                (Some(World::Secure | World::Off), None) => {}
                _ => self.say(
                    &core.id,
                    "a core has either `world = \"secure\"` or `\"off\"`, or a `partition`".into(),
                ),
            }
        }
        let secure: Vec<_> = d
            .core
            .iter()
            .filter(|core| core.world == Some(World::Secure))
            .collect();
        if (secure.len() != 1 || *secure[0].id.as_ref() != 0)
            && let Some(core) = d.core.first()
        {
            self.say(
                &core.id,
                "exactly core 0 must have `world = \"secure\"`".into(),
            );
        }
    }

    fn flash(&mut self) {
        let d = self.description;
        for (index, region) in d.flash.regions.iter().enumerate() {
            let end = region.offset.checked_add(region.size);
            if region.size == 0 || end.is_none_or(|end| end > d.flash.size) {
                self.say(
                    &region.name,
                    format!(
                        "flash region {:?} ends after the flash ({:#x} bytes) or is empty",
                        region.name(),
                        d.flash.size
                    ),
                );
            }
            if region.offset % 0x4_0000 != 0 || region.size % 0x4_0000 != 0 {
                self.say(
                    &region.name,
                    format!(
                        "flash region {:?} must start and end at an erase block (256 KiB)",
                        region.name()
                    ),
                );
            }
            for other in &d.flash.regions[..index] {
                if overlap(region.offset, region.size, other.offset, other.size) {
                    self.say(
                        &region.name,
                        format!(
                            "flash region {:?} overlaps {:?}",
                            region.name(),
                            other.name()
                        ),
                    );
                }
            }
        }
        for needed in ["bootrom", "otp", "state", "slot-a", "slot-b", "storage"] {
            if d.flash_region(needed).is_none()
                && let Some(first) = d.flash.regions.first()
            {
                self.say(&first.name, format!("flash region {needed:?} is missing"));
            }
        }
    }

    fn memory(&mut self) {
        let d = self.description;
        let dram_end = DRAM_BASE + d.board.dram_mib.as_ref().saturating_mul(1 << 20);
        for (index, memory) in d.memory.iter().enumerate() {
            let name = memory.name();
            if memory.size == 0 || memory.base.checked_add(memory.size).is_none() {
                self.say(
                    &memory.name,
                    format!("memory {name:?} is empty or ends after the last address"),
                );
            }
            if memory.base % PAGE_BYTES != 0 || memory.size % PAGE_BYTES != 0 {
                self.say(
                    &memory.name,
                    format!("memory {name:?} must start and end at a page (4 KiB)"),
                );
            }
            let in_dram = memory.base >= DRAM_BASE && memory.end() <= dram_end;
            let in_secure_ram = memory.base >= 0x0e00_0000 && memory.end() <= 0x0f00_0000;
            match memory.world {
                World::Secure if !in_secure_ram => self.say(&memory.name, format!("memory {name:?} is secure, and must lie in secure RAM 0x0e00_0000 to 0x0f00_0000")),
                World::Normal if !in_dram => self.say(&memory.name, format!("memory {name:?} must lie in DRAM, {DRAM_BASE:#x} to {dram_end:#x}")),
                World::Off => self.say(&memory.name, format!("memory {name:?} is `secure` or `normal`")),
                _ => {}
            }
            for other in &d.memory[..index] {
                if overlap(memory.base, memory.size, other.base, other.size) {
                    self.say(
                        &memory.name,
                        format!(
                            "memory {name:?} ({:#x} to {:#x}) overlaps {:?} ({:#x} to {:#x})",
                            memory.base,
                            memory.end(),
                            other.name(),
                            other.base,
                            other.end()
                        ),
                    );
                }
            }
        }
        for needed in [
            "rom-ram",
            "boot-info",
            "loader",
            "monitor",
            "kernel",
            "task-images",
            "task-ram",
            "mailbox",
            "hypervisor",
        ] {
            if d.memory(needed).is_none()
                && let Some(first) = d.memory.first()
            {
                self.say(&first.name, format!("memory {needed:?} is missing"));
            }
        }
    }

    fn peripherals(&mut self) {
        let d = self.description;
        let interrupts = d
            .peripheral
            .iter()
            .flat_map(|p| p.all_interrupts().map(move |i| (i, &p.name)));
        self.unique("interrupt", interrupts);
        for (index, peripheral) in d.peripheral.iter().enumerate() {
            let name = peripheral.name();
            for interrupt in peripheral.all_interrupts() {
                if !(32..1020).contains(&interrupt) {
                    self.say(&peripheral.name, format!("interrupt {interrupt} of {name:?} is not a shared peripheral interrupt (32 to 1019)"));
                }
            }
            for other in &d.peripheral[..index] {
                if overlap(peripheral.base, peripheral.size, other.base, other.size) {
                    self.say(
                        &peripheral.name,
                        format!("peripheral {name:?} overlaps {:?}", other.name()),
                    );
                }
            }
            let known = match peripheral.owner.as_ref().split_once(':') {
                Some(("task", task)) => d.task.iter().any(|t| t.name() == task),
                Some(("partition", partition)) => d.partition.iter().any(|p| p.name() == partition),
                _ => peripheral.owner.as_ref() == "hypervisor",
            };
            if !known {
                self.say(&peripheral.owner, format!("peripheral {name:?} belongs to {:?}, which is not described; write task:<name>, partition:<name> or hypervisor", peripheral.owner.as_ref()));
            }
            if name.starts_with("can") && !peripheral.owner.as_ref().starts_with("task:") {
                self.say(&peripheral.owner, format!("peripheral {name:?} is on the patient's side and must not be visible to the normal world"));
            }
        }
    }

    fn tasks(&mut self) {
        let d = self.description;
        self.unique(
            "priority",
            d.task.iter().map(|task| (task.priority, &task.name)),
        );
        let priorities: HashMap<&str, u32> =
            d.task.iter().map(|t| (t.name(), t.priority)).collect();
        let mut ram_kib = 0_u64;
        for task in &d.task {
            let name = task.name();
            ram_kib += u64::from(task.ram_kib);
            let budget_us = *task.budget_us.get_ref();
            if budget_us == 0 || budget_us > task.period_us {
                self.say(
                    &task.budget_us,
                    format!(
                        "task {name:?} has a budget of {} us in a period of {} us",
                        budget_us, task.period_us
                    ),
                );
            }
            let stack_kib = *task.stack_kib.get_ref();
            if stack_kib < 4
                || stack_kib >= task.ram_kib
                || task.ram_kib % 4 != 0
                || stack_kib % 4 != 0
            {
                self.say(&task.stack_kib, format!("task {name:?} needs whole pages: a stack of 4 KiB or more within a larger ram_kib"));
            }
            for peer in &task.sends {
                match priorities.get(peer.as_str()) {
                    None => self.say(
                        &task.name,
                        format!("task {name:?} sends to {peer:?}, which is not described"),
                    ),
                    Some(&priority) if priority >= task.priority => {
                        self.say(&task.name, format!("task {name:?} sends to {peer:?}, which is not of higher priority: it could wait for ever"));
                    }
                    Some(_) => {}
                }
            }
            for peer in &task.posts {
                if !priorities.contains_key(peer.as_str()) || peer == name {
                    self.say(
                        &task.name,
                        format!("task {name:?} posts to {peer:?}, which is not another task"),
                    );
                }
            }
            for memory in &task.memory {
                match d.memory(memory) {
                    None => self.say(
                        &task.name,
                        format!("task {name:?} uses memory {memory:?}, which is not described"),
                    ),
                    Some(memory) if memory.world != World::Normal => {
                        self.say(
                            &task.name,
                            format!(
                                "task {name:?} may share normal-world memory only, not {:?}",
                                memory.name()
                            ),
                        );
                    }
                    Some(_) => {}
                }
            }
            if task.doorbell.is_some_and(|sgi| !(8..15).contains(&sgi)) {
                self.say(
                    &task.name,
                    format!("doorbell of task {name:?} must be a secure SGI, 8 to 14"),
                );
            }
        }
        if let (Some(memory), Some(first)) = (d.memory("task-ram"), d.task.first())
            && ram_kib * 1024 > memory.size
        {
            self.say(
                &first.name,
                format!(
                    "the tasks need {ram_kib} KiB of RAM, task-ram has {}",
                    memory.size / 1024
                ),
            );
        }
    }

    fn partitions(&mut self) {
        let d = self.description;
        let mut taken = HashSet::new();
        for partition in &d.partition {
            let name = partition.name();
            let PartitionKind::Linux = partition.kind;
            if partition.cores.is_empty() {
                self.say(&partition.name, format!("partition {name:?} has no core"));
            }
            for core in &partition.cores {
                let own = d
                    .core
                    .iter()
                    .any(|c| c.id.as_ref() == core && c.partition.as_deref() == Some(name));
                if !own || !taken.insert(*core) {
                    self.say(
                        &partition.name,
                        format!(
                            "partition {name:?} lists core {core}, which is not its own in [[core]]"
                        ),
                    );
                }
            }
            for memory in [&partition.ram, &partition.root] {
                match d.memory(memory) {
                    Some(memory) if memory.world == World::Normal => {}
                    _ => self.say(&partition.name, format!("partition {name:?} names memory {memory:?}, which is not described as normal-world memory")),
                }
            }
            if let Some(ram) = d.memory(&partition.ram) {
                let offsets = [
                    partition.kernel_offset,
                    partition.dtb_offset,
                    partition.initramfs_offset,
                ];
                if offsets.iter().any(|&offset| offset >= ram.size) {
                    self.say(
                        &partition.name,
                        format!(
                            "partition {name:?} places an image outside its {:#x} bytes of RAM",
                            ram.size
                        ),
                    );
                }
                if ram.base % (2 << 20) != 0 || partition.kernel_offset % (2 << 20) != 0 {
                    self.say(&partition.name, format!("the kernel of partition {name:?} must lie at a multiple of 2 MiB (arm64 boot protocol)"));
                }
            }
            if partition.command_line.len() > 1024 || !partition.command_line.is_ascii() {
                self.say(
                    &partition.name,
                    "command_line must be ASCII, at most 1024 bytes".into(),
                );
            }
            match d
                .task
                .iter()
                .find(|task| task.name() == partition.vsock.task)
            {
                None => self.say(
                    &partition.name,
                    format!(
                        "the vsock task {:?} of partition {name:?} is not described",
                        partition.vsock.task
                    ),
                ),
                Some(task) => {
                    if task.guest_interrupt != Some(partition.vsock.interrupt)
                        || task.doorbell.is_none()
                    {
                        self.say(&task.name, format!("task {:?} needs a doorbell and guest_interrupt = {} for the vsock device of {name:?}", task.name(), partition.vsock.interrupt));
                    }
                }
            }
        }
    }

    fn bus(&mut self) {
        let d = self.description;
        if !SLCAN_BIT_RATES.contains(d.can.bit_rate.as_ref()) {
            self.say(
                &d.can.bit_rate,
                format!(
                    "bit_rate {} is none of SLCAN's: {SLCAN_BIT_RATES:?}",
                    d.can.bit_rate.as_ref()
                ),
            );
        }
        self.unique(
            "the CAN node number",
            d.can.node.iter().map(|node| (node.id, &node.name)),
        );
        for node in &d.can.node {
            if !(1..=127).contains(&node.id) {
                self.say(
                    &node.name,
                    format!(
                        "CAN node {:?} must have a number from 1 to 127",
                        node.name()
                    ),
                );
            }
            let pump = node.kind == crate::CanNodeKind::InfusionPump;
            let timed = node.command_period_us.is_some_and(|period| period >= 1000)
                && node.late_after_us.is_some_and(|late| late > 0);
            if pump && !timed {
                self.say(
                    &node.name,
                    format!(
                        "pump {:?} needs command_period_us >= 1000 and late_after_us > 0",
                        node.name()
                    ),
                );
            }
        }
    }

    fn alarms(&mut self) {
        let a = &self.description.alarms;
        for alarm in [
            &a.asystole,
            &a.tachycardia,
            &a.bradycardia,
            &a.spo2_low,
            &a.lead_off,
        ] {
            if !(100..=120_000).contains(&alarm.as_ref().after_ms) {
                self.say(alarm, "after_ms must be 100 to 120000".into());
            }
        }
        for alarm in [&a.tachycardia, &a.bradycardia] {
            if !limit_in(alarm.as_ref(), 15, 300) {
                self.say(alarm, "limit_bpm must be 15 to 300".into());
            }
        }
        if !a
            .spo2_low
            .as_ref()
            .limit_percent
            .is_some_and(|limit| (50..100).contains(&limit))
        {
            self.say(&a.spo2_low, "limit_percent must be 50 to 99".into());
        }
    }
}

fn limit_in(alarm: &Alarm, least: u32, most: u32) -> bool {
    alarm
        .limit_bpm
        .is_some_and(|limit| (least..=most).contains(&limit))
}

fn overlap(base: u64, size: u64, other_base: u64, other_size: u64) -> bool {
    base < other_base.saturating_add(other_size) && other_base < base.saturating_add(size)
}
