//! What a description may say: the tables of `device/*.toml`, as types.

use serde::Deserialize;
use toml::Spanned;

/// A whole device description.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Who made it and what it is.
    pub product: Product,
    /// The board it runs on.
    pub board: Board,
    /// Every core and whose it is.
    pub core: Vec<Core>,
    /// The flash bank the device boots from.
    pub flash: Flash,
    /// Every memory region.
    pub memory: Vec<Memory>,
    /// What is loaded, in order; tasks and partitions add theirs.
    pub component: Vec<Component>,
    /// Every device register block and its one owner.
    pub peripheral: Vec<Peripheral>,
    /// Secure tasks.
    pub task: Vec<Task>,
    /// Partitions of the normal world.
    pub partition: Vec<Partition>,
    /// The CAN bus.
    pub can: Can,
    /// Alarm limits.
    pub alarms: Alarms,
    /// The hospital's side.
    pub ward: Ward,
}

/// Who made the device and what it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Short name of the product.
    pub name: String,
    /// A domain name of the vendor; the SUIT vendor identifier derives from it (UUIDv5).
    pub vendor: String,
    /// The class of devices that may run the same images.
    pub class: String,
    /// Version of the firmware as a whole.
    pub version: Spanned<String>,
    /// Name of this very device.
    pub device_id: Spanned<String>,
}

/// The board the device is built on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Name of the board's module in `firmware/board`.
    pub name: Spanned<String>,
    /// Size of DRAM in MiB.
    pub dram_mib: Spanned<u64>,
}

/// The world a core or a memory region belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// The secure world.
    Secure,
    /// The normal world.
    Normal,
    /// Kept, never started.
    Off,
}

/// A processor core.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// Number of the core (MPIDR affinity 0).
    pub id: Spanned<u32>,
    /// `secure` or `off`; a core of a partition names that instead.
    pub world: Option<World>,
    /// The partition the core belongs to.
    pub partition: Option<String>,
}

/// The flash bank the device boots from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// Physical address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// How it is divided.
    pub regions: Vec<FlashRegion>,
}

/// A part of the flash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashRegion {
    /// Name of the region.
    pub name: Spanned<String>,
    /// Bytes from the start of the flash.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

/// A region of memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Name of the region.
    pub name: Spanned<String>,
    /// Physical address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// The world that may reach it.
    pub world: World,
}

/// Something that is verified and loaded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Name of the component.
    pub name: Spanned<String>,
    /// The memory region it is loaded to.
    pub region: String,
}

/// A block of device registers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peripheral {
    /// Name of the peripheral.
    pub name: Spanned<String>,
    /// Physical address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// Its interrupt (GIC INTID), if it has just one.
    pub interrupt: Option<u32>,
    /// Its interrupts (GIC INTIDs), if it has several.
    #[serde(default)]
    pub interrupts: Vec<u32>,
    /// `task:<name>`, `partition:<name>` or `hypervisor`.
    pub owner: Spanned<String>,
}

/// A secure task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name of the task.
    pub name: Spanned<String>,
    /// Strict priority, 0 the highest; no two tasks share one.
    pub priority: u32,
    /// Stack in KiB.
    pub stack_kib: Spanned<u32>,
    /// Data, stack included, in KiB.
    pub ram_kib: u32,
    /// Time it may use in every period, in microseconds.
    pub budget_us: Spanned<u32>,
    /// The period of the budget, in microseconds.
    pub period_us: u32,
    /// Tasks it may send messages to; each of higher priority.
    #[serde(default)]
    pub sends: Vec<String>,
    /// Tasks it may post notifications to.
    #[serde(default)]
    pub posts: Vec<String>,
    /// Normal-world memory regions it may read and write.
    #[serde(default)]
    pub memory: Vec<String>,
    /// The secure SGI by which the hypervisor wakes it.
    pub doorbell: Option<u32>,
    /// The shared interrupt it may raise in a partition.
    pub guest_interrupt: Option<u32>,
}

/// What kind of system a partition runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionKind {
    /// A stock Linux kernel with initramfs, device tree and root file system.
    Linux,
}

/// A partition of the normal world.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Name of the partition.
    pub name: Spanned<String>,
    /// What it runs.
    pub kind: PartitionKind,
    /// Its cores; the first one boots.
    pub cores: Vec<u32>,
    /// The memory region that is its RAM.
    pub ram: String,
    /// The memory region that holds its root file system, read-only for it.
    pub root: String,
    /// Where the kernel image goes, bytes into its RAM.
    pub kernel_offset: u64,
    /// Where the device tree goes, bytes into its RAM.
    pub dtb_offset: u64,
    /// Where the initramfs goes, bytes into its RAM.
    pub initramfs_offset: u64,
    /// The kernel's command line.
    pub command_line: String,
    /// The one channel to the secure world.
    pub vsock: Vsock,
    /// Stream identifiers (PCI requester ids) whose DMA reaches its RAM.
    pub streams: Vec<u32>,
}

/// The virtio-vsock device by which a partition reaches a secure task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vsock {
    /// Address of its registers as the partition sees them.
    pub base: u64,
    /// Its interrupt (GIC INTID).
    pub interrupt: u32,
    /// Context identifier of the partition.
    pub cid: u32,
    /// The secure task behind it.
    pub task: String,
    /// The port that task listens on.
    pub port: u32,
}

/// The CAN bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Can {
    /// Bits per second.
    pub bit_rate: Spanned<u32>,
    /// The nodes on it.
    pub node: Vec<CanNode>,
}

/// What a node on the CAN bus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanNodeKind {
    /// An ECG front end.
    Ecg,
    /// A pleth and SpO2 front end.
    Pleth,
    /// An infusion pump.
    InfusionPump,
}

/// A node on the CAN bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanNode {
    /// Name of the node.
    pub name: Spanned<String>,
    /// Its number, 1 to 127.
    pub id: u32,
    /// What it is.
    pub kind: CanNodeKind,
    /// How often it expects a command, in microseconds.
    pub command_period_us: Option<u32>,
    /// How much later than due a command counts as late, in microseconds.
    pub late_after_us: Option<u32>,
}

/// IEC 60601-1-8 alarm priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Awareness.
    Low,
    /// Prompt response.
    Medium,
    /// Immediate response.
    High,
}

/// The alarms and their limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// No beat for `after_ms`.
    pub asystole: Spanned<Alarm>,
    /// Heart rate above `limit_bpm` for `after_ms`.
    pub tachycardia: Spanned<Alarm>,
    /// Heart rate below `limit_bpm` for `after_ms`.
    pub bradycardia: Spanned<Alarm>,
    /// Oxygen saturation below `limit_percent` for `after_ms`.
    pub spo2_low: Spanned<Alarm>,
    /// An electrode off for `after_ms`.
    pub lead_off: Spanned<Alarm>,
}

/// One alarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// Its priority.
    pub priority: Priority,
    /// How long the condition must last, in milliseconds.
    pub after_ms: u32,
    /// Limit in beats per minute, for rate alarms.
    pub limit_bpm: Option<u32>,
    /// Limit in percent, for saturation.
    pub limit_percent: Option<u32>,
}

/// The hospital's side, as the device finds it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ward {
    /// Address as seen from the Linux partition.
    pub host: Spanned<String>,
    /// Port for records.
    pub port: u16,
    /// Port of the web page.
    pub http_port: u16,
}

macro_rules! named {
    ($($type:ty),*) => {$(
        impl $type {
            /// The name as plain text.
            #[must_use]
            pub fn name(&self) -> &str {
                self.name.as_ref()
            }
        }
    )*};
}
named!(
    FlashRegion,
    Memory,
    Component,
    Peripheral,
    Task,
    Partition,
    CanNode
);

impl Memory {
    /// One past its last address; saturates, and the checks refuse what would overflow.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }
}

impl Peripheral {
    /// All its interrupts (GIC INTIDs).
    pub fn all_interrupts(&self) -> impl Iterator<Item = u32> + '_ {
        self.interrupt
            .into_iter()
            .chain(self.interrupts.iter().copied())
    }
}
