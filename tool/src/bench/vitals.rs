//! Scores the beat detector.

use anyhow::{Result, bail};

/// What `lazaret bench vitals` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The folder of WFDB records
    pub folder: std::path::PathBuf,
}

/// Scores.
///
/// # Errors
/// Always, until it is joined.
pub fn run(_: &Options) -> Result<()> {
    bail!("not joined yet")
}
