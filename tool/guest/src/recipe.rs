//! What the guest is made of (`recipe.toml`) and which packages exactly (`packages.lock`).

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the recipe in its folder.
pub const RECIPE: &str = "recipe.toml";
/// Name of the lock file beside it.
pub const LOCK: &str = "packages.lock";

/// What the guest is made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The Debian release.
    pub suite: String,
    /// Debian's name of the processor.
    pub architecture: String,
    /// Where older versions are kept.
    pub snapshots: String,
    /// The kernel.
    pub kernel: Kernel,
    /// Files from packages.
    pub take: Vec<Take>,
    /// The initial file system.
    pub initramfs: Initramfs,
    /// The root file system.
    pub root: Root,
}

/// The kernel and its modules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The package that depends on the newest kernel.
    pub newest: String,
    /// Modules to load, by name; what they need is added.
    pub modules: Vec<String>,
}

/// A file from a package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// The package.
    pub package: String,
    /// Its path in the package, without the first slash.
    pub from: String,
    /// Its path in the initramfs, if it goes there.
    pub initramfs: Option<String>,
    /// Its path in the root file system, if it goes there.
    pub root: Option<String>,
}

/// The initial file system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initramfs {
    /// busybox's commands to be found in `bin`.
    pub applets: Vec<String>,
}

/// The root file system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// busybox's commands to be found in `bin`.
    pub applets: Vec<String>,
    /// Empty directories: mount points.
    pub directories: Vec<String>,
    /// Identifier of the file system.
    pub uuid: String,
}

impl Recipe {
    /// Reads the recipe in `folder`.
    ///
    /// # Errors
    /// With the file and the line.
    pub fn read(folder: &Path) -> Result<Self> {
        read(&folder.join(RECIPE))
    }

    /// The packages files are taken from, each once.
    #[must_use]
    pub fn packages(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.take.iter().map(|take| take.package.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The packages, to the byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// When it was resolved, as the snapshot archive names its states (`20261125T040000Z`).
    pub resolved: String,
    /// The kernel's release, as in its package's name.
    pub kernel: String,
    /// The packages.
    pub package: Vec<Package>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's name of the processor, or `all`.
    pub architecture: String,
    /// The source package it was built from, and its version.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// The archive it is in: `debian` or `debian-security`.
    pub archive: String,
    /// Its path there.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

impl Lock {
    /// Reads the lock file in `folder`.
    ///
    /// # Errors
    /// With the file and the line.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let lock: Self = read(&path)?;
        for package in &lock.package {
            let hexadecimal = package.sha256.len() == 64
                && package.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            let plain =
                |text: &str| !text.starts_with('/') && !text.split('/').any(|part| part == "..");
            ensure!(
                hexadecimal && plain(&package.file) && plain(&package.archive),
                "{}: package {:?} has no proper digest or path",
                path.display(),
                package.name
            );
        }
        Ok(lock)
    }

    /// Writes the lock file in `folder`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(LOCK);
        let text = toml::to_string(self).context("lock file")?;
        let text = format!(
            "# Written by `./lazaret guest --lock`: exactly these packages make the guest.\n{text}"
        );
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The package called `name`.
    ///
    /// # Errors
    /// Where it is not in the lock file.
    pub fn package(&self, name: &str) -> Result<&Package> {
        let found = self.package.iter().find(|package| package.name == name);
        found.with_context(|| {
            format!("package {name} is not in {LOCK}: run `./lazaret guest --lock`")
        })
    }

    /// The kernel's package.
    ///
    /// # Errors
    /// Where it is not in the lock file.
    pub fn kernel_package(&self) -> Result<&Package> {
        self.package(&format!("linux-image-{}", self.kernel))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}
