//! The `lazaret` command.

use anyhow::Result;
use clap::{Parser, Subcommand};
use lazaret::{bench, build, demo, doctor, inspect, keys, pipe, run, test, ui};

/// An open security platform for connected medical devices: builds, signs, runs, watches and tests it all
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and run the whole path: patient, device, ward, page
    Demo(demo::Options),
    /// Check the description, build everything, sign it and lay it out on flash
    Build,
    /// Run the device alone, its console on this terminal
    Run(run::Options),
    /// Run every check that CI runs
    Test(test::Options),
    /// Measure, and print our numbers beside the ones to beat
    Bench(bench::Options),
    /// Show what is in an image, a manifest or a flash file
    Inspect(inspect::Options),
    /// Make or show the development keys
    Keys(keys::Options),
    /// Work on the Linux guest: build it, or refresh its lock file
    Guest(build::GuestOptions),
    #[command(hide = true)]
    Pipe(pipe::Options),
    /// Is this machine ready, and what is missing?
    Doctor,
}

fn main() -> std::process::ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            ui::failed(&format!("{error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Demo(options) => demo::run(&options),
        Command::Build => {
            let built = build::everything(build::description()?)?;
            ui::done(&format!(
                "{}: run it with `./lazaret demo` or `./lazaret run`, look into it with `./lazaret inspect`",
                built.flash.display()
            ));
            Ok(())
        }
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Keys(options) => keys::run(&options),
        Command::Guest(options) => build::guest_command(&options),
        Command::Pipe(options) => pipe::run(&options),
        Command::Doctor => doctor::run(),
    }
}
