//! The device alone, its console on this terminal.

use crate::machine::{Config, Machine};
use crate::{build, paths, ui};
use anyhow::Result;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// What `lazaret run` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A flash image to run instead of building one
    #[arg(long)]
    pub flash: Option<PathBuf>,
    /// Stop after this long (for instance 30s); otherwise until the device powers off or Ctrl-C
    #[arg(long = "for", value_parser = crate::demo::duration)]
    pub duration: Option<Duration>,
    /// Open a gdb socket in the run's folder
    #[arg(long)]
    pub gdb: bool,
    /// Count instructions instead of following the clock
    #[arg(long)]
    pub instructions: bool,
    /// Further arguments for QEMU
    #[arg(last = true)]
    pub arguments: Vec<String>,
}

/// Runs the device until it powers off.
///
/// # Errors
/// Where the build or QEMU fails.
pub fn run(options: &Options) -> Result<()> {
    let flash = match &options.flash {
        Some(flash) => flash.clone(),
        None => build::everything(build::description()?)?.flash,
    };
    let mut config = Config::new(&flash, &paths::output().join("run"));
    config.gdb = options.gdb;
    config.instructions = options.instructions;
    config.arguments.clone_from(&options.arguments);
    if options.gdb {
        ui::note(&format!(
            "gdb-multiarch -ex 'target remote {}'",
            config.socket("gdb.sock").display()
        ));
    }
    let mut machine = Machine::start(config)?;
    if !options.instructions {
        ui::note(machine.pin()?);
    }
    let mut shown = 0;
    while machine.is_running()
        && options
            .duration
            .is_none_or(|limit| machine.started().elapsed() < limit)
    {
        let text = machine.console();
        if let Some(new) = text.get(shown..) {
            print!("{new}");
            std::io::stdout().flush()?;
            shown = text.len();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    print!("{}", machine.console().get(shown..).unwrap_or(""));
    Ok(())
}
