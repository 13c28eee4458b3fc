//! The boot in instructions: reset to the hypervisor, reset to Linux, and Linux to its init, with
//! the hypervisor and without.

use super::rig::{self, TICK};
use super::rows::{Row, Target};
use crate::build::{self, GuestImages};
use crate::gdb::Gdb;
use crate::machine::Machine;
use anyhow::{Context as _, Result, bail};
use lazaret_description::Description;
use partition::counters::{EXIT_NAMES, Mark, State};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An init that ends the machine at its first instructions: `reboot(POWER_OFF)`, by number
/// (Linux, include/uapi/linux/reboot.h; system call 142).
const INIT: &str = r"
    .global _start
_start:
    movz x0, #0xdead
    movk x0, #0xfee1, lsl #16
    movz x1, #0x1969
    movk x1, #0x2812, lsl #16
    movz x2, #0xfedc
    movk x2, #0x4321, lsl #16
    mov x3, #0
    mov x8, #142
    svc #0
    b .
";

/// Boots the real images, then Linux alone.
///
/// # Errors
/// Where a machine does not come up.
pub fn measure() -> Result<Vec<Row>> {
    let description = build::description()?;
    let guest = GuestImages {
        initramfs: initramfs()?,
        ..build::guest()?
    };
    let plugin = rig::plugin()?;
    let with = with_hypervisor(&description, &guest, &plugin)?;
    let without = without_hypervisor(&description, &guest, &plugin)?;
    let mut rows = with.rows;
    let ratio = with.linux as f64 / without as f64;
    let name = "Linux to init";
    rows.push(Row::new(
        &format!("{name}, under the hypervisor"),
        with.linux as f64,
        "instructions",
        Target::None,
        "",
    ));
    rows.push(Row::new(
        &format!("{name}, without"),
        without as f64,
        "instructions",
        Target::None,
        "",
    ));
    rows.push(Row::new(
        &format!("{name}, with / without"),
        ratio,
        "",
        Target::AtMost(1.01),
        "",
    ));
    rows.extend(with.exits);
    Ok(rows)
}

/// What the boot with everything showed.
struct With {
    rows: Vec<Row>,
    exits: Vec<Row>,
    /// Instructions of the partition's cores from Linux's first one on.
    linux: u64,
}

fn with_hypervisor(description: &Description, guest: &GuestImages, plugin: &Path) -> Result<With> {
    let name = "boot";
    let flash = rig::flash(description, name, guest, &[])?;
    let partition = description
        .partition
        .first()
        .context("no partition is described")?;
    let ram = description
        .memory(partition.ram.as_ref())
        .context("the partition has no RAM")?;
    let counts = rig::folder(name).join("executed");
    let start = ram.base + partition.kernel_offset;
    let argument = format!(
        "{},out={},start={start:x}",
        plugin.display(),
        counts.display()
    );
    let mut machine = rig::counting(&flash, name, |config| {
        config.stopped = true;
        config.gdb = true;
        config.arguments = vec!["-plugin".to_owned(), argument];
    })?;
    let times = loader_times(description, &mut machine)?;
    let snapshot = rig::wait_counters(description, &mut machine, "Linux's end", |snapshot| {
        snapshot.state != Some(State::Running) && snapshot.marks[Mark::PartitionStart as usize] != 0
    })?;
    if snapshot.state != Some(State::SwitchedOff) {
        bail!(
            "Linux did not switch itself off but is {:?}; the console's last lines:\n{}",
            snapshot.state,
            crate::machine::last_lines(&machine.console(), 15)
        );
    }
    end(&mut machine)?;
    let executed = rig::executed(&counts)?;
    let own = |core: &u32| executed.get(*core as usize).copied().unwrap_or(0);
    let linux = partition.cores.iter().map(own).sum();
    let mark = |mark: Mark| snapshot.marks[mark as usize];
    // Verifying the guest's images comes between; TF-A's number has none of that.
    let to_hypervisor = mark(Mark::Entry) - (times.loader_verified - times.firmware_verified);
    let row = |name: &str, ticks: u64, target, others: &str| {
        Row::new(name, (ticks * TICK) as f64, "instructions", target, others)
    };
    let target = Target::AtMost(20_000_000.0);
    let others = "TF-A RSA-2048 33.55 M; ECDSA P-256 432.7 M";
    let rows = vec![
        row(
            "reset to hypervisor, firmware verified",
            to_hypervisor,
            target,
            others,
        ),
        row(
            "reset to Linux, the guest's images too",
            mark(Mark::PartitionStart),
            Target::None,
            "",
        ),
        row("reset to loader", times.loader_entry, Target::None, ""),
    ];
    let total = snapshot.exits.iter().sum::<u64>();
    let mut exits = vec![Row::new(
        "exits until init",
        total as f64,
        "exits",
        Target::None,
        "",
    )];
    for (reason, count) in EXIT_NAMES
        .iter()
        .zip(snapshot.exits)
        .filter(|(_, count)| *count > 0)
    {
        exits.push(Row::new(
            &format!("  {reason}"),
            count as f64,
            "exits",
            Target::None,
            "",
        ));
    }
    Ok(With { rows, exits, linux })
}

/// Ends a machine whose plugin shall write its numbers.
fn end(machine: &mut Machine) -> Result<()> {
    machine.qmp("quit", json!({}))?;
    machine.wait_end(rig::HANG)
}

/// The hand-over's times, read at the monitor's first instruction, where memory is as it is.
fn loader_times(description: &Description, machine: &mut Machine) -> Result<bootinfo::BootTimes> {
    let base = |name: &str| {
        let region = description.memory(name);
        Ok::<_, anyhow::Error>(region.with_context(|| format!("no region {name:?}"))?.base)
    };
    let socket = machine.config().socket("gdb.sock");
    let mut gdb = Gdb::connect(&socket)?;
    let entry = base("monitor")?;
    gdb.set_breakpoint(entry)?;
    gdb.go_until_stop()?;
    gdb.remove_breakpoint(entry)?;
    let at = base("boot-info")? + std::mem::offset_of!(bootinfo::BootInfo, times) as u64;
    let bytes = gdb.memory(at, size_of::<bootinfo::BootTimes>())?;
    let mut words = bytes
        .chunks_exact(8)
        .filter_map(|chunk| chunk.first_chunk());
    let mut next = || words.next().map_or(0, |word| u64::from_le_bytes(*word));
    let times = bootinfo::BootTimes {
        rom_entry: next(),
        rom_verified: next(),
        loader_entry: next(),
        firmware_verified: next(),
        loader_verified: next(),
        monitor_entry: next(),
    };
    if times.firmware_verified == 0 || times.loader_verified < times.firmware_verified {
        bail!("the hand-over's times make no sense: {times:?}");
    }
    gdb.detach()?;
    Ok(times)
}

/// The same kernel, device tree and RAM, straight on QEMU's machine: at EL1 on two cores, PSCI
/// by QEMU itself.
fn without_hypervisor(
    description: &Description,
    guest: &GuestImages,
    plugin: &Path,
) -> Result<u64> {
    let folder = rig::folder("alone");
    fs::create_dir_all(&folder)?;
    let mut description = description.clone();
    let partition = description
        .partition
        .first_mut()
        .context("no partition is described")?;
    // QEMU starts core 0, so the device tree says cores 0 and 1; all else is the same.
    partition.cores = (0..partition.cores.len() as u32).collect();
    let partition = partition.clone();
    let name = partition.name();
    let ram = description
        .memory(partition.ram.as_ref())
        .context("the partition has no RAM")?
        .base;
    let root = description
        .memory(partition.root.as_ref())
        .context("no root region")?
        .base;
    let dtb = lazaret_description::dtb::linux_dtb(
        &description,
        name,
        guest.initramfs.len() as u64,
        guest.root.len() as u64,
    );
    // A boot loader of four instructions: x0 = device tree, jump (Linux, Documentation/arm64/booting.rst).
    let start = ram + 0x1000_0000;
    let code = [
        0x5800_0080_u32, // ldr x0, 1f
        0x5800_00a1,     // ldr x1, 2f
        0xd61f_0020,     // br x1
        0xd503_201f,     // nop
    ];
    let mut stub: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    stub.extend((ram + partition.dtb_offset).to_le_bytes());
    stub.extend((ram + partition.kernel_offset).to_le_bytes());
    let mut arguments: Vec<String> = [
        "-M",
        "virt,gic-version=3,iommu=smmuv3",
        "-cpu",
        "max,sve=off,sme=off,pauth-impdef=on",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-nic",
        "none",
        "-icount",
        "shift=0,sleep=off",
        "-no-reboot",
    ]
    .map(String::from)
    .to_vec();
    let mut add = |words: [String; 2]| arguments.extend(words);
    add(["-smp".into(), partition.cores.len().to_string()]);
    add(["-m".into(), description.board.dram_mib.as_ref().to_string()]);
    let images: [(&str, &[u8], u64); 5] = [
        ("Image", &guest.kernel, ram + partition.kernel_offset),
        (
            "initramfs",
            &guest.initramfs,
            ram + partition.initramfs_offset,
        ),
        ("dtb", &dtb, ram + partition.dtb_offset),
        ("root", &guest.root, root),
        ("stub", &stub, start),
    ];
    for (name, bytes, address) in images {
        let file = folder.join(name);
        fs::write(&file, bytes)?;
        let file = file.display();
        add([
            "-device".into(),
            format!("loader,file={file},addr={address:#x},force-raw=on"),
        ]);
    }
    add([
        "-device".into(),
        format!("loader,addr={start:#x},cpu-num=0"),
    ]);
    let counts = folder.join("executed");
    add([
        "-plugin".into(),
        format!("{},out={}", plugin.display(), counts.display()),
    ]);
    let _ = fs::remove_file(&counts);
    let console = fs::File::create(folder.join("console.log"))?;
    let status = Command::new("qemu-system-aarch64")
        .args(&arguments)
        .stdin(std::process::Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .status()
        .context("qemu-system-aarch64, of Debian's package qemu-system-arm")?;
    if !status.success() {
        bail!(
            "QEMU ended with {status}; see {}",
            folder.join("console.log").display()
        );
    }
    Ok(rig::executed(&counts)?.iter().sum())
}

/// An initial RAM file system that holds nothing but [`INIT`].
fn initramfs() -> Result<Vec<u8>> {
    let folder = rig::folder("init");
    fs::create_dir_all(&folder)?;
    let (source, program) = (folder.join("init.S"), folder.join("init"));
    fs::write(&source, INIT)?;
    let mut command = Command::new("aarch64-linux-gnu-gcc");
    command
        .args(["-static", "-nostdlib", "-Wl,--build-id=none", "-o"])
        .arg(&program)
        .arg(&source);
    rig::run(
        &mut command,
        "aarch64-linux-gnu-gcc, of Debian's package gcc-aarch64-linux-gnu",
    )?;
    let mut archive = Vec::new();
    entry(&mut archive, "init", 0o100_755, &read(&program)?);
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    archive.resize(archive.len().next_multiple_of(4096), 0);
    Ok(archive)
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// One file in the "newc" form of cpio (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let pad = |archive: &mut Vec<u8>| archive.resize(archive.len().next_multiple_of(4), 0);
    let numbers = [
        1,
        mode,
        0,
        0,
        1,
        0,
        content.len() as u32,
        0,
        0,
        0,
        0,
        name.len() as u32 + 1,
        0,
    ];
    archive.extend(b"070701");
    numbers
        .iter()
        .for_each(|number| archive.extend(format!("{number:08x}").bytes()));
    archive.extend(name.bytes());
    archive.push(0);
    pad(archive);
    archive.extend(content);
    pad(archive);
}
