//! Builds everything the device runs, signs it and lays it out on flash.

use crate::{paths, ui};
use anyhow::{Context as _, Result, bail};
use images::ComponentInput;
use lazaret_description::Description;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Firmware stages without floating point.
pub const SOFTFLOAT: &str = "aarch64-unknown-none-softfloat";
/// Firmware stages that do cryptography.
pub const HARDFLOAT: &str = "aarch64-unknown-none";

/// A firmware binary: its cargo package and the target it is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The component's name, as in the manifest.
    pub component: String,
    /// The cargo package.
    pub package: String,
    /// The cargo target.
    pub target: &'static str,
}

impl Stage {
    /// The linked ELF file.
    #[must_use]
    pub fn elf(&self) -> PathBuf {
        paths::target()
            .join("firmware")
            .join(self.target)
            .join("firmware")
            .join(&self.package)
    }
}

/// Every firmware stage of a device: the boot ROM, the written components, the tasks.
#[must_use]
pub fn stages(description: &Description) -> Vec<Stage> {
    let stage = |name: &str| Stage {
        component: name.to_owned(),
        package: name.to_owned(),
        target: if matches!(name, "bootrom" | "loader") {
            HARDFLOAT
        } else {
            SOFTFLOAT
        },
    };
    let written = description
        .component
        .iter()
        .map(|component| stage(component.name()));
    let tasks = description
        .task
        .iter()
        .map(|task| stage(&format!("task-{}", task.name())));
    std::iter::once(stage("bootrom"))
        .chain(written)
        .chain(tasks)
        .collect()
}

/// Runs cargo and shows what it is compiling.
///
/// # Errors
/// With everything cargo said, where it fails.
pub fn cargo(work: &ui::Work, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut child = Command::new("cargo")
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(paths::root())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cargo cannot be started: run the `lazaret` script, which installs it")?;
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().context("no stderr")?).lines() {
        let line = line?;
        if let Some(what) = line.trim_start().strip_prefix("Compiling ") {
            work.at(what.split(" (").next().unwrap_or(what));
        }
        said.push_str(&line);
        said.push('\n');
    }
    if child.wait()?.success() {
        return Ok(());
    }
    bail!("cargo {} failed:\n{said}", arguments.join(" "))
}

/// Builds the firmware binaries of `stages`.
///
/// # Errors
/// Where cargo fails.
pub fn firmware(stages: &[Stage]) -> Result<()> {
    for target in [SOFTFLOAT, HARDFLOAT] {
        let work = ui::Work::start(&format!("firmware for {target}"));
        let packages: Vec<&str> = stages
            .iter()
            .filter(|s| s.target == target)
            .flat_map(|s| ["-p", &s.package])
            .collect();
        let count = packages.len() / 2;
        firmware_cargo(&work, "build", target, &packages, &[])?;
        work.finish(&format!("{count} binaries"));
    }
    Ok(())
}

/// Runs `cargo <verb>` for firmware packages on a bare-metal target.
///
/// # Errors
/// Where cargo fails.
pub fn firmware_cargo(
    work: &ui::Work,
    verb: &str,
    target: &str,
    packages: &[&str],
    tail: &[&str],
) -> Result<()> {
    let folder = paths::target().join("firmware").display().to_string();
    let mut arguments = vec![
        verb,
        "--locked",
        "--profile",
        "firmware",
        "--target",
        target,
        "--target-dir",
        &folder,
        "-Zbuild-std=core,alloc",
        "-Zbuild-std-features=compiler-builtins-mem",
    ];
    arguments.extend_from_slice(packages);
    arguments.extend_from_slice(tail);
    cargo(work, &arguments, &[])
}

/// Builds the host programs the demo and the tests start.
///
/// # Errors
/// Where cargo fails.
pub fn host_programs() -> Result<()> {
    let work = ui::Work::start("ward and patient simulator");
    cargo(
        &work,
        &["build", "--locked", "-p", "ward", "-p", "sim"],
        &[],
    )?;
    work.finish("");
    Ok(())
}

/// A host program of this workspace.
#[must_use]
pub fn host_program(name: &str) -> PathBuf {
    paths::target().join("debug").join(name)
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The whole flash, ready to run.
    pub flash: PathBuf,
    /// The description it was built from.
    pub description: Description,
}

/// The description of this build.
///
/// # Errors
/// Every problem in it, with its line.
pub fn description() -> Result<Description> {
    Ok(Description::load_default()?)
}

/// What goes into the Linux partition, as files' contents.
#[derive(Debug, Clone)]
pub struct GuestImages {
    /// The kernel's `Image`.
    pub kernel: Vec<u8>,
    /// The initial RAM file system.
    pub initramfs: Vec<u8>,
    /// The root file system.
    pub root: Vec<u8>,
    /// Version of the kernel's Debian package.
    pub kernel_version: String,
    /// Version of the other two: the lock file's digest.
    pub root_version: String,
}

/// Builds, signs and assembles everything.
///
/// # Errors
/// Whatever failed first, with what to do about it.
pub fn everything(description: Description) -> Result<Built> {
    let stages = stages(&description);
    firmware(&stages)?;
    host_programs()?;
    let guest = guest()?;
    let flash = paths::output().join("flash.img");
    let components = components(&description, &stages, &guest)?;
    assemble(&description, &stages, components, &flash)?;
    Ok(Built { flash, description })
}

/// A linked stage as it lies in memory.
///
/// # Errors
/// Where it has not been built.
pub fn flat(stage: &Stage) -> Result<Vec<u8>> {
    let elf = stage.elf();
    let bytes =
        std::fs::read(&elf).with_context(|| format!("{}: run `./lazaret build`", elf.display()))?;
    Ok(images::flatten(&bytes)
        .with_context(|| elf.display().to_string())?
        .bytes)
}

/// Every component of the description, with what was built for it.
///
/// # Errors
/// Where something has not been built.
pub fn components(
    description: &Description,
    stages: &[Stage],
    guest: &GuestImages,
) -> Result<Vec<ComponentInput>> {
    let version = description.product.version.as_ref();
    let mut list = Vec::new();
    for stage in stages.iter().filter(|stage| stage.component != "bootrom") {
        list.push(ComponentInput::new(&stage.component, version, flat(stage)?));
    }
    for partition in &description.partition {
        let name = partition.name();
        let dtb = lazaret_description::dtb::linux_dtb(
            description,
            name,
            guest.initramfs.len() as u64,
            guest.root.len() as u64,
        );
        let parts = [
            ("kernel", &guest.kernel, guest.kernel_version.as_str()),
            ("initramfs", &guest.initramfs, &guest.root_version),
            ("dtb", &dtb, version),
            ("root", &guest.root, &guest.root_version),
        ];
        for (part, bytes, version) in parts {
            let mut input =
                ComponentInput::new(&format!("{name}-{part}"), shorten(version), bytes.clone());
            // The kernel image is stored compressed: two slots must fit the flash.
            input.compress = part == "kernel";
            list.push(input);
        }
    }
    Ok(list)
}

/// A version has at most 16 bytes in the manifest.
fn shorten(version: &str) -> &str {
    let end = version
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|&end| end <= 16)
        .last();
    &version[..end.unwrap_or(0)]
}

/// Signs the components and writes the whole flash to `file`.
///
/// # Errors
/// Where keys, signing or the file fail.
pub fn assemble(
    description: &Description,
    stages: &[Stage],
    components: Vec<ComponentInput>,
    file: &Path,
) -> Result<()> {
    let work = ui::Work::start("sign and lay out the flash");
    let (keys, made) = images::KeyRing::load_or_make(&paths::keys())?;
    if !made.is_empty() {
        ui::note(&format!(
            "made development keys in {}: {}",
            paths::keys().display(),
            made.join(", ")
        ));
    }
    let rom = stages
        .iter()
        .find(|stage| stage.component == "bootrom")
        .context("no boot ROM")?;
    let count = components.len();
    let inputs = images::BuildInputs {
        bootrom: flat(rom)?,
        components,
        sequence: 1,
    };
    let flash = images::build_flash(description, &keys, &inputs)?;
    images::verify_flash(description, &flash)
        .map_err(|refusal| anyhow::anyhow!("what was just built would be refused: {refusal}"))?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, &flash).with_context(|| format!("cannot write {}", file.display()))?;
    work.finish(&format!("{count} components, ES256 + ML-DSA-65"));
    Ok(())
}

/// What `lazaret guest` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct GuestOptions {
    /// Resolve the recipe's packages anew and rewrite the lock file
    #[arg(long)]
    pub lock: bool,
}

/// The Rust target of programs in the Linux guest.
pub const GUEST: &str = "aarch64-unknown-linux-gnu";

/// Builds our own programs of the guest, each one static file; gives their folder.
///
/// # Errors
/// Where cargo fails.
pub fn guest_programs() -> Result<PathBuf> {
    let work = ui::Work::start("forwarder for the Linux guest");
    let folder = paths::target().join("guest");
    let at = folder.display().to_string();
    let arguments = [
        "build",
        "--locked",
        "--profile",
        "firmware",
        "--target",
        GUEST,
        "--target-dir",
        &at,
        // No stack traces in the guest: they would need the symbols, and are larger than the program.
        "-Zbuild-std=std,panic_abort",
        "-Zbuild-std-features=",
        "-p",
        "forwarder",
    ];
    cargo(
        &work,
        &arguments,
        &[("CARGO_PROFILE_FIRMWARE_STRIP", "symbols")],
    )?;
    work.finish("");
    Ok(folder.join(GUEST).join("firmware"))
}

/// Builds the Linux guest from its pinned packages; keeps the list of what is in it as
/// `guest/packages.json` beside the flash.
///
/// # Errors
/// Where a package cannot be had, a program is missing or does not build, with what to do.
pub fn guest() -> Result<GuestImages> {
    let programs = guest_programs()?;
    let work = ui::Work::start("Linux guest from Debian packages");
    let folder = paths::output().join("guest");
    let inputs = guest_image::Inputs {
        recipe: paths::guest_recipe(),
        cache: paths::cache(),
        work: folder.clone(),
        forwarder: programs.join("forwarder"),
        counter: programs.join("counter"),
    };
    let images = guest_image::build(&inputs, &|what| work.at(what))?;
    std::fs::write(
        folder.join("packages.json"),
        serde_json::to_string_pretty(&images.contents)?,
    )?;
    work.finish(&format!(
        "kernel {}, root file system of {} KiB",
        images.kernel_version,
        images.root.len() / 1024
    ));
    Ok(GuestImages {
        kernel: images.kernel,
        initramfs: images.initramfs,
        root: images.root,
        kernel_version: images.kernel_version,
        root_version: images.root_version,
    })
}

/// `lazaret guest`: builds the guest alone, or moves its lock file to the newest packages first.
///
/// # Errors
/// As [`guest`], and where the package lists cannot be read.
pub fn guest_command(options: &GuestOptions) -> Result<()> {
    if options.lock {
        let work = ui::Work::start("newest Debian packages for the guest");
        let (before, lock) = guest_image::lock(&paths::guest_recipe(), &paths::cache(), &|what| {
            work.at(what)
        })?;
        work.finish(&format!("{} packages", lock.package.len()));
        for package in &lock.package {
            let old = before
                .iter()
                .flat_map(|before| &before.package)
                .find(|old| old.name == package.name);
            match old {
                Some(old) if old == package => {
                    ui::note(&format!("{} {}: as before", package.name, package.version))
                }
                Some(old) => ui::note(&format!(
                    "{} {} (was {})",
                    package.name, package.version, old.version
                )),
                None => ui::note(&format!("{} {} (new)", package.name, package.version)),
            }
        }
    }
    guest()?;
    ui::done(&format!(
        "what is in the guest: {}",
        paths::output().join("guest/packages.json").display()
    ));
    Ok(())
}
