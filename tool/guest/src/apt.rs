//! Debian packages through apt, without touching the system's own state.
//!
//! A build fetches what the lock file names, by path and digest, from the Debian mirrors this
//! machine already uses; no package lists are needed for it. Only refreshing the lock file
//! reads the lists, in a folder of its own.

use crate::recipe::{Lock, Package, Recipe};
use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// apt's own downloader (package apt).
const HELPER: &str = "/usr/lib/apt/apt-helper";
/// The keys of Debian's archives (package debian-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Every Debian mirror of this machine, as the base address that ends in the archive's name.
///
/// # Errors
/// Where there is none.
pub fn mirrors() -> Result<Vec<String>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let texts: Vec<String> = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    let mirrors = addresses(&texts.concat());
    ensure!(
        !mirrors.is_empty(),
        "no Debian mirror in /etc/apt/sources.list or sources.list.d: the guest is made from Debian packages"
    );
    Ok(mirrors)
}

/// Addresses in lines of either source format that end in `debian` or `debian-security`.
fn addresses(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        if !(line.starts_with("deb ") || line.starts_with("deb\t") || line.starts_with("URIs:")) {
            continue;
        }
        for word in line
            .split_whitespace()
            .map(|word| word.trim_end_matches('/'))
        {
            let archive = matches!(archive_of(word), "debian" | "debian-security");
            if word.contains("://") && archive && !found.iter().any(|known| known == word) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

fn archive_of(address: &str) -> &str {
    address.rsplit('/').next().unwrap_or(address)
}

/// The file of `package`, from the cache or fetched; its digest is checked either way.
///
/// # Errors
/// Where no mirror and no snapshot has it, with what to do then.
pub fn fetch(recipe: &Recipe, lock: &Lock, package: &Package, cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("debian");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{}.deb", package.sha256));
    if is_intact(&file, &package.sha256) {
        return Ok(file);
    }
    let arriving = folder.join(format!("{}.{}.part", package.sha256, std::process::id()));
    let mut tried = String::new();
    for address in places(recipe, lock, package)? {
        let _ = fs::remove_file(&arriving);
        let said = run(Command::new(HELPER)
            .args(["-o", "APT::Sandbox::User=root", "download-file", &address])
            .arg(&arriving)
            .arg(format!("SHA256:{}", package.sha256)));
        match said {
            Ok(_) if is_intact(&arriving, &package.sha256) => {
                fs::rename(&arriving, &file)?;
                return Ok(file);
            }
            Ok(_) => tried.push_str(&format!("\n  {address}: not the bytes in the lock file")),
            Err(error) => {
                tried.push_str(&format!("\n  {address}: {}", last_line(&error.to_string())))
            }
        }
    }
    let _ = fs::remove_file(&arriving);
    bail!(
        "package {} {} could not be fetched:{tried}\n\
         Either this machine has no network, or Debian has replaced that version. Then run\n\
         `./lazaret guest --lock` to take the current ones, look at what changed in\n\
         firmware/guests/linux/packages.lock, and commit it",
        package.name,
        package.version
    )
}

/// Where the package may be: its own archive on the mirrors, then the snapshot of that day.
fn places(recipe: &Recipe, lock: &Lock, package: &Package) -> Result<Vec<String>> {
    let mirrors = mirrors()?;
    let own = mirrors
        .iter()
        .filter(|mirror| archive_of(mirror) == package.archive);
    let mut places: Vec<String> = own
        .map(|mirror| format!("{mirror}/{}", package.file))
        .collect();
    places.push(format!(
        "{}/{}/{}/{}",
        recipe.snapshots, package.archive, lock.resolved, package.file
    ));
    Ok(places)
}

fn is_intact(file: &Path, sha256: &str) -> bool {
    fs::read(file).is_ok_and(|bytes| hexadecimal(&Sha256::digest(&bytes)) == sha256)
}

/// Resolves the recipe's packages to the newest versions the mirrors have.
///
/// # Errors
/// Where apt fails, or a package does not exist.
pub fn resolve(recipe: &Recipe, cache: &Path, say: &dyn Fn(&str)) -> Result<Lock> {
    let state = State::new(recipe, &cache.join("apt"))?;
    say("package lists");
    state.apt("apt-get", &["update"])?;
    let newest = state.apt(
        "apt-cache",
        &["show", "--no-all-versions", &recipe.kernel.newest],
    )?;
    let kernel = field(&newest, "Depends")
        .and_then(|needs| {
            needs
                .split([',', ' '])
                .find(|word| word.starts_with("linux-image-"))
        })
        .with_context(|| format!("{} names no kernel", recipe.kernel.newest))?
        .to_owned();
    let mut packages = vec![state.package(&kernel)?];
    for name in recipe.packages() {
        packages.push(state.package(name)?);
    }
    let resolved = run(Command::new("date").args(["-u", "+%Y%m%dT%H%M%SZ"]))?
        .trim()
        .to_owned();
    let kernel = kernel.trim_start_matches("linux-image-").to_owned();
    Ok(Lock {
        resolved,
        kernel,
        package: packages,
    })
}

/// A state folder for apt that knows one architecture and Debian's archives only.
struct State {
    options: Vec<String>,
}

impl State {
    fn new(recipe: &Recipe, folder: &Path) -> Result<Self> {
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name))
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(folder.join("status"), "")?;
        let suite = &recipe.suite;
        let line = |mirror: &String| {
            let suites = if archive_of(mirror) == "debian" {
                vec![suite.clone(), format!("{suite}-updates")]
            } else {
                vec![format!("{suite}-security")]
            };
            suites
                .iter()
                .map(|suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
                .collect::<String>()
        };
        let sources: String = mirrors()?.iter().map(line).collect();
        fs::write(folder.join("sources.list"), sources)?;
        let at = |name: &str| folder.join(name).display().to_string();
        let settings = [
            format!("APT::Architecture={}", recipe.architecture),
            format!("APT::Architectures={}", recipe.architecture),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            format!("Dir::State={}", at("")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", at("cache")),
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
        ];
        Ok(Self {
            options: settings
                .into_iter()
                .flat_map(|setting| ["-o".to_owned(), setting])
                .collect(),
        })
    }

    fn apt(&self, program: &str, arguments: &[&str]) -> Result<String> {
        run(Command::new(program).args(&self.options).args(arguments))
    }

    /// The newest version of one package.
    fn package(&self, name: &str) -> Result<Package> {
        let text = self.apt("apt-cache", &["show", "--no-all-versions", name])?;
        let get = |key: &str| {
            field(&text, key)
                .with_context(|| format!("package {name} has no {key}"))
                .map(str::to_owned)
        };
        let (version, file) = (get("Version")?, get("Filename")?);
        let source = field(&text, "Source").unwrap_or(name).to_owned();
        let (source, source_version) = match source.split_once(" (") {
            Some((source, version)) => {
                (source.to_owned(), version.trim_end_matches(')').to_owned())
            }
            None => (source, version.clone()),
        };
        let policy = self.apt(
            "apt-get",
            &["--print-uris", "download", &format!("{name}={version}")],
        )?;
        let address = policy
            .split('\'')
            .nth(1)
            .with_context(|| format!("apt does not say where {name} is"))?;
        // The rest of the address is the path again, with its signs escaped.
        let (base, _) = address
            .split_once("/pool/")
            .with_context(|| format!("{address} is in no pool"))?;
        Ok(Package {
            name: name.to_owned(),
            architecture: get("Architecture")?,
            archive: archive_of(base).to_owned(),
            bytes: get("Size")?
                .parse()
                .with_context(|| format!("size of {name}"))?,
            sha256: get("SHA256")?,
            version,
            source,
            source_version,
            file,
        })
    }
}

/// The value of `key` in the first paragraph of a Debian control text.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    lines
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        .map(str::trim)
}

/// Runs a program and gives what it printed; where it fails, all it said is the error.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("{name} cannot be started: the guest is built on Debian"))?;
    if !output.status.success() {
        bail!(
            "{name} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or(text)
        .trim()
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_both_formats_and_nothing_else_is() {
        let text = "# deb http://no.example/debian bookworm main\n\
            deb [signed-by=/a] http://a.example/debian/ bookworm main\n\
            deb-src http://src.example/debian bookworm main\n\
            deb https://vendor.example/apt stable main\n\
            Types: deb\nURIs: http://b.example/debian http://b.example/debian-security\nSuites: bookworm\n\
            URIs: http://a.example/debian\n";
        let expected = [
            "http://a.example/debian",
            "http://b.example/debian",
            "http://b.example/debian-security",
        ];
        assert_eq!(addresses(text), expected);
    }

    #[test]
    fn fields_are_those_of_the_first_paragraph() {
        let text =
            "Package: a\nVersion: 1:2\nDescription: x\n Version: no\n\nPackage: b\nSource: s\n";
        assert_eq!(field(text, "Version"), Some("1:2"));
        assert_eq!(field(text, "Source"), None);
    }

    /// The digest is checked at every use, and what is not there is told with the way out.
    #[test]
    fn a_damaged_file_in_the_cache_is_not_used() {
        let cache =
            std::env::temp_dir().join(format!("lazaret-guest-cache-{}", std::process::id()));
        let folder = cache.join("debian");
        fs::create_dir_all(&folder).expect("folder");
        let bytes = b"a package";
        let sha256 = hexadecimal(&Sha256::digest(bytes));
        let file = folder.join(format!("{sha256}.deb"));
        fs::write(&file, bytes).expect("written");
        assert!(is_intact(&file, &sha256));
        fs::write(&file, b"a packagE").expect("written");
        assert!(!is_intact(&file, &sha256));
        assert!(!is_intact(&folder.join("absent"), &sha256));
        fs::remove_dir_all(&cache).expect("removed");
    }
}
