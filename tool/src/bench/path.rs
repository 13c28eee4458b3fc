//! The whole path once: from power-on to the first reading on the ward.

use super::rows::{Row, Target};
use crate::session::{HANG, Session, Setup};
use crate::{build, demo, paths};
use anyhow::{Context as _, Result};

/// Starts everything and waits for the first reading.
///
/// # Errors
/// Where a part does not come up.
pub fn measure() -> Result<Vec<Row>> {
    let flash = paths::output().join("flash.img");
    let folder = super::rig::folder("path");
    let _ = std::fs::remove_dir_all(&folder);
    let mut session = Session::start(&build::description()?, Setup::new(&flash, &folder))?;
    let stored = |device: &serde_json::Value| (demo::readings(device) > 0).then(|| device.clone());
    let device = session.wait_device("a reading", HANG, stored)?;
    let took = session
        .first_reading(&device)
        .context("the ward does not say when")?;
    let seconds = took.as_secs_f64();
    session.stop();
    let name = "power-on to first reading on the ward";
    Ok(vec![Row::new(name, seconds, "s, host", Target::None, "")])
}
