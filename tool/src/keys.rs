//! The development keys: made on the first build, never committed.

use crate::{paths, ui};
use anyhow::Result;

/// What `lazaret keys` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes what is missing and shows the public digests.
///
/// # Errors
/// Where a key file cannot be read or written.
pub fn run(options: &Options) -> Result<()> {
    let folder = paths::keys();
    let (ring, made) = images::KeyRing::load_or_make(&folder)?;
    let roles = [
        ("root", &ring.root),
        ("boot", &ring.boot),
        ("guest", &ring.guest),
        ("application", &ring.application),
        ("debug", &ring.debug),
    ];
    let digest = |bytes: &[u8]| images::hex(&verify::signature::sha_256(&[bytes]));
    let burned = digest(&ring.root_key_set());
    if options.json {
        let list: Vec<_> = roles
            .iter()
            .map(|(role, keys)| serde_json::json!({"role": role, "p256": digest(&keys.p256_public()), "ml_dsa_65": digest(&keys.ml_dsa_public())}))
            .collect();
        println!(
            "{}",
            serde_json::json!({"folder": folder, "root_keys_digest": burned, "keys": list})
        );
        return Ok(());
    }
    if !made.is_empty() {
        ui::done(&format!("made: {}", made.join(", ")));
    }
    println!(
        "development keys in {} (never commit them; real root keys stay offline)",
        folder.display()
    );
    println!("burned into the one-time-programmable sector: {burned}");
    for (role, keys) in roles {
        println!(
            "  {role:<12} P-256 {:.16}…  ML-DSA-65 {:.16}…",
            digest(&keys.p256_public()),
            digest(&keys.ml_dsa_public())
        );
    }
    Ok(())
}
