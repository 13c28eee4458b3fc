//! Files out of a Debian package, without installing it.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// No file we take is larger.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The regular files of the package at `path` whose path (without the first `./`) `wanted` says yes to.
///
/// # Errors
/// Where `dpkg-deb` fails or the archive in the package is not readable.
pub fn files(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut unpack = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb cannot be started: the guest is built on Debian")?;
    let mut archive = tar::Archive::new(unpack.stdout.take().context("dpkg-deb's output")?);
    let mut found = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry.with_context(|| path.display().to_string())?;
        let name = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_owned();
        if !entry.header().entry_type().is_file() || !wanted(&name) {
            continue;
        }
        ensure!(
            entry.size() <= FILE_BYTES_MAX,
            "{name} in {} has {} bytes",
            path.display(),
            entry.size()
        );
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        found.insert(name, bytes);
    }
    // What follows the archive's end is padding; dpkg-deb wants it read.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
    if !unpack.wait()?.success() {
        bail!("dpkg-deb cannot unpack {}", path.display());
    }
    Ok(found)
}
