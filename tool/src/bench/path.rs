//! The whole path once: from power-on to the first reading on the ward.

use super::rows::{Row, Target};
use crate::session::{HANG, Session, Setup};
use crate::{build, demo, paths};
use anyhow::Result;

/// Starts everything and waits for the first reading.
///
/// # Errors
/// Where a part does not come up.
pub fn measure() -> Result<Vec<Row>> {
    let flash = paths::output().join("flash.img");
    let folder = super::rig::folder("path");
    let _ = std::fs::remove_dir_all(&folder);
    let mut session = Session::start(&build::description()?, Setup::new(&flash, &folder))?;
    session.wait_device("a reading", HANG, |device| {
        (demo::readings(device) > 0).then_some(())
    })?;
    let seconds = session.power_on.elapsed().as_secs_f64();
    session.stop();
    let name = "power-on to first reading on the ward";
    Ok(vec![Row::new(name, seconds, "s, host", Target::None, "")])
}
