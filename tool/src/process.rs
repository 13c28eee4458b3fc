//! Host programs that run beside the machine, and end with us.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to end when asked to.
const END: Duration = Duration::from_secs(10);
/// How long to sleep between two looks at something that gives no notice.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A child process that ends with us.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with its output in the file `log`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        log: PathBuf,
    ) -> Result<Self> {
        let output =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { name, child, log })
    }

    /// Everything it has printed.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its output, where it has ended.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Ok(Some(status)) = self.child.try_wait() {
            bail!(
                "{} ended ({status}):\n{}",
                self.name,
                crate::machine::last_lines(&self.output(), 8)
            );
        }
        Ok(())
    }

    /// Waits until `find` finds something in what it has printed.
    ///
    /// # Errors
    /// Where it ends before, or `limit` (for a hang) is over.
    pub fn wait_for<T>(&mut self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = find(&self.output()) {
                return Ok(found);
            }
            self.check()?;
            if Instant::now() > deadline {
                bail!(
                    "{} did not come up; it said:\n{}",
                    self.name,
                    crate::machine::last_lines(&self.output(), 8)
                );
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Asks it to end (SIGTERM), waits, and ends it if it does not.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let id = i32::try_from(self.child.id()).ok();
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
