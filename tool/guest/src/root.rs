//! The root file system: staged in a folder, then made into an erofs image by `mkfs.erofs`.

use anyhow::{Context as _, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files only root may read.
const SECRET: [&str; 1] = ["etc/shadow"];

/// A root file system on its way.
pub struct Stage {
    folder: PathBuf,
    image: PathBuf,
}

impl Stage {
    /// An empty one in `work`.
    pub fn new(work: &Path) -> Result<Self> {
        let (folder, image) = (work.join("root"), work.join("root.erofs"));
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        let _ = fs::remove_file(&image);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        set_mode(&folder, 0o755)?;
        Ok(Self { folder, image })
    }

    /// Copies every file below `from`.
    pub fn tree(&mut self, from: &Path) -> Result<()> {
        for file in walk(from)? {
            let path = file
                .strip_prefix(from)
                .context("walked out of the tree")?
                .to_string_lossy()
                .into_owned();
            self.file(&path, &crate::read(&file)?)?;
        }
        Ok(())
    }

    /// A directory, and its parents.
    pub fn directory(&mut self, path: &str) -> Result<()> {
        let mut at = self.folder.clone();
        for part in path.split('/') {
            at.push(part);
            if !at.is_dir() {
                fs::create_dir(&at).with_context(|| format!("cannot make {}", at.display()))?;
                set_mode(&at, 0o755)?;
            }
        }
        Ok(())
    }

    /// A file; it is executable if it is a program.
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.parent(path)?;
        let at = self.folder.join(path);
        fs::write(&at, content).with_context(|| format!("cannot write {}", at.display()))?;
        let mode = match path {
            _ if SECRET.contains(&path) => 0o600,
            _ if crate::is_program(content) => 0o755,
            _ => 0o644,
        };
        set_mode(&at, mode)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.parent(path)?;
        symlink(target, self.folder.join(path)).with_context(|| format!("cannot link {path}"))
    }

    fn parent(&mut self, path: &str) -> Result<()> {
        path.rsplit_once('/')
            .map_or(Ok(()), |(folder, _)| self.directory(folder))
    }

    /// The image: no dates, no owners but root, a fixed identifier.
    pub fn finish(self, uuid: &str) -> Result<Vec<u8>> {
        let output = Command::new("mkfs.erofs")
            .args(["--quiet", "-zlz4hc,12", "-T0", "-x-1", "--all-root"])
            .arg(format!("-U{uuid}"))
            .arg(&self.image)
            .arg(&self.folder)
            .output()
            .context("mkfs.erofs cannot be started: it is in Debian's package erofs-utils")?;
        if !output.status.success() {
            bail!(
                "mkfs.erofs failed:\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        crate::read(&self.image)
    }
}

/// Every file below `folder`, in a fixed order.
pub fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        entries.push(entry?.path());
    }
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}
