//! What is in an image, a manifest or a flash file.

use crate::{build, paths};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// What `lazaret inspect` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A flash file, a slot or a manifest; by default the flash that was built last
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the report.
///
/// # Errors
/// Where the file cannot be read, and where the device would refuse it.
pub fn run(options: &Options) -> Result<()> {
    let file = options
        .file
        .clone()
        .unwrap_or_else(|| paths::output().join("flash.img"));
    let report = images::inspect(&build::description()?, &file)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print_report(&report);
    }
    match report.refusal {
        Some(refusal) => bail!("the device would refuse it: {refusal}"),
        None => Ok(()),
    }
}

fn print_report(report: &images::Report) {
    println!("{}", report.kind);
    if let Some(fuses) = &report.fuses {
        println!("  fuses: root keys {fuses}");
    }
    for slot in &report.slots {
        println!("{}", slot.name);
        for document in &slot.documents {
            let sequence = document
                .sequence
                .map(|n| format!(", sequence {n}"))
                .unwrap_or_default();
            println!(
                "  {:<18} {:>7} bytes{sequence}  {}",
                document.name, document.bytes, document.status
            );
            for signature in &document.signatures {
                let valid = match signature.valid {
                    Some(true) => "valid",
                    Some(false) => "NOT VALID",
                    None => "not checked",
                };
                println!("    {:<12} {valid}", signature.algorithm);
            }
        }
        for key in &slot.keys {
            println!(
                "  key {:<12} P-256 {:.16}…  ML-DSA-65 {:.16}…",
                key.role, key.p256_digest, key.ml_dsa_65_digest
            );
        }
        for component in &slot.components {
            println!(
                "  {:<18} {:<16} {:>9} bytes at {:#011x}  sha256 {:.16}…  {}{}",
                component.name,
                component.version,
                component.memory_bytes,
                component.load_address,
                component.digest,
                component.status,
                if component.compression == "none" {
                    String::new()
                } else {
                    format!(
                        " ({}, {} stored)",
                        component.compression, component.stored_bytes
                    )
                },
            );
        }
    }
}
