//! Builds the Linux guest from Debian packages pinned in a lock file.
//!
//! Kernel, initramfs and root file system; the same lock file, recipe and programs give the
//! same bytes. The recipe stands in `firmware/guests/linux`.

pub mod apt;
pub mod cpio;
pub mod deb;
pub mod modules;
pub mod recipe;
mod root;

use anyhow::{Context as _, Result, ensure};
use cpio::Archive;
use modules::Modules;
pub use recipe::{Lock, Package, Recipe};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// "ARM\x64" at byte 56 of a kernel that can be started as it is (Linux `Documentation/arm64/booting.rst`).
const IMAGE_MAGIC: (usize, &[u8]) = (56, b"ARM\x64");

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Folder of the recipe.
    pub recipe: PathBuf,
    /// Folder for packages, kept between builds.
    pub cache: PathBuf,
    /// Folder for what is made on the way; emptied first.
    pub work: PathBuf,
    /// The forwarder, one static file.
    pub forwarder: PathBuf,
    /// The program that prints the system counter, one static file.
    pub counter: PathBuf,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The kernel, as it is in Debian's package.
    pub kernel: Vec<u8>,
    /// The initial file system, compressed.
    pub initramfs: Vec<u8>,
    /// The root file system.
    pub root: Vec<u8>,
    /// Version of the kernel's package.
    pub kernel_version: String,
    /// Version of the other two: the start of the digest over lock file, recipe and our own files.
    pub root_version: String,
    /// What they were made of.
    pub contents: Vec<Content>,
}

/// A package or program in the guest, for the list that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from: `debian` or `debian-security`, or `lazaret`.
    pub supplier: String,
    /// The source package, or crate, and its version.
    pub source: String,
    /// SHA-256 of the package or program, in hexadecimal.
    pub sha256: String,
    /// What of it is in the guest: `image:path`.
    pub files: Vec<String>,
}

/// Builds the three images.
///
/// # Errors
/// Whatever failed, with what to do about it.
pub fn build(inputs: &Inputs, say: &dyn Fn(&str)) -> Result<Images> {
    let recipe = Recipe::read(&inputs.recipe)?;
    let lock = Lock::read(&inputs.recipe)?;
    let mut build = Build {
        inputs,
        recipe: &recipe,
        lock: &lock,
        files: BTreeMap::new(),
        used: BTreeMap::new(),
    };
    for package in &lock.package {
        say(&format!("{} {}", package.name, package.version));
        build.unpack(package)?;
    }
    say("initramfs");
    let initramfs = build.initramfs()?;
    say("root file system");
    let root = build.root()?;
    let kernel_package = lock.kernel_package()?;
    Ok(Images {
        kernel: build.kernel()?,
        initramfs,
        root,
        kernel_version: kernel_package.version.clone(),
        root_version: build.version()?,
        contents: build.contents()?,
    })
}

/// Resolves the recipe anew and writes its lock file; gives the old one, where there was one, and the new one.
///
/// # Errors
/// Where apt fails or the file cannot be written.
pub fn lock(recipe: &Path, cache: &Path, say: &dyn Fn(&str)) -> Result<(Option<Lock>, Lock)> {
    let before = Lock::read(recipe).ok();
    let lock = apt::resolve(&Recipe::read(recipe)?, cache, say)?;
    lock.write(recipe)?;
    Ok((before, lock))
}

/// A build on its way.
struct Build<'a> {
    inputs: &'a Inputs,
    recipe: &'a Recipe,
    lock: &'a Lock,
    /// By package: path and content.
    files: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// By package or program: where its files went.
    used: BTreeMap<String, BTreeSet<String>>,
}

impl Build<'_> {
    fn unpack(&mut self, package: &Package) -> Result<()> {
        let file = apt::fetch(self.recipe, self.lock, package, &self.inputs.cache)?;
        let kernel = package.name == self.lock.kernel_package()?.name;
        let taken: Vec<&str> = self
            .recipe
            .take
            .iter()
            .filter(|take| take.package == package.name)
            .map(|take| take.from.as_str())
            .collect();
        let files = deb::files(&file, |path| {
            taken.contains(&path)
                || (kernel && (path.ends_with(".ko") || path.starts_with("boot/vmlinuz-")))
        })?;
        self.files.insert(package.name.clone(), files);
        Ok(())
    }

    fn file(&self, package: &str, path: &str) -> Result<&[u8]> {
        let found = self.files.get(package).and_then(|files| files.get(path));
        Ok(found.with_context(|| format!("package {package} has no {path}"))?)
    }

    fn use_file(&mut self, of: &str, place: String) {
        self.used.entry(of.to_owned()).or_default().insert(place);
    }

    fn kernel(&mut self) -> Result<Vec<u8>> {
        let package = self.lock.kernel_package()?.name.clone();
        let path = format!("boot/vmlinuz-{}", self.lock.kernel);
        let kernel = self.file(&package, &path)?.to_vec();
        let (at, magic) = IMAGE_MAGIC;
        ensure!(
            kernel.get(at..at + magic.len()) == Some(magic),
            "{path} of {package} is not a plain arm64 Image"
        );
        self.use_file(&package, format!("kernel:{path}"));
        Ok(kernel)
    }

    fn initramfs(&mut self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for directory in ["bin", "dev", "modules", "root"] {
            archive.directory(directory);
        }
        // The kernel opens it for the first program, before anything is mounted.
        archive.device("dev/console", (5, 1));
        archive.file(
            "init",
            true,
            &read(&self.inputs.recipe.join("initramfs/init"))?,
        );
        archive.file("bin/counter", true, &read(&self.inputs.counter)?);
        self.use_file("counter", "initramfs:bin/counter".into());
        for take in &self.recipe.take {
            if let Some(path) = &take.initramfs {
                archive.file(
                    path,
                    is_program(self.file(&take.package, &take.from)?),
                    self.file(&take.package, &take.from)?,
                );
                self.use_file(&take.package, format!("initramfs:{path}"));
            }
        }
        for applet in &self.recipe.initramfs.applets {
            archive.link(&format!("bin/{applet}"), "busybox");
        }
        let package = self.lock.kernel_package()?.name.clone();
        let modules = Modules::new(self.files.get(&package).context("the kernel's package")?);
        let mut order = String::new();
        for (name, bytes) in modules.in_order(&self.recipe.kernel.modules)? {
            archive.file(&format!("modules/{name}.ko"), false, bytes);
            order.push_str(&format!("{name}.ko\n"));
            self.use_file(&package, format!("initramfs:modules/{name}.ko"));
        }
        archive.file("modules/order", false, order.as_bytes());
        Ok(cpio::lz4(&archive.finish()))
    }

    fn root(&mut self) -> Result<Vec<u8>> {
        let mut stage = root::Stage::new(&self.inputs.work)?;
        stage.tree(&self.inputs.recipe.join("root"))?;
        for directory in &self.recipe.root.directories {
            stage.directory(directory)?;
        }
        for take in &self.recipe.take {
            if let Some(path) = &take.root {
                stage.file(path, self.file(&take.package, &take.from)?)?;
                self.use_file(&take.package, format!("root:{path}"));
            }
        }
        stage.file("usr/bin/forwarder", &read(&self.inputs.forwarder)?)?;
        self.use_file("forwarder", "root:usr/bin/forwarder".into());
        for applet in &self.recipe.root.applets {
            stage.link(&format!("bin/{applet}"), "busybox")?;
        }
        stage.link("sbin", "bin")?;
        stage.finish(&self.recipe.root.uuid)
    }

    /// The start of the digest over everything that decides what is in initramfs and root.
    fn version(&self) -> Result<String> {
        let mut digest = Sha256::new();
        let mut files: Vec<PathBuf> =
            vec![self.inputs.forwarder.clone(), self.inputs.counter.clone()];
        for name in [recipe::RECIPE, recipe::LOCK] {
            files.push(self.inputs.recipe.join(name));
        }
        for folder in ["initramfs", "root"] {
            files.extend(root::walk(&self.inputs.recipe.join(folder))?);
        }
        for file in files {
            digest.update(Sha256::digest(read(&file)?));
        }
        Ok(apt::hexadecimal(&digest.finalize())[..16].to_owned())
    }

    fn contents(&self) -> Result<Vec<Content>> {
        let files = |name: &str| {
            self.used
                .get(name)
                .map(|files| files.iter().cloned().collect())
                .unwrap_or_default()
        };
        let package = |package: &Package| Content {
            name: package.name.clone(),
            version: package.version.clone(),
            supplier: package.archive.clone(),
            source: format!("{} {}", package.source, package.source_version),
            sha256: package.sha256.clone(),
            files: files(&package.name),
        };
        let mut contents: Vec<Content> = self.lock.package.iter().map(package).collect();
        for (name, path) in [
            ("counter", &self.inputs.counter),
            ("forwarder", &self.inputs.forwarder),
        ] {
            let version = env!("CARGO_PKG_VERSION");
            contents.push(Content {
                name: name.to_owned(),
                version: version.to_owned(),
                supplier: "lazaret".into(),
                source: format!("forwarder {version}"),
                sha256: apt::hexadecimal(&Sha256::digest(read(path)?)),
                files: files(name),
            });
        }
        Ok(contents)
    }
}

/// Scripts and linked programs are executable; nothing else in the guest is.
fn is_program(content: &[u8]) -> bool {
    content.starts_with(b"#!") || content.starts_with(b"\x7fELF")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
